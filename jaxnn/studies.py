"""Studies: every setting of a search with its curves, its value and its networks, in memory."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console, Group
from rich.table import Table

from jaxnn.checks import whole_number
from jaxnn.fitted import Fitted
from jaxnn.mixtures import own_part
from jaxnn.models import mlp_of_setting
from jaxnn.planning import Plan
from jaxnn.preparing import Treatment
from jaxnn.settings import HYPERPARAMETERS, is_used
from jaxnn.showing import as_html, counted
from jaxnn.spaces import Range
from jaxnn.types import Model, Params, State


@dataclasses.dataclass(frozen=True)
class Trial:
    """One setting of a study, named as in Optuna.

    Attributes:
      number: its place in the list of settings.
      params: the setting as it was given.
      value: mean of `values`; NaN if a repetition diverged or was cut off.
      values: the metric of each repetition's network on the validation set.
      cost: mean validation cost of the repetitions.
      state: "COMPLETE"; "PRUNED" if a repetition diverged; "RUNNING" if it was not trained to
        the end.
      diverged: for each repetition the step whose cost was not finite, or None.
    """

    number: int
    params: dict[str, Any]
    value: float
    values: tuple[float, ...]
    cost: float
    state: str
    diverged: tuple[int | None, ...]
    datetime_start: datetime | None
    datetime_complete: datetime | None

    @property
    def duration(self) -> timedelta | None:
        if self.datetime_start is None or self.datetime_complete is None:
            return None
        return self.datetime_complete - self.datetime_start


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Lanes that were trained together, on the host: what the study makes networks of."""

    model: Any
    """A Mixture, whose padding the parameters have, or a foreign model."""
    params: Params
    state: State
    start: datetime
    end: datetime


