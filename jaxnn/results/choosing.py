"""`choose`: the greedy choice of an ensemble among all networks of a record.

The best networks begin. Each step adds, with replacement, the network that makes the averaged
prediction of the validation examples best. Of all steps the best one is taken.

Source: Caruana et al., Ensemble Selection from Libraries of Models, ICML 2004.
"""

import functools
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.data.targets import TargetStatistics, scales
from jaxnn.functional.metrics import COST, METRICS
from jaxnn.functional.types import Array
from jaxnn.results.predictions import check_held_out, outputs, validation_parts
from jaxnn.results.records import Record
from jaxnn.results.trials import Lane
from jaxnn.system.checks import check_fits, either, whole_number
from jaxnn.system.functions import short_name
from jaxnn.training.ensembles import Chosen
from jaxnn.training.fitted import probabilities, real_predictions

MOST_NUMBERS = 2**18
"""The most numbers of a block of candidates, so that it stays in the cache."""

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


def choose(record: Record, data: Any, size: int, initial: int, metric: str | None) -> Chosen:
    """Chooses networks of a record greedily, see `Study.ensemble`.

    Args:
      data: the validation examples, for each fold; None takes those of the record.
      size: the most networks, counted as often as they were chosen.
      initial: the number of best networks that begin.
      metric: what is optimised; None is the cost of the averaged predictions.

    Raises:
      ValueError: bad input, or no network has finite predictions.
    """
    if not record.given:
        raise ValueError("the study has no settings, so there is no network to choose")
    size, initial = whole_number("size", size, 1), whole_number("initial", initial, 1)
    metric = COST.name if metric is None else metric
    either("metric", metric, *record.objective.measures)
    parts = validation_parts(record, data)
    weights = np.concatenate([one.host_weights() for one in parts]).astype(np.float64)
    shares = weights / weights.sum()
    kind = of_probabilities if record.objective.point is None else of_reals
    measure = kind(record, parts, metric, weights)
    lanes, predictions = _predictions(record, parts, measure)
    sign = -1 if METRICS[metric].is_higher_better else 1
    adding = Adding(predictions, measure, shares, sign)
    ranked, losses = adding.ranked()
    picks, loss = adding.chosen(ranked[: min(size, initial)], size)
    if loss > losses[0]:
        # networks that begin stay, and some are far worse than the best
        picks, loss = adding.chosen(ranked[:1], size)
    counts = Counter(picks)
    costs, of_best = (
        measure.of(predictions[some].mean(axis=0, dtype=np.float64)[None])[0][0]
        for some in (picks, ranked[:1])
    )
    chosen = [(*lanes[one], count) for one, count in counts.most_common()]
    numbers, repeats, times = (tuple(column) for column in zip(*chosen, strict=True))
    differences = costs - of_best
    difference = float(shares @ differences)
    n = int(np.count_nonzero(shares))
    # of equal weights the error is s / sqrt(n)
    spread = float(np.square(shares * (differences - difference)).sum())
    return Chosen(
        numbers=numbers,
        repeats=repeats,
        counts=times,
        num_candidates=len(lanes),
        num_examples=n,
        metric=metric,
        best_value=sign * float(losses[0]),
        value=sign * loss,
        best_cost=float(shares @ of_best),
        cost=float(shares @ costs),
        difference=difference,
        standard_error=float(np.sqrt(spread * n / max(1, n - 1))),
    )


