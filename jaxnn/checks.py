"""The checks of arguments that several entry points share."""

from numbers import Integral
from typing import Any


def whole_number(name: str, value: Any, least: int = 0) -> int:
    """The value as a Python int.

    Raises:
      ValueError: it is not a whole number from `least` up to 2^31 - 1.

    >>> whole_number("seed", -1)
    Traceback (most recent call last):
    ValueError: seed got -1; expected a whole number >= 0 and below 2^31
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or not least <= int(value) < 2**31:
        raise ValueError(f"{name} got {value!r}; expected a whole number >= {least} and below 2^31")
    return int(value)


def one_of_two(name: str, value: Any, first: str, second: str) -> None:
    """Raises ValueError unless the value is one of two words.

    >>> one_of_two("metric", "auc", "accuracy", "cost")
    Traceback (most recent call last):
    ValueError: metric got 'auc'; expected 'accuracy' or 'cost'
    """
    if value not in (first, second):
        raise ValueError(f"{name} got {value!r}; expected {first!r} or {second!r}")
