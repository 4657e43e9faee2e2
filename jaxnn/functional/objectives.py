"""Objectives: what a network is trained for, what its outputs mean, and what measures it."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.functional import losses
from jaxnn.functional.metrics import (
    ACCURACY,
    COST,
    MAE,
    METRICS,
    R2,
    RMSE,
    Metric,
    Outcome,
    hits,
)
from jaxnn.functional.types import Array
from jaxnn.system.functions import own_numbers

Numbers = Mapping[str, Any]

Loss = str | Callable[..., Any]
"""A name in OBJECTIVES, or a function (outputs, targets, **numbers) -> costs (B,)."""


class Labels(NamedTuple):
    """What outputs mean for classes or labels.

    Attributes:
      hits: computes the share of each example's labels (B,) that are predicted from outputs.
      decide: computes classes or labels from outputs (N, C) on the host.
      probabilities: computes probabilities (N, C) of classes, or of labels; None if there are none.
      uniform: computes the mean of the costs of all labels, for label smoothing; or None.
    """

    hits: Callable[[Array, Array], Array]
    decide: Callable[[np.ndarray], np.ndarray]
    probabilities: Callable[[Array], Array] | None = None
    uniform: Callable[[Array], Array] | None = None


class Objective(NamedTuple):
    """A row of OBJECTIVES: the cost that training minimises, and the meaning of outputs.

    Attributes:
      cost: computes the cost of each example (B,) from outputs, targets and the numbers that it
        uses. Outputs are (B, C) for classes, and have the shape of real targets.
      metrics: names in METRICS besides the cost; the first one is `Fitted.score`.
      expects: the targets that it expects, in words.
      fits: whether targets on the host are such; the second argument is the number of classes,
        None for real targets.
      width: computes C from the number of classes and the shape of an example's targets.
      labels: what outputs mean for classes or labels; None for real targets.
      point: computes predictions of real targets from outputs; None for classes and labels.
      unpoint: computes outputs from predictions, the inverse of `point`.
      uses: names of the numbers that it uses.
      defaults: defaults of hyperparameters that differ from those of HYPERPARAMETERS.
      may_standardise: whether real targets may be standardised.
      least_cost: the least cost that there can be.
    """

    cost: Callable[[Array, Array, Numbers], Array]
    metrics: tuple[str, ...]
    expects: str
    fits: Callable[[np.ndarray, int | None], bool]
    width: Callable[[int | None, tuple[int, ...]], int]
    labels: Labels | None = None
    point: Callable[[Array], Array] | None = None
    unpoint: Callable[[Array], Array] = lambda points: points
    uses: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = {}
    may_standardise: bool = False
    least_cost: float = 0.0

    @property
    def has_probabilities(self) -> bool:
        """Whether outputs give probabilities of classes or labels."""
        return self.labels is not None and self.labels.probabilities is not None

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

    def bounds(self, name: str) -> tuple[float, float]:
        """Returns the range of a metric's values."""
        least, most = METRICS[name].bounds
        return (self.least_cost if name == COST.name else least), most

    def costs(self, outputs: Array, targets: Array, numbers: Numbers) -> Array:
        """Returns the cost of each example (B,) from outputs (B, C)."""
        return self.cost(_like(outputs, targets), targets, numbers)

    def outcome(
        self, cost: Array, outputs: Array, targets: Array, weights: Array | None, **scales: Any
    ) -> Outcome:
        """Returns what metrics are computed from; `cost` is the mean cost."""
        return Outcome(
            objective=self,
            cost=cost,
            outputs=_like(outputs, targets),
            targets=targets,
            weights=weights,
            **scales,
        )

    def means(self, outcome: Outcome) -> dict[str, Array]:
        """Returns name -> mean over a mini-batch, for each metric."""
        return {name: METRICS[name].of_step(outcome) for name in self.measures}


def _like(outputs: Array, targets: Array) -> Array:
    """Returns outputs (B, C) in the shape of real targets; for classes as they are."""
    is_real = jnp.issubdtype(targets.dtype, jnp.floating)
    return outputs.reshape(targets.shape) if is_real else outputs


_CLASSES = "classes (integers, or whole floats with num_classes)"
_REAL = "real targets (floats without num_classes)"


def _sigmoid_cost(outputs: Array, targets: Array, numbers: Numbers) -> Array:
    # one logit of two classes, or K labels
    targets = targets.reshape(outputs.shape).astype(outputs.dtype)
    return _over_labels(jnp.sum, losses.sigmoid_cross_entropy(outputs, targets))


def _over_labels(over: Callable[..., Array], values: Array) -> Array:
    return values if values.ndim == 1 else over(values, axis=1)


def _sigmoid_hits(outputs: Array, targets: Array) -> Array:
    targets = targets.reshape(outputs.shape)
    is_hit = ((outputs > 0) == (targets > 0)) & jnp.isfinite(outputs)
    return _over_labels(jnp.mean, is_hit.astype(outputs.dtype))


def _either(outputs: Array) -> Array:
    """Returns the mean of the sigmoid costs of labels 0 and 1, -log a (1 - a) / 2."""
    costs = (jax.nn.softplus(outputs) + jax.nn.softplus(-outputs)) / 2
    return _over_labels(jnp.sum, costs)


