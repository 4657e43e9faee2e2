"""Lanes: the training of one network, mapped over many with a data set in common."""

import functools
import math
from typing import Any

import jax

from jaxnn.datasets import Dataset
from jaxnn.training import Program, TrainState, init_train_state, train_epochs
from jaxnn.types import Array

# epoch and step are common to all lanes: so is the mini-batch, then, which is gathered once
_AXIS: dict[str, Any] = {**dict.fromkeys(TrainState._fields, 0), "epoch": None, "step": None}
_AXES = TrainState(**_AXIS)


@functools.partial(jax.jit, static_argnames="program")
def init_lanes(program: Program, seeds: Array) -> TrainState:
    """The state of L lanes before their first step; lane l starts as `fit(..., seed=seeds[l])`."""
    init = lambda seed: init_train_state(program, jax.random.key(seed))
    return jax.vmap(init, out_axes=_AXES)(seeds)


@functools.partial(jax.jit, static_argnames="program", donate_argnames="lanes")
def train_lanes(
    program: Program,
    lanes: TrainState,
    numbers: dict[str, Array],
    train: Dataset,
    valid: Dataset | None,
    order_key: Array,
    num_epochs: Array,
) -> tuple[TrainState, dict[str, Array]]:
    """`train_epochs` for L lanes: `lanes` and `numbers` have a leading axis, the rest is shared.

    Runs where its arguments lie. Several devices each run this program on lanes of their own: as
    one program partitioned over a mesh it would be compiled to other roundings on one device than
    on many (measured), and a lane's bits shall not depend on the number of devices.
    """
    train_some = jax.vmap(
        functools.partial(train_epochs, program),
        in_axes=(_AXES, 0, None, None, None, None),
        out_axes=(_AXES, 0),
    )
    return train_some(lanes, numbers, train, valid, order_key, num_epochs)


def default_chunk(program: Program, device: jax.Device) -> int:
    """How many lanes a device trains at a time: a function of structure and kind of device alone.

    A power of two. On a CPU at most 32, and weights, gradients and moments of at most 40 MB, so
    that they have a chance to stay in its cache (measured on 64-32-16-10 and 12288-25-12-6: more
    lanes are not faster, and a short sweep would train more that are thrown away). Elsewhere at
    most 8,192, in an eighth of the memory.
    """
    state = jax.eval_shape(functools.partial(init_train_state, program), jax.random.key(0))
    trained = jax.tree.leaves((state.params, state.params, state.opt_state))
    bytes_per_lane = sum(leaf.size * leaf.dtype.itemsize for leaf in trained)
    if device.platform == "cpu":
        most, memory = 32, 40e6
    else:
        most, memory = 8192, (device.memory_stats() or {}).get("bytes_limit", 8e9) / 8
    lanes = min(most, memory / max(bytes_per_lane, 1))
    return 2 ** max(0, int(math.log2(lanes)))
