"""The update of a program: one optimizer of Optax, or several optimizers as one."""

import functools
import operator
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnn.functional.optimizers import OPTIMIZERS, Numbers, Place, optimizer
from jaxnn.functional.types import Array, Params


def may_mix(names: Collection[str]) -> bool:
    """Whether one program can train lanes of these optimizers."""
    return len({*names}) == 1 or all(OPTIMIZERS[name].place is not None for name in names)


class MixedState(NamedTuple):
    """The moments that any of the optimizers keeps; None for those that none keeps."""

    step: Array
    mean: Params | None
    square: Params | None


def mixed_optimizer(
    names: tuple[str, ...], numbers: Numbers, learning_rate: float | Array
) -> optax.GradientTransformation:
    """Returns one update for several optimizers, in which a number chooses the optimizer.

    W <- W - alpha * m / (sqrt(s) + epsilon),  m <- beta m + (1 - beta) dW,  s likewise of dW^2

    Without a mean, beta is 0; without a square, there is no denominator. Both are corrected for
    their start at 0 if the optimizer's `place` says so. The update is as expensive as the most
    expensive of `names`.

    Args:
      names: the optimizers that occur; static. Each has a `place`.
      numbers: as for `optimizer`, and "optimizer", the index of its name in OPTIMIZERS.
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
        """Whether the lane's optimizer has a `place` with some property."""
        return functools.reduce(operator.or_, [is_it for is_it, it in chosen if has(it)], False)

    def decay_of(moment: str) -> Any:
        """Returns the decay of the lane's moment; 0 if its optimizer does not keep it."""
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
            # in lanes without a mean, 0 times an infinite value would be NaN
            average = lambda m, grad: beta * jnp.where(is_averaged, m, 0) + (1 - beta) * grad
            mean = jax.tree.map(average, state.mean, grads)
            updates = jax.tree.map(lambda m: m / corrected(beta), mean)
        if has_square:
            beta2, is_scaled = decay_of("square"), is_one(lambda place: place.square is not None)
            # in lanes without a square, a gradient whose square overflows must not matter
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
    """Returns Optax's transformation for one optimizer, the common update for several."""
    if len(names) == 1:
        return optimizer(names[0], numbers, learning_rate)
    return mixed_optimizer(names, numbers, learning_rate)


@functools.lru_cache
def num_moments(names: tuple[str, ...]) -> int:
    """Returns the number of copies of the weights in the state of these optimizers."""
    places = [OPTIMIZERS[name].place for name in names]
    if None not in places:
        # without a trace, so that a bad setting is refused before anything is traced
        return sum(any(getattr(one, moment) for one in places) for moment in ("mean", "square"))
    numbers = dict.fromkeys(OPTIMIZERS[names[0]].uses, 0.5)
    weights = jax.ShapeDtypeStruct((2,), jnp.result_type(float))
    state = jax.eval_shape(descent(names, numbers, 0.0).init, weights)
    return sum(leaf.shape == weights.shape for leaf in jax.tree.leaves(state))
