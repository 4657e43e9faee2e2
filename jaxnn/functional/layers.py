"""Layers in the course's orientation: units down, examples across, Z = W A + b.

Activations are (H, B) and kernels are (units out, units in). This is also the fastest layout on a
CPU: both products of the first layer read their large operands along rows.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.functional.types import Array, Params
from jaxnn.system import draws
from jaxnn.system.checks import one_of

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "leaky_relu": jax.nn.leaky_relu,
    "identity": lambda z: z,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "selu": jax.nn.selu,
    "elu": jax.nn.elu,
    "mish": jax.nn.mish,
    "softplus": jax.nn.softplus,
}
"""Activation functions by name; `leaky_relu` has the slope 0.01 below zero, and `gelu` is the
approximation by tanh, as in Flax."""

NOT_ZERO_AT_0 = frozenset({"sigmoid", "softplus"})
"""Activations g with g(0) != 0, whose padded units a mixed program sets to 0."""


def _uniform(u: Array) -> Array:
    return 2 * u - 1


def _normal(u: Array) -> Array:
    return jax.lax.erf_inv(2 * u - 1)


INITIALIZERS: dict[str, tuple[Callable[[Array], Array], Callable[[Any, Any], Any]]] = {
    "xavier_uniform": (_uniform, lambda num_in, num_out: (6 / (num_in + num_out)) ** 0.5),
    "xavier_normal": (_normal, lambda num_in, num_out: (4 / (num_in + num_out)) ** 0.5),
    "he_uniform": (_uniform, lambda num_in, num_out: (6 / num_in) ** 0.5),
    "he_normal": (_normal, lambda num_in, num_out: (4 / num_in) ** 0.5),
    "lecun_normal": (_normal, lambda num_in, num_out: (2 / num_in) ** 0.5),
}
"""Name -> (a symmetric number from one that is uniform between 0 and 1, its scale from the units in
and out). The symmetric numbers have variance 1/3, if uniform, and 1/2."""


def init_dense(
    key: Array, num_in: int, num_out: int, init: str = "xavier_uniform", bias: bool = True
) -> Params:
    """Draws the parameters of a dense layer: `kernel` (num_out, num_in) and `bias` (num_out,) of 0.

    | init | distribution | source |
    | --- | --- | --- |
    | xavier_uniform | U(-a, a), a = sqrt(6 / (num_in + num_out)) | Glorot and Bengio 2010 |
    | xavier_normal | N(0, 2 / (num_in + num_out)) | the same |
    | he_uniform | U(-a, a), a = sqrt(6 / num_in) | He et al. 2015 |
    | he_normal | N(0, 2 / num_in) | the same |
    | lecun_normal | N(0, 1 / num_in), for selu | LeCun et al. 1998, Klambauer et al. 2017 |

    What is drawn for a weight depends on the key, its row and its column alone. The weights of a
    layer are therefore a corner of the weights of any larger layer with the same deviation: padding
    a layer does not change the weights of its real units.

    >>> params = init_dense(jax.random.key(0), 12288, 25)
    >>> params["kernel"].shape, bool(abs(params["kernel"]).max() <= (6 / (12288 + 25)) ** 0.5)
    ((25, 12288), True)
    """
    one_of("init", init, INITIALIZERS)
    distribution, scale = INITIALIZERS[init]
    kernel = scale(num_in, num_out) * distribution(draws.uniform(key, (num_out, num_in)))
    return {"kernel": kernel, "bias": jnp.zeros(num_out)} if bias else {"kernel": kernel}


@jax.custom_vjp
def _product(kernel: Array, a: Array) -> Array:
    return kernel @ a


def _product_forward(kernel: Array, a: Array) -> tuple[Array, tuple[Array, Array]]:
    return kernel @ a, (kernel, a)


def _product_backward(residuals: tuple[Array, Array], dz: Array) -> tuple[Array, Array]:
    """The course's dW = dZ A^T and dA = W^T dZ.

    With few units, W^T dZ is computed as a sum over units, which fuses with the activation's
    derivative. As a product over lanes it misses XLA's fast path on a CPU (measured: the sum takes
    half of the time or less).
    """
    kernel, a = residuals
    if len(kernel) <= 32:
        # split at once: indices would be traced one by one
        each = (1,) * len(kernel)
        parts = map(jnp.multiply, jax.lax.split(kernel.T, each, 1), jax.lax.split(dz, each, 0))
        da = functools.reduce(jnp.add, parts)
    else:
        da = kernel.T @ dz
    return dz @ a.T, da


_product.defvjp(_product_forward, _product_backward)


def dense(params: Params, a: Array, *, is_training: bool = False) -> Array:
    """Returns the affine part of a layer, Z = W A + b; without a bias, Z = W A.

    Args:
      params: `kernel` (H, F), and `bias` (H,) if there is one.
      a: activations of the layer below, (F, B).
      is_training: static; the values are the same and the backward pass is faster, but `jax.jvp` of
        the layer is not available (`jax.jvp` of its gradient is).

    Returns:
      z (H, B).

    >>> dense({"kernel": jnp.array([[1.0, 2.0]]), "bias": jnp.array([3.0])}, jnp.ones((2, 4)))
    Array([[6., 6., 6., 6.]], dtype=float32)
    """
    z = (_product if is_training else jnp.matmul)(params["kernel"], a)
    return z + params["bias"][:, None] if "bias" in params else z


def columns(x: Array, num_features: int) -> Array:
    """Returns inputs (B, ...) as activations (F, B), flattened in C order.

    Raises:
      ValueError: an example has another number of features.
    """
    if math.prod(x.shape[1:]) != num_features:
        raise ValueError(
            f"apply got inputs of shape {x.shape}; expected {num_features} features an example"
        )
    # not len(x): in an exported program the size of a mini-batch may be symbolic
    return x.reshape(x.shape[0], num_features).T


def has_dropout(is_training: bool, rate: float | Array, key: Array | None) -> bool:
    """Whether to draw masks: in training, unless the rate is the number 0.

    Raises:
      ValueError: there is no key.
    """
    is_wanted = is_training and not (isinstance(rate, int | float) and rate == 0)
    if is_wanted and key is None:
        raise ValueError("apply got a dropout rate without a key; expected key=jax.random.key")
    return is_wanted


def dropout(key: Array, rate: float | Array, a: Array) -> Array:
    """Applies inverted dropout: zeroes each activation with probability `rate`, scales the others.

    a -> a * keep / (1 - rate), keep ~ Bernoulli(1 - rate), so the expected value stays a. What is
    drawn for an activation depends on the key, its unit and its example alone, so padding units or
    examples does not change other masks.

    Args:
      key: the key of this step and layer.
      rate: in [0, 1), may be traced.
      a: activations (H, B), or (H, ...).

    Source: Srivastava et al. 2014.

    >>> a = dropout(jax.random.key(0), 0.25, jnp.ones((1000, 8)))
    >>> sorted({round(float(value), 3) for value in a.ravel()})
    [0.0, 1.333]
    """
    u = draws.uniform(key, (a.shape[0], math.prod(a.shape[1:])), a.dtype).reshape(a.shape)
    return jnp.where(u >= rate, a / (1 - rate), 0)
