"""The treatment of inputs and targets: normalisation and projection to the row space."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.data.targets import (
    TargetStatistics,
    blocks,
    mean_and_deviation,
    scales,
    target_statistics,
)
from jaxnn.functional.metrics import Scales
from jaxnn.functional.types import Array, ArrayLike, Model, ModelFn, Params
from jaxnn.system.arrays import own


class InputStatistics(NamedTuple):
    """Mean and deviation of each feature of the training inputs: (x - mean) / deviation.

    They are float64 on the host: a difference of large numbers, such as times since 1970, has few
    correct digits in float32.
    """

    mean: np.ndarray
    deviation: np.ndarray

    def normalise(self, x: ArrayLike) -> Array:
        """Returns normalised inputs (N, ...) in the default float type, or in x's under trace."""
        if isinstance(x, jax.core.Tracer):
            mean, deviation = (jnp.asarray(one, x.dtype)[None] for one in self)
            return (x - mean) / deviation
        x = np.asarray(jax.device_get(x))
        normal = np.empty(x.shape, jnp.result_type(float))
        # an overflow makes the network's outputs infinite, which is reported there
        with np.errstate(over="ignore"):
            for block in blocks(len(x)):
                centred = np.subtract(x[block], self.mean, dtype=np.float64)
                np.divide(centred, self.deviation, out=normal[block], casting="same_kind")
        return jax.device_put(normal)


INPUTS = ("raw", "centred", "standardised")
"""Ways to treat inputs; the statistics always come from the training part alone."""


def input_statistics(inputs: str, data: Dataset) -> InputStatistics | None:
    """Returns the statistics of the training part: None for "raw", deviation 1 for "centred".

    A feature that is constant in the training part gets deviation 1, so it becomes 0 there. Means
    and deviations are weighted by the examples' weights.

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
    # all networks of a call share these arrays
    for one in (mean, deviation):
        one.setflags(write=False)
    return InputStatistics(mean, deviation)


def with_small_weights(data: Dataset) -> Dataset:
    """Scales weights to at most 2, so that their sums are finite; only their ratios matter."""
    if data.weights is None:
        return data
    weights = data.host_weights()
    # a power of two, which changes no mantissa
    _, exponent = np.frexp(weights.max())
    return data.weighted(own(np.ldexp(weights, 1 - exponent)))


def scale_ratio(data: Dataset) -> float:
    """Returns the largest over the smallest deviation of the features that are not constant."""
    deviation = _mean_and_deviation(data)[1]
    varying = deviation[deviation > 0]
    return float(varying.max() / varying.min()) if varying.size else 1.0


_FEW_STEPS = 64
"""A feature is indistinct if its range has fewer representable numbers than this."""


def indistinct_features(inputs: str, data: Dataset) -> list[int]:
    """Returns the features that take few distinct values, since they are large and vary little."""
    x = data.original.reshape(len(data), -1)
    # normalised inputs are computed from the exact numbers
    dtype = data.x.dtype if inputs == "raw" else x.dtype
    low, high = x.min(axis=0).astype(np.float64), x.max(axis=0).astype(np.float64)
    step = np.spacing(np.maximum(abs(low), abs(high)).astype(dtype)).astype(np.float64)
    return np.flatnonzero((low < high) & (high - low < _FEW_STEPS * step)).tolist()


def _mean_and_deviation(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns each feature's weighted mean and deviation in float64; 0 if it is constant."""
    return mean_and_deviation(data.original, data.host_weights())


class RowSpace(NamedTuple):
    """The directions that the training inputs span.

    Only these directions matter to a first layer: Z = W x, and dW = dZ X^T is a combination of
    training inputs. With an orthonormal basis Q (F, R), inputs x' = Q^T x and weights W' = W Q give
    the same Z, and R is at most the number of examples: 1,080 instead of 12,288 for SIGNS.

    Gradient descent and momentum from first weights W = W' Q^T train the same network either way,
    up to rounding, with l2 or without. Adam and RMSprop divide element by element, so they train
    another one: Q consists of the data's principal axes, and they divide along these instead of
    pixels.
    """

    basis: np.ndarray
    """Q (F, R) in float64, on the host: a device may multiply with less than float32 precision."""

    def project(self, data: Dataset) -> Dataset:
        """Returns the set with its inputs (N, ...) as (N, R)."""
        flat = np.asarray(data.x).reshape(len(data), -1)
        # a few rows at a time: no copy of the whole set in float64
        blocks = (
            flat[start : start + 256].astype(np.float64) for start in range(0, len(flat), 256)
        )
        rotated = np.concatenate([block @ self.basis for block in blocks])
        x = jax.device_put(rotated.astype(data.x.dtype))
        return data.replaced(x=x, exact=None)

    def lift(self, params: Params) -> Params:
        """Returns params with the first kernel (H, R) as (H, F), for raw inputs: W = W' Q^T."""
        first = params[0]
        kernel = np.asarray(first["kernel"], np.float64) @ self.basis.T
        return ({**first, "kernel": kernel.astype(first["kernel"].dtype)}, *params[1:])


