"""Metrics: numbers by which networks are measured and ranked."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxnn.functional.losses import class_numbers, real_array, weighted_mean
from jaxnn.functional.types import Array, ArrayLike


def accuracy(logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Returns the share of examples whose largest logit is the label's.

    An example counts as wrong if its largest logit is not finite or any logit is NaN.

    Args:
      logits: (B, C).
      labels: integers (B,).
      weights: (B,) or None.

    Returns:
      a scalar in 0..1.

    >>> accuracy(jnp.array([[1.0, 2.0], [3.0, 0.0]]), jnp.array([1, 1]))
    Array(0.5, dtype=float32)
    """
    return weighted_mean(hits(logits, labels), weights)


def hits(logits: ArrayLike, labels: ArrayLike) -> Array:
    """Returns 1 for each example (B,) whose largest logit is the label's, else 0."""
    logits, labels = real_array(logits), jnp.asarray(labels)
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"accuracy got labels {list(labels.shape)}; expected {list(logits.shape[:-1])}"
        )
    if jnp.issubdtype(labels.dtype, jnp.floating):
        raise ValueError(f"accuracy got labels of type {labels.dtype}; expected class numbers")
    labels = class_numbers(labels)
    is_hit = jnp.argmax(logits, axis=-1).astype(labels.dtype) == labels
    is_known = jnp.isfinite(jnp.max(logits, axis=-1))
    return (is_hit & is_known).astype(logits.dtype)


class Scales(NamedTuple):
    """The units of real targets, as data to a program; each but the first is (K,).

    Attributes:
      size: the greatest unit, whose square might overflow.
      unit: what 1 is in the targets' own units, as a share of `size`: their deviation if they were
        standardised, else 1.
      train: the deviation of the training targets, in units of training.
      valid: that of the validation targets.
    """

    size: Any
    unit: Any
    train: Any
    valid: Any


class Outcome(NamedTuple):
    """What metrics are computed from: a network's outputs for a mini-batch.

    Attributes:
      objective: the `Objective`.
      cost: the mean cost.
      outputs: (B, C) for classes, in the shape of the targets for real ones.
      targets: (B,) or (B, K).
      weights: (B,), or None.
      unit: (K,), what 1 is in the targets' own units, as a share of the greatest; None for classes.
      spread: (K,), the deviation of the targets of the whole set, in units of training.
    """

    objective: Any
    cost: Array
    outputs: Array
    targets: Array
    weights: Array | None
    unit: Any = None
    spread: Any = None

    @property
    def hits(self) -> Array:
        """(B,), the share of an example's labels that are predicted."""
        found: Array = self.objective.labels.hits(self.outputs, self.targets)
        return found

    @property
    def errors(self) -> Array:
        """(B, K), predictions minus real targets, in units of training."""
        errors: Array = self.objective.point(self.outputs) - self.targets
        return errors.reshape(len(errors), -1)

    def mean(self, values: Array) -> Array:
        """Returns the weighted mean over examples of values (B,), or (B, K), also over targets."""
        by_example = values if values.ndim == 1 else jnp.mean(values, axis=1)
        return weighted_mean(by_example, self.weights)


class Metric(NamedTuple):
    """A row of METRICS.

    Attributes:
      name: the name of the metric and of its curve; `valid` is that of its validation curve.
      of_step: computes a mini-batch's mean. Means of mini-batches are averaged by their weight to
        the mean over all examples.
      is_higher_better: whether higher values are better.
      bounds: the range of its values, to which confidence intervals are clipped.
      value: computes the metric from the mean, and from the size of the targets' own unit, which
        is 1 for labels.
    """

    name: str
    of_step: Callable[[Outcome], Array]
    is_higher_better: bool
    bounds: tuple[float, float]
    value: Callable[[Array, Any], Array] = lambda mean, size: mean

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
    lambda one: one.mean(one.hits),
    is_higher_better=True,
    bounds=(0.0, 1.0),
)

COST = Metric("cost", lambda one: one.cost, is_higher_better=False, bounds=(0.0, math.inf))
"""A metric of every objective; a network whose cost is not finite has diverged."""

RMSE = Metric(
    "rmse",
    lambda one: one.mean(jnp.square(one.errors * one.unit[None])),
    is_higher_better=False,
    bounds=(0.0, math.inf),
    value=lambda mean, size: size * jnp.sqrt(mean),
)
"""The root of the mean squared error, over examples and targets, in the targets' own units."""

MAE = Metric(
    "mae",
    lambda one: one.mean(jnp.abs(one.errors * one.unit[None])),
    is_higher_better=False,
    bounds=(0.0, math.inf),
    value=lambda mean, size: size * mean,
)
"""The mean absolute error, over examples and targets, in the targets' own units."""


def _unexplained(one: Outcome) -> Array:
    spread = jnp.asarray(one.spread)[None]
    has_spread = spread > 0
    shares = jnp.square(one.errors / jnp.where(has_spread, spread, 1))
    # as in scikit-learn: 0 for targets that do not vary
    return one.mean(jnp.where(has_spread, shares, 1))


R2 = Metric(
    "r2",
    _unexplained,
    is_higher_better=True,
    bounds=(-math.inf, 1.0),
    value=lambda mean, size: 1 - mean,
)
"""The share of the targets' variance that is explained, the mean over targets: 1 - sum of squared
errors / sum of squared differences from the mean of the measured set."""

METRICS = {one.name: one for one in (ACCURACY, COST, RMSE, MAE, R2)}
"""Name -> metric. Add a row to add a metric."""

CURVES = (*METRICS, *(one.valid for one in METRICS.values()))
"""The names of all curves."""


def metric_of(curve: str) -> Metric:
    """Returns the metric of a curve.

    >>> metric_of("valid_cost").name
    'cost'
    """
    return METRICS[curve.removeprefix(VALID)]
