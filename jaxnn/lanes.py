"""Lanes: the training of one network, mapped over many, on every local device."""

import functools
import math
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxnn.datasets import Dataset
from jaxnn.training import Program, TrainState, init_train_state, train_epochs
from jaxnn.types import Array

_LANE, _SHARED = PartitionSpec("lanes"), PartitionSpec()


def _by_field(lane: Any, common: Any) -> TrainState:
    # epoch and step are common to all lanes: so the mini-batch is, too, and is gathered once
    fields = TrainState._fields
    return TrainState(*[common if name in ("epoch", "step") else lane for name in fields])


_AXES, _SPECS = _by_field(0, None), _by_field(_LANE, _SHARED)


def local_mesh() -> Mesh:
    """All local devices along one axis, "lanes"."""
    return Mesh(np.array(jax.local_devices()), ("lanes",))


def shared(mesh: Mesh, tree: Any) -> Any:
    """The arrays of a pytree, whole on every device of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, _SHARED))


def by_lane(mesh: Mesh, tree: Any) -> Any:
    """The arrays of a pytree, spread over the devices along their first axis."""
    return jax.device_put(tree, NamedSharding(mesh, _LANE))


def default_chunk(program: Program) -> int:
    """How many lanes a device trains at a time: a function of structure and kind of device alone.

    A power of two.
    """
    state = jax.eval_shape(functools.partial(init_train_state, program), jax.random.key(0))
    trained = jax.tree.leaves((state.params, state.params, state.opt_state))
    bytes_per_lane = sum(leaf.size * leaf.dtype.itemsize for leaf in trained)
    return 2 ** max(0, min(8, int(math.log2(40e6 / bytes_per_lane))))


@functools.partial(jax.jit, static_argnames=("program", "mesh"))
def init_lanes(program: Program, mesh: Mesh, seeds: Array) -> TrainState:
    """The state of L lanes before their first step; lane l starts as `fit(..., seed=seeds[l])`."""
    init = jax.vmap(lambda seed: init_train_state(program, jax.random.key(seed)), out_axes=_AXES)
    return _sharded(init, mesh, (_LANE,), _SPECS)(seeds)


@functools.partial(jax.jit, static_argnames=("program", "mesh"), donate_argnames="lanes")
def train_lanes(
    program: Program,
    mesh: Mesh,
    lanes: TrainState,
    numbers: dict[str, Array],
    train: Dataset,
    valid: Dataset | None,
    order_key: Array,
    num_epochs: Array,
) -> tuple[TrainState, dict[str, Array]]:
    """`train_epochs` for L lanes: `lanes` and `numbers` have a leading axis, the rest is shared.

    Each device runs the same program on its own share of the lanes, with the data whole. So a
    lane's bits depend on the number of lanes a device, and not on the number of devices.
    """
    train_some = jax.vmap(
        functools.partial(train_epochs, program),
        in_axes=(_AXES, 0, None, None, None, None),
        out_axes=(_AXES, 0),
    )
    specs = (_SPECS, _LANE, _SHARED, _SHARED, _SHARED, _SHARED)
    run = _sharded(train_some, mesh, specs, (_SPECS, _LANE))
    return run(lanes, numbers, train, valid, order_key, num_epochs)


def _sharded(function, mesh, in_specs, out_specs):  # type: ignore[no-untyped-def]
    # lanes never talk to each other, so there is no replication for JAX to check
    return jax.shard_map(
        function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False
    )
