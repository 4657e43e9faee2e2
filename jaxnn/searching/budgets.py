"""The budget of a search: the number of settings and epochs."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any

from jaxnn.functional.metrics import METRICS
from jaxnn.functional.objectives import Targets
from jaxnn.settings.alternatives import AnyOf
from jaxnn.system.checks import brief, whole_number


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
    seed: int

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

    def monitored(
        self, space: Mapping[str, Any], metric: str | None, targets: Targets
    ) -> Mapping[str, Any]:
        """Returns the space in which all settings have the patience of the call.

        Raises:
          ValueError: the space has a patience of its own.
        """
        if self.patience is None:
            return space
        for name in ("patience", "monitor"):
            if name in space:
                raise ValueError(f"patience came with {name!r} in the space; expected one of them")
        first = targets.objective(targets.default_loss).metrics[0]
        monitor = METRICS[metric or first].valid
        stops = {"patience": self.patience, "monitor": monitor}
        if isinstance(space, AnyOf):
            return AnyOf(tuple({**one, **stops} for one in space.spaces))
        return {**space, **stops}

    @classmethod
    def among(cls, arguments: Mapping[str, Any]) -> "Budget":
        """Returns the budget from a function's arguments, which have the same names."""
        return cls(**{field.name: arguments[field.name] for field in fields(cls)})
