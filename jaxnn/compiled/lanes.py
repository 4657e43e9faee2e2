"""Lanes: the training of one network, mapped over many with a data set in common."""

import functools
from typing import Any

import jax

from jaxnn.compiled.programs import Program
from jaxnn.compiled.steps import TrainState, init_train_state, train_epochs
from jaxnn.data.batches import Batches
from jaxnn.data.datasets import Dataset
from jaxnn.functional.types import Array
from jaxnn.system.arrays import new_key

# epoch and step are common to all lanes: so is the mini-batch, then, which is gathered once
_AXIS: dict[str, Any] = {**dict.fromkeys(TrainState._fields, 0), "epoch": None, "step": None}

_AXES = TrainState(**_AXIS)


@functools.partial(jax.jit, static_argnames="program")
def init_lanes(program: Program, seeds: Array, numbers: dict[str, Array]) -> TrainState:
    """The state of L lanes before their first step; lane l starts as `fit(..., seed=seeds[l])`.

    On a CPU lane after lane: to the same bits, and compiled in half of the time (64-32-16 units:
    1.7 s and not 3.8), since XLA takes long over random numbers that are mapped over lanes.
    """
    init = lambda seed, own: init_train_state(program, new_key(seed), own)

    def one_by_one(seeds: Array, numbers: dict[str, Array]) -> TrainState:
        lanes = jax.lax.map(lambda lane: init(*lane), (seeds, numbers))
        return lanes._replace(epoch=lanes.epoch[0], step=lanes.step[0])

    at_once = jax.vmap(init, out_axes=_AXES)
    return jax.lax.platform_dependent(seeds, numbers, cpu=one_by_one, default=at_once)


@functools.partial(jax.jit, static_argnames="program", donate_argnames="lanes")
def train_lanes(
    program: Program,
    lanes: TrainState,
    numbers: dict[str, Array],
    train: Dataset,
    valid: Dataset | None,
    batches: Batches,
) -> tuple[TrainState, dict[str, Array]]:
    """`train_epochs` for L lanes: `lanes` and `numbers` have a leading axis, the rest is shared.

    Runs where its arguments lie. Several devices each run this program on lanes of their own: as
    one program partitioned over a mesh it would be compiled to other roundings on one device than
    on many (measured), and a lane's bits shall not depend on the number of devices.
    """
    train_some = jax.vmap(
        functools.partial(train_epochs, program),
        in_axes=(_AXES, 0, None, None, None),
        out_axes=(_AXES, 0),
    )
    return train_some(lanes, numbers, train, valid, batches)
