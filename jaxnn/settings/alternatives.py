"""Alternatives: options of a choice that are drawn themselves, and spaces of which one is drawn."""

import dataclasses
import functools
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from jaxnn.disk.encoding import an, many, recorded
from jaxnn.settings.domains import Axis, Choice, Domain, Draw
from jaxnn.system.checks import brief, plain
from jaxnn.system.functions import named


@recorded()
@dataclasses.dataclass(frozen=True, repr=False)
class Either(Domain):
    """One of `options`, all equally likely, some of which are axes; made by `choice`.

    Its own axes are "<name>_option", which tells the option, and "<name>_<k>" for option k, from 1,
    if it is an axis; a value uses only the one of its option.
    """

    options: tuple[Any, ...]
    shows_axes = False

    def __post_init__(self) -> None:
        for option in self.options:
            if isinstance(option, Domain) and not isinstance(option, Axis):
                raise ValueError(
                    f"choice got the option {brief(option)}; expected plain values, ranges or "
                    "choices of plain values: others stand by themselves, each in a space of its "
                    "own in a list of spaces"
                )
        options = [one if isinstance(one, Axis) else plain("choice", one) for one in self.options]
        object.__setattr__(self, "options", tuple(options))

    def __repr__(self) -> str:
        return f"jaxnn.choice({[*self.options]})"

    @functools.cached_property
    def _which(self) -> Choice:
        texts = [repr(one).removeprefix("jaxnn.") for one in self.options]
        pairs = zip(self.options, texts, strict=True)
        return Choice(tuple(text if isinstance(one, Axis) else one for one, text in pairs))

    def axes(self, name: str) -> dict[str, Axis]:
        own = {_numbered(name, place): option for place, option in enumerate(self.options)}
        drawn = {axis: option for axis, option in own.items() if isinstance(option, Axis)}
        return {f"{name}_option": self._which, **drawn}

    def drawn(self, name: str, draw: Draw) -> Any:
        place = self._which.options.index(draw(f"{name}_option", self._which))
        option = self.options[place]
        return draw(_numbered(name, place), option) if isinstance(option, Axis) else option

    def split(self, name: str, value: Any) -> dict[str, Any]:
        for place, option in enumerate(self.options):
            is_axis = isinstance(option, Axis)
            # a study that was loaded has the names of functions
            if option.contains(value) if is_axis else named(option) == named(value):
                own = {_numbered(name, place): value} if is_axis else {}
                return {f"{name}_option": self._which.options[place], **own}
        return {}

    def holds(self, name: str, values: Collection[Any]) -> bool:
        return all(self.split(name, value) for value in values)

    def replaced(self, name: str, axes: Mapping[str, Any]) -> Any:
        left, new = axes[f"{name}_option"].options, list[Any]()
        for place, option in enumerate(self.options):
            if self._which.options[place] in left:
                new.append(axes.get(_numbered(name, place), option))
        if len(new) == 1:
            return new[0]
        has_axes = any(isinstance(option, Axis) for option in new)
        return Either(tuple(new)) if has_axes else Choice(tuple(new))


AXIS = "space"
"""The axis that tells which of several spaces a setting is of."""


def _numbered(name: str, place: int) -> str:
    return f"{name}_{place + 1}"


class Various(Domain):
    """What a hyperparameter is drawn from in several spaces, of which each has its own domain."""

    shows_axes = False

    def axes(self, name: str) -> dict[str, Axis]:
        return {}


