"""The journal of a run: every action on its network, and which of them can be undone."""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from rich.table import Table

from jaxnn.compiled.steps import TrainState
from jaxnn.functional.metrics import COST, VALID, metric_of
from jaxnn.reporting.plots import BEST, MEDIAN, new_figure, plain
from jaxnn.settings.hyperparameters import HYPERPARAMETERS
from jaxnn.system.checks import one_of
from jaxnn.system.terminal import as_html, as_text
from jaxnn.training.recipes import Recipe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


UNDO_LEVELS = 20
"""How many actions a run can undo; each keeps a copy of weights and moments."""


class Entry(NamedTuple):
    """A line of a run's journal.

    Attributes:
      epoch: epochs trained when it was written.
      action: "train", "set", "undo" or "branch".
      detail: the result of the action, in words.
      curves: name -> (epochs of the stretch,) for "train"; otherwise empty.
    """

    epoch: int
    action: str
    detail: str
    curves: dict[str, np.ndarray]


class Moment(NamedTuple):
    """A state that `undo` restores. Its arrays are never donated: training uses a copy."""

    train_state: TrainState
    given: dict[str, Any]
    recipe: Recipe
    epoch: int


def may_be_set(name: str) -> bool:
    """Whether `Run.set` may change a hyperparameter; unknown names are refused elsewhere."""
    rule = HYPERPARAMETERS.get(name)
    return rule is None or rule.is_number or name == "decay_schedule"


class Clock(NamedTuple):
    """When a run began, and its seconds of training, which include those of compiling."""

    began: datetime
    seconds: float = 0.0
    compile_seconds: float = 0.0

    def later(self, seconds: float, compile_seconds: float) -> "Clock":
        return Clock(self.began, self.seconds + seconds, self.compile_seconds + compile_seconds)


class Journal:
    """The current state of a run and the actions that led to it.

    Attributes:
      names: names of the curves of a stretch of training.
      now: the current state.
      clock: the time of training, including what was undone.
      entries: every action, including those that were undone.
      stands: indices of the "train" and "set" entries that were not undone.
      past: the states before the last of these entries.
    """

    def __init__(self, names: Sequence[str], now: Moment, clock: Clock):
        self.names, self.now, self.clock = names, now, clock
        self.entries: list[Entry] = []
        self.stands: list[int] = []
        self.past: deque[Moment] = deque(maxlen=UNDO_LEVELS)

    def copy(self) -> "Journal":
        """Returns an independent copy."""
        other = Journal(self.names, self.now, self.clock)
        other.entries, other.stands = self.entries.copy(), self.stands.copy()
        other.past = self.past.copy()
        return other

    def write(
        self,
        action: str,
        detail: str,
        curves: dict[str, np.ndarray] | None = None,
        after: Moment | None = None,
    ) -> None:
        """Adds an entry; `after` is the new state of the run, if the action can be undone."""
        if after is not None:
            self.past.append(self.now)
            self.stands.append(len(self.entries))
            self.now = after
        kept = {name: values.copy() for name, values in (curves or {}).items()}
        # read-only, so that a user of the journal cannot change the run
        for values in kept.values():
            values.setflags(write=False)
        self.entries.append(Entry(self.now.epoch, action, detail, kept))

    def undo(self) -> None:
        """Restores the state before the last "train" or "set" that was not undone.

        Raises:
          ValueError: nothing is left to undo.
        """
        if not self.past:
            raise ValueError(
                f"undo got a run with nothing to take back (the last {UNDO_LEVELS} can be)"
            )
        undone = self.entries[self.stands.pop()]
        self.write("undo", f"{undone.action}: {undone.detail}")
        self.now = self.past.pop()

    @property
    def standing(self) -> list[Entry]:
        """The "train" and "set" entries that were not undone."""
        return [self.entries[index] for index in self.stands]

    @property
    def curves(self) -> dict[str, np.ndarray]:
        """Name -> (epochs,): the curves of the stretches that were not undone, joined."""
        stretches = [entry.curves for entry in self.standing if entry.curves]
        return {
            name: np.concatenate([np.empty(0), *(curves[name] for curves in stretches)])
            for name in self.names
        }

    def picture(self, curve: str | None, axes: "Axes | None") -> "Figure":
        """Draws one curve, or both costs, with edits marked and undone stretches dotted.

        Raises:
          ValueError: there is no such curve.
        """
        names = self.names
        if curve is not None:
            one_of("curve", curve, names)
        shown = (curve,) if curve else tuple(name for name in names if metric_of(name) is COST)
        stretches = [
            (entry.epoch, {name: entry.curves[name] for name in shown}, index in self.stands)
            for index, entry in enumerate(self.entries)
            if entry.curves
        ]
        edits = [
            (entry.epoch, entry.detail)
            for index, entry in enumerate(self.entries)
            if entry.action == "branch" or (entry.action == "set" and index in self.stands)
        ]
        return draw_run(stretches, edits, axes)

    def table(self) -> Table:
        """Returns a table of the entries, with the last values of their curves."""
        names, table = self.names, Table(header_style="bold")
        for name in ("epoch", *(name.replace("_", " ") for name in names)):
            table.add_column(name, justify="right")
        table.add_column("what was done", overflow="fold")
        for index, entry in enumerate(self.entries):
            values = [f"{entry.curves[name][-1]:.4f}" if entry.curves else "" for name in names]
            is_undone = entry.action in ("train", "set") and index not in self.stands
            mark = " (undone)" if is_undone else ""
            table.add_row(str(entry.epoch), *values, f"{entry.action}: {entry.detail}{mark}")
        return table

    def __str__(self) -> str:
        return as_text(self.table())

    def _repr_html_(self) -> str:
        return as_html(self.table())


