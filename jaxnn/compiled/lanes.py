"""Lanes: the training of one network, mapped over many that share a data set."""

import functools
from typing import Any

import jax

from jaxnn.compiled.compiling import Jitted, abstract, compiling
from jaxnn.compiled.programs import Program, initial
from jaxnn.compiled.steps import TrainState, init_train_state, train_epochs
from jaxnn.data.batches import Batches, Examples
from jaxnn.functional.types import Array
from jaxnn.system.draws import new_key

# all lanes share epoch and step, and so the mini-batch, which is gathered once
_AXIS: dict[str, Any] = {**dict.fromkeys(TrainState._fields, 0), "epoch": None, "step": None}

_AXES = TrainState(**_AXIS)


@Jitted
def init_lanes(program: Program, seeds: Array, numbers: dict[str, Array]) -> TrainState:
    """Returns the state of L lanes before their first step; lane l is `fit(..., seed=seeds[l])`."""
    init = lambda seed, own: init_train_state.function(program, new_key(seed), own)
    return jax.vmap(init, out_axes=_AXES)(seeds, numbers)


def init_and_compile(
    program: Program,
    seeds: Array,
    numbers: dict[str, Array],
    *training: Any,
) -> TrainState:
    """Returns `init_lanes(...)`; meanwhile `train_lanes` compiles.

    Args:
      program, seeds, numbers: those of training; arrays are committed to one device.
      training: the further arguments of `train_lanes`, examples and mini-batches, on the device.
    """
    first = initial(program), seeds, numbers
    (device,) = seeds.devices()
    lanes = abstract(init_lanes, *first, device=device)
    with compiling(train_lanes, program, lanes, numbers, *training):
        return init_lanes(*first)


@functools.partial(Jitted, donate="lanes")
def train_lanes(
    program: Program,
    lanes: TrainState,
    numbers: dict[str, Array],
    examples: Examples,
    batches: Batches,
) -> tuple[TrainState, Array]:
    """Runs `train_epochs` for L lanes: `lanes` and `numbers` have a leading axis.

    It runs on the device of its arguments; several devices each run it on their own lanes. A single
    program partitioned over a mesh rounds differently on one device than on many (measured), but a
    lane's bits must not depend on the number of devices.
    """
    train_some = jax.vmap(
        functools.partial(train_epochs.function, program),
        in_axes=(_AXES, 0, None, None),
        out_axes=(_AXES, 0),
    )
    return train_some(lanes, numbers, examples, batches)
