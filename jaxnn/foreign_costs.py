"""What a step of a network that is not ours asks of the machine, as XLA counts it."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.keys import new_key
from jaxnn.types import Array, Model, Params, State


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
