"""Measures: the metrics of a network on a set, from mini-batches or at once."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxnn.data.datasets import Dataset
from jaxnn.functional.losses import weighted_mean
from jaxnn.functional.metrics import METRICS, Scales
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