def _are_labels(targets: np.ndarray, num_classes: int | None) -> bool:
    if num_classes is not None:
        return num_classes == 2
    return bool(((targets == 0) | (targets == 1)).all())


def _regression(cost: Callable[[Array, Array, Numbers], Array], **more: Any) -> Objective:
    """Returns a row of real targets, which are standardised unless the setting says otherwise."""
    row = Objective(
        cost,
        metrics=(RMSE.name, MAE.name, R2.name),
        expects=_REAL,
        fits=lambda targets, num_classes: num_classes is None,
        width=lambda num_classes, shape: math.prod(shape),
        point=lambda outputs: outputs,
        defaults={"targets": "standardised"},
        may_standardise=True,
    )
    return row._replace(**more)


OBJECTIVES: dict[str, Objective] = {
    "softmax": Objective(
        lambda outputs, targets, numbers: losses.softmax_cross_entropy(outputs, targets),
        metrics=(ACCURACY.name,),
        expects=_CLASSES,
        fits=lambda targets, num_classes: num_classes is not None,
        width=lambda num_classes, shape: num_classes or 0,
        labels=Labels(
            hits,
            decide=lambda outputs: outputs.argmax(axis=-1),
            probabilities=jax.nn.softmax,
            uniform=lambda outputs: -jnp.mean(jax.nn.log_softmax(outputs), axis=-1),
        ),
        uses=("label_smoothing",),
    ),
    "sigmoid": Objective(
        _sigmoid_cost,
        metrics=(ACCURACY.name,),
        expects="two classes, or labels 0 and 1 as floats",
        fits=_are_labels,
        width=lambda num_classes, shape: 1 if num_classes else math.prod(shape),
        labels=Labels(
            _sigmoid_hits,
            decide=lambda outputs: (outputs > 0).astype(int),
            probabilities=jax.nn.sigmoid,
            uniform=_either,
        ),
        uses=("label_smoothing",),
    ),
    "squared": _regression(
        lambda outputs, targets, numbers: losses.squared_error(outputs, targets)
    ),
    "absolute": _regression(
        lambda outputs, targets, numbers: losses.absolute_error(outputs, targets)
    ),
    "huber": _regression(
        lambda outputs, targets, numbers: losses.huber_loss(
            outputs, targets, numbers["huber_delta"]
        ),
        uses=("huber_delta",),
    ),
    "quantile": _regression(
        lambda outputs, targets, numbers: losses.quantile_loss(
            outputs, targets, numbers["quantile"]
        ),
        uses=("quantile",),
    ),
    "poisson": _regression(
        lambda outputs, targets, numbers: losses.poisson_loss(outputs, targets),
        expects="real targets >= 0 (floats without num_classes)",
        fits=lambda targets, num_classes: num_classes is None and bool((targets >= 0).all()),
        point=jnp.exp,
        unpoint=lambda points: jnp.log(jnp.maximum(points, jnp.finfo(points.dtype).tiny)),
        defaults={},
        may_standardise=False,
    ),
}
"""Name, the setting's `loss` -> objective. Add a row to add an objective."""


class Targets(NamedTuple):
    """What an example's targets are.

    Attributes:
      num_classes: C; None for real targets and labels.
      shape: the shape of an example's real targets, () or (K,); () for classes.
    """

    num_classes: int | None
    shape: tuple[int, ...] = ()

    @property
    def is_real(self) -> bool:
        return self.num_classes is None

    @property
    def default_loss(self) -> str:
        """The loss of a setting that names none."""
        return "squared" if self.is_real else "softmax"

    def objective(self, loss: Loss) -> Objective:
        return objective_of(loss, self.is_real)

    def num_outputs(self, loss: Loss) -> int:
        """Returns C, the number of a network's outputs."""
        return self.objective(loss).width(self.num_classes, self.shape)

    def __str__(self) -> str:
        if not self.is_real:
            return f"{self.num_classes} classes"
        return f"real targets {self.shape}" if self.shape else "real targets"


def objective_of(loss: Loss, is_real: bool) -> Objective:
    """Returns the objective of a loss, a name or a function, for classes or real targets."""
    if not isinstance(loss, str):
        return _of_function(loss, is_real)
    if loss not in OBJECTIVES:
        raise ValueError(f"loss got {loss!r}; expected one of {', '.join(OBJECTIVES)}")
    return OBJECTIVES[loss]


@functools.lru_cache(maxsize=1024)
def _of_function(function: Callable[..., Any], is_real: bool) -> Objective:
    """Returns the objective of a user's own loss: outputs are predictions, or logits of classes."""
    names = tuple(own_numbers(function, 2))

    def cost(outputs: Array, targets: Array, numbers: Numbers) -> Array:
        costs: Array = function(outputs, targets, **{name: numbers[name] for name in names})
        return costs

    like = OBJECTIVES["squared" if is_real else "softmax"]
    # whether its outputs are logits is not known
    labels = like.labels and like.labels._replace(probabilities=None, uniform=None)
    return like._replace(cost=cost, labels=labels, uses=names, defaults={}, least_cost=-math.inf)
