"""Arrays that come from outside, kept in memory of our own, and random keys.

Data frames and columns are known by what they can do, so this imports none of their libraries.

Keys are of the one generator whose numbers a lane has for itself: JAX's threefry. Under `vmap` the
generators "rbg" and "unsafe_rbg" draw from the first key alone, and what they draw for a row
depends on the number of rows. A lane would then not be the network trained alone.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from numbers import Real
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def own(array: Any, dtype: Any = None) -> jax.Array:
    """The array on the device, in memory that nobody else can write to.

    `jnp.asarray(array, dtype)` and `jax.device_put` share the memory of an aligned NumPy array,
    whatever `may_alias` says, so what its owner writes there later would change ours.

    >>> given = np.ones(2)
    >>> kept = own(given, np.float32)
    >>> given[:] = 7
    >>> kept
    Array([1., 1.], dtype=float32)
    """
    if isinstance(array, jax.Array):
        return jnp.array(array, dtype)
    # the copy is NumPy's, which is done when it returns; nothing else refers to it
    return jax.device_put(np.array(array, dtype))


def host_array(values: Any, name: str) -> np.ndarray:
    """The values as a NumPy array; its type and shape are still to be checked.

    A data frame (pandas, polars, pyarrow) becomes (N, columns), whatever types its columns have, as
    long as each value is a number or a truth value. An array may be a view of what was given.

    Raises:
      ValueError: a mask hides values, or a column has missing values or other things than numbers.

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
    # the column of a data frame by itself; an array of objects has no type that tells what it is
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
    # the numbers of categories are names: their order and distances mean nothing
    if array.dtype.kind not in "buif" or str(kind) == "category":
        raise ValueError(
            f"{name} got type {kind or array.dtype}{where}; expected real numbers: leave it out or "
            "encode it, classes as a column of 0 and 1 each"
        )
    if array.dtype.kind == "f":
        _refuse_missing(np.isnan(array), name, where)
    return array


_MISSING = ("NoneType", "NAType", "NaTType")
"""Types of what stands for no value: None, and pandas' NA and NaT."""


def _of_objects(array: np.ndarray, name: str, where: str) -> np.ndarray:
    """Objects as float64."""
    is_missing = np.array([type(value).__name__ in _MISSING for value in array.flat], bool)
    for value in array.flat[~is_missing]:
        if not isinstance(value, Real | Decimal | np.bool_):
            raise ValueError(f"{name} got {value!r}{where}; expected real numbers")
    _refuse_missing(is_missing, name, where)
    return array.astype(np.float64)


def _refuse_missing(is_missing: np.ndarray, name: str, where: str) -> None:
    if is_missing.any():
        raise ValueError(
            f"{name} got {np.count_nonzero(is_missing)} missing values{where}, the first in "
            f"example {is_missing.argmax()}; expected numbers throughout: drop or fill them"
        )


IMPLEMENTATION = "threefry2x32"


def new_key(seed: Any) -> jax.Array:
    """A key from a seed below 2^32, whatever `jax_default_prng_impl` says.

    >>> bool(new_key(7) == jax.random.key(7))
    True
    """
    if isinstance(seed, jax.core.Tracer):
        return jax.random.key(seed, impl=IMPLEMENTATION)
    # the same, without a compilation
    return from_words(jax.device_put(np.array([0, seed], np.uint32)))


def as_threefry(key: jax.Array) -> jax.Array:
    """The key itself if it is one of threefry, otherwise one made of its first two words.

    A key of "rbg" holds those of threefry with the same seed twice, so it gives the same numbers.

    >>> draw = lambda key: jax.random.bits(as_threefry(key)).item()
    >>> draw(jax.random.key(7, impl="rbg")) == draw(jax.random.key(7, impl="threefry2x32"))
    True
    """
    is_typed = jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
    if is_typed and jax.random.key_impl(key) == IMPLEMENTATION:
        return key
    words = jax.random.key_data(key) if is_typed else key
    return from_words(words[..., :2])


def from_words(words: Any) -> jax.Array:
    """The key that `jax.random.key_data` wrote as numbers."""
    return jax.random.wrap_key_data(words, impl=IMPLEMENTATION)
