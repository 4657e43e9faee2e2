"""Domains and their axes: ranges of values on a scale, and choices."""

import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Real
from typing import Any

from jaxnn.disk.encoding import recorded
from jaxnn.system.checks import brief, plain


def _power(r: float) -> float:
    """Returns 10^r, and infinity where that overflows, as it may beyond the end of a range."""
    try:
        return 10.0**r
    except OverflowError:
        return math.inf


_SCALES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "linear": (lambda value: value, lambda r: r),
    "log": (math.log10, _power),
    "reverse log": (lambda value: -math.log10(1 - value), lambda r: 1 - 10.0**-r),
}
"""Name -> (value to r, r to value); a range is sampled evenly in r."""

_NAMES = {
    ("linear", False): "uniform",
    ("log", False): "loguniform",
    ("reverse log", False): "reverseloguniform",
    ("linear", True): "randint",
    ("log", True): "lograndint",
}
"""(scale, whether values are whole numbers) -> the function that makes such a range."""


def _bound(value: Any, is_whole: bool) -> float:
    """Returns the bound of a range as a plain number."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    try:
        is_fine = is_number and math.isfinite(value) and (not is_whole or value == int(value))
    except OverflowError:
        is_fine = False
    if not is_fine:
        kind = "a whole number" if is_whole else "a finite number"
        raise ValueError(f"a range got the bound {brief(value)}; expected {kind}")
    number: float = plain("a range", value)
    return number


class Domain:
    """What a hyperparameter is drawn from, along one or more axes.

    An axis is a Range or a Choice. These are their own only axis, which has the hyperparameter's
    name. `jaxnn.layers` has several: the setting keeps the one value that they are joined to, while
    sampling, zooming, Optuna, tables and plots take each axis by itself.
    """

    def axes(self: Any, name: str) -> dict[str, "Axis"]:
        """Returns name -> axis of the hyperparameter `name`."""
        return {name: self}

    def join(self, values: Mapping[str, Any]) -> Any:
        """Returns the hyperparameter's value for values of all axes that it uses."""
        (value,) = values.values()
        return value

    def split(self, name: str, value: Any) -> dict[str, Any]:
        """Returns axis -> value for the axes that a value of the hyperparameter uses."""
        return {name: value}

    def replaced(self, axes: Mapping[str, Any]) -> Any:
        """Returns a domain with other axes, or a plain value for each axis that is to be fixed."""
        (axis,) = axes.values()
        return axis

    def allows(self, axis: str, value: Any) -> bool:
        """Whether an axis might reach to a value, beyond what its hyperparameter says of that."""
        return True

    def holds(self, name: str, values: Collection[Any]) -> bool:
        """Whether all these values of the hyperparameter can be drawn."""
        axes = self.axes(name)
        return all(
            self.join(found) == value and all(axes[one].contains(found[one]) for one in found)
            for value in values
            for found in [self.split(name, value)]
        )


@recorded()
@dataclasses.dataclass(frozen=True, repr=False)
class Range(Domain):
    """The numbers from `low` to `high`, evenly spread on a scale; made by `uniform` and others.

    A range of whole numbers includes both ends: before rounding it extends half a unit beyond them.
    """

    low: float
    high: float
    scale: str = "linear"
    is_whole: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            object.__setattr__(self, name, _bound(getattr(self, name), self.is_whole))
        if self.scale not in _SCALES:
            raise ValueError(f"a range got the scale {self.scale!r}; expected {list(_SCALES)}")
        if math.isinf(float(self.high) - float(self.low)):
            raise ValueError(f"a range got {self.low} and {self.high}; expected closer bounds")
        if self.low >= self.high:
            raise ValueError(
                f"a range got low {self.low} and high {self.high}; expected low < high"
            )
        if self.scale == "log" and self.low <= 0:
            raise ValueError(
                f"a logarithmic range got the bound {self.low}; expected bounds > 0, as values: "
                "loguniform(1e-4, 1) is 10^r with r from -4 to 0"
            )
        if self.scale == "reverse log" and not 0 <= self.low < self.high < 1:
            raise ValueError(
                f"reverseloguniform got {self.low} and {self.high}; expected bounds in [0, 1), as "
                "values: reverseloguniform(0.9, 0.999) is 1 - 10^-r with r from 1 to 3"
            )

    def __repr__(self) -> str:
        bounds, name = (self.low, self.high), _NAMES.get((self.scale, self.is_whole))
        if name is None:
            return f"jaxnn.settings.domains.Range{(*bounds, self.scale, self.is_whole)}"
        return f"jaxnn.{name}{bounds}"

    def _ends(self) -> tuple[float, float]:
        to_r, _ = _SCALES[self.scale]
        margin = 0.5 if self.is_whole else 0.0
        return to_r(self.low - margin), to_r(self.high + margin)

    def value(self, position: float) -> Any:
        """Returns the value at a position on the scale, where 0 is `low` and 1 is `high`.

        Positions outside of 0..1 give values outside of the range.
        """
        first, last = self._ends()
        value = _SCALES[self.scale][1](first + position * (last - first))
        inside = 0 <= position <= 1
        if self.is_whole and math.isfinite(value):
            # round half up, not to even, so that every whole number has the same share
            whole = math.floor(value + 0.5)
            return min(max(whole, int(self.low)), int(self.high)) if inside else whole
        return float(min(max(value, self.low), self.high)) if inside else value

    def position(self, value: float) -> float:
        """Returns the position of a value in 0..1; values outside of the range are clipped."""
        value = min(max(value, self.low), self.high)
        first, last = self._ends()
        return (_SCALES[self.scale][0](value) - first) / (last - first)

    def contains(self, value: Any) -> bool:
        return bool(self.low <= value <= self.high)

    def holds(self, name: str, values: Collection[Any]) -> bool:
        return self.contains(min(values)) and self.contains(max(values))


