"""Measures: the metrics of a network, its best epoch, and whether it still improves."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.data.datasets import Dataset
from jaxnn.functional.losses import weighted_mean
from jaxnn.functional.metrics import COST, CURVES, METRICS, Metric, Scales, metric_of
from jaxnn.functional.objectives import Loss, Objective
from jaxnn.functional.types import Array, Model, Params, State
from jaxnn.settings.hyperparameters import HYPERPARAMETERS


class Measure(NamedTuple):
    """How the metrics of a set are computed, see `Outcome`; for labels it is the objective alone.

    Attributes:
      size, unit, spread: see `Scales`.
    """

    objective: Objective
    size: Array | None = None
    unit: Array | None = None
    spread: Array | None = None

    @classmethod
    def of(cls, objective: Objective, scales: Scales | None, *, is_valid: bool) -> "Measure":
        if scales is None:
            return cls(objective)
        spread = scales.valid if is_valid else scales.train
        return cls(objective, scales.size, scales.unit, spread)

    def means(self, cost: Array, outputs: Array, batch: Dataset) -> Array:
        """Returns the means (M,) of the metrics over a mini-batch; `cost` is the mean cost."""
        scales = {"unit": self.unit, "spread": self.spread}
        outcome = self.objective.outcome(cost, outputs, batch.y, batch.weights, **scales)
        return jnp.stack([*self.objective.means(outcome).values()])

    def totals(self, cost: Array, outputs: Array, batch: Dataset) -> Array:
        """Returns the means times the mini-batch's weight, and last its weight, (M + 1,).

        As one array, since a CPU compiles a kernel for every operation on a scalar.
        """
        one = jnp.ones(1, outputs.dtype)
        weight = jnp.sum(batch.weights_or_ones())
        return jnp.append(self.means(cost, outputs, batch), one) * weight

    def mean(self, totals: Array) -> Array:
        """Returns the means (M,) over all examples of which these are the totals; 0 if of none."""
        return totals[:-1] / jnp.where(totals[-1] > 0, totals[-1], 1)

    def values(self, means: Array) -> Array:
        """Returns the metrics (M,) from their means."""
        size = 1 if self.size is None else self.size
        names = enumerate(self.objective.measures)
        return jnp.stack([METRICS[name].value(means[i], size) for i, name in names])


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True)
class Best:
    """The network at its best validation epoch so far.

    `epoch` is -1 before the first one; `values` holds the two metrics that rank it, by name.
    """

    params: Params
    state: State
    epoch: Array
    values: dict[str, Array]

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], tuple[str, ...]]:
        """Flattens `values` beside the other fields, as files have them."""
        fields = {"params": self.params, "state": self.state, "epoch": self.epoch, **self.values}
        leaves = [(jax.tree_util.GetAttrKey(name), leaf) for name, leaf in fields.items()]
        return leaves, tuple(self.values)

    @classmethod
    def first(cls, objective: Objective, metric: str, params: Params, state: State) -> "Best":
        """Returns that of a network before its first epoch."""
        # worse than any value, but finite, for JAX's debugging of infinities
        dtype = jnp.result_type(float)
        most, ranks = float(jnp.finfo(dtype).max), objective.ranked_by(metric)
        # of a strong type, as values are: with another one the second call compiles anew
        worst = {one.name: jnp.full((), math.copysign(most, one.worst), dtype) for one in ranks}
        return cls(params, state, jnp.full((), -1, jnp.int32), worst)

    def updated(
        self,
        ranks: tuple[Metric, Metric],
        values: dict[str, Array],
        now: tuple[Params, State, Array],
        is_candidate: Array,
    ) -> "Best":
        """Returns the better one of this and the network now: parameters, state and epoch."""
        new, old = {one.name: values[one.name] for one in ranks}, self.values
        is_better, breaks_tie = (one.is_better(new[one.name], old[one.name]) for one in ranks)
        is_better = is_better | ((new[ranks[0].name] == old[ranks[0].name]) & breaks_tie)
        is_better = is_better & is_candidate & jnp.isfinite(values[COST.name])
        kept: Best = jax.tree.map(
            lambda new, old: jnp.where(is_better, new, old), Best(*now, new), self
        )
        return kept

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], leaves: Any) -> "Best":
        params, state, epoch, *values = leaves
        return cls(params, state, epoch, dict(zip(names, values, strict=True)))


class Watch(NamedTuple):
    """What `patience` waits for: that the monitored curve improves.

    Attributes:
      best: the best value so far, of which less is better.
      waited: epochs in a row that did not improve it by more than `min_delta`.
      plateaus: how often `patience` ran out and the learning rate was lowered.
      stopped: the number of epochs after which training ended, or -1.
    """

    best: Array
    waited: Array
    plateaus: Array
    stopped: Array

    @classmethod
    def first(cls) -> "Watch":
        dtype = jnp.result_type(float)
        zero = jnp.zeros((), jnp.int32)
        # finite, for JAX's debugging of infinities
        return cls(jnp.array(jnp.finfo(dtype).max), zero, jnp.zeros((), dtype), zero - 1)

    def updated(
        self, curves: dict[str, Array], numbers: dict[str, Array], epochs: Array, goes_on: Any
    ) -> "Watch":
        """Returns what is known after one more epoch.

        Args:
          curves: name -> value of the epoch.
          numbers: `patience`, `min_delta` and `monitor`, an index in CURVES or -1: the cost on the
            validation set if there is one, else in training.
          epochs: epochs trained.
          goes_on: whether the network is trained on if `patience` runs out, since its schedule
            lowers the learning rate.
        """
        names = [*curves]
        default = COST.valid if COST.valid in names else COST.name
        place = [names.index(name if name in names else default) for name in (*CURVES, default)]
        signs = [-1.0 if metric_of(name).is_higher_better else 1.0 for name in names]
        index = jnp.array(place)[numbers["monitor"]]
        loss = (jnp.stack([*curves.values()]) * jnp.array(signs))[index]
        is_better = loss < self.best - numbers["min_delta"]
        waited = jnp.where(is_better, 0, self.waited + 1)
        is_over = waited >= numbers["patience"]
        is_stopped = is_over & ~jnp.asarray(goes_on, bool)
        return Watch(
            best=jnp.minimum(loss, self.best),
            waited=jnp.where(is_over, 0, waited),
            plateaus=self.plateaus + (is_over & ~is_stopped),
            stopped=jnp.where(is_stopped, epochs, self.stopped),
        )


def evaluate(
    model: Model,
    params: Params,
    state: State,
    data: Dataset,
    *,
    loss: Loss | None = None,
    **numbers: Any,
) -> dict[str, Array]:
    """Returns the mean cost and the other metrics of a network on data, in evaluation mode.

    Inputs are not normalised and targets not standardised; `Fitted.score` does that for networks
    that need it.

    Args:
      model, params, state: the network.
      data: the examples.
      loss: the objective; None is "softmax" for classes and "squared" for real targets.
      numbers: those that the model's `apply` and the loss take.
    """
    objective = data.targets.objective(data.targets.default_loss if loss is None else loss)
    known = [name for name in objective.uses if name in HYPERPARAMETERS]
    defaults = {name: HYPERPARAMETERS[name].default for name in known}
    own = {name: number for name, number in numbers.items() if name not in objective.uses}
    outputs, _ = model.apply(params, state, data.x, **own)
    cost = weighted_mean(objective.costs(outputs, data.y, defaults | numbers), data.weights)
    scales = None
    if data.is_real:
        targets = data.y.reshape(len(data.y), -1)
        means = jax.vmap(weighted_mean, (1, None))
        variance = means(jnp.square(targets - means(targets, data.weights)[None]), data.weights)
        spread = jnp.sqrt(variance)
        scales = Scales(size=jnp.ones(()), unit=jnp.ones_like(spread), train=spread, valid=spread)
    measure = Measure.of(objective, scales, is_valid=True)
    values = measure.values(measure.means(cost, outputs, data))
    return dict(zip(objective.measures, values, strict=True))