def row_space(train: Dataset) -> RowSpace | None:
    """Returns the row space of normalised training inputs; None unless N < F.

    It is computed in float64. Directions whose singular value is as small as the inputs' rounding
    errors are left out, and so are examples of weight 0.

    >>> data = Dataset(np.array([[3.0, 0.0, 4.0], [6.0, 0.0, 8.0]]), [0, 1])
    >>> space = row_space(data)
    >>> space.basis.shape, space.project(data).x
    ((3, 1), Array([[ 5.], [10.]], dtype=float32))
    """
    x = np.asarray(train.x).reshape(len(train), -1)
    if train.weights is not None:
        x = x[np.asarray(train.weights) > 0]
    if len(x) >= x.shape[1]:
        return None
    # the norm of a matrix of rounding errors is about that of its longer side
    noise = np.finfo(x.dtype).eps * x.shape[1] ** 0.5
    find = _axes_by_svd if x.dtype == np.float64 else _axes_by_products
    axes = find(x.astype(np.float64), noise)
    if not len(axes):
        return None
    # a decomposition does not determine the signs of the axes
    largest = np.abs(axes).argmax(axis=1)
    return RowSpace((axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]).T)


def _axes_by_svd(x: np.ndarray, noise: float) -> np.ndarray:
    """Returns principal axes (R, F) of inputs (N, F) with singular values > noise x the largest."""
    # slow to import
    from scipy.linalg import svd

    _, sizes, axes = svd(x, full_matrices=False, check_finite=False)
    return axes[sizes > noise * sizes[0]]


def _axes_by_products(x: np.ndarray, noise: float) -> np.ndarray:
    """Computes the same from the eigenvectors of X X^T: 1,080 x 12,288 in 0.7 s instead of 2.6.

    X X^T has half the correct digits: the axes are orthonormal to eps / noise^2, which for float32
    inputs is 1e-6 for the smallest directions that are kept, and far less for the others.
    """
    from scipy.linalg import eigh

    squares, left = eigh(x @ x.T, check_finite=False)
    squares, left = squares[::-1], left[:, ::-1]
    is_kept = squares > noise**2 * squares[0]
    return (left[:, is_kept] / squares[is_kept] ** 0.5).T @ x


class Treatment(NamedTuple):
    """The treatment of inputs before a network's first layer, and of real targets."""

    statistics: InputStatistics | None
    space: RowSpace | None
    num_features: int
    """The number of features after the treatment."""
    targets: TargetStatistics | None = None
    """The training part's statistics of real targets; None for classes."""

    def treated(self, data: Dataset, targets: str = "raw") -> Dataset:
        """Returns the set as a network takes it; `targets` is one of TARGETS."""
        data = with_small_weights(data.normalised(self.statistics))
        if targets == "standardised" and self.targets is not None:
            y = self.targets.standardise(data.original_y)
            data = data.replaced(y=jax.device_put(y), exact_y=None)
        return data if self.space is None else self.space.project(data)

    def together(
        self, train: Dataset, valid: Dataset | None, targets: str | None
    ) -> tuple[Dataset, Scales | None]:
        """Returns the treated sets as one, on the host, and the units of real targets.

        Args:
          train, valid: the sets; the training examples come first.
          targets: how real targets are treated, "raw" or "standardised"; None for classes.
        """
        treated = lambda data: self.treated(data, targets or "raw")
        data = treated(train).followed_by(valid and treated(valid))
        return data, scales(train, valid, self.targets, targets) if targets else None

    def lifted(self, params: Params) -> Params:
        """Parameters for inputs that were only normalised."""
        return params if self.space is None else self.space.lift(params)


def treatment(inputs: str, train: Dataset, in_row_space: bool) -> Treatment:
    """Returns the treatment for a setting's `inputs`, computed from the training part alone.

    It has the statistics of real targets, whether or not they will be standardised.
    """
    statistics = input_statistics(inputs, train)
    space = row_space(train.normalised(statistics)) if in_row_space else None
    num_features = math.prod(train.x.shape[1:]) if space is None else space.basis.shape[1]
    return Treatment(statistics, space, num_features, target_statistics(train))


def treatments(inputs: str, parts: Sequence[Dataset], in_row_space: bool) -> list[Treatment]:
    """Returns the treatments of several training parts, with the same number of features."""
    found = [treatment(inputs, train, in_row_space) for train in parts]
    most = max(one.num_features for one in found)
    # directions of zeros add nothing to the first layer's outputs
    return [
        one
        if one.num_features == most or one.space is None
        else one._replace(
            space=RowSpace(np.pad(one.space.basis, ((0, 0), (0, most - one.num_features)))),
            num_features=most,
        )
        for one in found
    ]


def check_row_space(in_row_space: bool, model: Model | ModelFn | None) -> None:
    if not isinstance(in_row_space, bool):
        raise ValueError(f"row_space got {in_row_space!r}; expected True or False")
    if in_row_space and model is not None:
        raise ValueError(
            "row_space=True came with a model; expected the package's own mlp, whose first layer "
            "is known: leave one of them out"
        )
