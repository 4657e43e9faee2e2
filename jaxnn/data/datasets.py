"""Examples with targets: checked on the host, then kept on the device as plain arrays."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.data.reading import as_inputs, as_targets, as_weights, exact_or_none
from jaxnn.functional.objectives import Targets
from jaxnn.functional.types import Array, ArrayLike
from jaxnn.system.arrays import own
from jaxnn.system.checks import check_fork


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True, eq=False, init=False)
class Dataset:
    """Examples and targets as arrays on the device; a pytree, so it passes through `jit` as it is.

    The arrays are copied, and their numbers are not scaled; `load_hdf5` scales uint8 pictures to
    0..1.

    Args:
      x: inputs (N, F) or (N, ...), real and finite; stored in the default float type. Where that
        type is too coarse for a feature, such as times since 1970, the original numbers are kept on
        the host as well, and "centred" and "standardised" inputs are computed from them. A set that
        went through `jax.device_put` or a compiled function has lost them.
        A data frame may mix whole, real, boolean and nullable columns where no value is missing.
      y: integers or booleans are classes, floats are real targets unless `num_classes` is given.
        Classes (N,) are whole numbers in 0..C-1; also (1, N), (N, 1), or one-hot as (N, C) or, in
        the course's orientation, (C, N). They are stored as int32 (N,).
        Real targets are (N,), or (N, K) for K numbers to predict for each example; (N, 1) and
        (1, N) become (N,). They are stored in the default float type; where it is too coarse for a
        target, they are kept on the host as well, as inputs are. Integers or booleans (N, K) of 0
        and 1 that are not one-hot are K labels of each example, and are stored as real targets.
      num_classes: C; None is the largest class + 1, at most 2^16. If it is given, whole floats and
        one-hot floats are classes too.
      weights: (N,), >= 0, the weight of each example in the cost and the statistics; None is 1.
        Training with examples of weight 0 is training without them.

    `data + other` joins two sets, `data[rows]` picks examples by slice, index array or mask.

    Raises:
      ValueError: naming what came and what was expected.

    >>> data = Dataset(np.ones((3, 2)), [0, 1, 1])
    >>> len(data + data), data[1:].y, data.num_classes
    (6, Array([1, 1], dtype=int32), 2)

    Real targets, two of each example:

    >>> data = Dataset(np.ones((3, 2)), [[0.5, 20.0], [1.5, 10.0], [2.0, 0.0]])
    >>> data.is_real, data.target_shape, data[1:].y.tolist()
    (True, (2,), [[1.5, 10.0], [2.0, 0.0]])
    """

    x: Array
    y: Array
    num_classes: int | Any
    """C, or None for real targets; `Any`, so that programs on classes may take it for an int."""
    weights: Array | None
    exact: np.ndarray | None = None
    """The inputs in float64 on the host, if the default float type is too coarse for them."""
    exact_y: np.ndarray | None = None
    """The real targets in float64 on the host, if the default float type is too coarse for them."""

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        num_classes: int | None = None,
        weights: ArrayLike | None = None,
    ):
        check_fork("Dataset")
        inputs = as_inputs(x, "x")
        targets, num_classes = as_targets(y, len(inputs), num_classes, "y")
        is_real = num_classes is None
        self._set(
            x=own(inputs, jnp.result_type(float)),
            y=own(targets, jnp.result_type(float) if is_real else None),
            num_classes=num_classes,
            weights=None if weights is None else own(as_weights(weights, len(inputs))),
            exact=exact_or_none(inputs),
            exact_y=exact_or_none(targets) if is_real else None,
        )

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            if isinstance(value, np.ndarray) and name in ("exact", "exact_y"):
                value.setflags(write=False)
            object.__setattr__(self, name, value)

    def tree_flatten_with_keys(self) -> tuple[tuple[Any, ...], int | None]:
        # a compiled program has no use for the exact numbers
        children = ((jax.tree_util.GetAttrKey(n), getattr(self, n)) for n in ("x", "y", "weights"))
        return tuple(children), self.num_classes

    @classmethod
    def tree_unflatten(cls, num_classes: int | None, children: Any) -> "Dataset":
        x, y, weights = children
        return cls._unchecked(x, y, num_classes, weights)

    @classmethod
    def _unchecked(
        cls, x: Any, y: Any, num_classes: int | None, weights: Any, **exact: Any
    ) -> "Dataset":
        """Makes a set of checked arrays, or of the tracers of a transformation."""
        data = object.__new__(cls)
        values = {"x": x, "y": y, "num_classes": num_classes, "weights": weights}
        data._set(**{"exact": None, "exact_y": None, **values, **exact})
        return data

    def replaced(self, **changes: Any) -> "Dataset":
        """Returns a set with some fields replaced by checked ones, and the others as they are."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return Dataset._unchecked(**{**fields, **changes})

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: Any) -> "Dataset":
        if isinstance(rows, jax.core.Tracer):
            return jax.tree.map(lambda array: array[rows], self)
        # NumPy checks the range, which JAX's indexing does not
        picked = np.arange(len(self))[rows]
        if picked.ndim != 1 or picked.size == 0:
            raise ValueError(
                f"data[rows] got {rows!r}, which picks shape {picked.shape}; expected a slice, "
                "indices or a mask of at least one example"
            )
        on_device = jax.device_put(picked)
        part = jax.tree.map(lambda array: jnp.take(array, on_device, axis=0), self)
        exact, exact_y = (
            None if one is None else one[picked] for one in (self.exact, self.exact_y)
        )
        return part.replaced(exact=exact, exact_y=exact_y)

    def __add__(self, other: "Dataset") -> "Dataset":
        if not isinstance(other, Dataset):
            raise TypeError(f"data + other got {type(other).__name__}; expected a Dataset")
        check_compatible(self, other, "the second Dataset of a sum")
        weights = None
        if self.weights is not None or other.weights is not None:
            weights = own(np.concatenate([self.host_weights(), other.host_weights()]))
        return Dataset._unchecked(
            jnp.concatenate([self.x, other.x]),
            jnp.concatenate([self.y, other.y]),
            self.num_classes,
            weights,
            exact=None
            if self.exact is None and other.exact is None
            else np.concatenate([self.original, other.original]),
            exact_y=None
            if self.exact_y is None and other.exact_y is None
            else np.concatenate([self.original_y, other.original_y]),
        )

    def followed_by(self, other: "Dataset | None") -> "Dataset":
        """Returns a set, on the host, with the rows of another behind its own; None adds none."""
        if other is None:
            return self
        weights = None
        if self.weights is not None or other.weights is not None:
            weights = np.concatenate([self.host_weights(), other.host_weights()])
        # by NumPy, which compiles nothing
        xs, ys = jax.device_get(((self.x, other.x), (self.y, other.y)))
        x, y = np.concatenate(xs), np.concatenate(ys)
        return Dataset._unchecked(x, y, self.num_classes, weights)

    @property
    def original(self) -> np.ndarray:
        """The inputs on the host, as exactly as they are known."""
        return jax.device_get(self.x) if self.exact is None else self.exact

    @property
    def original_y(self) -> np.ndarray:
        """The targets on the host, as exactly as they are known."""
        return jax.device_get(self.y) if self.exact_y is None else self.exact_y

    @property
    def is_real(self) -> bool:
        """Whether the targets are real numbers, or labels 0 and 1, in place of classes."""
        return self.num_classes is None

    @property
    def target_shape(self) -> tuple[int, ...]:
        """The shape of one example's target: () for classes and real (N,), (K,) for (N, K)."""
        return self.y.shape[1:]

    @property
    def targets(self) -> Targets:
        """What an example's targets are."""
        return Targets(self.num_classes, self.target_shape)

    def counted(self) -> "Dataset":
        """Returns the set without examples of weight 0."""
        rows = np.flatnonzero(self.host_weights())
        return self if len(rows) == len(self) else self[rows]

    def weights_or_ones(self) -> Array:
        """Returns the weights (N,) on the device; 1 where none were given."""
        return jnp.ones(len(self), self.x.dtype) if self.weights is None else self.weights

    def host_weights(self) -> np.ndarray:
        """Returns the weights (N,) on the host; 1 where none were given."""
        is_plain = self.weights is None
        return np.ones(len(self), self.x.dtype) if is_plain else jax.device_get(self.weights)

    def weighted(self, weights: Array | None) -> "Dataset":
        """Returns the same examples with other weights; None is no weights."""
        return self.replaced(weights=weights)

    def normalised(self, statistics: Any) -> "Dataset":
        """Returns the set with inputs normalised by `InputStatistics`; None changes nothing."""
        if statistics is None:
            return self
        x = statistics.normalise(self.x if self.exact is None else self.exact)
        return self.replaced(x=x, exact=None)


def check_compatible(data: Dataset, other: Dataset, name: str) -> None:
    """Raises ValueError unless both sets have the same features and the same kind of targets."""
    if data.x.shape[1:] != other.x.shape[1:]:
        raise ValueError(
            f"{name} got features of shape {other.x.shape[1:]}; expected {data.x.shape[1:]}, "
            "as in the training set"
        )
    if data.is_real != other.is_real or data.target_shape != other.target_shape:
        raise ValueError(
            f"{name} got {other.targets}; expected {data.targets}, as in the "
            "training set: floats are real targets unless num_classes is given"
        )
    if data.num_classes != other.num_classes:
        raise ValueError(
            f"{name} got {other.num_classes} classes; expected {data.num_classes}, as in the "
            "training set: give num_classes to both"
        )
