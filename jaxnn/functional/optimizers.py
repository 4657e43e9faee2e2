"""Optimizers and learning-rate schedules, built inside the traced function from numbers."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnn.functional.types import Array, Params, kernels
from jaxnn.system.functions import own_numbers

Numbers = Mapping[str, Any]
"""Name -> number, the traced part of a setting; in mixed programs with the lane's structure."""


class Place(NamedTuple):
    """The role of an optimizer in the common update of mixed programs, see `mixed_direction`.

    Attributes:
      mean: name of the decay of the gradient's running mean m; None if it keeps none.
      square: name of the decay of the squared gradient's running mean, by whose root the step is
        divided; None if it keeps none.
      is_corrected: whether both are corrected for their start at 0.
      share: computes the share c of the old mean in the step, c m + (1 - c) dW, if that is not the
        mean's decay.
      is_sign: whether the step is the sign of that.
    """

    mean: str | None = None
    square: str | None = None
    is_corrected: bool = False
    share: Callable[[Numbers], Any] | None = None
    is_sign: bool = False


class Optimizer(NamedTuple):
    """A row of OPTIMIZERS.

    Attributes:
      direction: returns the Optax transformation that makes the direction of descent, before
        weight decay and the learning rate. Its numbers may be traced; the shapes of its state do
        not depend on them.
      uses: names of the numbers that it uses; with "weight_decay" among them, kernels decay.
      defaults: defaults of these numbers that differ from those of `HYPERPARAMETERS`.
      place: the role in the common update, with which it can share a program with other optimizers.
        None keeps it in programs of its own, which is always correct but may be slower.
    """

    direction: Callable[[Numbers], optax.GradientTransformation]
    uses: tuple[str, ...] = ()
    defaults: Mapping[str, float] = {}
    place: Place | None = None


OptimizerName = str | Callable[..., optax.GradientTransformation]
"""A name in OPTIMIZERS, or a function make(learning_rate, **numbers) -> an Optax transformation."""


def optimizer_row(name: OptimizerName) -> Optimizer:
    """Returns the row of an optimizer; a function has no place, and a direction of no use."""
    return OPTIMIZERS[name] if isinstance(name, str) else _row_of(name)


@functools.lru_cache(maxsize=1024)
def _row_of(make: Callable[..., optax.GradientTransformation]) -> Optimizer:
    numbers = own_numbers(make, 1)
    defaults = {name: default for name, default in numbers.items() if default is not None}
    return Optimizer(lambda numbers: optax.identity(), uses=tuple(numbers), defaults=defaults)


