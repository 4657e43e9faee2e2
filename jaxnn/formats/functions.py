"""Functions in settings and programs that were read: a file has their names alone."""

from collections.abc import Mapping
from typing import Any

from jaxnn.compiled.programs import Program
from jaxnn.disk.encoding import Rule, encode, key_of
from jaxnn.planning.plans import Plan
from jaxnn.settings.hyperparameters import Setting
from jaxnn.system.functions import Missing, name_of


def named_in(table: Mapping[str, Any]) -> Rule:
    """Returns the rule of a name in a table, or of a function."""
    named = key_of(table)
    is_valid = lambda value: isinstance(value, Missing) or named.is_valid(value)
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


def with_functions(program: Any, plan: Plan) -> Any:
    """Returns a program that was read, with the functions of a plan in place of their names."""
    if not isinstance(program, Program):
        return program
    functions = (value for one in plan.programs for value in one.program.functions)
    known = {name_of(value): value for value in functions}
    own: Any = lambda value: known.get(value.name, value) if isinstance(value, Missing) else value
    optimizers = tuple(map(own, program.optimizers))
    return program._replace(optimizers=optimizers, loss=own(program.loss))
