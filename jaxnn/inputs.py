"""Inputs: statistics of a training part, and inputs normalised by them."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.arrays import own
from jaxnn.datasets import Dataset
from jaxnn.types import Array, ArrayLike


class InputStatistics(NamedTuple):
    """What training inputs are normalised by: (x - mean) / deviation, feature by feature.

    In float64, on the host: a difference of large numbers, such as times since 1970, has few digits
    left in float32.
    """

    mean: np.ndarray
    deviation: np.ndarray

    def normalise(self, x: ArrayLike) -> Array:
        """Inputs (N, ...) in the default float type; in a compiled function in the type of `x`."""
        if isinstance(x, jax.core.Tracer):
            mean, deviation = (jnp.asarray(one, x.dtype)[None] for one in self)
            return (x - mean) / deviation
        x = np.asarray(jax.device_get(x))
        normal = np.empty(x.shape, jnp.result_type(float))
        # what overflows in the end makes the network's outputs infinite, which it says
        with np.errstate(over="ignore"):
            for block in _blocks(len(x)):
                centred = np.subtract(x[block], self.mean, dtype=np.float64)
                np.divide(centred, self.deviation, out=normal[block], casting="same_kind")
        return jax.device_put(normal)


INPUTS = ("raw", "centred", "standardised")
"""Ways to treat inputs; the statistics always come from the training part alone."""


def input_statistics(inputs: str, data: Dataset) -> InputStatistics | None:
    """Statistics of the training part: None for "raw", deviation 1 for "centred".

    A feature that is constant in the training part keeps deviation 1, so it becomes 0 there.
    Examples count by their weights.

    >>> data = Dataset(np.array([[0.0, 5.0], [2.0, 5.0]]), [0, 1])
    >>> input_statistics("standardised", data).normalise(data.x).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    if inputs == "raw":
        return None
    mean, deviation = _mean_and_deviation(data)
    if inputs == "centred":
        deviation = np.zeros_like(mean)
    deviation = np.where(deviation == 0, 1, deviation)
    # all networks of a run share them
    for one in (mean, deviation):
        one.setflags(write=False)
    return InputStatistics(mean, deviation)


def with_small_weights(data: Dataset) -> Dataset:
    """The same with weights of at most 2, whose sums are finite; only their ratios matter."""
    if data.weights is None:
        return data
    weights = data.host_weights()
    # a power of two, which changes no bits of what is computed
    _, exponent = np.frexp(weights.max())
    return data.weighted(own(np.ldexp(weights, 1 - exponent)))


def scale_ratio(data: Dataset) -> float:
    """Largest over smallest deviation among the features that vary at all."""
    deviation = _mean_and_deviation(data)[1]
    varying = deviation[deviation > 0]
    return float(varying.max() / varying.min()) if varying.size else 1.0


_FEW_STEPS = 64
"""Neighbouring numbers of a type in a feature's range, below which it hardly tells them apart."""


def indistinct_features(inputs: str, data: Dataset) -> list[int]:
    """Numbers of the features of which training sees few values: they are large and vary little."""
    x = data.original.reshape(len(data), -1)
    # normalised inputs keep the digits that are known
    dtype = data.x.dtype if inputs == "raw" else x.dtype
    low, high = x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)
    step = np.spacing(np.maximum(abs(low), abs(high)).astype(dtype)).astype(np.float64)
    return np.flatnonzero((low < high) & (high - low < _FEW_STEPS * step)).tolist()


def _blocks(num_rows: int) -> Iterator[slice]:
    """A few rows at a time: all in float64 would go through memory again and again."""
    return (slice(start, start + 16) for start in range(0, num_rows, 16))


def _mean_and_deviation(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Of each feature, by weight, in float64; the deviation of a constant feature is exactly 0."""
    data = data.counted()
    weights = data.host_weights().astype(np.float64)
    x, share = data.original, weights / weights.sum()
    low, high = x.min(axis=0), x.max(axis=0)
    # by a power of two, so that no square is too large or small; it changes no other bits
    _, exponent = np.frexp(high.astype(np.float64) - low)
    size = np.ldexp(1.0, exponent)
    mean, variance = np.zeros(x.shape[1:]), np.zeros(x.shape[1:])
    for block in _blocks(len(x)):
        mean += np.tensordot(share[block], x[block].astype(np.float64), axes=1)
    for block in _blocks(len(x)):
        variance += np.tensordot(share[block], ((x[block] - mean) / size) ** 2, axes=1)
    # rounding would leave a constant feature a little
    return mean, np.where(low == high, 0, size * np.sqrt(variance))
