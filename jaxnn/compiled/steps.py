"""The compiled part of training: steps, epochs as loops, evaluation."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnn.compiled.compiling import Jitted
from jaxnn.compiled.measures import Best, Measure, Watch
from jaxnn.compiled.packing import unpack
from jaxnn.compiled.programs import Program
from jaxnn.data.batches import Batches, Examples, HeldOut, filled_up, padded_weights
from jaxnn.data.datasets import Dataset
from jaxnn.functional import losses
from jaxnn.functional.types import Array, Params, State
from jaxnn.system import draws
from jaxnn.system.draws import as_threefry

_DROPOUT_STREAM = 2**31 - 1
"""The number folded into a network's key for dropout; layers have smaller numbers."""


class TrainState(NamedTuple):
    """Everything that the next step needs: arrays only."""

    params: Params
    state: State
    opt_state: Any
    dropout_key: Array
    epoch: Array
    step: Array
    diverged: Array
    """The first step whose cost was not finite, or -1."""
    best: Best | None = None
    watch: Watch | None = None

    @property
    def ends(self) -> tuple[Any, Any]:
        """Where training ended: the step of divergence, and the epoch of being stopped, or -1."""
        return self.diverged, -1 if self.watch is None else self.watch.stopped

    @property
    def is_trained(self) -> Array:
        """Whether the next step changes the network: it has not diverged, and was not stopped."""
        is_fine = self.diverged < 0
        return is_fine if self.watch is None else is_fine & (self.watch.stopped < 0)


def _zeros(train_state: TrainState, *shape: int) -> Array:
    """Returns zeros that differ by lane, as far as `vmap` can tell.

    Otherwise it would trace a loop twice, a loop in a loop four times, until it finds that what
    starts as one number for all lanes becomes a number for each.
    """
    return jnp.zeros(shape) * jnp.where(train_state.diverged < 0, 0.0, 0.0)


@Jitted
def init_train_state(program: Program, key: Array, numbers: dict[str, Array]) -> TrainState:
    """Returns the state before the first step; the model's `init` makes `params` and `state`."""
    key = as_threefry(key)
    params, state = program.model(numbers).init(key)
    opt_state = program.optimizer_of(numbers, 0.0).init(params)
    dropout_key = draws.fold_in(key, _DROPOUT_STREAM)
    zero = jnp.zeros((), jnp.int32)
    objective = program.objective
    best = Best.first(objective, program.keep_best, params, state) if program.keep_best else None
    watch = Watch.first() if program.is_watched else None
    counts = {"epoch": zero, "step": zero, "diverged": zero - 1}
    return TrainState(params, state, opt_state, dropout_key, **counts, best=best, watch=watch)


