"""`choose`: the greedy choice of an ensemble among all networks of a record.

The best networks begin. Each step adds, with replacement, the network that makes the averaged
prediction of the validation examples best. Of all steps the best one is taken.

Source: Caruana et al., Ensemble Selection from Libraries of Models, ICML 2004.
"""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from jaxnn.functional.metrics import COST, METRICS
from jaxnn.results.averaging import Measure, Parts, of_probabilities, of_reals
from jaxnn.results.predictions import check_held_out, outputs, validation_parts
from jaxnn.results.records import Record
from jaxnn.results.trials import Lane
from jaxnn.system.checks import check_fits, either, whole_number
from jaxnn.system.terminal import warn_caller
from jaxnn.training.ensembles import Chosen

MOST_NUMBERS = 2**18
"""The most numbers of a block of candidates, so that it stays in the cache."""


def choose(
    record: Record, data: Any, size: int, initial: int, metric: str | None, name: str = "data"
) -> Chosen:
    """Chooses networks of a record greedily, see `Study.ensemble`.

    Args:
      data: the validation examples, for each fold; None takes those of the record.
      name: what errors call them.
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
    parts = validation_parts(record, data, name)
    weights = np.concatenate([one.host_weights() for one in parts]).astype(np.float64)
    shares = weights / weights.sum()
    kind = of_probabilities if record.objective.point is None else of_reals
    measure = kind(record, parts, metric, weights)
    lanes, predictions = _predictions(record, parts, measure)
    adding = Adding(predictions, measure, shares, -1 if METRICS[metric].is_higher_better else 1)
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
        best_value=adding.sign * float(losses[0]),
        value=adding.sign * loss,
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
    lanes = _candidates(record)
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


def _candidates(record: Record) -> list[Lane]:
    """Returns the networks, (setting, repetition), that are here and can be averaged."""
    shape = len(record.settings), record.folds, -1
    is_here = (record.places[..., 0] >= 0) & (record.diverged < 0)
    lanes = [(int(row), int(k)) for row, k in np.argwhere(is_here.reshape(shape).all(axis=1))]
    if record.objective.point is not None:
        return lanes
    losses = [one["loss"] for one in record.settings]
    suits = {loss: record.targets.objective(loss).has_probabilities for loss in losses}
    fine = [lane for lane in lanes if suits[losses[lane[0]]]]
    if len(fine) < len(lanes):
        warn_caller(
            f"the greedy choice leaves out {len(lanes) - len(fine)} of {len(lanes)} networks: the "
            "outputs of their loss are no probabilities that could be averaged"
        )
    return fine


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
