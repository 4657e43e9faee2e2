"""Mini-batches: which examples each step trains on, drawn on the host as data to the program."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.functional.metrics import Scales
from jaxnn.functional.types import Array

EPOCHS_PER_CALL = 64
"""The most epochs that one compiled call trains; the number is data, so fewer compile nothing."""

_MOST_ROWS = 2**20
"""The most rows given to a compiled call, 4 MB of them, unless one epoch has more."""


class Batches(NamedTuple):
    """The mini-batches of some epochs, as rows of a data set.

    Attributes:
      rows: (E, steps, B) int32; -1 is no example.
      num_steps: the steps of an epoch that have examples.
      num_epochs: the epochs, of E, that are trained.
      rest: (E, R), the last, smaller mini-batch as a step of its own shape; or None.
    """

    rows: np.ndarray
    num_steps: np.int32
    num_epochs: np.int32
    rest: np.ndarray | None


class HeldOut(NamedTuple):
    """The validation examples, as rows of a data set, in pieces.

    Attributes:
      rows: (P, B) int32; -1 is no example.
      num_pieces: the pieces, of P, that are evaluated.
    """

    rows: np.ndarray
    num_pieces: np.int32

    @classmethod
    def of(cls, rows: np.ndarray, most: int, is_evaluated: bool = True) -> "HeldOut":
        """Returns rows (V,) in equal pieces of at most so many rows.

        >>> HeldOut.of(np.arange(10, 15), 2).rows.tolist()
        [[10, 11], [12, 13], [14, -1]]
        """
        num_pieces = -(-len(rows) // most)
        size = -(-len(rows) // num_pieces)
        filled = np.full(num_pieces * size, -1, np.int32)
        filled[: len(rows)] = rows
        return cls(filled.reshape(num_pieces, size), np.int32(num_pieces * is_evaluated))


class Examples(NamedTuple):
    """What a program trains on and validates.

    Attributes:
      data: the training examples, and behind them those to validate.
      held_out: the examples to validate, as rows; or None.
      scales: the units of real targets; None for classes.
    """

    data: Dataset
    held_out: HeldOut | None = None
    scales: Scales | None = None


class Schedule:
    """The mini-batches of a training set, epoch after epoch, without examples of weight 0.

    The order of an epoch is a function of `order_seed`, the epoch and the number of examples with a
    weight. Examples of weight 0, such as those that fill up a shorter fold, therefore change
    nothing. A set smaller than a mini-batch is one mini-batch.

    Args:
      weights: (N,), the weights of the data set.
      batch_size: B.
      order_seed: the seed of the orders; None keeps the order of the examples.
      may_pad: whether the network ignores rows of -1; otherwise `rest` holds the last, smaller
        mini-batch.
      sizes: the smallest and the greatest B of lanes that share a program, whose shapes fit both;
        None is B alone.
      num_rows: the rows of the data set, of which the training set is the first N; None is N.
        Shapes depend on it, so the same program can train on all rows.

    >>> batches = Schedule(np.array([1.0, 0.0, 1.0, 1.0]), 2, 0, may_pad=True).batches(0, 1)
    >>> batches.rows[0].tolist(), int(batches.num_steps)
    ([[0, 3], [2, -1]], 2)
    """

    def __init__(
        self,
        weights: np.ndarray,
        batch_size: int,
        order_seed: int | None,
        may_pad: bool,
        sizes: tuple[int, int] | None = None,
        num_rows: int | None = None,
    ):
        least, most = sizes or (batch_size, batch_size)
        counted = np.flatnonzero(weights)
        self._examples = counted.astype(np.int32)
        self._seed, self._may_pad, self._width = order_seed, may_pad, most
        # depends on the data and the program alone, so that all folds of a search share it
        self._steps = -(-(num_rows or len(weights)) // least)
        self.room = min(EPOCHS_PER_CALL, max(1, _MOST_ROWS // (self._steps * most)))
        self._size = min(batch_size, len(counted))
        self._num_full, self._num_rest = divmod(len(counted), self._size)
        if not may_pad and self._size < batch_size:
            self._num_full, self._num_rest = 0, self._size

    @property
    def num_steps(self) -> int:
        """Steps of an epoch."""
        return self._num_full + (self._num_rest > 0)

    def batches(self, first_epoch: int, num_epochs: int) -> Batches:
        """Returns the mini-batches of at most `room` epochs; epochs are counted from 0."""
        rows = np.full((self.room, self._steps, self._width), -1, np.int32)
        rest = np.zeros((self.room, 0 if self._may_pad else self._num_rest), np.int32)
        num_full = self._num_full * self._size
        for index in range(num_epochs):
            order = self._order(first_epoch + index)
            rows[index, : self._num_full, : self._size] = order[:num_full].reshape(-1, self._size)
            if not self._may_pad:
                rest[index] = order[num_full:]
            elif self._num_rest:
                rows[index, self._num_full, : self._num_rest] = order[num_full:]
        num_steps = self.num_steps if self._may_pad else self._num_full
        own_shape = rest if rest.size else None
        return Batches(rows, np.int32(num_steps), np.int32(num_epochs), own_shape)

    def _order(self, epoch: int) -> np.ndarray:
        if self._seed is None:
            return self._examples
        # NumPy guarantees these bits across versions, but not those of its shuffles
        bits = np.random.Philox(key=np.array([self._seed, epoch], np.uint64))
        return self._examples[np.argsort(bits.random_raw(len(self._examples)), kind="stable")]


def without_unfinished(
    values: np.ndarray, ends: tuple[Any, Any], first_epoch: int, num_steps: int
) -> np.ndarray:
    """Returns curves (..., E) with NaN from where training ended before its time.

    Args:
      values: the curves.
      ends: (...) each, the step in which a network diverged, whose epoch is NaN, and the number of
        epochs after which it was stopped; or -1.
      first_epoch: the first epoch of the curves, counted from 0.
      num_steps: the steps of an epoch.

    >>> without_unfinished(np.ones(3), (7, -1), first_epoch=2, num_steps=2)
    array([ 1., nan, nan])
    """
    epochs = first_epoch + np.arange(values.shape[-1])
    step, stopped = (np.asarray(end)[..., None] for end in ends)
    is_over = (step >= 0) & (epochs >= step // num_steps) | (stopped >= 0) & (epochs >= stopped)
    return np.where(is_over, np.nan, values)


def padded_weights(data: Dataset) -> Array:
    """Returns the weights with a 0 appended, the weight of row -1."""
    return jnp.append(data.weights_or_ones(), 0)


def filled_up(data: Dataset, weights: Array, rows: Array) -> Dataset:
    """Returns a mini-batch of some rows, where -1 is the first of them again, with weight 0.

    Not another example: a value that overflows in one would make the gradients of all NaN.

    Args:
      weights: those of `padded_weights`, which are gathered once. XLA would compute weights from
        `rows` again for every element of the gradient (64-32-16-10, 32 lanes: 5.1 us a lane and
        step instead of 4.1, and on a busy machine 12 instead of 7).
    """
    return data[jnp.where(rows < 0, rows[0], rows)].weighted(weights[rows])