def train_step(
    program: Program,
    train_state: TrainState,
    numbers: dict[str, Array],
    learning_rate: Array,
    batch: Dataset,
) -> tuple[TrainState, tuple[Array, Array]]:
    """Takes one step of descent on a mini-batch.

    J = weighted mean of (1 - s) cost + s uniform, + l2 / 2 * sum of squared kernels

    where s is the label smoothing and `uniform` the mean cost of all labels. Returns the new state,
    and the mean cost and the outputs before the step; that cost has neither smoothing nor l2.

    If the first term is not finite, or the gradient of a user's own loss, the network is frozen:
    neither this step nor later ones change params and state. So is a network that `patience`
    stopped. An element whose new value would overflow keeps its old value, so both stay finite. The
    checks are fused into existing loops and cost no measurable time.
    """
    model, objective = program.model(numbers), program.objective
    model_numbers: dict[str, Any] = {name: numbers[name] for name in model.numbers}
    if "dropout" in model.numbers and "dropout" not in program.switches:
        model_numbers["dropout"] = 0.0

    def cost_of(params: Params) -> tuple[Array, tuple[Array, Array, State]]:
        outputs, state = model.apply(
            params,
            train_state.state,
            batch.x,
            is_training=True,
            key=draws.fold_in(train_state.dropout_key, train_state.step),
            weights=batch.weights,
            **model_numbers,
        )
        costs = objective.costs(outputs, batch.y, numbers)
        cost = total = losses.weighted_mean(costs, batch.weights)
        uniform = objective.labels and objective.labels.uniform
        if "label_smoothing" in program.switches and uniform:
            smoothed = costs + numbers["label_smoothing"] * (uniform(outputs) - costs)
            total = losses.weighted_mean(smoothed, batch.weights)
        if "l2" in program.switches:
            total = total + numbers["l2"] * losses.l2_penalty(unpack(params))
        return total, (cost, outputs, state)

    grads, (cost, outputs, state) = jax.grad(cost_of, has_aux=True)(train_state.params)
    is_fine = jnp.isfinite(cost) & train_state.is_trained
    if callable(program.loss):
        # a loss of the user's own may have a gradient that is not finite at a finite cost
        is_fine &= jnp.all(jnp.stack([jnp.isfinite(g).all() for g in jax.tree.leaves(grads)]))
    grads = jax.tree.map(lambda grad: jnp.where(is_fine, grad, 0), grads)
    descent = program.optimizer_of(numbers, learning_rate)
    # Optax raises decays to integer powers, which strict promotion refuses
    with jax.numpy_dtype_promotion("standard"):
        updates, opt_state = descent.update(grads, train_state.opt_state, train_state.params)
    keep_finite = lambda new, old: jnp.where(is_fine & jnp.isfinite(new), new, old)
    params = optax.apply_updates(train_state.params, updates)
    params = jax.tree.map(keep_finite, params, train_state.params)
    state = jax.tree.map(keep_finite, state, train_state.state)
    is_known = is_fine | ~train_state.is_trained
    new_state = train_state._replace(
        params=params,
        state=state,
        opt_state=opt_state,
        step=train_state.step + 1,
        diverged=jnp.where(is_known, train_state.diverged, train_state.step),
    )
    return new_state, (cost, outputs)


def train_epoch(
    program: Program,
    train_state: TrainState,
    numbers: dict[str, Array],
    examples: Examples,
    batches: Batches,
    index: Array,
) -> tuple[TrainState, Array]:
    """Trains on all mini-batches of one epoch of `batches`, given by `index`.

    Returns the new state, and the metrics (M,) over all examples, each measured before its own
    step.
    """
    data, _, scales = examples
    measure = Measure.of(program.objective, scales, is_valid=False)
    by_step = program.is_scheduled_by_step
    if train_state.watch is not None:
        numbers = numbers | {"plateaus": train_state.watch.plateaus}
    of_epoch: Any = None if by_step else program.learning_rate(numbers, train_state.epoch)
    # of all its steps, with the last, smaller mini-batch of a foreign model
    num_steps = jnp.asarray(batches.num_steps + int(batches.rest is not None), float)

    def on_batch(
        step: Array | np.int32, batch: Dataset, carry: tuple[TrainState, Array]
    ) -> tuple[TrainState, Array]:
        learning_rate = of_epoch
        if by_step:
            now = jnp.asarray(train_state.epoch, float) + jnp.asarray(step, float) / num_steps
            learning_rate = program.learning_rate(numbers, now)
        new_state, outcome = train_step(program, carry[0], numbers, learning_rate, batch)
        return new_state, carry[1] + measure.totals(*outcome, batch)

    def on_rows(step: Array, carry: tuple[TrainState, Array]) -> tuple[TrainState, Array]:
        rows = batches.rows[index, step]
        return on_batch(step, filled_up(data, weights, rows) if may_fill else data[rows], carry)

    may_fill, weights = program.networks.takes_filled_batches, padded_weights(data)
    carry = train_state, _zeros(train_state, len(program.objective.measures) + 1)
    carry = jax.lax.fori_loop(0, batches.num_steps, on_rows, carry)
    if batches.rest is not None:
        # a foreign model may not ignore examples of weight 0: its last mini-batch is a step of its
        # own shape, for which the step is compiled twice
        carry = on_batch(batches.num_steps, data[batches.rest[index]], carry)
    train_state, totals = carry
    return train_state._replace(epoch=train_state.epoch + 1), measure.values(measure.mean(totals))


