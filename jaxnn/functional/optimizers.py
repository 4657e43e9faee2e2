"""Optimizers and schedules of the learning rate, built inside the traced function from numbers."""

import functools
import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnn.functional.types import Array, Params

Numbers = Mapping[str, Any]
"""The traced part of a setting by name; and the lane's data, where lanes differ."""


class Place(NamedTuple):
    """What an optimizer keeps in the common update of mixed programs, see `mixed_optimizer`.

    Attributes:
      mean: name of the number that averages the gradient, or None.
      square: name of the number that averages its square, by whose root is divided, or None.
      is_corrected: whether both are corrected for having started at 0.
    """

    mean: str | None = None
    square: str | None = None
    is_corrected: bool = False


class Optimizer(NamedTuple):
    """A row of OPTIMIZERS.

    Attributes:
      direction: makes the direction of descent, before the learning rate, as an Optax
        transformation. The numbers may be traced, and the state's shapes do not depend on them.
      uses: names of the numbers that it uses.
      defaults: of these, where they differ from the common ones of `HYPERPARAMETERS`.
      place: in the common update, which lets it share a program with other optimizers. None keeps
        it in programs of its own: right for every transformation, if not as fast.
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
"""Optimizers by name; a new one is a row. See `optimizer`."""


class Schedule(NamedTuple):
    """A row of DECAY_SCHEDULES.

    Attributes:
      factor: makes the factor on the learning rate from the numbers, which may be traced, and the
        epoch as a float array: 1.5 is the middle of the second epoch.
      uses: names of the numbers that it uses.
      defaults: of these, where they differ from the common ones of `HYPERPARAMETERS`.
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
"""Schedules of the learning rate by name; a new one is a row. See `decayed_learning_rate`."""


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
    return optax.chain(
        OPTIMIZERS[name].direction(numbers), optax.scale_by_learning_rate(learning_rate)
    )


def may_mix(names: Collection[str]) -> bool:
    """Whether a program may hold lanes of these optimizers."""
    return len({*names}) == 1 or all(OPTIMIZERS[name].place is not None for name in names)


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
    where beta = 0 without a mean, there is no denominator without a square, and both are corrected
    for their start at 0 as the optimizer's `place` says. Costs what the most expensive of `names`
    costs.

    Args:
      names: the optimizers that occur; static. Each has a `place`.
      numbers: those of `optimizer`, and "optimizer", a name's index among OPTIMIZERS.
      learning_rate: may be traced.

    Raises:
      ValueError: an optimizer has no place in the common update.
    """
    index_of = {name: index for index, name in enumerate(OPTIMIZERS)}
    chosen = [
        (numbers["optimizer"] == index_of[name], place)
        for name in names
        if (place := OPTIMIZERS[name].place) is not None
    ]
    if len(chosen) < len(names):
        raise ValueError(f"mixed_optimizer got {', '.join(names)}; expected those with a place")

    def is_one(has: Callable[[Place], bool]) -> Any:
        """Whether the lane's optimizer is one that has something."""
        return functools.reduce(operator.or_, [is_it for is_it, it in chosen if has(it)], False)

    def decay_of(moment: str) -> Any:
        """The number that averages the lane's moment; 0 where its optimizer does not keep it."""
        decay: Any = 0.0
        for is_it, place in chosen:
            if (name := getattr(place, moment)) is not None:
                decay = jnp.where(is_it, numbers[name], decay)
        return decay

    has_mean, has_square = (
        any(getattr(place, moment) for _, place in chosen) for moment in ("mean", "square")
    )

    def init_fn(params: Params) -> MixedState:
        zeros = lambda is_kept: jax.tree.map(jnp.zeros_like, params) if is_kept else None
        return MixedState(jnp.zeros((), jnp.int32), zeros(has_mean), zeros(has_square))

    def update_fn(
        grads: Params, state: MixedState, params: Params | None = None
    ) -> tuple[Params, MixedState]:
        del params
        step = state.step + 1
        mean, square, updates = grads, None, grads

        def corrected(decay: Array) -> Array:
            is_corrected = is_one(lambda place: place.is_corrected)
            return jnp.where(is_corrected, 1 - decay ** step.astype(float), 1.0)

        if has_mean:
            beta, is_averaged = decay_of("mean"), is_one(lambda place: place.mean is not None)
            # an infinite mean of lanes that have no use for it must not become NaN as 0 times it
            average = lambda m, grad: beta * jnp.where(is_averaged, m, 0) + (1 - beta) * grad
            mean = jax.tree.map(average, state.mean, grads)
            updates = jax.tree.map(lambda m: m / corrected(beta), mean)
        if has_square:
            beta2, is_scaled = decay_of("square"), is_one(lambda place: place.square is not None)
            # a gradient whose square overflows must not reach those that have no use for it
            scaled = jax.tree.map(lambda grad: jnp.where(is_scaled, grad, 0), grads)
            average = lambda s, grad: beta2 * s + (1 - beta2) * jnp.square(grad)
            square = jax.tree.map(average, state.square, scaled)
            divided = lambda u, s: (
                u / jnp.where(is_scaled, jnp.sqrt(s / corrected(beta2)) + numbers["epsilon"], 1)
            )
            updates = jax.tree.map(divided, updates, square)
        updates = jax.tree.map(lambda update: -learning_rate * update, updates)
        return updates, MixedState(step, mean if has_mean else None, square)

    return optax.GradientTransformation(init_fn, update_fn)


def descent(
    names: tuple[str, ...], numbers: Numbers, learning_rate: float | Array
) -> optax.GradientTransformation:
    """Optax's own transformation where there is one optimizer, the common update otherwise."""
    if len(names) == 1:
        return optimizer(names[0], numbers, learning_rate)
    return mixed_optimizer(names, numbers, learning_rate)


@functools.lru_cache
def num_moments(names: tuple[str, ...]) -> int:
    """Copies of the weights that the update for these optimizers keeps beside them."""
    used = (number for name in names for number in OPTIMIZERS[name].uses)
    numbers = {"optimizer": 0, **dict.fromkeys(used, 0.5)}
    weights = jax.ShapeDtypeStruct((2,), jnp.result_type(float))
    state = jax.eval_shape(descent(names, numbers, 0.0).init, weights)
    return sum(leaf.shape == weights.shape for leaf in jax.tree.leaves(state))


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
    epoch = jnp.asarray(epoch, float)
    if isinstance(schedule, str):
        factor = DECAY_SCHEDULES[schedule].factor(numbers, epoch)
    else:
        factors = [one.factor(numbers, epoch) for one in DECAY_SCHEDULES.values()]
        factor = jnp.stack(jnp.broadcast_arrays(*factors))[schedule]
    return numbers["learning_rate"] * factor
