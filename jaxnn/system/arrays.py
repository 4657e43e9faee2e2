"""Arrays from outside, copied to memory that the package owns.

Data frames are recognised by their attributes, so none of their libraries is imported.
"""

import contextlib
from collections.abc import Iterable, Iterator
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def own(array: Any, dtype: Any = None) -> jax.Array:
    """Copies an array to the device, into memory that the caller cannot write to.

    `jnp.asarray(array, dtype)` and `jax.device_put` share the memory of an aligned NumPy array,
    whatever `may_alias` is. A later write to that array would then change the copy.

    >>> given = np.ones(2)
    >>> kept = own(given, np.float32)
    >>> given[:] = 7
    >>> kept
    Array([1., 1.], dtype=float32)
    """
    if isinstance(array, jax.Array):
        return jnp.array(array, dtype)
    # NumPy has finished the copy when it returns, and nothing else refers to the copy
    return jax.device_put(np.array(array, dtype))


def host_array(values: Any, name: str) -> np.ndarray:
    """Returns the values as a NumPy array, whose type and shape the caller must check.

    A data frame (pandas, polars, pyarrow) becomes (N, columns). Its columns may have different
    types, as long as each value is a number or a boolean. The result may be a view of the input.

    Raises:
      ValueError: a mask hides values, or a column has missing values or values that are not
        numbers.

    >>> host_array([[1, 2], [3, 4]], "x").shape
    (2, 2)
    >>> host_array(np.ma.masked_equal([1, 2, -9], -9), "x")
    Traceback (most recent call last):
    ValueError: x got 1 values hidden by a mask; expected numbers throughout: drop or fill them
    """
    _refuse_masked(values, name)
    if hasattr(values, "columns") and (hasattr(values, "dtypes") or hasattr(values, "schema")):
        columns = [_column(column, name, label) for label, column in _columns(values)]
        return np.stack(columns, axis=1) if columns else np.empty((len(values), 0))
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{name} got rows of different lengths; expected one shape for all"
        ) from None
    # a single column of a data frame; a plain array of objects is left to the caller's checks
    is_column = array.dtype == object and hasattr(values, "to_numpy")
    return _of_objects(array, name, "") if is_column else array


def _refuse_masked(values: Any, name: str) -> None:
    parts: Iterable[Any] = values if isinstance(values, list | tuple) else (values,)
    hidden = sum(
        int(np.ma.count_masked(part)) for part in parts if isinstance(part, np.ma.MaskedArray)
    )
    if hidden:
        raise ValueError(
            f"{name} got {hidden} values hidden by a mask; expected numbers throughout: drop or "
            "fill them"
        )


def _columns(frame: Any) -> Iterator[tuple[Any, Any]]:
    """Names and columns of a data frame."""
    if hasattr(frame, "items"):
        # pandas, where columns may have a name in common
        yield from frame.items()
    elif hasattr(frame, "column_names"):
        # pyarrow
        yield from zip(frame.column_names, frame.columns, strict=True)
    else:
        yield from ((label, frame[label]) for label in frame.columns)


def _column(column: Any, name: str, label: Any) -> np.ndarray:
    """A column (N,) of a data frame as numbers."""
    where = f" in column {label!r}"
    kind = getattr(column, "dtype", "")
    array = np.asarray(column)
    if array.dtype == object:
        array = _of_objects(array, name, where)
    # category codes are names: their order and distances mean nothing
    if array.dtype.kind not in "buif" or str(kind) == "category":
        raise ValueError(
            f"{name} got type {kind or array.dtype}{where}; expected real numbers: leave it out or "
            "encode it, classes as a column of 0 and 1 each"
        )
    if array.dtype.kind == "f":
        _refuse_missing(np.isnan(array), name, where)
    return array


_MISSING = ("NoneType", "NAType", "NaTType")
"""Names of the types that mark a missing value: None, and pandas' NA and NaT."""


def _of_objects(array: np.ndarray, name: str, where: str) -> np.ndarray:
    """Returns an array of objects as int64 if all are whole by type and fit in it, else float64."""
    is_missing = np.array([type(value).__name__ in _MISSING for value in array.flat], bool)
    for value in array.flat[~is_missing]:
        if not isinstance(value, Real | Decimal | np.bool_):
            raise ValueError(f"{name} got {value!r}{where}; expected real numbers")
    _refuse_missing(is_missing, name, where)
    if array.size and all(isinstance(value, Integral | np.bool_) for value in array.flat):
        with contextlib.suppress(OverflowError):
            return array.astype(np.int64)
    return array.astype(np.float64)


def _refuse_missing(is_missing: np.ndarray, name: str, where: str) -> None:
    if is_missing.any():
        raise ValueError(
            f"{name} got {np.count_nonzero(is_missing)} missing values{where}, the first in "
            f"example {is_missing.argmax()}; expected numbers throughout: drop or fill them"
        )


def float_bytes() -> int:
    """Returns the bytes of JAX's default float type, much faster than `jnp.result_type` tells."""
    return 8 if jax.config.jax_enable_x64 else 4  # type: ignore[attr-defined]