@dataclasses.dataclass(eq=False, repr=False)
class Study:
    """The settings of a sweep with all that came of them; S settings, K repetitions, E epochs.

    `sweep` fills its arrays as it trains.

    Attributes:
      given, settings: each setting as it came, and with every default written out.
      space: what the settings were sampled from, or None.
      model: the pair of functions in place of `mlp`, or None.
      metric: "accuracy" or "cost", on the validation set.
      plan: which settings share a program.
      treatments: what is done to inputs, by the setting's `inputs`.
      curves: name -> (S, K, E): cost, accuracy, valid_cost, valid_accuracy; NaN where a network had
        diverged or was not trained.
      diverged: (S, K), the step whose cost was not finite, or -1.
      epochs_done: (S, K), E unless the sweep was interrupted.
      kept_epochs: (S, K), the epoch, from 0, whose network was kept: the last, or the best one;
        it tells nothing of a network that diverged or was cut off.
      places: (S, K, 2), index of the chunk and of the lane in it; -1 where nothing was trained.
      seconds, compile_seconds: wall time of the sweep; what first calls took beyond later ones,
        summed over programs, of which several may be compiled side by side.
      notes: what the user should know of how it was trained.
    """

    given: Sequence[Mapping[str, Any]]
    settings: list[dict[str, Any]]
    model: Model | None
    metric: str
    plan: Plan
    treatments: dict[str, Treatment]
    input_shape: tuple[int, ...]
    num_classes: int
    curves: dict[str, np.ndarray]
    diverged: np.ndarray
    epochs_done: np.ndarray
    kept_epochs: np.ndarray
    places: np.ndarray
    chunks: list[Chunk] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    compile_seconds: float = 0.0

    @property
    def space(self) -> dict[str, Any] | None:
        return getattr(self.given, "space", None)

    @property
    def values(self) -> np.ndarray:
        """(S, K): the metric on the validation set; NaN where a network diverged or was cut off."""
        return self._kept(f"valid_{self.metric}")

    def _kept(self, name: str, rows: Any = slice(None)) -> np.ndarray:
        """(S, K), or some rows of it: a curve at the epoch whose network was kept."""
        index = self.kept_epochs[rows][..., None]
        value, cost = (
            np.take_along_axis(self.curves[curve][rows], index, axis=-1)[..., 0]
            for curve in (name, "valid_cost")
        )
        is_complete = self.epochs_done[rows] == self.curves[name].shape[-1]
        # a last step may blow a network up that no further step could mark as diverged
        is_fine = (self.diverged[rows] < 0) & is_complete & np.isfinite(cost)
        return np.where(is_fine, value, np.nan)

    @property
    def ranking(self) -> np.ndarray:
        """Numbers of the settings, best first; ties by the other metric, then by number."""
        accuracy = self._kept("valid_accuracy").mean(axis=1)
        cost = self._kept("valid_cost").mean(axis=1)
        keys = (cost, -accuracy) if self.metric == "accuracy" else (-accuracy, cost)
        # sorts by the last key first; NaN comes last, and equal settings stay in order
        return np.lexsort(keys)

    @property
    def ranked(self) -> np.ndarray:
        """The part of the ranking that has a value."""
        ranking = self.ranking
        return ranking[np.isfinite(self.values[ranking]).all(axis=1)]

    @property
    def trials(self) -> list[Trial]:
        """Every setting with its value, by number."""
        return [self._trial(number) for number in range(len(self.given))]

    def _trial(self, number: int) -> Trial:
        chunks = [self.chunks[index] for index in self.places[number, :, 0] if index >= 0]
        steps = tuple(None if step < 0 else int(step) for step in self.diverged[number])
        is_complete = (self.epochs_done[number] == self.curves["cost"].shape[2]).all()
        state = "COMPLETE" if is_complete else "RUNNING"
        if any(step is not None for step in steps):
            state = "PRUNED"
        values = self._kept(f"valid_{self.metric}", number)
        return Trial(
            number,
            dict(self.given[number]),
            float(values.mean()),
            tuple(values.tolist()),
            float(self._kept("valid_cost", number).mean()),
            state,
            steps,
            min((chunk.start for chunk in chunks), default=None),
            max((chunk.end for chunk in chunks), default=None),
        )

    @property
    def best_trial(self) -> Trial:
        """The first of the ranking. ValueError if no setting was trained to the end and finite."""
        if not self.ranked.size:
            raise ValueError(
                f"none of the {len(self.given)} settings has a value, so there is no best one: "
                f"{self._count_of_failures()}"
            )
        return self._trial(int(self.ranked[0]))

    @property
    def best_params(self) -> dict[str, Any]:
        return self.best_trial.params

    @property
    def best_value(self) -> float:
        return self.best_trial.value

    def fitted(self, number: int | None = None, repeat: int = 0) -> Fitted:
        """A network of the study; without a number the best setting's.

        Raises:
          ValueError: there is no such setting or repetition, or it was not trained.
        """
        number = self.best_trial.number if number is None else whole_number("number", number)
        repeat = whole_number("repeat", repeat)
        num_settings, num_repeats = self.diverged.shape
        if number >= num_settings or repeat >= num_repeats:
            raise ValueError(
                f"fitted got setting {number}, repetition {repeat}; expected below {num_settings} "
                f"and {num_repeats}"
            )
        chunk, lane = self.places[number, repeat]
        if chunk < 0:
            raise ValueError(
                f"setting {number} was not trained: the sweep was interrupted before, or memory "
                "was too short"
            )
        setting = self.settings[number]
        params, state = jax.tree.map(
            lambda leaf: leaf[lane], (self.chunks[chunk].params, self.chunks[chunk].state)
        )
        model, inputs = self.model, self.treatments[setting["inputs"]]
        if model is None:
            model = mlp_of_setting(setting, self.input_shape, self.num_classes)
            params, state = own_part(self.chunks[chunk].model, setting, params, state)
        step = int(self.diverged[number, repeat])
        done = int(self.epochs_done[number, repeat])
        return Fitted(
            model=model,
            params=jax.tree.map(jnp.asarray, inputs.lifted(params)),
            state=jax.tree.map(jnp.asarray, state),
            inputs=inputs.statistics,
            setting=setting,
            curves={name: curve[number, repeat, :done] for name, curve in self.curves.items()},
            diverged=None if step < 0 else step,
            input_shape=self.input_shape,
            num_classes=self.num_classes,
            is_mlp=self.model is None,
        )

    def to_dicts(self) -> list[dict[str, Any]]:
        """One flat dict a setting, with the columns of Optuna's `trials_dataframe`."""
        names = list(dict.fromkeys(name for setting in self.given for name in setting))
        return [
            {
                "number": trial.number,
                "value": trial.value,
                "datetime_start": trial.datetime_start,
                "datetime_complete": trial.datetime_complete,
                "duration": trial.duration,
                **{f"params_{name}": trial.params.get(name) for name in names},
                "user_attrs_cost": trial.cost,
                "user_attrs_diverged": trial.diverged,
                "user_attrs_values": trial.values,
                "state": trial.state,
            }
            for trial in self.trials
        ]

    def to_dataframe(self) -> Any:
        """`to_dicts` as a pandas DataFrame; needs the extra "pandas"."""
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "to_dataframe needs pandas (pip install 'jaxnn-lanes[pandas]'); "
                "to_dicts gives the same rows without it"
            ) from None
        return pd.DataFrame(self.to_dicts())

    @property
    def varied(self) -> list[str]:
        """Names of the hyperparameters that differ between the settings."""
        first = self.settings[0]
        return [n for n in first if any(setting[n] != first[n] for setting in self.settings)]

    def at_edge(self) -> dict[str, float]:
        """Names whose best values press against a bound of the space that may be widened: bound.

        The best setting lies in the outer 5 % of the range, and the best tenth, three settings at
        least, in its outer third on the mean: chance alone seldom does both.
        """
        if self.space is None:
            return {}
        best = self.ranked[: max(3, len(self.given) // 10)]
        found = {}
        for name, domain in self.space.items():
            users = [n for n in best if is_used(name, self.settings[n])]
            if not isinstance(domain, Range) or len(users) < 3 or users[0] != best[0]:
                continue
            positions = np.array([domain.position(self.settings[n][name]) for n in users])
            # measured from the edge that is nearer to the best
            edge = float(positions[0] > 0.5)
            distance = abs(positions - edge)
            beyond = domain.value(edge + (0.05 if edge else -0.05))
            rule = HYPERPARAMETERS.get(name)
            may_widen = rule is None or rule.is_valid(beyond)
            if distance[0] < 0.05 and distance.mean() < 1 / 3 and may_widen:
                found[name] = domain.high if edge else domain.low
        return found

    def __repr__(self) -> str:
        num_settings, num_repeats = self.diverged.shape
        return f"<Study of {num_settings:,} settings x {num_repeats:,}; summary() prints the best>"

    def summary(self, top: int = 10) -> None:
        """Prints the best settings, their spread over repetitions, and what to look at."""
        console = Console()
        if not console.is_terminal and not console.is_jupyter:
            console = Console(width=120)
        console.print(self._summary(top))

    def _repr_html_(self) -> str:
        return as_html(self._summary(10))

    def _summary(self, top: int) -> Group:
        num_settings, num_repeats = self.diverged.shape
        num_epochs = self.curves["cost"].shape[2]
        num_done = int((self.epochs_done == num_epochs).sum())
        rate = num_done / max(self.seconds, 1e-9)
        lines = [
            f"{counted(num_settings, 'setting')} x {counted(num_repeats, 'repetition')}, "
            f"{counted(num_epochs, 'epoch')}: {counted(num_done, 'network')} in "
            f"{self.seconds:.1f} s ({rate:,.1f} a second); "
            f"compiling: {self.compile_seconds:.1f} s, summed over programs"
        ]
        other = "valid_cost" if self.metric == "accuracy" else "valid_accuracy"
        table = Table(header_style="bold")
        table.add_column("rank", justify="right")
        table.add_column("setting", justify="right")
        table.add_column(f"valid {self.metric}", justify="right")
        table.add_column(other.replace("_", " "), justify="right")
        varied = self.varied
        for name in varied:
            table.add_column(name, justify="right", overflow="fold")
        for rank, number in enumerate(self.ranked[:top], 1):
            values = self._kept(f"valid_{self.metric}", number)
            shown = f"{values.mean():.4f}"
            if num_repeats > 1:
                shown += f" ± {values.std(ddof=1):.4f}"
            setting = self.settings[number]
            row = [_short(setting[n]) if is_used(n, setting) else "-" for n in self.varied]
            table.add_row(
                str(rank), str(number), shown, f"{self._kept(other, number).mean():.4f}", *row
            )
        failures = self._count_of_failures()
        if table.row_count == 0:
            lines.append(f"No setting has a value: {failures}.")
            table = Table(show_header=False, box=None)
        notes = [f"Not ranked: {failures}."] if failures and table.row_count else []
        if num_repeats > 1 and table.row_count:
            notes.append("±: standard deviation over the repetitions.")
        for name, bound in self.at_edge().items():
            notes.append(
                f"The best setting lies at the edge of the space: {name} near {bound:g}; widen it."
            )
        return Group(*lines, table, *notes, *self.notes)

    def _count_of_failures(self) -> str:
        """Such as "3 settings diverged (learning rates 10 to 1e+30)"; empty if there are none."""
        diverged = np.flatnonzero((self.diverged >= 0).any(axis=1))
        parts = []
        if diverged.size:
            rates = [self.settings[number]["learning_rate"] for number in diverged]
            span = f"{min(rates):.2g}" + (f" to {max(rates):.2g}" if len(set(rates)) > 1 else "")
            parts.append(f"{counted(diverged.size, 'setting')} diverged (learning rates {span})")
        is_cut_off = (self.epochs_done < self.curves["cost"].shape[2]) & (self.diverged < 0)
        unfinished = int(is_cut_off.any(axis=1).sum())
        if unfinished:
            parts.append(f"{counted(unfinished, 'setting')} not trained to the end")
        others = len(self.given) - self.ranked.size - diverged.size - unfinished
        if others > 0:
            parts.append(f"{counted(others, 'setting')} without a finite validation cost")
        return ", ".join(parts)


def _short(value: Any) -> str:
    """A hyperparameter's value as a table shows it; 1 - beta keeps its digits."""
    if isinstance(value, float):
        return f"{value:.3g}" if value < 0.9 or value > 1 else f"{value:.5g}"
    return "-".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
