"""Values as JSON and back: numbers, text, tuples and recorded classes; no code is in a file."""

import dataclasses
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, NamedTuple, TypeVar

import numpy as np

from jaxnn.disk.rules import Schema, check
from jaxnn.system.checks import plain

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


def encode(value: Any) -> Any:
    """Returns a value that `json` can write and that `decode` turns back.

    >>> encode({"hidden": (25, 12)})
    {'hidden': {'tuple': [25, 12]}}
    """
    if value is None or isinstance(value, bool | np.bool_ | Real | str):
        return plain("a value", value)
    if type(value) in _NAMES:
        kind = _KINDS[_NAMES[type(value)]]
        fields = kind.fields.items()
        return {kind.name: {known_as: encode(getattr(value, field)) for field, known_as in fields}}
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): encode(item) for name, item in value.items()}
    raise ValueError(f"{value!r} cannot be saved; expected numbers, text, tuples or dicts of them")


def decode(value: Any) -> Any:
    """Returns the value that `encode` was given.

    Raises:
      ValueError: `encode` cannot have written it.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    name, content = next(iter(value.items()), ("", None))
    if name == "tuple" and isinstance(content, list):
        return tuple(map(decode, content))
    if name in _KINDS and isinstance(content, dict):
        kind = _KINDS[name]
        given = {known_as: decode(item) for known_as, item in content.items()}
        own_names = {known_as: field for field, known_as in kind.fields.items()}
        try:
            record = kind.make(**{own_names.get(key, key): item for key, item in given.items()})
        except TypeError as error:
            raise ValueError(f"{name} does not have the fields of this version: {error}") from None
        made = {known_as: getattr(record, field) for field, known_as in kind.fields.items()}
        check(name, made, kind.rules)
        return record
    return {key: decode(item) for key, item in value.items()}


def first_difference(first: Any, second: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """Returns the place of the first difference and both values there; None if they are equal.

    >>> first_difference({"a": [1, 2]}, {"a": [1, 3]})
    ('a[1]', 2, 3)
    """
    if isinstance(first, dict) and isinstance(second, dict):
        for key in dict.fromkeys([*first, *second]):
            # names of recorded classes are not part of the path
            path = name if key in _KINDS or key == "tuple" else f"{name}.{key}".lstrip(".")
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
