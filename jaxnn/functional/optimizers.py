"""Setting -> Optax transformation, built inside the traced function from traced numbers."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnn.functional.types import Array, Params

Numbers = Mapping[str, Any]
"""The traced part of a setting by name; and the lane's data, where lanes differ."""

OPTIMIZERS: dict[str, Callable[[Numbers], optax.GradientTransformation]] = {
    "gd": lambda numbers: optax.identity(),
    "momentum": lambda numbers: optax.ema(numbers["momentum"], debias=False),
    "rmsprop": lambda numbers: optax.scale_by_rms(
        numbers["beta2"], numbers["epsilon"], eps_in_sqrt=False
    ),
    "adam": lambda numbers: optax.scale_by_adam(
        numbers["beta1"], numbers["beta2"], numbers["epsilon"]
    ),
}
"""Directions of descent by name, before the learning rate; see `optimizer`."""

DECAY_SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "none": lambda rate, t: 1.0,
    "inverse": lambda rate, t: 1 / (1 + rate * t),
    "exponential": lambda rate, t: rate**t,
    "inverse_sqrt": lambda rate, t: (1 + rate * t) ** -0.5,
    "staircase": lambda rate, t: rate ** jnp.floor(t),
}
"""Factors on the learning rate by name; see `decayed_learning_rate`."""


def optimizer(
    name: str, numbers: Numbers, learning_rate: float | Array
) -> optax.GradientTransformation:
    """The named optimizer as an Optax transformation; all numbers may be traced.

    | name | step, W <- W - alpha * ... |
    | --- | --- |
    | gd | dW |
    | momentum | v <- beta v + (1 - beta) dW;  v   (the course's form, no bias correction) |
    | rmsprop | s <- beta2 s + (1 - beta2) dW^2;  dW / (sqrt(s) + epsilon) |
    | adam | v, s as above, both bias-corrected;  v / (sqrt(s) + epsilon) |

    Its state does not depend on the numbers, so they may change between steps.

    >>> descent = optimizer("gd", {}, 0.1)
    >>> updates, _ = descent.update(jnp.array([2.0]), descent.init(jnp.zeros(1)))
    >>> updates
    Array([-0.2], dtype=float32)
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer got {name!r}; expected one of {', '.join(OPTIMIZERS)}")
    return optax.chain(OPTIMIZERS[name](numbers), optax.scale_by_learning_rate(learning_rate))


MOMENTS: dict[str, tuple[bool, bool]] = {
    "gd": (False, False),
    "momentum": (True, False),
    "rmsprop": (False, True),
    "adam": (True, True),
}
"""Whether an optimizer keeps a running mean of the gradient, and one of its square."""


class MixedState(NamedTuple):
    """The moments that any of the optimizers needs; those that none needs are None."""

    step: Array
    mean: Params | None
    square: Params | None


def mixed_optimizer(
    names: tuple[str, ...], numbers: Numbers, learning_rate: float | Array
) -> optax.GradientTransformation:
    """One update for several optimizers: which of them it is, is a number.

    W <- W - alpha * m / (sqrt(s) + epsilon),  m <- beta m + (1 - beta) dW,  s likewise of dW^2,
    where gd and rmsprop have beta = 0, gd and momentum no denominator, and adam corrects the bias
    of both. Costs what the most expensive of `names` costs.

    Args:
      names: the optimizers that occur; static.
      numbers: those of `optimizer`, and "optimizer", a name's index among OPTIMIZERS.
      learning_rate: may be traced.
    """
    is_ = {name: numbers["optimizer"] == index for index, name in enumerate(OPTIMIZERS)}
    has_mean, has_square = (any(MOMENTS[name][moment] for name in names) for moment in (0, 1))
    beta = jnp.where(is_["momentum"], numbers["momentum"], 0.0)
    beta = jnp.where(is_["adam"], numbers["beta1"], beta)
    has_beta = is_["momentum"] | is_["adam"]
    is_scaled = is_["rmsprop"] | is_["adam"]

    def init_fn(params: Params) -> MixedState:
        zeros = lambda is_kept: jax.tree.map(jnp.zeros_like, params) if is_kept else None
        return MixedState(jnp.zeros((), jnp.int32), zeros(has_mean), zeros(has_square))

    def update_fn(
        grads: Params, state: MixedState, params: Params | None = None
    ) -> tuple[Params, MixedState]:
        del params
        step = state.step + 1
        corrected = lambda decay: jnp.where(is_["adam"], 1 - decay ** step.astype(float), 1.0)
        mean, square = grads, None
        updates = grads
        if has_mean:
            # an infinite mean of lanes that have no use for it must not become NaN as 0 times it
            average = lambda m, grad: beta * jnp.where(has_beta, m, 0) + (1 - beta) * grad
            mean = jax.tree.map(average, state.mean, grads)
            updates = jax.tree.map(lambda m: m / corrected(beta), mean)
        if has_square:
            # a gradient whose square overflows must not reach those that have no use for it
            scaled = jax.tree.map(lambda grad: jnp.where(is_scaled, grad, 0), grads)
            beta2 = numbers["beta2"]
            average = lambda s, grad: beta2 * s + (1 - beta2) * jnp.square(grad)
            square = jax.tree.map(average, state.square, scaled)
            divided = lambda u, s: (
                u / jnp.where(is_scaled, jnp.sqrt(s / corrected(beta2)) + numbers["epsilon"], 1)
            )
            updates = jax.tree.map(divided, updates, square)
        updates = jax.tree.map(lambda update: -learning_rate * update, updates)
        return updates, MixedState(step, mean if has_mean else None, square)

    return optax.GradientTransformation(init_fn, update_fn)


def decayed_learning_rate(schedule: str | Array, numbers: Numbers, epoch: int | Array) -> Any:
    """The learning rate of an epoch, counted from 0.

    With t = epoch / decay_every and k = decay_rate, and `schedule` a name, or its place in this
    table, which may be traced:

    | schedule | learning rate |
    | --- | --- |
    | none | alpha |
    | inverse | alpha / (1 + k t) |
    | exponential | alpha k^t |
    | inverse_sqrt | alpha / sqrt(1 + k t) |
    | staircase | alpha k^floor(t) |

    The course's alpha_0 = 0.2 with a decay rate of 1:

    >>> numbers = {"learning_rate": 0.2, "decay_rate": 1.0, "decay_every": 1.0}
    >>> [round(float(decayed_learning_rate("inverse", numbers, e)), 3) for e in range(1, 5)]
    [0.1, 0.067, 0.05, 0.04]
    """
    is_name = isinstance(schedule, str)
    is_place = not is_name and getattr(schedule, "dtype", None) == np.int32
    if not is_place and (not is_name or schedule not in DECAY_SCHEDULES):
        allowed = ", ".join(DECAY_SCHEDULES)
        raise ValueError(f"decay_schedule got {schedule!r}; expected one of {allowed}")
    # JAX divides integers by floats in the floats' type, unless it is told to promote nothing
    t = jnp.asarray(epoch, float) / numbers["decay_every"]
    if isinstance(schedule, str):
        factor = DECAY_SCHEDULES[schedule](numbers["decay_rate"], t)
    else:
        factors = [decay(numbers["decay_rate"], t) for decay in DECAY_SCHEDULES.values()]
        factor = jnp.stack(jnp.broadcast_arrays(*factors))[schedule]
    return numbers["learning_rate"] * factor
