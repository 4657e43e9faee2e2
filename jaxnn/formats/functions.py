"""Functions in settings and programs that were read: a file has their names alone."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxnn.disk.encoding import Rule, decode, encode, key_of
from jaxnn.results.records import Record
from jaxnn.settings.hyperparameters import Setting
from jaxnn.system.functions import Function, Missing


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


def with_functions(study: Record, functions: Mapping[str, Function]) -> Record:
    """Returns a study that was read, with functions in place of their names."""
    if not functions:
        return study
    own = lambda values: [decode(encode(one), functions) for one in values]
    plan, space = own([study.plan, study.space])
    given, settings = own(study.given), own(study.settings)
    return dataclasses.replace(study, plan=plan, space=space, given=given, settings=settings)
