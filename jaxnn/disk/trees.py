"""Pytrees as named arrays, and back."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxnn.system.terminal import excerpt


def named(group: str, tree: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the leaves of a pytree with names such as "params/0/kernel"."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        yield _leaf_name(group, path), np.asarray(leaf)


def filled(file: Any, group: str, template: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Returns the template's pytree with a file's arrays as leaves.

    Args:
      file: its path, for the error.
      template: a pytree of arrays, or of their shapes and types.

    Raises:
      ValueError: a leaf is missing, or has another shape or kind of type.
    """

    def fill(path: Any, leaf: Any) -> np.ndarray:
        name = _leaf_name(group, path)
        array, expected = arrays.get(name), np.dtype(leaf.dtype)
        if array is None or array.shape != leaf.shape or array.dtype.kind != expected.kind:
            found = "nothing" if array is None else f"{array.dtype}{list(array.shape)}"
            raise ValueError(
                f"{file} holds {found} at {excerpt(name, 200)}; expected "
                f"{expected}{list(leaf.shape)}"
            )
        return np.asarray(array, expected)

    return jax.tree_util.tree_map_with_path(fill, template)


def group_of(arrays: Mapping[str, np.ndarray], group: str) -> dict[str, np.ndarray]:
    """Returns the arrays of a group, named relative to it."""
    start = f"{group}/"
    return {n.removeprefix(start): array for n, array in arrays.items() if n.startswith(start)}


def groups_of(arrays: Mapping[str, np.ndarray], depth: int) -> dict[str, dict[str, np.ndarray]]:
    """Returns all groups at a depth, each as by `group_of`, in one pass over the arrays.

    >>> groups_of({"a/0/b": np.ones(1), "a/1": np.ones(1)}, 2)
    {'a/0': {'b': array([1.])}}
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        *group, rest = name.split("/", depth)
        if len(group) == depth:
            found.setdefault("/".join(group), {})[rest] = array
    return found


def stacked(template: Any, count: int) -> Any:
    """Returns the shapes of the template with a leading axis of `count` lanes."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype), template
    )


def _leaf_name(group: str, path: Any) -> str:
    # a pytree that is one bare array has an empty path
    return "/".join(filter(None, [group, jax.tree_util.keystr(path, simple=True, separator="/")]))
