"""Sizes of networks, by which a search may be limited and a study compared."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.compiled.networks import Networks
from jaxnn.functional.types import Model
from jaxnn.settings.hyperparameters import Setting
from jaxnn.system.draws import new_key

Shape = tuple[int, ...]


class Size(NamedTuple):
    """A row of SIZES.

    Attributes:
      of: (networks of a setting alone, completed setting, shape of an example) -> its size.
      words: what it counts, for the axis of a plot.
    """

    of: Callable[[Networks, Setting, Shape], float]
    words: str


def parameters(networks: Networks, setting: Setting, input_shape: Shape = ()) -> float:
    """Returns the number of trained numbers: of an MLP kernels, biases, scales and offsets."""
    if not networks.is_mlp:
        return networks.num_weights
    units: Any = getattr(networks, "units", ())
    each = 2 if setting["batch_norm"] else 1
    return networks.num_weights + each * sum(setting["hidden"]) + int(units[-1])


def multiply_adds(networks: Networks, setting: Setting, input_shape: Shape) -> float:
    """Returns the multiplications, each with an addition, of a prediction for one example.

    Of a model of the user's own they are half of the operations that XLA counts, nothing compiled.
    """
    if networks.is_mlp:
        return networks.num_weights
    return _operations(networks.own_model(setting), input_shape) / 2


@functools.lru_cache(maxsize=1024)
def _operations(model: Model, input_shape: Shape) -> float:
    real = lambda shape: jax.ShapeDtypeStruct(shape, jnp.result_type(float))
    network = jax.eval_shape(lambda: model.init(new_key(0)))
    numbers = {name: real(()) for name in model.numbers}
    lowered = jax.jit(model.apply).lower(*network, real((1, *input_shape)), **numbers)
    return float((lowered.cost_analysis() or {}).get("flops", 0.0))


def megabytes(networks: Networks, setting: Setting, input_shape: Shape = ()) -> float:
    """Returns the size of the parameters in JAX's default float type, in 10^6 bytes."""
    return parameters(networks, setting) * jnp.result_type(float).itemsize / 1e6


SIZES = {
    "parameters": Size(parameters, "trained numbers"),
    "multiply_adds": Size(multiply_adds, "multiplications for a prediction"),
    "megabytes": Size(megabytes, "megabytes of parameters"),
}
"""Name -> size of a network. Add a row to add a size."""
