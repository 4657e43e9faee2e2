"""Optimizers and learning-rate schedules, built inside the traced function from numbers."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

from jaxnn.functional.types import Array

Numbers = Mapping[str, Any]
"""Name -> number, the traced part of a setting; in mixed programs with the lane's structure."""


class Place(NamedTuple):
    """The role of an optimizer in the common update of mixed programs, see `mixed_optimizer`.

    Attributes:
      mean: name of the decay of the gradient's running mean; None if it keeps none.
      square: name of the decay of the squared gradient's running mean, by whose root the step is
        divided; None if it keeps none.
      is_corrected: whether both are corrected for their start at 0.
    """

    mean: str | None = None
    square: str | None = None
    is_corrected: bool = False


class Optimizer(NamedTuple):
    """A row of OPTIMIZERS.

    Attributes:
      direction: returns the Optax transformation that makes the direction of descent, before the
        learning rate. Its numbers may be traced; the shapes of its state do not depend on them.
      uses: names of the numbers that it uses.
      defaults: defaults of these numbers that differ from those of `HYPERPARAMETERS`.
      place: the role in the common update, with which it can share a program with other optimizers.
        None keeps it in programs of its own, which is always correct but may be slower.
    """

    direction: Callable[[Numbers], optax.GradientTransformation]
    uses: tuple[str, ...] = ()
    defaults: Mapping[str, float] = {}
    place: Place | None = None


OPTIMIZERS: dict[str, Optimizer] = {
    "gd": Optimizer(lambda numbers: optax.identity(), place=Place()),
    "momentum": Optimizer(
        lambda numbers: optax.ema(numbers["momentum"], debias=False),
        uses=("momentum",),
        place=Place(mean="momentum"),
    ),
    "rmsprop": Optimizer(
        lambda numbers: optax.scale_by_rms(numbers["beta2"], numbers["epsilon"], eps_in_sqrt=False),
        uses=("beta2", "epsilon"),
        defaults={"beta2": 0.9},
        place=Place(square="beta2"),
    ),
    "adam": Optimizer(
        lambda numbers: optax.scale_by_adam(numbers["beta1"], numbers["beta2"], numbers["epsilon"]),
        uses=("beta1", "beta2", "epsilon"),
        place=Place(mean="beta1", square="beta2", is_corrected=True),
    ),
}
"""Name -> optimizer, see `optimizer`. Add a row to add an optimizer."""


class Schedule(NamedTuple):
    """A row of DECAY_SCHEDULES.

    Attributes:
      factor: computes the factor on the learning rate from the numbers, which may be traced, and
        the epoch as a float array: 1.5 is the middle of the second epoch.
      uses: names of the numbers that it uses.
      defaults: defaults of these numbers that differ from those of `HYPERPARAMETERS`.
      is_power: whether `decay_rate` is raised to a power, and so must lie in (0, 1].
    """

    factor: Callable[[Numbers, Array], Any]
    uses: tuple[str, ...] = ("decay_rate", "decay_every")
    defaults: Mapping[str, float] = {}
    is_power: bool = False


def _periods(numbers: Numbers, epoch: Array) -> Array:
    return epoch / numbers["decay_every"]


DECAY_SCHEDULES: dict[str, Schedule] = {
    "none": Schedule(lambda n, epoch: 1.0, uses=()),
    "inverse": Schedule(lambda n, epoch: 1 / (1 + n["decay_rate"] * _periods(n, epoch))),
    "exponential": Schedule(
        lambda n, epoch: n["decay_rate"] ** _periods(n, epoch),
        defaults={"decay_rate": 0.95},
        is_power=True,
    ),
    "inverse_sqrt": Schedule(lambda n, epoch: (1 + n["decay_rate"] * _periods(n, epoch)) ** -0.5),
    "staircase": Schedule(
        lambda n, epoch: n["decay_rate"] ** jnp.floor(_periods(n, epoch)),
        defaults={"decay_rate": 0.5},
        is_power=True,
    ),
}
"""Name -> schedule, see `decayed_learning_rate`. Add a row to add a schedule."""


def optimizer(
    name: str, numbers: Numbers, learning_rate: float | Array
) -> optax.GradientTransformation:
    """Returns the named optimizer as an Optax transformation; all numbers may be traced.

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
    return optax.chain(
        OPTIMIZERS[name].direction(numbers), optax.scale_by_learning_rate(learning_rate)
    )


def decayed_learning_rate(schedule: str | Array, numbers: Numbers, epoch: int | Array) -> Any:
    """Returns the learning rate of an epoch, counted from 0.

    `schedule` is a name, or its index in this table, which may be traced. With t = epoch /
    decay_every and k = decay_rate:

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
    # explicit, since strict promotion refuses to divide integers by floats
    epoch = jnp.asarray(epoch, float)
    if isinstance(schedule, str):
        factor = DECAY_SCHEDULES[schedule].factor(numbers, epoch)
    else:
        factors = [one.factor(numbers, epoch) for one in DECAY_SCHEDULES.values()]
        factor = jnp.stack(jnp.broadcast_arrays(*factors))[schedule]
    return numbers["learning_rate"] * factor
