"""Rules: the values that a file may hold, in words and as functions."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxnn.system.checks import brief


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
