"""Checks of inputs, labels and weights, which become plain arrays on the host."""

import jax.numpy as jnp
import numpy as np

from jaxnn.functional.types import ArrayLike
from jaxnn.system.arrays import host_array
from jaxnn.system.checks import whole_number


def as_inputs(x: ArrayLike, name: str) -> np.ndarray:
    """Checks inputs (N, ...) on the host: real, finite, at least one example and one feature.

    They keep their type, which may be more precise than the default float type.
    """
    x = host_array(x, name)
    if x.dtype.kind not in "buif":
        raise ValueError(f"{name} got type {x.dtype}; expected real numbers")
    if x.ndim < 2:
        raise ValueError(f"{name} got shape {x.shape}; expected (examples, features) or more axes")
    if x.size == 0:
        raise ValueError(f"{name} got shape {x.shape}; expected at least one example and feature")
    if x.dtype.kind == "f":
        floats = _as_floats(x)
        if not np.isfinite(floats).all():
            bad = np.argwhere(~np.isfinite(floats))
            raise ValueError(
                f"{name} got {len(bad)} values that are NaN or infinite in {floats.dtype}, the "
                f"first in example {bad[0][0]}; expected finite numbers: drop or fill them"
            )
    return x


_MOST_LOST = 2.0**-14
"""Rounding errors above this share of half a feature's range make the set keep exact numbers."""


def exact_or_none(x: np.ndarray) -> np.ndarray | None:
    """Returns inputs in float64 if the default float type is too coarse for them, else None."""
    limits = np.finfo(jnp.result_type(float))
    if np.can_cast(x.dtype, limits.dtype, "safe"):
        return None
    low, high = x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)
    largest, half_range = np.maximum(abs(low), abs(high)), (high - low) / 2
    rounding = np.maximum(largest, float(limits.tiny)) * float(limits.epsneg)
    return x.astype(np.float64) if (rounding > _MOST_LOST * half_range)[low < high].any() else None


def _as_floats(array: np.ndarray) -> np.ndarray:
    """Returns an array in the default float type; numbers too large for it become infinite."""
    with np.errstate(over="ignore"):
        return array.astype(jnp.result_type(float), copy=False)


MOST_INFERRED = 2**16
"""The most classes inferred from labels: a damaged label must not become a layer of billions."""


def as_labels(
    y: ArrayLike, num_examples: int, num_classes: int | None, name: str
) -> tuple[np.ndarray, int]:
    """Checks labels on the host and returns them as integers (N,), with the number of classes."""
    labels = host_array(y, name)
    if labels.dtype.kind not in "buif":
        raise ValueError(f"{name} got type {labels.dtype}; expected whole numbers 0, 1, 2, ...")
    if labels.dtype.kind == "f" and (missing := np.isnan(labels)).any():
        raise ValueError(
            f"{name} got {missing.sum()} missing values (NaN), the first in example "
            f"{np.argwhere(missing)[0][0]}; expected class numbers 0, 1, ...: drop those examples"
        )
    if labels.dtype.kind == "f" and not (np.isfinite(labels) & (labels == np.floor(labels))).all():
        raise ValueError(f"{name} got numbers that are not whole; expected class numbers 0, 1, ...")
    if labels.ndim == 2 and 1 in labels.shape and labels.size == num_examples:
        labels = labels.reshape(-1)
    elif labels.ndim == 2:
        num_columns = labels.size // max(num_examples, 1)
        labels = _from_one_hot(labels, num_examples, name)
        if num_classes is None:
            num_classes = num_columns
        elif num_classes != num_columns:
            raise ValueError(
                f"{name} got one-hot labels of {num_columns} classes; expected {num_classes}"
            )
    if labels.ndim != 1:
        raise ValueError(
            f"{name} got shape {labels.shape}; expected ({num_examples},), or one-hot labels"
        )
    if len(labels) != num_examples:
        raise ValueError(f"{name} got {len(labels)} labels for {num_examples} examples")
    if not labels.size:
        raise ValueError(f"{name} got no labels; expected one at least")
    low, high = int(labels.min()), int(labels.max())
    if num_classes is None:
        if high >= MOST_INFERRED:
            raise ValueError(
                f"{name} got labels up to {high}; expected below {MOST_INFERRED:,}, unless the "
                "number of classes is given"
            )
        num_classes = max(high + 1, 2)
    num_classes = whole_number("num_classes", num_classes, 2)
    if low < 0 or high >= num_classes:
        raise ValueError(
            f"{name} got labels from {low} to {high}; expected 0 to {num_classes - 1} "
            f"for {num_classes} classes"
        )
    return labels.astype(np.int32), num_classes


def _from_one_hot(labels: np.ndarray, num_examples: int, name: str) -> np.ndarray:
    """(N, C) or the course's (C, N) -> (N,)."""
    is_one_hot = np.isin(labels, (0, 1)).all()
    by_row = is_one_hot and len(labels) == num_examples and (labels.sum(1) == 1).all()
    by_column = is_one_hot and labels.shape[1] == num_examples and (labels.sum(0) == 1).all()
    if by_row and by_column and not np.array_equal(labels, labels.T):
        raise ValueError(
            f"{name} got one-hot labels {labels.shape} that can be read by row and by column; "
            f"expected class numbers ({num_examples},) in this case"
        )
    if not by_row and not by_column:
        raise ValueError(
            f"{name} got shape {labels.shape}; expected class numbers ({num_examples},), or "
            f"one-hot labels ({num_examples}, classes) or (classes, {num_examples})"
        )
    return labels.argmax(1 if by_row else 0)


def as_weights(weights: ArrayLike, num_examples: int) -> np.ndarray:
    weights = host_array(weights, "weights")
    if weights.dtype.kind not in "buif" or weights.shape != (num_examples,):
        raise ValueError(
            f"weights got {weights.dtype} of shape {weights.shape}; expected real numbers "
            f"({num_examples},)"
        )
    weights = _as_floats(weights)
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise ValueError("weights got a negative or infinite number, or only zeros; expected >= 0")
    # devices flush numbers below 1.2e-38 to 0
    if weights.max() < _LEAST_WEIGHT:
        raise ValueError(
            f"weights got {weights.max():.3g} at most; expected {_LEAST_WEIGHT:.0e} or more: only "
            "their ratios count, so divide them by the largest"
        )
    return weights


_LEAST_WEIGHT = 1e-30
"""The least value of the largest weight of a set."""
