"""What a step of a program asks of the machine: products, bytes, memory."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.functional.mixtures import Mixture
from jaxnn.functional.optimizers import MOMENTS
from jaxnn.functional.types import Array, Model, Params, State
from jaxnn.system.keys import new_key
from jaxnn.training.programs import Program


class ForeignStep(NamedTuple):
    """What a foreign model's gradient with a mini-batch asks of the machine, as XLA counts it.

    Attributes:
      operations, num_bytes: of all its operations, before any are fused.
      has_convolutions: among them.
    """

    operations: float
    num_bytes: float
    has_convolutions: bool

    @property
    def kept_bytes(self) -> int:
        """About what is kept from the way forward for the way back.

        Compiled, networks of convolutions and of attention kept a 15th to a 19th of `num_bytes`,
        and of dense layers a 35th or less.
        """
        return round(self.num_bytes / 16)


def foreign_step(model: Model, batch_size: int, input_shape: tuple[int, ...]) -> ForeignStep:
    """Of a mini-batch of examples of this shape; nothing is compiled for it."""
    return _counted(model, (batch_size, *input_shape), jnp.result_type(float))


@functools.lru_cache(maxsize=1024)
def _counted(model: Model, shape: tuple[int, ...], dtype: Any) -> ForeignStep:
    def total(params: Params, state: State, x: Array, key: Array) -> Array:
        numbers = dict.fromkeys(model.numbers, jnp.asarray(0.1, dtype))
        return model.apply(params, state, x, is_training=True, key=key, **numbers)[0].sum()

    key = jax.eval_shape(lambda: new_key(0))
    network = jax.eval_shape(model.init, key)
    lowered = jax.jit(jax.grad(total)).lower(*network, jax.ShapeDtypeStruct(shape, dtype), key)
    counted = lowered.cost_analysis() or {}
    return ForeignStep(
        counted.get("flops", 0.0),
        counted.get("bytes accessed", 0.0),
        "stablehlo.convolution" in lowered.as_text(),
    )


def step_counts(
    program: Program, chunk: int, input_shape: tuple[int, ...] = ()
) -> tuple[float, ...]:
    """What a step asks of the machine for each lane, in the order of `Rates` without convolutions.

    `input_shape` is an example's, which a foreign model needs.
    """
    model, batch, weights = program.model, program.batch_size, num_weights(program.model)
    # gradient and weight, each written and read; a moment takes as much, for the loop that uses it
    # reads it and the gradient again; l2 reads the weights twice
    floats = weights * (4 + 4 * num_moments(program) + 2 * program.has_l2)
    num_bytes = float(floats * jnp.result_type(float).itemsize)
    if not isinstance(model, Mixture):
        step = foreign_step(model, batch, input_shape)
        return step.operations, num_bytes + step.num_bytes, 0.0, 0.0, 1 / chunk, 1.0
    # forward, gradients of the weights, and of the inputs of all layers but the first
    products = 6.0 * weights - 2 * model.units[0] * model.units[1]
    # a product of few rows does not reach the rate (12288-25-12-6: half of it with one lane)
    products *= 1 + 30 / (chunk * model.units[1])
    units = sum(model.hidden)
    activations = units * (len(model.activations) + 2 * (True in model.batch_norms))
    return (
        batch * products,
        num_bytes,
        batch * activations,
        batch * units * program.has_dropout,
        1 / chunk,
        1.0,
    )


def lane_bytes(program: Program, input_shape: tuple[int, ...] = ()) -> int:
    """Of a lane's weights, gradients and moments, and of a foreign model's activations."""
    model, itemsize = program.model, jnp.result_type(float).itemsize
    weights = num_weights(model) * (2 + num_moments(program)) * itemsize
    if isinstance(model, Mixture):
        return weights
    return weights + foreign_step(model, program.batch_size, input_shape).kept_bytes


def num_moments(program: Program) -> int:
    return sum(any(MOMENTS[name][i] for name in program.optimizers) for i in (0, 1))


def num_weights(model: Model | Mixture) -> int:
    """Of a lane, padding included."""
    return model.num_weights if isinstance(model, Mixture) else _num_foreign_weights(model)


@functools.lru_cache
def _num_foreign_weights(model: Model) -> int:
    params, _ = jax.eval_shape(model.init, new_key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(params))
