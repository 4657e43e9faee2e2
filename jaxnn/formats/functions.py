"""Functions in settings and programs that were read: a file has their names alone."""

from collections.abc import Mapping
from typing import Any

from jaxnn.disk.encoding import Rule, encode, key_of
from jaxnn.settings.hyperparameters import Setting
from jaxnn.system.functions import Missing, name_of


def named_in(table: Mapping[str, Any]) -> Rule:
    """Returns the rule of a name in a table, or of a function."""
    named = key_of(table)
    is_valid = lambda value: callable(value) or named.is_valid(value)
    return Rule(f"{named.allowed}, or a function", is_valid)


def has_functions(setting: Setting) -> bool:
    """Whether a setting that was read names functions."""
    return any(isinstance(value, Missing) for value in setting.values())


def is_same(first: Any, second: Any) -> bool:
    """Whether two settings are the same in a file."""
    return bool(first == second) or encode(first) == encode(second)


def named(value: Any) -> Any:
    """Returns the name of a function; other values as they are."""
    return name_of(value) if callable(value) else value
