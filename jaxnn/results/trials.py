"""Lanes, trials, chunks, rungs and columns: what a record is made of."""

import dataclasses
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from jaxnn.compiled.programs import Networks
from jaxnn.disk.encoding import recorded
from jaxnn.disk.rules import many, whole
from jaxnn.functional.types import Params, State

Lane = tuple[int, int]
"""Number of the setting, index of the repetition."""


@dataclasses.dataclass(frozen=True)
class Trial:
    """One setting of a study, named as in Optuna.

    Attributes:
      number: its place in the list of settings.
      params: the setting as it was given.
      value: mean of `values`; NaN if a repetition diverged or nothing was trained.
      values: the metric of each repetition's network on the validation set, fold after fold.
      standard_error: of the value, over repetitions or folds; NaN where there is one only.
      interval: its 95 % interval, as far as the metric has values: an accuracy's ends at 0 and 1.
      cost: mean validation cost of the repetitions.
      state: "COMPLETE"; "PRUNED" if a repetition diverged, or a search dropped the setting;
        "RUNNING" if it was not trained to the end.
      epochs: that its longest repetition was trained for.
      diverged: for each repetition the step whose cost was not finite, or None.
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

    def row(self, names: list[str]) -> dict[str, Any]:
        """A flat dict with the columns of Optuna's `trials_dataframe`, for some hyperparameters."""
        return {
            "number": self.number,
            "value": self.value,
            "datetime_start": self.datetime_start,
            "datetime_complete": self.datetime_complete,
            "duration": self.duration,
            **{f"params_{name}": self.params.get(name) for name in names},
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
    """Lanes that were trained together, on the host: what the study makes networks of."""

    networks: Networks
    """Whose padding the parameters have."""
    params: Params
    state: State
    start: datetime
    end: datetime


@recorded(epochs=whole(1), entered=many(whole()), kept=many(whole()))
class Rung(NamedTuple):
    """A stretch of a halving, by numbers of settings.

    Attributes:
      epochs: that were done at its end.
      entered: who was trained.
      kept: who goes on.
    """

    epochs: int
    entered: tuple[int, ...]
    kept: tuple[int, ...]


class Column(NamedTuple):
    """An array of a record, with a row for each setting.

    Attributes:
      fill: its value where nothing was trained; None stands for E.
      shape: of a lane's entry; or None for a column with an entry for each setting alone.
      is_own: a lane's own result, which a process of a job knows of its lanes alone; the rest was
        decided for all.
    """

    fill: int | None
    shape: tuple[int, ...] | None = ()
    is_own: bool = True

    def whole(self, num_settings: int, num_repeats: int) -> tuple[int, ...]:
        """The array's shape: (S,), (S, K) or (S, K, ...)."""
        return (num_settings,) if self.shape is None else (num_settings, num_repeats, *self.shape)
