"""The parts of a record: lanes, trials, chunks, rungs and columns."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from jaxnn.compiled.networks import Networks
from jaxnn.disk.encoding import many, recorded, whole
from jaxnn.functional.types import Params, State
from jaxnn.system.terminal import counted

Lane = tuple[int, int]
"""(number of the setting, index of the repetition)."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One setting of a study, named as in Optuna.

    Attributes:
      number: its index in the list of settings.
      params: the setting as it was given.
      value: mean of `values`; NaN if a repetition diverged or nothing was trained.
      values: the metric of each repetition's network on the validation set, fold after fold.
      standard_error: of the value, over repetitions or folds; NaN if there is only one.
      interval: the value's 95 % interval, clipped to the metric's range.
      cost: mean validation cost of the repetitions.
      state: "COMPLETE"; "PRUNED" if a repetition diverged, or a search dropped the setting;
        "RUNNING" if it was not trained to the end.
      epochs: epochs of the repetition that was trained longest.
      diverged: for each repetition the step whose cost was not finite, or None.
      datetime_start, datetime_complete: when its first chunk started and its last one ended.
    """

    number: int
    params: dict[str, Any]
    value: float
    values: tuple[float, ...]
    standard_error: float
    interval: tuple[float, float]
    cost: float
    state: str
    epochs: int
    diverged: tuple[int | None, ...]
    datetime_start: datetime | None
    datetime_complete: datetime | None

    @property
    def duration(self) -> timedelta | None:
        if self.datetime_start is None or self.datetime_complete is None:
            return None
        return self.datetime_complete - self.datetime_start

    def row(self, names: list[str], parts: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Returns a flat dict with the columns of Optuna's `trials_dataframe`.

        Args:
          names: the hyperparameters.
          parts: name of an axis that belongs to a hyperparameter -> value; names may have these.
        """
        params = {**(parts or {}), **self.params}
        return {
            "number": self.number,
            "value": self.value,
            "datetime_start": self.datetime_start,
            "datetime_complete": self.datetime_complete,
            "duration": self.duration,
            **{f"params_{name}": params.get(name) for name in names},
            "user_attrs_cost": self.cost,
            "user_attrs_diverged": self.diverged,
            "user_attrs_epochs": self.epochs,
            "user_attrs_interval": self.interval,
            "user_attrs_standard_error": self.standard_error,
            "user_attrs_values": self.values,
            "state": self.state,
        }


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Lanes that were trained together, on the host, from which a study takes its networks."""

    networks: Networks
    """The networks of the program; the parameters have their padding."""
    params: Params
    state: State
    start: datetime
    end: datetime


@recorded(epochs=whole(1), entered=many(whole()), kept=many(whole()))
class Rung(NamedTuple):
    """A stretch of a halving.

    Attributes:
      epochs: epochs trained at its end.
      entered: numbers of the settings that were trained.
      kept: numbers of the settings that continue.
    """

    epochs: int
    entered: tuple[int, ...]
    kept: tuple[int, ...]


def failures_in_words(
    counts: Sequence[int], diverging_rates: Sequence[float], num_without_value: int
) -> str:
    """Returns text on the settings that have no value, or "".

    Args:
      counts: of settings that diverged, were dropped, and were not trained to the end.
      diverging_rates: the learning rates of those that diverged.
      num_without_value: the number of all of them, and others.
    """
    least, most = min(diverging_rates, default=0), max(diverging_rates, default=0)
    span = f"{least:.2g}" if least == most else f"{least:.2g} to {most:.2g}"
    reasons = (
        f"diverged (learning rates {span})",
        "dropped on the way",
        "not trained to the end",
        "without a finite validation cost",
    )
    return ", ".join(
        f"{counted(count, 'setting')} {reason}"
        for count, reason in zip((*counts, num_without_value - sum(counts)), reasons, strict=True)
        if count > 0
    )


class Column(NamedTuple):
    """An array of a record, with a row for each setting.

    Attributes:
      fill: the value if nothing was trained; None is E.
      shape: the shape of a lane's entry; None if there is one entry for each setting.
      is_own: whether it is a result of a lane, which only the process that trained it knows; other
        columns are the same in all processes of a job.
    """

    fill: int | None
    shape: tuple[int, ...] | None = ()
    is_own: bool = True

    def whole(self, num_settings: int, num_repeats: int) -> tuple[int, ...]:
        """Returns the array's shape: (S,), (S, K) or (S, K, ...)."""
        return (num_settings,) if self.shape is None else (num_settings, num_repeats, *self.shape)
