"""Axes of a study: the numbers and options that its tables, plots and exports show."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from jaxnn.settings.domains import Axis, Choice, Domain, Range
from jaxnn.settings.hyperparameters import HYPERPARAMETERS, is_used
from jaxnn.system.functions import name_of

Full = Mapping[str, Any]
"""A setting with all defaults."""

Space = Mapping[str, Any]
"""Name of a hyperparameter -> its domain, or a fixed value."""


class StudyAxis(NamedTuple):
    """An axis of a hyperparameter.

    Attributes:
      name: its name.
      key: the hyperparameter.
      domain: what splits the hyperparameter's values; None if this axis is the hyperparameter.
    """

    name: str
    key: str
    domain: Domain | None = None

    @property
    def is_count(self) -> bool:
        """Whether its values count layers or units."""
        return self.domain is not None

    @property
    def is_shown(self) -> bool:
        """Whether tables and plots show it."""
        return self.domain is None or self.domain.shows_axes

    def _split(self, setting: Full) -> Full:
        return setting if self.domain is None else self.domain.split(self.key, setting[self.key])

    def value(self, setting: Full, default: Any = None) -> Any:
        """Returns a setting's value on this axis; the default if its hyperparameter has none."""
        return self._split(setting).get(self.name, default)

    def has(self, setting: Full) -> bool:
        """Whether a setting has a value on this axis; two layers have no units of a third."""
        return self.name in self._split(setting)

    def is_used(self, setting: Full) -> bool:
        """Whether training depends on the value; adam, for example, has no momentum."""
        return is_used(self.key, setting) and self.has(setting)

    def axis(self, settings: Sequence[Full], space: Space | None) -> Axis:
        """Returns what it is drawn from, or without a space a domain that spans its values."""
        return domain_of(self.key, settings, space).axes(self.key)[self.name]


def axes_in(space: Space) -> Iterator[tuple[StudyAxis, Axis]]:
    """Yields the axes of a space, in the order of its hyperparameters."""
    for key, domain in space.items():
        if isinstance(domain, Domain):
            for name, axis in domain.axes(key).items():
                yield StudyAxis(name, key, None if name == key else domain), axis


def _key_of(name: str, settings: Sequence[Full], space: Space | None) -> str | None:
    """Returns the hyperparameter that has this name, or an axis of this name."""
    owners = {one.name: one.key for one, _ in axes_in(space or {}) if one.is_shown}
    # only settings with a function have its numbers
    return name if any(name in one for one in settings) else owners.get(name)


def domain_of(name: str, settings: Sequence[Full], space: Space | None) -> Domain:
    """Returns the domain of a hyperparameter, or an axis of it.

    Without a space, or if settings lie outside of it, the domain spans their values.
    """
    key = _key_of(name, settings, space) or name
    domain = span(key, [one[key] for one in settings if key in one], (space or {}).get(key))
    return domain if key == name else domain.axes(key)[name]


def parts_of(name: str, settings: Sequence[Full], space: Space | None) -> list[StudyAxis]:
    """Returns the axes of a hyperparameter that do not have its name; [] if some do not fit."""
    domain: Any = (space or {}).get(name)
    if not isinstance(domain, Domain) or not domain.shows_axes:
        return []
    found = [one for one, _ in axes_in({name: domain}) if one.domain is not None]
    return found if found and domain.holds(name, {one[name] for one in settings}) else []


def axes_of(name: str, settings: Sequence[Full], space: Space | None) -> list[StudyAxis]:
    """Returns the axes of a hyperparameter of a study, or the one of that name; [] if unknown."""
    key = _key_of(name, settings, space)
    if key is None:
        return []
    found = parts_of(key, settings, space) or [StudyAxis(key, key)]
    found = [one for one in found if name in (one.name, one.key)]
    return [one for one in found if any(map(one.has, settings))]


_ABSENT = object()


def varied(settings: Sequence[Full]) -> list[str]:
    """Returns the names of hyperparameters that differ between settings."""
    first = settings[0] if settings else {}
    names = dict.fromkeys(name for one in settings for name in one)
    value = lambda one, name: one.get(name, _ABSENT)
    return [n for n in names if any(value(one, n) != value(first, n) for one in settings)]


def varied_axes(
    names: Iterable[str], settings: Sequence[Full], space: Space | None
) -> list[StudyAxis]:
    """Returns the axes of hyperparameters that differ, without those on which settings agree."""
    found = [one for name in names for one in axes_of(name, settings, space)]
    return [
        one
        for one in found
        if one.domain is None or len({one.value(setting, _ABSENT) for setting in settings}) > 1
    ]


def _order(value: Any) -> Any:
    """A sort key of values of one hyperparameter."""
    if isinstance(value, tuple):
        return len(value), value
    # functions beside names
    return name_of(value) if callable(value) else value


def span(name: str, values: Sequence[Any], domain: Any = None) -> Domain:
    """Returns a domain that contains the given values: `domain`, if all of them lie in it."""
    # layers that are fixed have no axis, and alternatives are not shown by theirs
    is_shown = isinstance(domain, Domain) and domain.shows_axes and domain.axes(name)
    if is_shown and domain.holds(name, values):
        return domain
    has_none = None in values
    values = sorted({value for value in values if value is not None}, key=_order)
    if has_none:
        return Choice((None, *values))
    rule = HYPERPARAMETERS.get(name)
    if not (rule is None or rule.is_number) or len(values) == 1:
        return Choice(tuple(values))
    low, high = values[0], values[-1]
    if rule is not None and rule.is_decay and low >= 0.5:
        return Range(low, high, "reverse log")
    return Range(low, high, "log" if low > 0 and high / low >= 30 else "linear")
