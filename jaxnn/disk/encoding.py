"""Values as JSON and back: numbers, text, tuples and recorded classes; no code is in a file."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, NamedTuple, TypeVar

import numpy as np

from jaxnn.system.checks import PLAIN, brief, plain
from jaxnn.system.functions import Function, Missing, name_of


class Rule(NamedTuple):
    """The allowed values, in words and as a function."""

    allowed: str
    is_valid: Callable[[Any], bool]


Schema = Mapping[str, Rule]


def check(where: str, values: Mapping[str, Any], schema: Schema) -> None:
    """Raises ValueError if the schema does not allow a value, KeyError if one is missing.

    >>> check("it", {"seeds": 0}, {"seeds": whole(1)})
    Traceback (most recent call last):
    ValueError: it has seeds 0; expected a whole number from 1 to 2147483647
    """
    for name, rule in schema.items():
        if not rule.is_valid(values[name]):
            raise ValueError(f"{where} has {name} {brief(values[name])}; expected {rule.allowed}")


def whole(least: int = 0, most: int = 2**31 - 1) -> Rule:
    is_valid = lambda value: type(value) is int and least <= value <= most
    return Rule(f"a whole number from {least} to {most}", is_valid)


def one_of(*values: Any) -> Rule:
    allowed = "one of " + ", ".join(map(repr, values))
    return Rule(allowed, lambda value: any(type(value) is type(v) and value == v for v in values))


def key_of(table: Mapping[str, Any]) -> Rule:
    """A name in a table, which may grow."""
    allowed = one_of(*table).allowed
    return Rule(allowed, lambda value: type(value) is str and value in table)


def an(kind: type) -> Rule:
    return Rule(kind.__name__, lambda value: isinstance(value, kind))


def many(rule: Rule, least: int = 0, most: float = math.inf, kind: type = tuple) -> Rule:
    """Returns the rule of a tuple or list of `least` to `most` values that a rule allows."""

    def is_valid(value: Any) -> bool:
        if type(value) is not kind or not isinstance(value, tuple | list):
            return False
        return least <= len(value) <= most and all(map(rule.is_valid, value))

    return Rule(f"a {kind.__name__} of {rule.allowed}", is_valid)


def row(*rules: Rule) -> Rule:
    """Returns the rule of a list with a rule for each entry."""

    def is_valid(value: Any) -> bool:
        return (
            type(value) is list
            and len(value) == len(rules)
            and all(rule.is_valid(one) for rule, one in zip(rules, value, strict=True))
        )

    return Rule(f"a list of {'; '.join(rule.allowed for rule in rules)}", is_valid)


def maybe(rule: Rule) -> Rule:
    return Rule(f"{rule.allowed}, or None", lambda value: value is None or rule.is_valid(value))


TRUTH, TEXT = an(bool), an(str)

SECONDS = Rule(
    "a finite number >= 0",
    lambda value: type(value) in (int, float) and 0 <= value < math.inf,
)

LARGE = whole(0, 2**62)


Class = TypeVar("Class", bound=type)


class Kind(NamedTuple):
    """A class whose values can be saved.

    Attributes:
      name: what files call the class; it stays when the code renames the class.
      fields: field -> its name in files. These are the arguments of `make`.
      rules: name in files -> the values it may have.
      make: makes a value from its fields.
    """

    name: str
    fields: Mapping[str, str]
    rules: Schema
    make: Callable[..., Any]


_KINDS: dict[str, Kind] = {}
"""Name in files -> kind."""

_NAMES: dict[type, str] = {}


def recorded(
    make: Callable[..., Any] | None = None,
    /,
    *,
    as_name: str = "",
    as_fields: Mapping[str, str] | None = None,
    **rules: Any,
) -> Callable[[Class], Class]:
    """Makes a class, a dataclass or a NamedTuple, known to `encode` and `decode`.

    Args:
      make: makes a value without arguments, in place of the class; no field is then saved.
      as_name: what files call the class, if not by its name.
      as_fields: field -> what files call it, if not by its name.
      **rules: name of a field in files -> the values it may have; the class itself checks the rest.
    """

    def known(kind: Class) -> Class:
        fields = () if make else getattr(kind, "_fields", None)
        if fields is None:
            fields = tuple(field.name for field in dataclasses.fields(kind))
        name, others = as_name or kind.__name__, as_fields or {}
        named = {field: others.get(field, field) for field in fields}
        _KINDS[name], _NAMES[kind] = Kind(name, named, rules, make or kind), name
        return kind

    return known


recorded(as_name="function", name=TEXT)(Missing)


def encode(value: Any) -> Any:
    """Returns a value that `json` can write and that `decode` turns back.

    >>> encode({"hidden": (25, 12)})
    {'hidden': {'tuple': [25, 12]}}
    """
    if type(value) in PLAIN:
        return value
    if type(value) in _NAMES:
        kind = _KINDS[_NAMES[type(value)]]
        fields = kind.fields.items()
        return {kind.name: {known_as: encode(getattr(value, field)) for field, known_as in fields}}
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        # no call for most of what a study holds
        return {
            str(name): item if type(item) in PLAIN else encode(item) for name, item in value.items()
        }
    if isinstance(value, np.bool_ | Real | str):
        return plain("a value", value)
    if callable(value):
        return {"function": {"name": name_of(value)}}
    raise ValueError(f"{value!r} cannot be saved; expected numbers, text, tuples or dicts of them")


def decode(value: Any, functions: Mapping[str, Function] | None = None) -> Any:
    """Returns the value that `encode` was given.

    Args:
      functions: name -> function. Others are `Missing`, since JSON has the names alone.

    Raises:
      ValueError: `encode` cannot have written it.
    """
    if isinstance(value, list):
        return [decode(item, functions) for item in value]
    if not isinstance(value, dict):
        return value
    name, content = next(iter(value.items()), ("", None))
    if name == "tuple" and isinstance(content, list):
        return tuple([decode(item, functions) for item in content])
    if name in _KINDS and isinstance(content, dict):
        kind = _KINDS[name]
        given = {known_as: decode(item, functions) for known_as, item in content.items()}
        own_names = {known_as: field for field, known_as in kind.fields.items()}
        try:
            record = kind.make(**{own_names.get(key, key): item for key, item in given.items()})
        except TypeError as error:
            raise ValueError(f"{name} does not have the fields of this version: {error}") from None
        made = {known_as: getattr(record, field) for field, known_as in kind.fields.items()}
        check(name, made, kind.rules)
        if isinstance(record, Missing):
            return (functions or {}).get(record.name, record)
        return record
    return {key: decode(item, functions) for key, item in value.items()}


def _kind_in(value: Mapping[str, Any]) -> str:
    """Returns the name of the class that an encoded value has, "tuple", or ""."""
    name = next(iter(value), "")
    return name if name in _KINDS or name == "tuple" else ""


def first_difference(first: Any, second: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """Returns the place of the first difference and both values there; None if they are equal.

    >>> first_difference({"a": [1, 2]}, {"a": [1, 3]})
    ('a[1]', 2, 3)
    """
    if isinstance(first, dict) and isinstance(second, dict):
        if _kind_in(first) != _kind_in(second):
            return name, first, second
        for key in dict.fromkeys([*first, *second]):
            # names of recorded classes are not part of the path
            path = name if key == _kind_in(first) else f"{name}.{key}".lstrip(".")
            found = first_difference(first.get(key), second.get(key), path)
            if found:
                return found
        return None
    if isinstance(first, list) and isinstance(second, list):
        for index, (one, other) in enumerate(zip(first, second, strict=False)):
            found = first_difference(one, other, f"{name}[{index}]")
            if found:
                return found
        if len(first) != len(second):
            return f"the length of {name}", len(first), len(second)
        return None
    is_same = first == second and type(first) is type(second)
    return None if is_same else (name, first, second)
