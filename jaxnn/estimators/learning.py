"""Training for the estimators: one network, which may go on from an earlier one."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.compiled.steps import TrainState
from jaxnn.data.datasets import Dataset
from jaxnn.system.arrays import own
from jaxnn.system.draws import from_words
from jaxnn.training.ensembles import Ensemble
from jaxnn.training.fitted import Fitted
from jaxnn.training.fitting import fitted_of
from jaxnn.training.hooks import Hook, OnEpoch
from jaxnn.training.setups import prepared
from jaxnn.training.stretches import Reached, train_stretch

Kept = Mapping[str, Sequence[np.ndarray]]
"""Field of a `TrainState` -> its leaves on the host; arrays alone, so that it can be pickled."""


Arrays = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Inputs (N, F), targets, and weights (N,) or None."""

Key = bytes
"""What tells a network, or inputs, from others."""


class Learned(NamedTuple):
    """What training made.

    Attributes:
      fitted: the network, or several.
      curves: name -> (E,); of several networks, those of the first.
      kept: the state, to go on from; nothing of several networks.
      is_stopped: whether the network, or each of several, no longer improved.
      is_interrupted: whether Ctrl-C ended the training.
    """

    fitted: Fitted | Ensemble
    curves: dict[str, np.ndarray]
    kept: Kept
    is_stopped: bool
    is_interrupted: bool = False


class Material(NamedTuple):
    """The examples that a network is trained on.

    Attributes:
      parts: arrays of the training set, and of a validation set, if there is one.
      data: their data sets.
      key: the digest of the arrays.
    """

    parts: Sequence[Arrays]
    data: Sequence[Dataset]
    key: Key

    @classmethod
    def of(cls, parts: Sequence[Arrays], made: Callable[[Arrays], Dataset]) -> "Material":
        """Returns the examples of some arrays, without those of weight 0."""
        parts = [_counted(*one) for one in parts]
        key = digest(*(array for part in parts for array in part))
        return cls(parts, [made(one) for one in parts], key)


class Order(NamedTuple):
    """What a network is trained by: all that it depends on.

    Attributes:
      setting: the setting for a training set of this size.
      material: the examples.
      epochs: epochs to train.
      seed: the seed; None if any will do.
      keep: "last" or "best".
      metric: the metric of its validation scores.
    """

    setting: Mapping[str, Any]
    material: Material
    epochs: int
    seed: int | None
    keep: str
    metric: str

    @property
    def parts(self) -> Sequence[Arrays]:
        return self.material.parts

    @property
    def data(self) -> Sequence[Dataset]:
        return self.material.data

    @property
    def key(self) -> Key:
        """What tells the network from others: two orders of one key make the same network."""
        rest = sorted(self.setting.items()), self.epochs, self.seed, self.keep, self.metric
        return digest(about=f"{rest} {self.data[0].targets} {self.material.key.hex()}")


def _counted(x: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> Arrays:
    if weights is None or (weights > 0).all():
        return x, targets, weights
    rows = np.flatnonzero(weights)
    return x[rows], targets[rows], weights[rows]


def digest(*arrays: np.ndarray | None, about: str = "") -> Key:
    """Returns the SHA-256 of some arrays and of text."""
    sha = hashlib.sha256(about.encode())
    for array in arrays:
        if array is None:
            sha.update(b"none")
            continue
        sha.update(f"{array.shape} {array.dtype}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.digest()


def learn(
    order: Order,
    seed: int,
    *,
    is_shuffled: bool,
    on_epoch: OnEpoch | None,
    previous: Kept,
    max_epochs: int | None = None,
) -> Learned:
    """Trains one network.

    Args:
      order: what it is trained by.
      seed: the seed of weights, dropout and mini-batches.
      is_shuffled: whether the examples of an epoch are in a new order.
      on_epoch: as for `fit`.
      previous: what to go on from.
      max_epochs: the epochs in all, for schedules; None is those of the order.

    Raises:
      ValueError: bad input, or another structure than that of the network to go on from.
    """
    setup, recipe, seed = prepared(
        order.setting,
        order.data[0],
        order.data[1] if len(order.data) > 1 else None,
        epochs=max_epochs or order.epochs,
        seed=seed,
        order_seed=seed if is_shuffled else None,
        model=None,
        row_space=False,
        keep=order.keep,
        metric=order.metric,
    )
    found = list[Reached]()
    is_interrupted = train_stretch(
        setup,
        recipe,
        lambda: _continued(setup.compiled_beside_first_state(recipe, seed), previous),
        order.epochs,
        given=order.setting,
        hook=Hook(on_epoch),
        progress=False,
        keep=found.append,
    )
    state, curves = found[0].train_state, found[0].curves
    return Learned(
        fitted_of(setup, recipe, state, curves),
        curves,
        _kept(state),
        is_stopped=int(state.ends[1]) >= 0,
        is_interrupted=is_interrupted,
    )


def kept_of(fitted: Fitted) -> Kept:
    """Returns what a network keeps of the state that trained it: its weights."""
    trees = {"params": fitted.params, "state": fitted.state}
    return {name: jax.device_get(jax.tree.leaves(tree)) for name, tree in trees.items()}


def _kept(state: TrainState) -> Kept:
    best = state if state.best is None else state.best
    words = jax.random.key_data(state.dropout_key)
    state = state._replace(
        params=best.params, state=best.state, dropout_key=words, best=None, watch=None
    )
    return {name: jax.device_get(jax.tree.leaves(tree)) for name, tree in state._asdict().items()}


def _continued(first: TrainState, previous: Kept) -> TrainState:
    """Returns a first state with what is known of an earlier one in its place."""
    changes: dict[str, Any] = {}
    for name, leaves in previous.items():
        new = getattr(first, name)
        old = jax.tree.leaves(new)
        if name == "dropout_key":
            changes[name] = from_words(leaves[0])
            continue
        if [leaf.shape for leaf in old] != [leaf.shape for leaf in leaves]:
            raise ValueError(
                f"the earlier network has {name} of shapes {[leaf.shape for leaf in leaves]}; "
                f"expected {[leaf.shape for leaf in old]}: options of structure must not change "
                "if training goes on"
            )
        # copies, since training donates its input
        placed = [own(leaf, like.dtype) for leaf, like in zip(leaves, old, strict=True)]
        changes[name] = jax.tree.unflatten(jax.tree.structure(new), placed)
    return first._replace(**changes)