Stretch = tuple[int, Mapping[str, np.ndarray], bool]
"""Epochs trained at the end of the stretch, curves by name, and whether it was not undone."""


def draw_run(
    stretches: Sequence[Stretch], edits: Sequence[tuple[int, str]], axes: "Axes | None" = None
) -> "Figure":
    """Draws the curves of one network's stretches of training, with the edits between them."""
    axes = new_figure(8, 4.5).subplots() if axes is None else axes
    for end, curves, stands in stretches:
        for name, values in curves.items():
            epochs = np.arange(end - len(values), end) + 1
            color = BEST if name.startswith(VALID) else MEDIAN
            style = {"linewidth": 2} if stands else {"linewidth": 1.2, "linestyle": ":"}
            axes.plot(epochs, values, color=color, alpha=1 if stands else 0.6, **style)
    names = list(stretches[0][1]) if stretches else []
    for name in names:
        color = BEST if name.startswith(VALID) else MEDIAN
        axes.plot([], [], color=color, linewidth=2, label=name.replace(VALID, "validation "))
    if not all(stands for *_, stands in stretches):
        axes.plot([], [], color="0.4", linewidth=1.2, linestyle=":", label="undone")
    known = [v for _, curves, _ in stretches for v in curves.values()]
    finite = np.concatenate([np.empty(0), *known])
    finite = finite[np.isfinite(finite) & (finite > 0)]
    is_cost = all(metric_of(name) is COST for name in names)
    if is_cost and finite.size:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        # a stretch that diverged must not flatten the others
        axes.set_ylim(finite.min() * 0.8, min(finite.max() * 1.3, 20 * np.median(finite)))
    texts: dict[int, list[str]] = {}
    for epoch, text in edits:
        texts.setdefault(epoch, []).append(text)
    for epoch, lines in texts.items():
        axes.axvline(epoch + 0.5, color="0.5", linewidth=0.9, linestyle="--")
        axes.annotate(
            plain("\n".join(lines)), (epoch + 0.5, 1), (2, -2), xycoords=("data", "axes fraction"),
            textcoords="offset points", rotation=90, va="top", fontsize=7.5, color="0.3",
            bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
        )  # fmt: skip
    axes.locator_params(axis="x", integer=True)
    axes.set(
        xlabel="epoch", ylabel=COST.name if is_cost else names[0].replace(VALID, "validation ")
    )
    if names:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return cast("Figure", axes.figure)
