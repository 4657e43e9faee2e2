"""The contract of a model, and the letters of array shapes.

Shapes in docstrings: `B` examples in a mini-batch, `N` examples in a data set, `F` features,
`H` units of a layer, `C` classes, `E` epochs, `L` lanes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

Array = jax.Array

ArrayLike = jax.Array | np.ndarray | Sequence[Any] | float

Params = Any
"""A pytree of arrays that training changes."""

State = Any
"""A pytree of arrays that training updates without gradients, such as running averages."""


class InitFn(Protocol):
    def __call__(self, key: Array) -> tuple[Params, State]:
        """Returns initial parameters and state for a `jax.random.key`."""


class ApplyFn(Protocol):
    def __call__(
        self, params: Params, state: State, x: Array, *args: Any, **kwargs: Any
    ) -> tuple[Array, State]:
        """Returns logits (B, C) and the new state for inputs `x` (B, ...).

        Keyword Arguments:
          is_training: static, False by default; then the state is returned unchanged.
          key: the key of this step, for dropout; or None.
          weights: (B,), an example of weight 0 is left out of all statistics; or None.
          and the numbers that `Model.numbers` names, traced.
        """


class Model(NamedTuple):
    """A network as a pair of pure functions.

    `numbers` names the numbers of a setting that `apply` takes as keywords. They are traced, so a
    new value never compiles anything.
    """

    init: InitFn
    apply: ApplyFn
    numbers: tuple[str, ...] = ("dropout",)


ModelFn = Callable[[Mapping[str, Any]], Model]
"""Makes the model of a structure: a dict of `hidden`, `activation`, `init` and `batch_norm`."""


def as_model(pair: Any) -> Model | ModelFn:
    """Returns a Model for `(init, apply)` or `(init, apply, numbers)`; a function stays as it is.

    Raises:
      ValueError: it is neither.
    """
    if callable(pair) and not isinstance(pair, tuple):
        return pair
    if not isinstance(pair, tuple) or not 2 <= len(pair) <= 3 or not all(map(callable, pair[:2])):
        raise ValueError(f"model got {pair!r}; expected jaxnn.Model(init, apply)")
    model = Model(*pair)
    names = model.numbers
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"Model.numbers got {names!r}; expected a tuple of names")
    # plain text: members of an enumeration cannot be saved
    return model._replace(numbers=tuple(str.__str__(name) for name in names))


def kernels(params: Params) -> Any:
    """Returns a pytree like the parameters that is True for kernels, the leaves of that name.

    >>> kernels({"kernel": np.ones(2), "scale": np.ones(1)})
    {'kernel': True, 'scale': False}
    """
    is_kernel = lambda path, leaf: bool(path) and _name(path[-1]) == "kernel"
    return jax.tree_util.tree_map_with_path(is_kernel, params)


def _name(entry: object) -> object:
    """Returns the key of a dict or the name of an attribute, for an entry of a leaf's path."""
    return getattr(entry, "key", getattr(entry, "name", None))
