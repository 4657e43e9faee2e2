"""`Record`, the table of a study: settings, their results, and statistics of these."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Self, get_type_hints

import numpy as np

from jaxnn.data.inputs import Treatment
from jaxnn.disk.encoding import SECONDS, TEXT, Rule, an, key_of, many, maybe, one_of, whole
from jaxnn.functional.metrics import COST, METRICS, Metric
from jaxnn.functional.objectives import Objective, Targets
from jaxnn.functional.types import Model, ModelFn
from jaxnn.planning.plans import Plan
from jaxnn.results import uncertainty
from jaxnn.results.axes import StudyAxis, domain_of, parts_of, varied, varied_axes
from jaxnn.results.trials import Chunk, Column, Rung, Trial, failures_in_words
from jaxnn.settings.domains import Domain
from jaxnn.settings.hyperparameters import plain_setting
from jaxnn.system.checks import check_fits

SHAPE = many(whole(1), 1, 32)


@dataclass(eq=False, repr=False, kw_only=True)
class Record:
    """The settings of a search and their results; S settings, K repetitions, E epochs.

    `sweep` and `search` fill its arrays as they train. With folds a setting is trained on each:
    repetition k of fold f has index f * (K / folds) + k.

    Attributes:
      given, settings: each setting as it was given, and with all defaults.
      space: the space that the settings were sampled from, or None; a list of spaces is an `AnyOf`.
      model: the user's pair of functions, or the function that makes it; None is `mlp`.
      metric: the metric on the validation set that ranks the settings.
      plan: which settings share a program.
      treatments: (the setting's `inputs`, fold) -> treatment of the inputs.
      curves: name -> (S, K, E): cost, accuracy, valid_cost and so on; NaN after divergence,
        after a network was stopped, and where nothing was trained.
      diverged: (S, K), the step whose cost was not finite, or -1.
      stopped: (S, K), the number of epochs after which `patience` ran out, or -1.
      epochs_done: (S, K), the epochs trained; all of them if it diverged or was stopped.
      ends: (S, K), the epoch at which training ends: E, or an earlier one in a refit.
      dropped: (S,), the epoch after which a search dropped the setting, or 0.
      parent, born: (S,), the setting whose networks it went on from, or -1, and after what epoch.
      kept_epochs: (S, K), the epoch, from 0, of the network that was kept, the last or the best;
        meaningless if the network diverged.
      places: (S, K, 2), index of the chunk and of the lane in it; -1 where nothing was trained.
      chunks: the networks, as they were trained.
      folds: folds of cross-validation; 1 is none.
      select: "mean" ranks by mean values, "lower_bound" by the worse end of their 95 % intervals.
      rungs: the rungs of a halving.
      seconds, compile_seconds: wall time of the search; of first calls minus later ones, summed.
      notes: what the user should know about the training.
      call: the call that made it, as text.
      held_out: the validation set of each fold; None after `load`, since files do not have them.
    """

    given: Annotated[list[Mapping[str, Any]], many(an(dict), kind=list)]
    settings: Annotated[list[dict[str, Any]], many(an(dict), kind=list)]
    space: Annotated[Mapping[str, Any] | None, maybe(an(Mapping))] = None
    model: Model | ModelFn | None
    metric: Annotated[str, key_of(METRICS)]
    plan: Annotated[Plan, an(Plan)]
    treatments: dict[tuple[str, int], Treatment]
    input_shape: Annotated[tuple[int, ...], SHAPE]
    targets: Annotated[Targets, an(Targets)]
    curves: dict[str, np.ndarray]
    diverged: Annotated[np.ndarray, Column(-1)]
    stopped: Annotated[np.ndarray, Column(-1)]
    epochs_done: Annotated[np.ndarray, Column(0)]
    ends: Annotated[np.ndarray, Column(None, is_own=False)]
    dropped: Annotated[np.ndarray, Column(0, None, is_own=False)]
    parent: Annotated[np.ndarray, Column(-1, None, is_own=False)]
    born: Annotated[np.ndarray, Column(0, None, is_own=False)]
    kept_epochs: Annotated[np.ndarray, Column(0)]
    places: Annotated[np.ndarray, Column(-1, (2,))]
    chunks: list[Chunk] = field(default_factory=list)
    folds: Annotated[int, whole(1)] = 1
    select: Annotated[str, one_of("mean", "lower_bound")] = "mean"
    rungs: Annotated[list[Rung], many(an(Rung), kind=list)] = field(default_factory=list)
    notes: Annotated[list[str], many(TEXT, kind=list)] = field(default_factory=list)
    seconds: Annotated[float, SECONDS] = 0.0
    compile_seconds: Annotated[float, SECONDS] = 0.0
    call: Annotated[str, TEXT] = ""
    held_out: Sequence[Any] | None = None

    @classmethod
    def empty(
        cls, num_repeats: int, num_epochs: int, curves: Sequence[str], dtype: Any, **about: Any
    ) -> Self:
        """Returns a record without settings; `about` holds the fields that are not arrays."""
        columns: dict[str, Any] = {
            name: np.empty(column.whole(0, num_repeats), int) for name, column in COLUMNS.items()
        }
        shape = (0, num_repeats, num_epochs)
        empty = {name: np.empty(shape, dtype) for name in curves}
        return cls(given=[], settings=[], treatments={}, curves=empty, **columns, **about)

    def check_room(self, num_settings: int) -> None:
        """Raises ValueError if the curves of so many further settings do not fit in memory."""
        num_lanes = (len(self.given) + num_settings) * self.diverged.shape[1]
        # curves of at most eight bytes a number, and 200 bytes for the rest of a lane
        needed = num_lanes * (8 * len(self.curves) * self.num_epochs + 200)
        check_fits(needed, f"{num_lanes:,} networks of {self.num_epochs:,} epochs: their curves")

    def grow(self, given: Sequence[Mapping[str, Any]], settings: Sequence[dict[str, Any]]) -> None:
        """Adds settings, of which nothing is trained yet."""
        self.given += map(plain_setting, given)
        self.settings += settings

        def longer(array: np.ndarray, fill: float) -> np.ndarray:
            new = np.full((len(settings), *array.shape[1:]), fill, array.dtype)
            return np.concatenate([array, new])

        self.curves = {name: longer(curve, np.nan) for name, curve in self.curves.items()}
        for name, column in COLUMNS.items():
            fill = self.num_epochs if column.fill is None else column.fill
            setattr(self, name, longer(getattr(self, name), fill))

    def add_curves(self, names: Iterable[str]) -> None:
        """Adds curves that are missing."""
        for name in names:
            self.curves.setdefault(name, np.full_like(self.curves[COST.name], np.nan))

    @property
    def num_epochs(self) -> int:
        """E."""
        return self.curves[COST.name].shape[2]

    def until_stopped(self, epochs: Any) -> np.ndarray:
        """Returns epochs (S, K), of networks that were stopped no more than before that."""
        return np.where(self.stopped < 0, epochs, self.stopped)

    @property
    def is_complete(self) -> np.ndarray:
        """(S, K): whether a network was trained to its end."""
        return np.greater_equal(self.epochs_done, self.ends)

    @property
    def values(self) -> np.ndarray:
        """(S, K): the validation metric; NaN unless trained to the end and finite."""
        return np.where(self.is_complete, self.reached(METRICS[self.metric].valid), np.nan)

    def reached(self, name: str, rows: Any = slice(None)) -> np.ndarray:
        """Returns a curve at the epochs of the networks that were kept, (S, K) or rows of it."""
        index = self.kept_epochs[rows][..., None]
        value, cost = (
            np.take_along_axis(self.curves[curve][rows], index, axis=-1)[..., 0]
            for curve in (name, COST.valid)
        )
        # divergence in the last step is not marked, since no further step notices it
        return np.where((self.diverged[rows] < 0) & np.isfinite(cost), value, np.nan)

    def losses(self, epochs: slice | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Returns two losses (S,): the first ranks settings, the second breaks ties.

        They are taken from the kept epochs, or as means over some epochs; NaN if a repetition
        diverged or was not trained.
        """
        first, second = (self._losses(metric, epochs) for metric in self.ranked_by)
        return first, second

    def _losses(self, metric: Metric, epochs: slice | None) -> np.ndarray:
        name = metric.valid
        values = self.reached(name) if epochs is None else self._mean(name, epochs)
        values = -values if metric.is_higher_better else values
        loss = values.mean(axis=1)
        if self.select == "lower_bound":
            loss = loss + uncertainty.half_width(values, self.folds)
        return loss

    def _mean(self, name: str, epochs: slice) -> np.ndarray:
        # a network that was stopped stays what it was
        last = self.until_stopped(self.num_epochs)[..., None] - 1
        index = np.minimum(np.arange(self.num_epochs)[epochs], last)
        held = (np.take_along_axis(self.curves[one], index, -1) for one in (name, COST.valid))
        value, cost = (curve.mean(axis=-1) for curve in held)
        return np.where((self.diverged < 0) & np.isfinite(cost), value, np.nan)

    @property
    def ranked_by(self) -> tuple[Metric, Metric]:
        """The metric that ranks the settings, and the one that breaks ties."""
        return self.objective.ranked_by(self.metric)

    @property
    def objective(self) -> Objective:
        """The objective of the first setting, whose metrics rank all."""
        default = self.targets.default_loss
        return self.targets.objective(self.settings[0]["loss"] if self.settings else default)

    @property
    def bounds(self) -> tuple[float, float]:
        """The range of the metric's values."""
        return self.objective.bounds(self.metric)

    @property
    def ranking(self) -> np.ndarray:
        """The numbers of the settings, best first; ties by the other metric, then by number.

        Settings that were not trained to the end come last, those with more epochs first.
        """
        is_complete = self.is_complete.all(axis=1)
        first, second = self.losses()
        complete = [np.where(is_complete, loss, np.nan) for loss in (first, second)]
        epochs = np.where(np.isfinite(first), self.epochs_done.min(axis=1), 0)
        # the last key is the first to sort by; NaN comes last, and equal settings keep their order
        return np.lexsort((second, first, -epochs, *complete[::-1]))

    @property
    def ranked(self) -> np.ndarray:
        """The ranking of the settings that have a value."""
        ranking = self.ranking
        return ranking[np.isfinite(self.values[ranking]).all(axis=1)]

    @property
    def trials(self) -> list[Trial]:
        """Every setting with its value, by number."""
        return [self.trial(number) for number in range(len(self.given))]

    def trial(self, number: int) -> Trial:
        """Returns a setting with its value."""
        chunks = [self.chunks[index] for index in self.places[number, :, 0] if index >= 0]
        steps = tuple(None if step < 0 else int(step) for step in self.diverged[number])
        state = "COMPLETE" if self.is_complete[number].all() else "RUNNING"
        if self.dropped[number] or any(step is not None for step in steps):
            state = "PRUNED"
        values = self.reached(METRICS[self.metric].valid, number)
        value, reach = values.mean(), uncertainty.half_width(values, self.folds)
        low, high = np.clip((value - reach, value + reach), *self.bounds).tolist()
        return Trial(
            number=number,
            params=dict(self.given[number]),
            value=float(value),
            values=tuple(values.tolist()),
            standard_error=float(uncertainty.standard_error(values, self.folds)),
            interval=(low, high),
            cost=float(self.reached(COST.valid, number).mean()),
            state=state,
            epochs=int(self.until_stopped(self.epochs_done)[number].max()),
            diverged=steps,
            datetime_start=min((chunk.start for chunk in chunks), default=None),
            datetime_complete=max((chunk.end for chunk in chunks), default=None),
        )

    @property
    def best_trial(self) -> Trial:
        """The best setting; raises ValueError if none was trained to the end and finite."""
        if not self.ranked.size:
            raise ValueError(
                f"none of the {len(self.given)} settings has a value, so there is no best one: "
                f"{self.failures()}"
            )
        return self.trial(int(self.ranked[0]))

    def contenders(self) -> list[int]:
        """Returns settings that do not differ significantly from the best, best first.

        Each is compared with the best alone, at a level of 95 %.
        """
        ranked = self.ranked
        return ranked[1:][uncertainty.are_close(self.values[ranked], self.folds)].tolist()

    def failures(self) -> str:
        """Returns text such as "3 settings diverged (learning rates 10 to 1e+30)", or ""."""
        has_diverged = (self.diverged >= 0).any(axis=1)
        is_dropped = (self.dropped > 0) & ~has_diverged
        is_cut_off = ~self.is_complete.all(axis=1) & ~has_diverged & ~is_dropped
        rates = [self.settings[number]["learning_rate"] for number in np.flatnonzero(has_diverged)]
        counts = [int(some.sum()) for some in (has_diverged, is_dropped, is_cut_off)]
        return failures_in_words(counts, rates, len(self.given) - self.ranked.size)

    @property
    def varied(self) -> list[str]:
        """The names of hyperparameters that differ between settings."""
        return varied(self.settings)

    def domain(self, name: str) -> Domain:
        """Returns the domain of a hyperparameter or axis; without a space, it spans the values."""
        return domain_of(name, self.settings, self.space)

    def parts_of(self, name: str) -> list[StudyAxis]:
        """Returns the axes of a hyperparameter that do not have its name."""
        return parts_of(name, self.settings, self.space)

    @property
    def axes(self) -> list[StudyAxis]:
        """The axes on which settings differ: of `varied`, or of parts of it such as "depth"."""
        return varied_axes(self.varied, self.settings, self.space)


_HINTS = get_type_hints(Record, include_extras=True)
_MARKS = {name: getattr(hint, "__metadata__", (None,))[0] for name, hint in _HINTS.items()}

COLUMNS = {name: mark for name, mark in _MARKS.items() if isinstance(mark, Column)}
"""Name -> column: the arrays of whole numbers besides the curves."""

WRITTEN = {name: mark for name, mark in _MARKS.items() if isinstance(mark, Rule)}
"""Name -> rule: the fields that are JSON in a file, and their allowed values."""
