"""`Measure`: how predictions of several networks are averaged, and the averages measured."""

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.data.targets import TargetStatistics, scales
from jaxnn.functional.metrics import COST, METRICS
from jaxnn.functional.types import Array
from jaxnn.results.records import Record
from jaxnn.system.functions import short_name
from jaxnn.training.fitted import probabilities, real_predictions

Parts = Sequence[Dataset]
"""The validation set of each fold; one set without folds."""


class Measure(NamedTuple):
    """How predictions of the validation examples (n, ...) are averaged and measured.

    Attributes:
      held: computes what is averaged, (N, D), from a setting, the number of its fold, and a
        network's outputs (N, C) for the fold's examples.
      width: D.
      of: computes costs (B, n) and the metric (B,) of averages (B, n, D).
    """

    held: Callable[[Mapping[str, Any], int, np.ndarray], np.ndarray]
    width: int
    of: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def of_probabilities(record: Record, parts: Parts, metric: str, weights: np.ndarray) -> Measure:
    """Returns the measure of classes and labels, whose probabilities are averaged.

    The cost is -log of the mean probability of the true class; of K labels it is the sum over
    them. For the cost, and for two classes, no other class is held.
    """
    targets = record.targets
    objectives = {one["loss"]: targets.objective(one["loss"]) for one in record.settings}
    if not any(objective.has_probabilities for objective in objectives.values()):
        raise ValueError(
            f"method='greedy' came with the loss {', '.join(map(short_name, objectives))}, whose "
            "outputs are no probabilities that could be averaged; expected 'softmax' or 'sigmoid'"
        )
    ys = [one.original_y for one in parts]
    y = np.concatenate(ys).reshape(len(weights), -1)
    num_classes = targets.num_classes or 0
    is_one_of_many = num_classes > 2 and metric != COST.name
    total = weights.sum()
    least = np.finfo(np.float32).tiny

    def held(setting: Mapping[str, Any], fold: int, outputs: np.ndarray) -> np.ndarray:
        objective, true = objectives[setting["loss"]], ys[fold].reshape(len(outputs), -1)
        if targets.is_real or outputs.shape[1] == 1:
            # 1 - p would lose the digits of a small probability
            logits = np.where(true > 0, outputs, -outputs)
            found = probabilities(logits, objective, targets).reshape(len(logits), -1)
            return found[:, -true.shape[1] :]
        found = probabilities(outputs, objective, targets)
        return found if is_one_of_many else np.take_along_axis(found, true, axis=1)

    def of(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        of_true = means
        if is_one_of_many:
            of_true = np.take_along_axis(means, y[None], axis=2)
        costs = -np.log(np.maximum(of_true, least)).sum(axis=2)
        if metric == COST.name:
            return costs, costs @ weights / total
        if is_one_of_many:
            hits = (means.argmax(axis=2) == y[:, 0])[..., None]
        else:
            # the same ties as of `Ensemble.predict`
            hits = np.where(y > 0, means > 0.5, means >= 0.5)
        # sums of whole numbers are exact, so equal accuracies are ties
        return costs, hits.sum(axis=2) @ weights / (total * y.shape[1])

    return Measure(held, num_classes if is_one_of_many else y.shape[1], of)


def of_reals(record: Record, parts: Parts, metric: str, weights: np.ndarray) -> Measure:
    """Returns the measure of real targets, whose predictions are averaged.

    The cost is the loss of the best setting, in its unit: with folds that of the first fold.
    """
    best = record.settings[int(record.ranking[0])]
    objective = record.targets.objective(best["loss"])
    numbers = {name: best[name] for name in objective.uses}
    by = record.treatments[best["inputs"], 0].targets
    everything = functools.reduce(operator.add, parts)
    units = scales(everything, None, by, best["targets"])
    unit_of = by if best["targets"] == "standardised" else None
    dtype = parts[0].x.dtype
    y: Any = _in_units(everything.original_y, unit_of).astype(dtype)
    shares: Any = (weights / weights.sum()).astype(dtype)

    def held(setting: Mapping[str, Any], fold: int, outputs: np.ndarray) -> np.ndarray:
        of_fold = record.treatments[setting["inputs"], fold].targets
        found = real_predictions(
            outputs,
            record.targets.objective(setting["loss"]),
            record.targets,
            of_fold if setting["targets"] == "standardised" else None,
        )
        return _in_units(found, unit_of).reshape(len(found), -1)

    def of_one(points: Array) -> tuple[Array, Array]:
        made = objective.unpoint(points)
        costs = objective.costs(made, y, numbers)
        about = {"unit": units.unit, "spread": units.train}
        outcome = objective.outcome(costs @ shares, made, y, shares, **about)
        return costs, METRICS[metric].value(METRICS[metric].of_step(outcome), units.size)

    of_several = jax.jit(jax.vmap(of_one))

    def of(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        costs, values = jax.device_get(of_several(jax.device_put(means.astype(dtype))))
        return costs.astype(np.float64), values.astype(np.float64)

    return Measure(held, max(1, y[0].size), of)


def _in_units(values: np.ndarray, unit: TargetStatistics | None) -> np.ndarray:
    return values if unit is None else (values - unit.mean) / unit.deviation
