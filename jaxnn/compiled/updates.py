"""The update of a program: one optimizer and schedule, or several as one."""

import functools
import operator
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxnn.compiled.packing import packed_kernels
from jaxnn.functional.optimizers import (
    DECAY_SCHEDULES,
    OPTIMIZERS,
    Numbers,
    OptimizerName,
    Place,
    add_weight_decay,
    decayed_learning_rate,
    optimizer,
    optimizer_row,
)
from jaxnn.functional.types import Array, Params


def may_mix(names: Collection[OptimizerName]) -> bool:
    """Whether one program can train lanes of these optimizers."""
    return len({*names}) == 1 or is_elementwise(names)


def is_elementwise(names: Collection[OptimizerName]) -> bool:
    """Whether these optimizers change each weight by itself, as those with a place do.

    They may then be packed, and train padded networks.
    """
    return all(optimizer_row(name).place is not None for name in names)


class MixedState(NamedTuple):
    """The moments that any of the optimizers keeps; None for those that none keeps."""

    step: Array
    mean: Params | None
    square: Params | None


def mixed_direction(names: tuple[str, ...], numbers: Numbers) -> optax.GradientTransformation:
    """Returns one direction for several optimizers, of which a number chooses the lane's.

    u / (sqrt(s) + epsilon),  u = c m + (1 - c) dW
    m <- beta m + (1 - beta) dW,  s <- beta2 s + (1 - beta2) dW^2

    Without a mean, beta and c are 0; without a square, there is no denominator. The optimizer's
    `place` says whether both are corrected for their start at 0, whether c differs from beta, and
    whether the sign of u takes its place. What none of `names` needs is not computed.

    Args:
      names: the optimizers that occur; static. Each has a `place`.
      numbers: as for `optimizer`, and "optimizer", the index of its name in OPTIMIZERS.

    Raises:
      ValueError: an optimizer has no place in the common update.
    """
    is_place: dict[Place, Any] = {}
    for index, (name, row) in enumerate(OPTIMIZERS.items()):
        if name in names and row.place is not None:
            is_it = numbers["optimizer"] == index
            is_place[row.place] = is_place[row.place] | is_it if row.place in is_place else is_it
    if not is_elementwise(names):
        raise ValueError(f"mixed_direction got {', '.join(names)}; expected those with a place")
    has = lambda attribute: any(getattr(place, attribute) for place in is_place)

    def is_one(attribute: str) -> Any:
        """Whether the lane's optimizer has a `place` with some attribute."""
        found = [is_it for place, is_it in is_place.items() if getattr(place, attribute)]
        return functools.reduce(operator.or_, found, False)

    def number_of(value: Callable[[Place], Any]) -> Any:
        """Returns a number of the lane's optimizer; 0 if its place has none."""
        chosen: Any = 0.0
        for place, is_it in is_place.items():
            chosen = chosen if (n := value(place)) is None else jnp.where(is_it, n, chosen)
        return chosen

    beta = number_of(lambda place: place.mean and numbers[place.mean])
    beta2 = number_of(lambda place: place.square and numbers[place.square])
    share = number_of(
        lambda place: place.share(numbers) if place.share else place.mean and numbers[place.mean]
    )

    def init_fn(params: Params) -> MixedState:
        zeros = lambda moment: jax.tree.map(jnp.zeros_like, params) if has(moment) else None
        return MixedState(jnp.zeros((), jnp.int32), zeros("mean"), zeros("square"))

    def update_fn(
        grads: Params, state: MixedState, params: Params | None = None
    ) -> tuple[Params, MixedState]:
        del params
        step = state.step + 1
        mean, square, updates = None, None, grads

        def corrected(decay: Array) -> Array:
            return jnp.where(is_one("is_corrected"), 1 - decay ** step.astype(float), 1.0)

        if has("mean"):
            # in lanes without a mean, 0 times an infinite value would be NaN
            old = jax.tree.map(lambda m: jnp.where(is_one("mean"), m, 0), state.mean)
            weighted = lambda weight: jax.tree.map(
                lambda m, grad: weight * m + (1 - weight) * grad, old, grads
            )
            mean = weighted(beta)
            updates = weighted(share) if has("share") else mean
            updates = jax.tree.map(lambda u: u / corrected(beta), updates)
        if has("square"):
            is_scaled = is_one("square")
            # in lanes without a square, a gradient whose square overflows must not matter
            scaled = jax.tree.map(lambda grad: jnp.where(is_scaled, grad, 0), grads)
            average = lambda s, grad: beta2 * s + (1 - beta2) * jnp.square(grad)
            square = jax.tree.map(average, state.square, scaled)
            divided = lambda u, s: (
                u / jnp.where(is_scaled, jnp.sqrt(s / corrected(beta2)) + numbers["epsilon"], 1)
            )
            updates = jax.tree.map(divided, updates, square)
        if has("is_sign"):
            is_sign = is_one("is_sign")
            updates = jax.tree.map(lambda u: jnp.where(is_sign, jnp.sign(u), u), updates)
        return updates, MixedState(step, mean, square)

    return optax.GradientTransformation(init_fn, update_fn)