@recorded()
@dataclasses.dataclass(frozen=True, repr=False)
class Choice(Domain):
    """One of `options`, all equally likely."""

    options: tuple[Any, ...]

    def __post_init__(self) -> None:
        for option in self.options if isinstance(self.options, tuple | list) else ():
            if isinstance(option, Domain):
                raise ValueError(
                    f"choice got the option {brief(option)}; expected plain values: a domain "
                    "stands by itself, as the value of its name in the space"
                )
        options = plain("choice", self.options)
        if not isinstance(options, tuple) or not options:
            raise ValueError(f"choice got {brief(options)}; expected a list of at least one option")
        object.__setattr__(self, "options", options)

    def __repr__(self) -> str:
        return f"jaxnn.choice({[*self.options]})"

    def value(self, position: float) -> Any:
        return self.options[min(int(position * len(self.options)), len(self.options) - 1)]

    @functools.cached_property
    def _places(self) -> dict[Any, int]:
        # the first of equal options
        return {option: place for place, option in reversed([*enumerate(self.options)])}

    def position(self, value: Any) -> float:
        return (self._places[value] + 0.5) / len(self.options)

    def contains(self, value: Any) -> bool:
        return value in self._places


Axis = Range | Choice


def uniform(low: float, high: float) -> Range:
    """Returns the range of numbers from low to high, evenly spread.

    >>> uniform(0.0, 0.5).value(0.5)
    0.25
    """
    return Range(low, high)


def loguniform(low: float, high: float) -> Range:
    """Returns the range of 10^r with r evenly spread, such as for a learning rate.

    Values between 0.0001 and 0.001 are as likely as values between 0.1 and 1. The bounds are
    values, not exponents.

    >>> loguniform(1e-4, 1e0).value(0.5)
    0.01
    """
    return Range(low, high, "log")


def reverseloguniform(low: float, high: float) -> Range:
    """Returns the range of 1 - 10^r with r evenly spread, such as for momentum.

    Values between 0.9 and 0.99 are as likely as values between 0.99 and 0.999. It is the course's
    scale for beta, on which the averaging window 1 / (1 - beta) is spread logarithmically. The
    bounds are values in [0, 1).

    >>> reverseloguniform(0.9, 0.999).value(0.5)
    0.99
    """
    return Range(low, high, "reverse log")


def randint(low: int, high: int) -> Range:
    """Returns the range of whole numbers from low to high, both included.

    >>> [randint(1, 3).value(position) for position in (0.0, 0.5, 1.0)]
    [1, 2, 3]
    """
    return Range(low, high, "linear", is_whole=True)


def lograndint(low: int, high: int) -> Range:
    """Returns the range of whole numbers from low to high, both included, on a logarithmic scale.

    The number n has the weight log((n + 1/2) / (n - 1/2)).

    >>> lograndint(1, 100).value(0.5)
    7
    """
    return Range(low, high, "log", is_whole=True)


def choice(options: Sequence[Any]) -> Choice:
    """Returns a choice among options, all equally likely.

    >>> choice([16, 32, 64]).value(0.5)
    32
    """
    if isinstance(options, str) or not isinstance(options, Sequence) or len(options) == 0:
        raise ValueError(f"choice got {brief(options)}; expected a list of at least one option")
    return Choice(tuple(options))
