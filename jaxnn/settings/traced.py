"""Traced numbers: settings as columns, and groups of settings that differ in numbers alone."""

import math
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxnn.functional.metrics import CURVES
from jaxnn.settings.hyperparameters import (
    HYPERPARAMETERS,
    TABLES,
    Setting,
    is_real,
    is_traced,
)


def traced_numbers(full: Setting) -> dict[str, np.ndarray]:
    """Returns the traced part of a completed setting, which is data to the compiled program.

    Numbers are in the default float type, and refused if rounding moves them out of their range.
    The optimizer and the learning-rate schedule are indices in their tables, the monitored curve
    one in CURVES, or -1.
    """
    dtype = jnp.result_type(float)
    for key, value in full.items():
        if is_traced(key) and value is not None:
            check_representable(key, value, dtype)
    return {name: column[0] for name, column in traced_columns([full]).items()}


_INDEXED = ("optimizer", "decay_schedule")
"""Names of rows by which the lanes of a program may differ."""


def traced_columns(settings: Sequence[Setting]) -> dict[str, np.ndarray]:
    """Returns the traced part of completed settings of the same names, name -> (S,).

    In place of None, which is no limit, stands infinity.
    """
    dtype = jnp.result_type(float)
    columns = {
        key: np.array([math.inf if one[key] is None else one[key] for one in settings], dtype)
        for key in settings[0]
        if is_traced(key)
    }
    for key in _INDEXED:
        # a function trains in programs of its own, where its place does not matter
        places = {name: place for place, name in enumerate(TABLES[key])}
        columns[key] = np.array([places.get(one[key], 0) for one in settings], np.int32)
    monitored = [-1 if one["monitor"] is None else CURVES.index(one["monitor"]) for one in settings]
    return columns | {"monitor": np.array(monitored, np.int32)}


def check_representable(name: str, value: float, dtype: Any) -> None:
    """Raises ValueError if a float type cannot hold a number, or rounds it out of its range."""
    limits = np.finfo(dtype)
    # as Python's floats: NumPy would cast the value before it compares
    if value != 0 and not float(limits.tiny) <= abs(value) <= float(limits.max):
        raise ValueError(f"{name} got {value!r}; expected a number that {limits.dtype} can hold")
    array = np.asarray(value, limits.dtype)
    if name in HYPERPARAMETERS and not HYPERPARAMETERS[name].is_valid(float(array)):
        allowed = HYPERPARAMETERS[name].allowed
        raise ValueError(f"{name} got {value!r}, {array} in {array.dtype}; expected {allowed}")


def alike(settings: Sequence[Any]) -> list[list[int]]:
    """Returns the rows of settings that differ in traced numbers alone, in groups.

    A number that is a switch has its default in a whole group, or nowhere in it. What cannot be
    compared is a group of its own.

    >>> alike([{"l2": 0.1}, {"hidden": (3,)}, {"l2": 0.2}, {"l2": 0}])
    [[0, 2], [1], [3]]
    """
    found: dict[Any, list[int]] = {}
    for row, setting in enumerate(settings):
        try:
            key = _structure(setting) if type(setting) is dict else row
            found.setdefault(key, []).append(row)
        except (TypeError, OverflowError, RecursionError):
            found[row] = [row]
    return [*found.values()]


def _structure(setting: dict[str, Any]) -> tuple[Any, ...]:
    """Returns a key that settings have in common if they differ in traced numbers alone."""
    return (
        *setting,
        *[
            (float(value) != HYPERPARAMETERS[name].default if _is_switch(name) else None)
            if is_traced(name) and is_real(value)
            else exact(value)
            for name, value in setting.items()
        ],
    )


def _is_switch(name: str) -> bool:
    return name in HYPERPARAMETERS and HYPERPARAMETERS[name].is_switch


def exact(value: Any) -> tuple[Any, ...]:
    """Returns a key of a value with its type, since Python calls 1, 1.0 and True equal."""
    if isinstance(value, tuple | list):
        return (type(value), *map(exact, value))
    return type(value), value


def numbers_of(settings: Sequence[Setting]) -> tuple[list[str], np.ndarray]:
    """Returns the traced numbers that settings which are `alike` name: names and values (S, n)."""
    names = [name for name, value in settings[0].items() if is_traced(name) and is_real(value)]
    values = np.array([[float(one[name]) for name in names] for one in settings])
    return names, values.reshape(len(settings), len(names))


def corners(values: np.ndarray) -> np.ndarray:
    """Returns the numbers (3, n) of settings that are allowed if and only if all (S, n) are.

    The allowed values of a number are an interval, whatever the others are: its ends decide. Only
    around 0 a float type has a gap, on whose sides lie 0 and the value next to it.
    """
    nearest = np.where(values == 0, np.inf, abs(values)).argmin(axis=0)
    next_to_0 = np.take_along_axis(values, nearest[None], axis=0)[0]
    return np.stack([values.min(axis=0), values.max(axis=0), next_to_0])
