"""The budget of a search: the number of settings and epochs."""

import math
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any

from jaxnn.functional.metrics import METRICS
from jaxnn.functional.objectives import Targets
from jaxnn.system.checks import brief, whole_number
from jaxnn.training.sizes import SIZES


class Clock:
    """The seconds since a call began."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._began


Rungs = list[tuple[float, int]]
"""(number of settings, further epochs) of each stretch of training."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The numbers that say how much a search trains, see `search`.

    Raises:
      ValueError: a number is out of range.
    """

    num_settings: int
    max_epochs: int
    min_epochs: int
    factor: float
    rounds: int
    batch: int
    patience: int | None
    limit: Mapping[str, float] | None
    stop_after: Mapping[str, float] | None
    seed: int
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("num_settings", "max_epochs", "min_epochs"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), 1))
        if self.min_epochs > self.max_epochs:
            raise ValueError(
                f"min_epochs got {self.min_epochs}; expected at most max_epochs, {self.max_epochs}"
            )
        # whole numbers may exceed the range of floats
        if not isinstance(self.factor, Real) or not 1 < self.factor <= sys.float_info.max:
            raise ValueError(f"factor got {brief(self.factor)}; expected a number > 1 such as 3")
        if self.patience is not None:
            object.__setattr__(self, "patience", whole_number("patience", self.patience, 1))
        for name in ("rounds", "batch"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), 1))
        if self.seconds is not None:
            check_seconds(self.seconds)
        self._check_most("limit", SIZES, '{"parameters": 50_000}')
        self._check_most("stop_after", ("settings", "seconds"), '{"settings": 64}')

    def _check_most(self, name: str, known: Collection[str], example: str) -> None:
        """Makes a dict of known names and positive numbers a plain one; {} if there is none."""
        found = getattr(self, name)
        found = {} if found is None else found
        is_fine = isinstance(found, Mapping) and {*found} <= {*known}
        values = [*found.values()] if is_fine else [0]
        is_number = lambda one: isinstance(one, Real) and not isinstance(one, bool)
        if not all(is_number(most) and float(most) > 0 for most in values):
            names = ", ".join(known)
            raise ValueError(
                f"{name} got {brief(found)}; expected a dict, one of {names} -> the most that is "
                f"allowed, such as {example}"
            )
        object.__setattr__(self, name, dict(found))

    @property
    def note(self) -> str:
        """What a search of some seconds trains, or ""."""
        if self.seconds is None:
            return ""
        return (
            f"For {self.seconds:g} seconds: num_settings={self.num_settings}, "
            f"max_epochs={self.max_epochs}, min_epochs={self.min_epochs}."
        )

    def stops(
        self, space: Mapping[str, Any], metric: str | None, targets: Targets
    ) -> dict[str, Any]:
        """Returns what the patience of the call fixes in all settings.

        Raises:
          ValueError: the space has a patience of its own.
        """
        if self.patience is None:
            return {}
        for name in ("patience", "monitor"):
            if name in space:
                raise ValueError(f"patience came with {name!r} in the space; expected one of them")
        first = targets.objective(targets.default_loss).metrics[0]
        return {"patience": self.patience, "monitor": METRICS[metric or first].valid}

    @classmethod
    def among(cls, arguments: Mapping[str, Any]) -> "Budget":
        """Returns the budget from a function's arguments, which have the same names."""
        return cls(**{field.name: arguments[field.name] for field in fields(cls)})


def check_seconds(seconds: Any) -> None:
    """Raises ValueError unless it is a positive, finite number."""
    is_number = isinstance(seconds, Real) and not isinstance(seconds, bool)
    if not is_number or not 0 < float(seconds) < math.inf:
        raise ValueError(f"seconds got {brief(seconds)}; expected a number > 0 such as 60")
