"""What several entry points do with arguments: checks, and plain values of them."""

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np


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


def plain(value: Any) -> Any:
    """The value without NumPy's types, so that its text can be written into a program.

    >>> plain({"hidden": (np.int64(3),)})
    {'hidden': (3,)}
    """
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (tuple, list):
        return type(value)(map(plain, value))
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return value
