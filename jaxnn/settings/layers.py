"""`layers`: a domain of hidden layers, by their number and the units of each."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

from jaxnn.disk.encoding import recorded
from jaxnn.functional.models import MOST_LAYERS
from jaxnn.settings.domains import Axis, Choice, Domain, Draw, Range
from jaxnn.system.checks import brief, one_of, whole_number

Part = int | Range | Choice
"""A whole number, or an axis of whole numbers."""

_DEPTHS, _UNITS = (0, MOST_LAYERS), (1, 2**31 - 1)
"""The least and the greatest number of layers, and of units."""


class Shape(NamedTuple):
    """A row of SHAPES.

    Attributes:
      hidden: (depth >= 1, units, outputs) -> the units of each layer.
      is_each: whether each layer draws its own units; otherwise `units` are those of the first.
    """

    hidden: Callable[[int, Sequence[int], int], tuple[int, ...]]
    is_each: bool = False


def _funnel(depth: int, units: Sequence[int], outputs: int) -> tuple[int, ...]:
    step = max(0, (units[0] - outputs) // depth)
    return tuple(units[0] - layer * step for layer in range(depth))


SHAPES = {
    "free": Shape(lambda depth, units, outputs: tuple(units[:depth]), is_each=True),
    "brick": Shape(lambda depth, units, outputs: (units[0],) * depth),
    "funnel": Shape(_funnel),
}
"""Shape of a network -> how it follows from the drawn numbers."""


@recorded()
@dataclasses.dataclass(frozen=True, repr=False)
class Layers(Domain):
    """Hidden layers whose number and units are drawn; made by `layers`.

    The axes are "depth", and "units" or, of a free shape, "units_1", "units_2" and so on. A part
    that is a number is fixed and no axis.
    """

    depth: Part
    units: Part | tuple[Part, ...]
    shape: str = "free"
    outputs: int = 1

    def __post_init__(self) -> None:
        one_of("shape", self.shape, SHAPES)
        object.__setattr__(self, "shape", str.__str__(self.shape))
        object.__setattr__(self, "outputs", whole_number("outputs", self.outputs, 1))
        object.__setattr__(self, "depth", _part("depth", self.depth, *_DEPTHS))
        if not isinstance(self.units, tuple | list):
            object.__setattr__(self, "units", _part("units", self.units, *_UNITS))
            return
        if not SHAPES[self.shape].is_each:
            raise ValueError(
                f"layers got units {brief(self.units)} with the shape {self.shape!r}, in which all "
                'follow from the first; expected one number or domain, or shape="free"'
            )
        most = _ends(self.depth)[1]
        if len(self.units) != most:
            raise ValueError(
                f"layers got {len(self.units)} units, {brief(self.units)}, for a depth of at most "
                f"{most}; expected {most}, one for each layer, or a single one that all layers have"
            )
        units = tuple(_part("units", one, *_UNITS) for one in self.units)
        object.__setattr__(self, "units", units)

    def __repr__(self) -> str:
        more = f", outputs={self.outputs}" if self.outputs != 1 else ""
        return (
            f"jaxnn.layers(depth={self.depth!r}, units={self.units!r}, shape={self.shape!r}{more})"
        )

    @functools.cached_property
    def _units(self) -> dict[str, Part]:
        """Name -> units of a layer, or of the first, fixed ones too."""
        most, shape = _ends(self.depth)[1], SHAPES[self.shape]
        names = [f"units_{layer + 1}" for layer in range(most)] if shape.is_each else ["units"]
        units = self.units if isinstance(self.units, tuple) else (self.units,) * len(names)
        # no value uses units without a layer
        return dict(zip(names, units, strict=True)) if most else {}

    @functools.cached_property
    def _axes(self) -> dict[str, Axis]:
        parts = {"depth": self.depth, **self._units}
        return {name: part for name, part in parts.items() if isinstance(part, Axis)}

    def axes(self, name: str) -> dict[str, Axis]:
        return self._axes

    def drawn(self, name: str, draw: Draw) -> tuple[int, ...]:
        parts = {"depth": self.depth, **self._units}
        depth, *units = (
            draw(axis, part) if isinstance(part, Axis) else part for axis, part in parts.items()
        )
        return SHAPES[self.shape].hidden(depth, units, self.outputs) if depth else ()

    def split(self, name: str, value: Sequence[int]) -> dict[str, int]:
        used = {"depth": len(value), **dict(zip(self._units, value, strict=False))}
        return {axis: number for axis, number in used.items() if axis in self._axes}

    def allows(self, axis: str, value: Any) -> bool:
        return _is_whole(value, *(_DEPTHS if axis == "depth" else _UNITS))

    def replaced(self, name: str, axes: Mapping[str, Any]) -> "Layers":
        if axes == self._axes:
            return self
        depth = axes.get("depth", self.depth)
        units = tuple(axes.get(name, part) for name, part in self._units.items())
        if not units:
            return dataclasses.replace(self, depth=depth)
        # there may be fewer layers now
        each = units[: _ends(depth)[1]] if SHAPES[self.shape].is_each else units[0]
        return dataclasses.replace(self, depth=depth, units=each)


def _part(name: str, part: Any, least: int, most: int) -> Part:
    """Returns a part with Python's whole numbers; raises ValueError if some are not allowed."""
    values = part.options if isinstance(part, Choice) else [part]
    if isinstance(part, Range):
        # not every number between the bounds of other ranges is whole
        values = [part.low, part.high] if part.is_whole else []
    if not values or not all(_is_whole(value, least, most) for value in values):
        raise ValueError(
            f"layers got {name} {brief(part)}; expected a whole number from {least} to {most}, or "
            "of such numbers jaxnn.randint(low, high), jaxnn.lograndint(low, high) or "
            "jaxnn.choice([...])"
        )
    if isinstance(part, Range):
        return dataclasses.replace(part, low=int(part.low), high=int(part.high))
    return Choice(tuple(map(int, values))) if isinstance(part, Choice) else int(part)