def _predictions(record: Record, parts: Parts, measure: Measure) -> tuple[list[Lane], np.ndarray]:
    """Returns the candidates, (setting, repetition), and their predictions (A, n, D).

    With folds the prediction for an example is that of the network that did not train on it.
    Networks whose predictions are not finite are left out.
    """
    shape = len(record.settings), record.folds, -1
    is_here = (record.places[..., 0] >= 0) & (record.diverged < 0)
    lanes = [(int(row), int(k)) for row, k in np.argwhere(is_here.reshape(shape).all(axis=1))]
    starts, dtype = np.cumsum([0, *map(len, parts)]), parts[0].x.dtype
    held = len(lanes), int(starts[-1]), measure.width
    check_fits(
        int(np.prod(held, dtype=object)) * dtype.itemsize,
        f"data got {held[1]:,} examples: the predictions of {held[0]:,} networks",
    )
    predictions = np.full(held, np.nan, dtype)
    candidates = {lane: index for index, lane in enumerate(lanes)}
    count = record.diverged.shape[1] // record.folds
    for fold, part in enumerate(parts):
        rows = slice(starts[fold], starts[fold + 1])
        is_known = record.folds == 1 or parts is record.held_out
        for (row, repeat), found in outputs(record, part, fold):
            index = candidates.get((row, repeat - fold * count))
            if index is not None:
                if not is_known:
                    check_held_out(record, part, fold, (row, repeat), found)
                is_known = True
                predictions[index, rows] = measure.held(record.settings[row], fold, found)
    is_finite = np.isfinite(predictions).all(axis=(1, 2))
    if not is_finite.any():
        raise ValueError(
            f"none of the {len(record.settings)} settings has a network with finite predictions "
            f"to choose: {record.failures()}"
        )
    if not is_finite.all():
        lanes = [lanes[one] for one in np.flatnonzero(is_finite)]
        predictions = predictions[is_finite]
    return lanes, predictions


class Adding(NamedTuple):
    """The candidates of a choice, each of which may be added to those chosen so far.

    Attributes:
      predictions: (A, n, D).
      measure: how averages of them are measured.
      shares: (n,), the weights of the examples, which sum to 1.
      sign: -1 if higher values of the metric are better, else 1.
    """

    predictions: np.ndarray
    measure: Measure
    shares: np.ndarray
    sign: int

    def losses(self, sums: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the metric times `sign`, and the cost, of sums of predictions (B, n, D)."""
        costs, values = self.measure.of(sums / count)
        return self.sign * values, costs @ self.shares

    def ranked(self, total: Any = 0.0, count: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Returns the candidates, the best one to add first, and their losses.

        Ties go to the lower cost, then to the first candidate.

        Args:
          total: the sum of the predictions of the `count` networks that were chosen.
        """
        block = max(1, MOST_NUMBERS // self.predictions[0].size)
        starts = range(0, len(self.predictions), block)
        parts = (total + self.predictions[start : start + block] for start in starts)
        found = [self.losses(part, count + 1) for part in parts]
        losses, costs = (np.concatenate(some) for some in zip(*found, strict=True))
        order = np.lexsort((costs, losses))
        return order, losses[order]

    def chosen(self, first: np.ndarray, size: int) -> tuple[list[int], float]:
        """Returns the candidates of the best step, and its loss.

        Args:
          first: the candidates that begin.
          size: the most of them.
        """
        picks = first.tolist()
        total = self.predictions[picks].sum(axis=0, dtype=np.float64)
        reached = [self._loss(total, len(picks))]
        while len(picks) < size:
            picks.append(int(self.ranked(total, len(picks))[0][0]))
            total += self.predictions[picks[-1]]
            reached.append(self._loss(total, len(picks)))
        best = reached.index(min(reached))
        return picks[: len(first) + best], reached[best][0]

    def _loss(self, total: np.ndarray, count: int) -> tuple[float, float]:
        (loss,), (cost,) = self.losses(total[None], count)
        return float(loss), float(cost)


def of_probabilities(record: Record, parts: Parts, metric: str, weights: np.ndarray) -> Measure:
    """Returns the measure of classes and labels, whose probabilities are averaged.

    The cost is -log of the mean probability of the true class; of K labels it is the sum over
    them. For the cost, and for two classes, no other class is held.
    """
    targets = record.targets
    objectives = {one["loss"]: targets.objective(one["loss"]) for one in record.settings}
    for loss, objective in objectives.items():
        if not objective.has_probabilities:
            raise ValueError(
                f"method='greedy' came with the loss {short_name(loss)!r}, whose outputs are no "
                "probabilities that could be averaged; expected 'softmax' or 'sigmoid'"
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
