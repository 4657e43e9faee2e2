"""Checks of inputs, targets and weights, which become plain arrays on the host."""

import jax.numpy as jnp
import numpy as np

from jaxnn.functional.types import ArrayLike
from jaxnn.system.arrays import host_array
from jaxnn.system.checks import whole_number
from jaxnn.system.terminal import warn_caller


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
        _check_finite(x, name)
    return x


def _check_finite(array: np.ndarray, name: str) -> None:
    floats = _as_floats(array)
    if not np.isfinite(floats).all():
        bad = np.argwhere(~np.isfinite(floats))
        raise ValueError(
            f"{name} got {len(bad)} values that are NaN or infinite in {floats.dtype}, the "
            f"first in example {bad[0][0]}; expected finite numbers: drop or fill them"
        )


_MOST_LOST = 2.0**-14
"""Rounding errors above this share of half a feature's range make the set keep exact numbers."""


def exact_or_none(x: np.ndarray) -> np.ndarray | None:
    """Returns numbers in float64 if the default float type is too coarse for them, else None.

    Args:
      x: inputs (N, ...), or targets (N,) or (N, K).
    """
    limits = np.finfo(jnp.result_type(float))
    if np.can_cast(x.dtype, limits.dtype, "safe"):
        return None
    low, high = x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)
    largest, half_range = np.maximum(abs(low), abs(high)), (high - low) / 2
    rounding = np.maximum(largest, float(limits.tiny)) * float(limits.epsneg)
    is_coarse = (low < high) & (rounding > _MOST_LOST * half_range)
    return x.astype(np.float64) if is_coarse.any() else None


def _as_floats(array: np.ndarray) -> np.ndarray:
    """Returns an array in the default float type; numbers too large for it become infinite."""
    with np.errstate(over="ignore"):
        return array.astype(jnp.result_type(float), copy=False)


def as_targets(
    y: ArrayLike, num_examples: int, num_classes: int | None, name: str
) -> tuple[np.ndarray, int | None]:
    """Checks targets on the host: returns integers (N,) and C, or real targets and None.

    Real targets are (N,) or (N, K), in the type in which they came; see `Dataset`.
    """
    targets = host_array(y, name)
    if targets.dtype.kind not in "buif":
        raise ValueError(
            f"{name} got type {targets.dtype}; expected whole numbers 0, 1, 2, ... for classes, or "
            "floats for real targets"
        )
    if num_classes is not None:
        return as_labels(targets, num_examples, num_classes, name)
    if targets.dtype.kind == "f":
        return _real_targets(targets, num_examples, name), None
    is_column = 1 in targets.shape and targets.size == num_examples
    if targets.ndim != 2 or is_column or any(_one_hot_axes(targets, num_examples)):
        return as_labels(targets, num_examples, None, name)
    if len(targets) != num_examples or not targets.size or not np.isin(targets, (0, 1)).all():
        raise ValueError(
            f"{name} got {targets.dtype} of shape {targets.shape}; expected class numbers "
            f"({num_examples},), one-hot labels ({num_examples}, classes) or (classes, "
            f"{num_examples}), labels 0 and 1 ({num_examples}, K), or floats for real targets"
        )
    return targets, None


def _real_targets(targets: np.ndarray, num_examples: int, name: str) -> np.ndarray:
    """Returns floats (N,) or (N, K), checked."""
    if targets.ndim == 2 and 1 in targets.shape and targets.size == num_examples:
        targets = targets.reshape(-1)
    if targets.ndim not in (1, 2) or len(targets) != num_examples or not targets.size:
        raise ValueError(
            f"{name} got floats of shape {targets.shape} for {num_examples} examples; expected "
            f"real targets ({num_examples},) or ({num_examples}, K), or integers or num_classes "
            "for classes"
        )
    _check_finite(targets, name)
    if targets.ndim == 2 and any(_one_hot_axes(targets, num_examples)):
        warn_caller(
            f"{name} got one-hot floats {targets.shape}, which are taken for "
            f"{targets.shape[1]} real targets of each example; give num_classes="
            f"{targets.shape[1]} if they are classes"
        )
    return targets


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
    by_row, by_column = _one_hot_axes(labels, num_examples)
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


def _one_hot_axes(labels: np.ndarray, num_examples: int) -> tuple[bool, bool]:
    """Returns whether a matrix is one-hot by row, as (N, C), and by column, as (C, N)."""
    is_one, is_example = labels == 1, [size == num_examples for size in labels.shape]
    if not (is_one | (labels == 0)).all():
        return False, False
    by_row, by_column = (
        is_example[axis] and bool((is_one.sum(1 - axis) == 1).all()) for axis in (0, 1)
    )
    return by_row, by_column


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