def clip_by_norm(clip_norm: float | Array) -> optax.GradientTransformation:
    """Returns a transformation that scales all gradients together to at most a norm.

    g <- g min(1, clip_norm / |g|), as `optax.clip_by_global_norm`; the norm may exceed the range of
    the type. Infinity is no limit.

    Source: Pascanu et al. 2012.
    """

    def update(grads: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        largest = [jnp.max(jnp.abs(grad)) for grad in jax.tree.leaves(grads)]
        size = functools.reduce(jnp.maximum, largest)
        size = jnp.where(size > 0, size, 1)
        shares = jax.tree.map(lambda grad: grad / size, grads)
        squares = [jnp.sum(jnp.square(share)) for share in jax.tree.leaves(shares)]
        norm = jnp.sqrt(functools.reduce(jnp.add, squares))
        is_longer = size * norm > clip_norm
        clip = lambda grad, share: jnp.where(is_longer, share * (clip_norm / norm), grad)
        return jax.tree.map(clip, grads, shares), state

    return optax.GradientTransformation(optax.init_empty_state, update)


def descent(
    names: tuple[OptimizerName, ...],
    numbers: Numbers,
    learning_rate: float | Array,
    switches: Collection[str] = (),
) -> optax.GradientTransformation:
    """Returns the update of a lane: Optax's for one optimizer, the common one for several.

    Its state is that of the direction, whatever is switched on.

    Args:
      names, numbers: as for `mixed_direction`.
      learning_rate: may be traced.
      switches: which of weight decay and clipping to compute.
    """
    is_own = callable(names[0])
    if is_own:
        direction, decays = optimizer(names[0], numbers, learning_rate), False
    elif len(names) == 1:
        direction, decays = optimizer_row(names[0]).direction(numbers), True
    else:
        known = tuple(name for name in names if isinstance(name, str))
        direction, decays = mixed_direction(known, numbers), _decays(numbers)
    before, after = [], []
    if "clip_norm" in switches:
        before = [clip_by_norm(numbers["clip_norm"])]
    if "weight_decay" in switches and not is_own:
        amount = jnp.where(decays, numbers["weight_decay"], 0)
        after = [add_weight_decay(amount, packed_kernels)]
    if not is_own:
        after.append(optax.scale_by_learning_rate(learning_rate))

    def update_fn(grads: Params, state: Any, params: Params | None = None) -> tuple[Params, Any]:
        nothing = optax.EmptyState()
        for one in before:
            grads, _ = one.update(grads, nothing, params)
        updates, state = direction.update(grads, state, params)
        for one in after:
            updates, _ = one.update(updates, nothing, params)
        return updates, state

    return optax.GradientTransformation(direction.init, update_fn)


def _decays(numbers: Numbers) -> Any:
    """Whether the lane's optimizer has weight decay."""
    decaying = [i for i, row in enumerate(OPTIMIZERS.values()) if "weight_decay" in row.uses]
    return functools.reduce(operator.or_, [numbers["optimizer"] == i for i in decaying])


def learning_rate_at(
    schedules: tuple[str, ...], numbers: Numbers, epoch: Array, switches: Collection[str]
) -> Any:
    """Returns a lane's learning rate at an epoch, see `decayed_learning_rate`.

    Args:
      schedules: the names that occur; static. Of several, the number "decay_schedule", an index in
        DECAY_SCHEDULES, chooses the lane's.
      numbers: those of the lane, and "epochs", the number of epochs in all.
      switches: whether there is a warm-up.
    """
    used = {name: one for name, one in numbers.items() if name != "warmup" or name in switches}
    rates = [decayed_learning_rate(one, used, epoch, numbers["epochs"]) for one in schedules]
    rate = rates[0]
    for name, other in zip(schedules[1:], rates[1:], strict=True):
        rate = jnp.where(_has_schedule(numbers, name), other, rate)
    return rate


def schedule_waits(schedules: tuple[str, ...], numbers: Numbers) -> Any:
    """Whether the lane's schedule, one of these names, waits for `patience` to run out."""
    waiting = [name for name in schedules if DECAY_SCHEDULES[name].waits]
    if len(waiting) == len(schedules):
        return jnp.array(True)
    is_any: Any = jnp.array(False)
    return functools.reduce(operator.or_, [_has_schedule(numbers, one) for one in waiting], is_any)


def _has_schedule(numbers: Numbers, name: str) -> Any:
    return numbers["decay_schedule"] == [*DECAY_SCHEDULES].index(name)


@functools.lru_cache
def num_moments(names: tuple[OptimizerName, ...]) -> int:
    """Returns the number of copies of the weights in the state of these optimizers."""
    rows = [optimizer_row(name) for name in names]
    places = [row.place for row in rows]
    if None not in places:
        # without a trace, so that a bad setting is refused before anything is traced
        return sum(any(getattr(one, moment) for one in places) for moment in ("mean", "square"))
    numbers = dict.fromkeys(rows[0].uses, 0.5)
    weights = jax.ShapeDtypeStruct((2, 2), jnp.result_type(float))
    state = jax.eval_shape(descent(names, numbers, 0.0, ()).init, weights)
    return sum(leaf.shape == weights.shape for leaf in jax.tree.leaves(state))
