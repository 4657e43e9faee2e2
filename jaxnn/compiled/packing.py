"""Packing: the small arrays of a network as one, which an update takes in one loop."""

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.functional.types import Array, Model, Params, State, kernels

SMALL = 4096
"""Arrays with fewer elements are packed. To cut larger ones out again would take longer than the
loops that it saves."""


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True, eq=False)
class Packed:
    """A pytree of arrays, of which the small ones are one array; all may have more axes in front.

    Attributes:
      large: the other arrays, in order.
      small: (..., V), the small ones, one after another.
      form: what the pytree was: its structure, and the shapes of all arrays.
    """

    large: tuple[Any, ...]
    small: Any
    form: tuple[Any, tuple[tuple[int, ...], ...]]

    @property
    def tree(self) -> Any:
        """The pytree; on the host, its small arrays are views."""
        structure, shapes = self.form
        sizes, axis = [n for n in map(math.prod, shapes) if n < SMALL], self.small.ndim - 1
        pieces: Sequence[Any]
        if isinstance(self.small, np.ndarray):
            pieces = np.split(self.small, np.cumsum(sizes[:-1]), axis)
        else:
            # not by slices: the gradient of a split is one concatenation
            pieces = jax.lax.split(self.small, sizes, axis)
        small: Iterator[Any] = iter(pieces)
        large, front = iter(self.large), self.small.shape[:-1]
        own = lambda shape: (
            next(small).reshape(front + shape) if math.prod(shape) < SMALL else next(large)
        )
        return jax.tree.unflatten(structure, map(own, shapes))

    def tree_flatten_with_keys(self) -> tuple[tuple[Any, Any], Any]:
        key = jax.tree_util.GetAttrKey
        return ((key("large"), self.large), (key("small"), self.small)), self.form

    @classmethod
    def tree_unflatten(cls, form: Any, children: Any) -> "Packed":
        large, small = children
        return cls(large, small, form)


def pack(tree: Any) -> Any:
    """Returns a pytree of arrays as `Packed`, or as it is if fewer than two are small.

    >>> pack({"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(2)}).small
    Array([0., 0., 1., 1., 1., 1., 1., 1.], dtype=float32)
    """
    leaves, structure = jax.tree.flatten(tree)
    small = [leaf.ravel() for leaf in leaves if leaf.size < SMALL]
    if len(small) < 2:
        return tree
    large = tuple(leaf for leaf in leaves if leaf.size >= SMALL)
    return Packed(large, jnp.concatenate(small), (structure, tuple(leaf.shape for leaf in leaves)))


def unpack(tree: Any) -> Any:
    """Returns the pytree that `pack` was given."""
    return tree.tree if isinstance(tree, Packed) else tree


def packed_kernels(tree: Any) -> Any:
    """Returns `kernels` for a pytree that may be packed; its small array then has 1 for True.

    >>> packed_kernels(pack({"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(2)})).small
    array([0, 0, 1, 1, 1, 1, 1, 1])
    """
    if not isinstance(tree, Packed):
        return kernels(tree)
    structure, shapes = tree.form
    own = jax.tree.leaves(kernels(jax.tree.unflatten(structure, range(len(shapes)))))
    sizes = [math.prod(shape) for shape in shapes]
    large = tuple(is_it for is_it, size in zip(own, sizes, strict=True) if size >= SMALL)
    small = [np.full(n, is_it, int) for is_it, n in zip(own, sizes, strict=True) if n < SMALL]
    return Packed(large, np.concatenate(small), tree.form)


def packing_model(model: Model) -> Model:
    """Returns a model whose parameters and state are packed."""

    def init(key: Array) -> tuple[Params, State]:
        params, state = model.init(key)
        return pack(params), pack(state)

    @functools.wraps(model.apply)
    def apply(params: Params, state: State, x: Array, **more: Any) -> tuple[Array, State]:
        outputs, state = model.apply(unpack(params), unpack(state), x, **more)
        return outputs, pack(state)

    return model._replace(init=init, apply=apply)
