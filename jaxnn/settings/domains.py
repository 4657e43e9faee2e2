"""Domains and their axes: ranges of values on a scale, and choices."""

import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Mapping
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


Draw = Callable[[str, "Axis"], Any]
"""Returns a value of an axis, given the axis and its name."""


class Domain:
    """What a hyperparameter is drawn from, along one or more axes.

    An axis is a Range or a Choice. These are their own only axis, which has the hyperparameter's
    name. Others, such as `jaxnn.layers`, have several: the setting keeps the one value that they
    are joined to, while sampling, zooming and Optuna take each axis by itself.

    Attributes:
      shows_axes: whether tables and plots show its axes, not only the value of all.
    """

    shows_axes = True

    def axes(self: Any, name: str) -> dict[str, "Axis"]:
        """Returns name -> axis of the hyperparameter `name`."""
        return {name: self}

    def drawn(self: Any, name: str, draw: Draw) -> Any:
        """Returns the hyperparameter's value, from a draw of each axis that it uses."""
        return draw(name, self)

    def split(self, name: str, value: Any) -> dict[str, Any]:
        """Returns axis -> value for the axes that a value of the hyperparameter uses."""
        return {name: value}

    def replaced(self, name: str, axes: Mapping[str, Any]) -> Any:
        """Returns a domain with other axes, or a plain value for each axis that is to be fixed."""
        (axis,) = axes.values()
        return axis

    def allows(self, axis: str, value: Any) -> bool:
        """Whether an axis might reach to a value, beyond what its hyperparameter says of that."""
        return True

    def holds(self, name: str, values: Collection[Any]) -> bool:
        """Whether all these values of the hyperparameter can be drawn."""
        return all(self._has(name, value) for value in values)

    def _has(self, name: str, value: Any) -> bool:
        axes, found = self.axes(name), self.split(name, value)
        is_inside = all(axes[axis].contains(own) for axis, own in found.items())
        return is_inside and bool(self.drawn(name, lambda axis, _: found.get(axis)) == value)


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
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        return is_number and bool(self.low <= value <= self.high)

    def holds(self, name: str, values: Collection[Any]) -> bool:
        return all(map(self.contains, values))


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