def _is_whole(value: Any, least: int, most: int) -> bool:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    # NaN is not between them
    return is_number and bool(least <= value <= most) and value == int(value)


def _ends(part: Part) -> tuple[int, int]:
    """Returns the least and the greatest number of a part."""
    if isinstance(part, Choice):
        return min(part.options), max(part.options)
    return (int(part.low), int(part.high)) if isinstance(part, Range) else (part, part)


def layers(
    depth: Part, units: Part | tuple[Part, ...], shape: str = "free", outputs: int = 1
) -> Layers:
    """Returns a domain of "hidden": how many layers, and how many units each.

    Depth and units are drawn by themselves, each on its own scale, and joined to a tuple such as
    (64, 32), which is the setting's "hidden". Samplers, `zoom`, Optuna, tables and plots see the
    numbers and their order: the axes "depth" and "units", or "units_1", "units_2" and so on. In a
    `choice` of tuples they would see names without order.

    With D layers, U drawn units and C outputs, layer i = 1..D has H_i units:

    | shape | units |
    | --- | --- |
    | "free" | H_i = U_i: each layer draws its own |
    | "brick" | H_i = U: all layers are alike |
    | "funnel" | H_i = U - (i - 1) s with s = max(0, floor((U - C) / D)): from U in equal steps \
      towards C, which the output layer would have as layer D + 1 |

    The funnel is that of LCBench (Auto-PyTorch's `get_shaped_neuron_counts`, which counts the
    output layer as well), but its first layer has U units even if there are more inputs. No H_i is
    below C, unless U is; then all are U.

    A fixed depth or fixed units are no axis. In a free shape all numbers are drawn for every
    setting, and those beyond its depth are not used.

    Args:
      depth: the number of hidden layers, from 0 (softmax regression) to 256: a whole number,
        `randint`, `lograndint`, or a `choice` of whole numbers.
      units: units of a layer, at least 1: the same kinds. For "free" it may be a tuple of these,
        one for each layer of the deepest network.
      shape: "free", "brick" or "funnel".
      outputs: C of the funnel: the number of outputs, such as the number of classes.

    Raises:
      ValueError: a number out of range, a range of other than whole numbers, an unknown shape, or a
        tuple of units that does not fit depth or shape.

    Source: Zimmer, Lindauer and Hutter, Auto-PyTorch: Multi-Fidelity MetaLearning for Efficient and
    Robust AutoDL, IEEE TPAMI 43(9), 2021, arXiv 2006.13799 (LCBench; its networks are funnels).

    >>> from jaxnn import lograndint, randint, sample
    >>> space = {"hidden": layers(depth=randint(1, 3), units=lograndint(16, 256))}
    >>> [setting["hidden"] for setting in sample(space, 4)]
    [(232, 172), (32, 61), (108, 101, 179), (17,)]
    >>> funnels = layers(3, 64, "funnel"), layers(4, 100, "funnel", outputs=10)
    >>> [sample({"hidden": one}, 1)[0]["hidden"] for one in funnels]
    [(64, 43, 22), (100, 78, 56, 34)]
    """
    return Layers(depth, units, shape, outputs)
