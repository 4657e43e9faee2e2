"""Setting -> Optax transformation, built inside the traced function from traced numbers."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import optax

from jaxnn.types import Array

Numbers = Mapping[str, Any]

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


def decayed_learning_rate(schedule: str, numbers: Numbers, epoch: int | Array) -> Any:
    """The learning rate of an epoch, counted from 0.

    With t = epoch / decay_every and k = decay_rate:

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
    if schedule not in DECAY_SCHEDULES:
        allowed = ", ".join(DECAY_SCHEDULES)
        raise ValueError(f"decay_schedule got {schedule!r}; expected one of {allowed}")
    t = epoch / numbers["decay_every"]
    return numbers["learning_rate"] * DECAY_SCHEDULES[schedule](numbers["decay_rate"], t)