def _nesterov(numbers: Numbers) -> optax.GradientTransformation:
    beta = numbers["momentum"]
    averaged = optax.ema(beta, debias=False)

    def update(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        mean, state = averaged.update(grads, state, params)
        return jax.tree.map(lambda m, grad: beta * m + (1 - beta) * grad, mean, grads), state

    return optax.GradientTransformation(averaged.init, update)


def _adam(numbers: Numbers) -> optax.GradientTransformation:
    return optax.scale_by_adam(numbers["beta1"], numbers["beta2"], numbers["epsilon"])


_ADAM = Place(mean="beta1", square="beta2", is_corrected=True)

OPTIMIZERS: dict[str, Optimizer] = {
    "gd": Optimizer(lambda numbers: optax.identity(), place=Place()),
    "momentum": Optimizer(
        lambda numbers: optax.ema(numbers["momentum"], debias=False),
        uses=("momentum",),
        place=Place(mean="momentum"),
    ),
    "nesterov": Optimizer(
        _nesterov,
        uses=("momentum",),
        # beta (beta m + (1 - beta) dW) + (1 - beta) dW
        place=Place(mean="momentum", share=lambda numbers: numbers["momentum"] ** 2),
    ),
    "rmsprop": Optimizer(
        lambda numbers: optax.scale_by_rms(numbers["beta2"], numbers["epsilon"], eps_in_sqrt=False),
        uses=("beta2", "epsilon"),
        defaults={"beta2": 0.9},
        place=Place(square="beta2"),
    ),
    "adam": Optimizer(_adam, uses=("beta1", "beta2", "epsilon"), place=_ADAM),
    "adamw": Optimizer(_adam, uses=("beta1", "beta2", "epsilon", "weight_decay"), place=_ADAM),
    "lion": Optimizer(
        lambda numbers: optax.scale_by_lion(numbers["beta1"], numbers["beta2"]),
        uses=("beta1", "beta2", "weight_decay"),
        defaults={"beta2": 0.99},
        place=Place(mean="beta2", share=lambda numbers: numbers["beta1"], is_sign=True),
    ),
}
"""Name -> optimizer, see `optimizer`. Add a row to add an optimizer."""


class Schedule(NamedTuple):
    """A row of DECAY_SCHEDULES.

    Attributes:
      factor: computes the factor on the learning rate from the numbers, the epoch and the number of
        epochs in all, float arrays that may be traced; 1.5 is the middle of the second epoch.
        Epochs of warm-up are not counted.
      uses: names of the numbers that it uses.
      defaults: defaults of these numbers that differ from those of `HYPERPARAMETERS`.
      is_power: whether `decay_rate` is raised to a power, and so must lie in (0, 1].
      is_by_step: whether it changes within an epoch, and ends with the last one; other schedules
        get whole epochs.
      waits: whether it changes when a network has not improved for `patience` epochs, which then
        does not stop; its numbers have "plateaus", how often that was.
    """

    factor: Callable[[Numbers, Array, Array], Any]
    uses: tuple[str, ...] = ("decay_rate", "decay_every")
    defaults: Mapping[str, float] = {}
    is_power: bool = False
    is_by_step: bool = False
    waits: bool = False


def _periods(numbers: Numbers, epoch: Array) -> Array:
    return epoch / numbers["decay_every"]


DECAY_SCHEDULES: dict[str, Schedule] = {
    "none": Schedule(lambda n, epoch, epochs: 1.0, uses=()),
    "inverse": Schedule(lambda n, epoch, epochs: 1 / (1 + n["decay_rate"] * _periods(n, epoch))),
    "exponential": Schedule(
        lambda n, epoch, epochs: n["decay_rate"] ** _periods(n, epoch),
        defaults={"decay_rate": 0.95},
        is_power=True,
    ),
    "inverse_sqrt": Schedule(
        lambda n, epoch, epochs: (1 + n["decay_rate"] * _periods(n, epoch)) ** -0.5
    ),
    "power": Schedule(
        lambda n, epoch, epochs: (1 + n["decay_rate"] * _periods(n, epoch)) ** -n["decay_power"],
        uses=("decay_rate", "decay_every", "decay_power"),
    ),
    "staircase": Schedule(
        lambda n, epoch, epochs: n["decay_rate"] ** jnp.floor(_periods(n, epoch)),
        defaults={"decay_rate": 0.5},
        is_power=True,
    ),
    "cosine": Schedule(
        lambda n, epoch, epochs: 0.5 * (1 + jnp.cos(jnp.pi * epoch / epochs)),
        uses=(),
        is_by_step=True,
    ),
    "plateau": Schedule(
        lambda n, epoch, epochs: n["decay_rate"] ** n.get("plateaus", 0),
        uses=("decay_rate",),
        defaults={"decay_rate": 0.2, "patience": 10},
        is_power=True,
        waits=True,
    ),
}
"""Name -> schedule, see `decayed_learning_rate`. Add a row to add a schedule."""


def optimizer(
    name: OptimizerName, numbers: Numbers, learning_rate: float | Array
) -> optax.GradientTransformation:
    """Returns an optimizer as an Optax transformation; all numbers may be traced.

    | name | step, W <- W - alpha * ... |
    | --- | --- |
    | gd | dW |
    | momentum | v <- beta v + (1 - beta) dW;  v   (the course's form, no bias correction) |
    | nesterov | v as above;  beta v + (1 - beta) dW |
    | rmsprop | s <- beta2 s + (1 - beta2) dW^2;  dW / (sqrt(s) + epsilon) |
    | adam | v, s as above with beta1, both bias-corrected;  v / (sqrt(s) + epsilon) |
    | adamw | as adam, + weight_decay * W for kernels |
    | lion | sign(beta1 v + (1 - beta1) dW), + weight_decay * W for kernels;  v with beta2, after |

    With `momentum` and `nesterov`, a learning rate alpha is Optax's `sgd` with (1 - beta) alpha.
    The state does not depend on the numbers, so they may change between steps.

    Args:
      name: a name in the table, or a function make(learning_rate, **numbers) that returns the whole
        transformation, such as `lambda learning_rate, b1: optax.adabelief(learning_rate, b1=b1)`.
      numbers: the numbers that it uses. Without `weight_decay` nothing decays.
      learning_rate: alpha.

    Source: Loshchilov and Hutter 2019 (adamw), Chen et al. 2023 (lion).

    >>> descent = optimizer("gd", {}, 0.1)
    >>> updates, _ = descent.update(jnp.array([2.0]), descent.init(jnp.zeros(1)))
    >>> updates
    Array([-0.2], dtype=float32)
    """
    if callable(name):
        return name(learning_rate, **{one: numbers[one] for one in optimizer_row(name).uses})
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer got {name!r}; expected one of {', '.join(OPTIMIZERS)}")
    row = OPTIMIZERS[name]
    if missing := [one for one in row.uses if one not in {*numbers, "weight_decay"}]:
        raise ValueError(f"numbers lack {', '.join(missing)}, which {name!r} uses")
    has_decay = "weight_decay" in row.uses and "weight_decay" in numbers
    decay = [add_weight_decay(numbers["weight_decay"])] if has_decay else []
    return optax.chain(row.direction(numbers), *decay, optax.scale_by_learning_rate(learning_rate))


def add_weight_decay(
    weight_decay: float | Array, is_kernel: Callable[[Params], Any] = kernels
) -> optax.GradientTransformation:
    """Returns a transformation that adds weight_decay * W to the updates of kernels.

    Args:
      weight_decay: may be traced.
      is_kernel: computes from the parameters a pytree that is true, or 1, where a kernel is.
    """

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        decayed = lambda update, weight, is_it: (
            update if is_it is False else update + weight_decay * weight * is_it
        )
        return jax.tree.map(decayed, updates, params, is_kernel(params)), state

    return optax.GradientTransformation(optax.init_empty_state, update)


def decayed_learning_rate(
    schedule: str, numbers: Numbers, epoch: float | Array, epochs: float | Array | None = None
) -> Any:
    """Returns the learning rate at an epoch, counted from 0.

    With t = epoch / decay_every and k = decay_rate:

    | schedule | learning rate |
    | --- | --- |
    | none | alpha |
    | inverse | alpha / (1 + k t) |
    | exponential | alpha k^t |
    | inverse_sqrt | alpha / sqrt(1 + k t) |
    | power | alpha / (1 + k t)^decay_power |
    | staircase | alpha k^floor(t) |
    | cosine | alpha / 2 (1 + cos(pi epoch / epochs)) |
    | plateau | alpha k^plateaus |

    In the first `warmup` epochs it rises from 0, alpha epoch / warmup, and the schedule begins
    after them: it gets epoch - warmup and epochs - warmup.

    Args:
      schedule: a name in the table.
      numbers: the learning rate, the numbers that the schedule uses, and `warmup`, if there is any;
        for plateau also `plateaus`, how often `patience` has run out, 0 if it is missing.
      epoch: 1.5 is the middle of the second epoch. All schedules but cosine count whole epochs.
      epochs: the number of epochs in all, for cosine.

    Source: Loshchilov and Hutter 2017 (cosine).

    The course's alpha_0 = 0.2 with a decay rate of 1:

    >>> numbers = {"learning_rate": 0.2, "decay_rate": 1.0, "decay_every": 1.0}
    >>> [round(float(decayed_learning_rate("inverse", numbers, e)), 3) for e in range(1, 5)]
    [0.1, 0.067, 0.05, 0.04]
    """
    if not isinstance(schedule, str) or schedule not in DECAY_SCHEDULES:
        allowed = ", ".join(DECAY_SCHEDULES)
        raise ValueError(f"decay_schedule got {schedule!r}; expected one of {allowed}")
    row = DECAY_SCHEDULES[schedule]
    if row.is_by_step and epochs is None:
        raise ValueError(f"epochs got None; expected the number of epochs in all for {schedule!r}")
    # explicit, since strict promotion refuses to divide integers by floats
    after, last = jnp.asarray(epoch, float), jnp.asarray(0 if epochs is None else epochs, float)
    warmup = numbers.get("warmup")
    if warmup is not None:
        after, last = after - warmup, last - warmup
    since = jnp.maximum(after, 0)
    factor = row.factor(numbers, since if row.is_by_step else jnp.floor(since), last)
    if warmup is not None:
        # at the end of the warm-up, and where there is none, the schedule begins
        rising = (after + warmup) / jnp.where(warmup > 0, warmup, 1)
        factor = jnp.where(after < 0, rising, factor)
    return numbers["learning_rate"] * factor