def _evaluated(
    program: Program,
    train_state: TrainState,
    numbers: dict[str, Array],
    examples: Examples,
    held_out: HeldOut,
) -> Array:
    """Returns the metrics (M,) on the validation examples; 0 if no piece is evaluated."""
    model, objective, (data, _, scales) = program.model(numbers), program.objective, examples
    measure = Measure.of(objective, scales, is_valid=True)
    own = {name: numbers[name] for name in model.numbers}
    weights = padded_weights(data)

    def measured(index: Array, totals: Array) -> Array:
        batch = filled_up(data, weights, held_out.rows[index])
        outputs, _ = model.apply(train_state.params, train_state.state, batch.x, **own)
        cost = losses.weighted_mean(objective.costs(outputs, batch.y, numbers), batch.weights)
        return totals + measure.totals(cost, outputs, batch)

    nothing = _zeros(train_state, len(objective.measures) + 1)
    totals = jax.lax.fori_loop(0, held_out.num_pieces, measured, nothing)
    return measure.values(measure.mean(totals))


def _with_best(program: Program, train_state: TrainState, evaluated: Array) -> TrainState:
    if train_state.best is None or program.keep_best is None:
        return train_state
    values = dict(zip(program.objective.measures, evaluated, strict=True))
    now = train_state.params, train_state.state, train_state.epoch - 1
    is_candidate = train_state.diverged < 0
    ranks = program.objective.ranked_by(program.keep_best)
    return train_state._replace(best=train_state.best.updated(ranks, values, now, is_candidate))


def _with_watch(
    program: Program,
    train_state: TrainState,
    numbers: dict[str, Array],
    values: Array,
    has_valid: bool,
) -> TrainState:
    if train_state.watch is None:
        return train_state
    curves = dict(zip(program.objective.curves(has_valid), values, strict=True))
    now, epoch = numbers | {"plateaus": train_state.watch.plateaus}, train_state.epoch
    goes_on = program.waits(now, epoch - 1)
    new, old = train_state.watch.updated(curves, numbers, epoch, goes_on), train_state.watch
    # a network that diverged was not stopped
    is_trained = train_state.is_trained
    watch = jax.tree.map(lambda new, old: jnp.where(is_trained, new, old), new, old)
    return train_state._replace(watch=watch)


@functools.partial(Jitted, donate="train_state")
def train_epochs(
    program: Program,
    train_state: TrainState,
    numbers: dict[str, Array],
    examples: Examples,
    batches: Batches,
) -> tuple[TrainState, Array]:
    """Trains the epochs of `batches` in one compiled call.

    Training and validation examples are rows of one data set. Which is which is data to the
    program, so the same program can train on all rows.

    Returns the new state and the curves (M, E), as `objective.curves` names them, of which the
    first `num_epochs` columns are filled. After divergence, and after the network was stopped,
    entries are 0, which the host replaces by NaN: JAX's debugging of NaNs would stop at an intended
    one.
    """

    def epoch(index: Array, carry: tuple[TrainState, Array]) -> tuple[TrainState, Array]:
        train_state, curves = carry
        was_trained = train_state.is_trained
        train_state, values = train_epoch(program, train_state, numbers, examples, batches, index)
        if held_out is not None:
            evaluated = _evaluated(program, train_state, numbers, examples, held_out)
            values = jnp.append(values, evaluated)
            train_state = _with_best(program, train_state, evaluated)
        train_state = _with_watch(program, train_state, numbers, values, held_out is not None)
        is_now = was_trained & (train_state.diverged < 0)
        is_here = (jnp.arange(curves.shape[1]) == index)[None] & is_now
        return train_state, jnp.where(is_here, values[:, None], curves)

    held_out = examples.held_out
    names = program.objective.curves(held_out is not None)
    empty = _zeros(train_state, len(names), batches.rows.shape[0])
    return jax.lax.fori_loop(0, batches.num_epochs, epoch, (train_state, empty))