@recorded(spaces=many(an(dict), 1))
@dataclasses.dataclass(frozen=True, repr=False)
class AnyOf(Mapping[str, Any]):
    """Spaces of which one is drawn for each setting, all equally likely.

    As a mapping it has the names of all. Its axes are "space", which tells the space, from 1, and
    those of the spaces. An axis that is the same wherever it occurs is a single one; others are
    numbered by their space, as "learning_rate_2".
    """

    spaces: tuple[Mapping[str, Any], ...]

    def __repr__(self) -> str:
        return repr([*self.spaces])

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for space in self.spaces for name in space))

    def __len__(self) -> int:
        return len([*iter(self)])

    def __getitem__(self, name: str) -> Any:
        found = [space[name] for space in self.spaces if name in space]
        if not found:
            raise KeyError(name)
        return found[0] if all(one == found[0] for one in found) else Various()

    @functools.cached_property
    def which(self) -> Choice:
        """The axis that tells the space."""
        return Choice(tuple(range(1, len(self.spaces) + 1)))

    @functools.cached_property
    def _names(self) -> list[dict[str, str]]:
        """For each space, its axis -> the axis of all."""
        each = [axes_in(space) for space in self.spaces]
        found: dict[str, list[Axis]] = {}
        for axes in each:
            for name, axis in axes.items():
                found.setdefault(name, []).append(axis)
        is_one = {name: all(one == axes[0] for one in axes) for name, axes in found.items()}
        return [
            {name: name if is_one[name] else _numbered(name, place) for name in axes}
            for place, axes in enumerate(each)
        ]

    def axes(self) -> dict[str, Axis]:
        """Returns name -> axis, for all axes."""
        pairs = zip(self._names, self.spaces, strict=True)
        own = {names[axis]: one for names, space in pairs for axis, one in axes_in(space).items()}
        return {AXIS: self.which, **own}

    def drawn(self, draw: Draw) -> dict[str, Any]:
        """Returns a setting, from a draw of each axis that it uses."""
        place = self.which.options.index(draw(AXIS, self.which))
        names = self._names[place]
        return drawn_from(self.spaces[place], lambda axis, one: draw(names[axis], one))

    def split(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """Returns axis -> value for the axes that a setting uses; {} if no space has it."""
        place = self.place(setting)
        if place is None:
            return {}
        own = split_by(self.spaces[place], setting)
        return {AXIS: place + 1, **{self._names[place][axis]: one for axis, one in own.items()}}

    def place(self, setting: Mapping[str, Any]) -> int | None:
        """Returns the place of the space that a setting, as given, is of; None if there is none."""
        fitting = [place for place, space in enumerate(self.spaces) if has(space, setting)]
        return min(fitting, key=lambda place: len(self.spaces[place]), default=None)


def axes_in(space: Mapping[str, Any]) -> dict[str, Axis]:
    """Returns name -> axis, for each axis of a space's domains.

    >>> [*axes_in({"optimizer": "gd", "l2": Choice((0.0, 0.1))})]
    ['l2']
    """
    if isinstance(space, AnyOf):
        return space.axes()
    domains = {name: domain for name, domain in space.items() if isinstance(domain, Domain)}
    return {name: one for key, domain in domains.items() for name, one in domain.axes(key).items()}


def drawn_from(space: Mapping[str, Any], draw: Draw) -> dict[str, Any]:
    """Returns a setting, from a draw of each axis that it uses."""
    if isinstance(space, AnyOf):
        return space.drawn(draw)
    return {
        name: domain.drawn(name, draw) if isinstance(domain, Domain) else domain
        for name, domain in space.items()
    }


def with_fixed(space: Mapping[str, Any], fixed: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a space of whose settings all have some values."""
    if isinstance(space, AnyOf):
        return AnyOf(tuple({**one, **fixed} for one in space.spaces))
    return {**space, **fixed}


def split_by(space: Mapping[str, Any], setting: Mapping[str, Any]) -> dict[str, Any]:
    """Returns axis -> value, for each axis of a space that a setting uses."""
    if isinstance(space, AnyOf):
        return space.split(setting)
    domains = {name: domain for name, domain in space.items() if isinstance(domain, Domain)}
    used = (domains[name].split(name, setting[name]) for name in domains if name in setting)
    return {axis: value for own in used for axis, value in own.items()}


def has(space: Mapping[str, Any], setting: Mapping[str, Any]) -> bool:
    """Whether a setting can be drawn from a space; it may lack some names."""
    if isinstance(space, AnyOf):
        return space.place(setting) is not None
    if not setting.keys() <= space.keys():
        return False
    return all(
        space[name].holds(name, [value])
        if isinstance(space[name], Domain)
        else named(space[name]) == named(value)
        for name, value in setting.items()
    )
