"""Objectives: what a network is trained for, what its outputs mean, and what measures it."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.functional.losses import accuracy, softmax_cross_entropy, weighted_mean
from jaxnn.functional.types import Array


class Metric(NamedTuple):
    """A row of METRICS: a number by which networks are measured and ranked.

    Attributes:
      name: the name of the metric and of its curve; `valid` is that of its validation curve.
      of_step: computes a mini-batch's mean from its mean cost, outputs, targets and weights. Means
        of mini-batches are averaged by their weight to the mean over all examples.
      is_higher_better: whether higher values are better.
      bounds: the range of its values, to which confidence intervals are clipped.
      value: computes the metric from the mean, such as the root of a mean square.
    """

    name: str
    of_step: Callable[[Array, Array, Array, Array | None], Array]
    is_higher_better: bool
    bounds: tuple[float, float]
    value: Callable[[Array], Array] = lambda mean: mean

    @property
    def valid(self) -> str:
        """The name of its curve on the validation set."""
        return f"{VALID}{self.name}"

    def is_better(self, new: Any, old: Any) -> Any:
        return new > old if self.is_higher_better else new < old

    @property
    def best(self) -> Callable[..., Any]:
        """`max` or `min`."""
        return max if self.is_higher_better else min

    @property
    def worst(self) -> float:
        """The infinity that is worse than every value."""
        return -math.inf if self.is_higher_better else math.inf

    @property
    def direction(self) -> str:
        """The direction as Optuna names it."""
        return "maximize" if self.is_higher_better else "minimize"

    @property
    def better_part(self) -> tuple[float, float]:
        """The quantiles that enclose the better four fifths of values."""
        return (0.2, 1.0) if self.is_higher_better else (0.0, 0.8)

    @property
    def is_logarithmic(self) -> bool:
        """Whether plots have a logarithmic axis, since values may span many decades."""
        return self.bounds == (0, math.inf)


VALID = "valid_"

ACCURACY = Metric(
    "accuracy",
    lambda cost, outputs, targets, weights: accuracy(outputs, targets, weights),
    is_higher_better=True,
    bounds=(0.0, 1.0),
)

COST = Metric(
    "cost",
    lambda cost, outputs, targets, weights: cost,
    is_higher_better=False,
    bounds=(0.0, math.inf),
)
"""A metric of every objective; a network whose cost is not finite has diverged."""

METRICS = {one.name: one for one in (ACCURACY, COST)}
"""Name -> metric. Add a row to add a metric."""


def metric_of(curve: str) -> Metric:
    """Returns the metric of a curve.

    >>> metric_of("valid_cost").name
    'cost'
    """
    return METRICS[curve.removeprefix(VALID)]


class Objective(NamedTuple):
    """A row of OBJECTIVES: the cost that training minimises, and the meaning of outputs.

    Attributes:
      cost: computes the cost of each example (B,) from outputs (B, C) and targets.
      num_outputs: computes C from the number of classes.
      predict: computes predictions (N,) from outputs (N, C), on the host.
      probabilities: computes probabilities of classes (N, C) from outputs (N, C).
      metrics: names in METRICS besides the cost; the first one is `Fitted.score`.
    """

    cost: Callable[[Array, Array], Array]
    num_outputs: Callable[[int], int]
    predict: Callable[[np.ndarray], np.ndarray]
    probabilities: Callable[[Array], Array]
    metrics: tuple[str, ...]

    @property
    def measures(self) -> tuple[str, ...]:
        """The names of all its metrics."""
        return (COST.name, *self.metrics)

    def curves(self, has_valid: bool) -> tuple[str, ...]:
        """Returns the names of training curves, and of validation curves if there are any."""
        names = self.measures
        return (*names, *(METRICS[name].valid for name in names)) if has_valid else names

    def ranked_by(self, name: str) -> tuple[Metric, Metric]:
        """Returns the metric that ranks networks and the one that breaks ties."""
        return METRICS[name], METRICS[self.metrics[0]] if name == COST.name else COST

    def mean_cost(self, outputs: Array, targets: Array, weights: Array | None) -> Array:
        return weighted_mean(self.cost(outputs, targets), weights)

    def means(
        self, cost: Array, outputs: Array, targets: Array, weights: Array | None
    ) -> dict[str, Array]:
        """Returns name -> mean over a mini-batch, for each metric; `cost` is the mean cost."""
        given = cost, outputs, targets, weights
        return {name: METRICS[name].of_step(*given) for name in self.measures}


OBJECTIVES = {
    "softmax": Objective(
        softmax_cross_entropy,
        num_outputs=lambda num_classes: num_classes,
        predict=lambda outputs: outputs.argmax(axis=-1),
        probabilities=jax.nn.softmax,
        metrics=(ACCURACY.name,),
    )
}
"""Name, the setting's `loss` -> objective. Add a row to add an objective."""
