"""Statistics of real targets, and of what else is weighted: mean and deviation in float64."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.functional.metrics import Scales
from jaxnn.functional.types import ArrayLike

TARGETS = ("raw", "standardised")
"""Ways to treat real targets; the statistics always come from the training part alone."""


class TargetStatistics(NamedTuple):
    """Mean and deviation of each real target of the training part, () or (K,).

    They are float64 on the host, as those of inputs are.
    """

    mean: np.ndarray
    deviation: np.ndarray

    def standardise(self, y: ArrayLike) -> np.ndarray:
        """Returns (y - mean) / deviation for targets (N,) or (N, K), in the default float type."""
        y = np.asarray(jax.device_get(y), np.float64)
        # an overflow makes the cost infinite, which is reported there
        with np.errstate(over="ignore"):
            return ((y - self.mean) / self.deviation).astype(jnp.result_type(float))

    def restore(self, outputs: ArrayLike) -> np.ndarray:
        """Returns outputs (N,) or (N, K) in the targets' own units, in float64: undoes it."""
        with np.errstate(over="ignore"):
            return np.asarray(jax.device_get(outputs), np.float64) * self.deviation + self.mean


def target_statistics(data: Dataset) -> TargetStatistics | None:
    """Returns the statistics of real targets, weighted by the examples' weights; None for classes.

    A target that is constant among examples with a weight gets deviation 1, so it becomes 0.

    >>> statistics = target_statistics(Dataset(np.ones((2, 1)), [[10.0, 5.0], [14.0, 5.0]]))
    >>> statistics.standardise([[16.0, 5.0]]).tolist(), statistics.restore([[2.0, 0.0]]).tolist()
    ([[2.0, 0.0]], [[16.0, 5.0]])
    """
    if not data.is_real:
        return None
    mean, deviation = mean_and_deviation(data.original_y, data.host_weights())
    statistics = TargetStatistics(mean, np.where(deviation == 0, 1, deviation))
    # all networks of a call share these arrays
    for one in statistics:
        one.setflags(write=False)
    return statistics


def target_deviation(data: Dataset) -> np.ndarray:
    """Returns the weighted deviation of each real target, (1,) or (K,); 0 if it is constant."""
    return np.atleast_1d(mean_and_deviation(data.original_y, data.host_weights())[1])


def scales(train: Dataset, valid: Dataset | None, statistics: Any, targets: str) -> Scales:
    """Returns the units of real targets that are trained raw or standardised.

    Args:
      statistics: the `TargetStatistics` of the training part.
      targets: "raw" or "standardised".
    """
    spread = target_deviation(train)
    unit = np.atleast_1d(statistics.deviation)
    unit = unit if targets == "standardised" else np.ones_like(unit)
    valid_spread = spread if valid is None else target_deviation(valid)
    size = unit.max()
    found = Scales(size=size, unit=unit / size, train=spread / unit, valid=valid_spread / unit)
    return Scales(*(np.asarray(one, jnp.result_type(float)) for one in found))


def constant_targets(data: Dataset) -> list[int]:
    """Returns the real targets that do not vary among examples with a weight; none of classes.

    >>> constant_targets(Dataset(np.ones((2, 1)), [[10.0, 5.0], [14.0, 5.0]]))
    [1]
    """
    return np.flatnonzero(target_deviation(data) == 0).tolist() if data.is_real else []


def blocks(num_rows: int) -> Iterator[slice]:
    """Returns slices of a few rows, so that their float64 copies stay in the cache."""
    return (slice(start, start + 16) for start in range(0, num_rows, 16))


def mean_and_deviation(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the weighted mean and deviation of values (N, ...) in float64; 0 if constant.

    Examples of weight 0 are left out: their values change nothing.
    """
    if not weights.all():
        values, weights = values[weights > 0], weights[weights > 0]
    weights = weights.astype(np.float64)
    share = weights / weights.sum()
    low, high = values.min(axis=0), values.max(axis=0)
    # divided by a power of two, which changes no mantissa, so that no square over- or underflows
    _, exponent = np.frexp(high.astype(np.float64) - low)
    size = np.ldexp(1.0, exponent)
    mean, variance = np.zeros(values.shape[1:]), np.zeros(values.shape[1:])
    for block in blocks(len(values)):
        mean += np.tensordot(share[block], values[block].astype(np.float64), axes=1)
    for block in blocks(len(values)):
        variance += np.tensordot(share[block], ((values[block] - mean) / size) ** 2, axes=1)
    # rounding would give constant values another mean and a small deviation
    is_constant = low == high
    return np.where(is_constant, low, mean), np.where(is_constant, 0, size * np.sqrt(variance))
