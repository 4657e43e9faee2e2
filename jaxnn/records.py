"""Records: settings, spaces and plans as JSON and back, without a line of code in the file."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from jaxnn.checks import plain
from jaxnn.mixtures import Mixture
from jaxnn.plans import Plan, PlannedProgram
from jaxnn.programs import Program
from jaxnn.schemas import RECORDS, check
from jaxnn.spaces import Choice, Range
from jaxnn.trials import Rung
from jaxnn.types import Model

_RECORDS: dict[str, type] = {
    record.__name__: record
    for record in (Choice, Mixture, Plan, PlannedProgram, Program, Range, Rung)
}


def _is_not_here(*args: Any, **kwargs: Any) -> Any:
    raise ValueError("the model is code that the file does not hold; expected load(path, model)")


FOREIGN = Model(_is_not_here, _is_not_here)
"""Stands where a file had a model that is code."""


def encode(value: Any) -> Any:
    """A value that `json` can write, from which `decode` makes it again.

    >>> encode({"hidden": (25, 12)})
    {'hidden': {'tuple': [25, 12]}}
    """
    if value is None or isinstance(value, bool | np.bool_ | Real | str):
        return plain("a value", value)
    if isinstance(value, Model):
        return {"Model": {}}
    if type(value) in _RECORDS.values():
        names = _field_names(type(value))
        return {type(value).__name__: {name: encode(getattr(value, name)) for name in names}}
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): encode(item) for name, item in value.items()}
    raise ValueError(f"{value!r} cannot be saved; expected numbers, text, tuples or dicts of them")


def decode(value: Any) -> Any:
    """The value that `encode` was given; ValueError if it cannot have been."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    name, content = next(iter(value.items()), ("", None))
    if name == "tuple" and isinstance(content, list):
        return tuple(map(decode, content))
    if name == "Model" and content == {}:
        return FOREIGN
    if name in _RECORDS and isinstance(content, dict):
        fields = {field: decode(item) for field, item in content.items()}
        try:
            record = _RECORDS[name](**fields)
        except TypeError as error:
            raise ValueError(f"{name} does not have the fields of this version: {error}") from None
        kind = _RECORDS[name]
        check(
            name,
            {field: getattr(record, field) for field in _field_names(kind)},
            RECORDS.get(kind, {}),
        )
        return record
    return {key: decode(item) for key, item in value.items()}


def _field_names(record: type) -> tuple[str, ...]:
    return getattr(record, "_fields", None) or tuple(record.__dataclass_fields__)  # type: ignore[attr-defined]


def first_difference(first: Any, second: Any, name: str = "") -> tuple[str, Any, Any] | None:
    """Where two encoded values differ first, and what stands there; None if nowhere.

    >>> first_difference({"a": [1, 2]}, {"a": [1, 3]})
    ('a[1]', 2, 3)
    """
    if isinstance(first, dict) and isinstance(second, dict):
        for key in dict.fromkeys([*first, *second]):
            # the names of records are no part of a path
            path = name if key in _RECORDS or key == "tuple" else f"{name}.{key}".lstrip(".")
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
