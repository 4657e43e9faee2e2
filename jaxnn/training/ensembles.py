"""`Ensemble`, the weighted mean of several networks, and `Chosen`, how a greedy one was chosen."""

import dataclasses
import math
import os
from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.functional.metrics import COST
from jaxnn.functional.objectives import OBJECTIVES
from jaxnn.functional.types import ArrayLike
from jaxnn.system.checks import brief
from jaxnn.system.terminal import show
from jaxnn.training.fitted import Fitted, check_kind, hit_rate, rmse, save_network


class Chosen(NamedTuple):
    """How the networks of an ensemble were chosen, and what they gained on the examples used.

    A network of the choice is a repetition of a setting; with folds it is its networks of all
    folds. "Best" is the best single network on the same examples.

    Attributes:
      numbers: the number of each chosen network's setting, most often chosen first.
      repeats: the number of its repetition.
      counts: how often it was chosen.
      num_candidates: the number of networks to choose from.
      num_examples: the number of validation examples.
      metric: the metric that was optimised.
      best_value, value: the metric of the best network, and of the ensemble.
      best_cost, cost: the cost of the best network, and of the ensemble.
      difference: the mean over examples of the ensemble's cost minus that of the best network.
      standard_error: the standard error of the difference, paired over examples.
    """

    numbers: tuple[int, ...]
    repeats: tuple[int, ...]
    counts: tuple[int, ...]
    num_candidates: int
    num_examples: int
    metric: str
    best_value: float
    value: float
    best_cost: float
    cost: float
    difference: float
    standard_error: float

    @property
    def by_setting(self) -> dict[int, int]:
        """The number of each setting -> how often its networks were chosen."""
        found: Counter[int] = Counter()
        for number, count in zip(self.numbers, self.counts, strict=True):
            found[number] += count
        return dict(found)

    def __str__(self) -> str:
        value, best = f"cost {self.cost:.4f}", f"{self.best_cost:.4f}"
        if self.metric != COST.name:
            value = f"{self.metric} {self.value:.4f} and {value}"
            best = f"{self.best_value:.4f} and {best}"
        return (
            f"Chosen greedily by {self.metric} from {self.num_candidates:,} networks: {value} on "
            f"{self.num_examples:,} validation examples in place of the best network's {best}, a "
            f"difference in cost of {self.difference:+.4f} with a standard error of "
            f"{self.standard_error:.4f}. They are the examples that it was chosen by: expect less "
            "of a gain on others."
        )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Ensemble:
    """Networks whose probabilities are averaged: p(x) = sum over m of w_m softmax(logits_m(x)).

    Of real targets the predictions are averaged. The weights w_m sum to 1.

    Attributes:
      members: the M networks, as from `Study.ensemble`.
      weights: (M,) numbers above 0, which are divided by their sum; None is 1 / M for each.
      chosen: how the members were chosen, if greedily.

    Raises:
      ValueError: no members, members for other data, or weights that are not such numbers.

    >>> from jaxnn import fit
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> data = Dataset(x, (x[:, 0] > 0).astype(int))
    >>> members = [fit({"learning_rate": 0.1}, data, epochs=9, seed=k) for k in (0, 1)]
    >>> two = Ensemble(members, weights=[3, 1])
    >>> two.predict_proba(x).shape, two.score(data) > 0.9, two.weights
    ((64, 2), True, array([0.75, 0.25]))
    """

    members: list[Fitted]
    weights: Any = None
    chosen: Chosen | None = None

    def __post_init__(self) -> None:
        members = self.members
        if not isinstance(members, list | tuple) or not all(isinstance(o, Fitted) for o in members):
            raise ValueError(f"Ensemble got {brief(members)}; expected a list of fitted networks")
        if not members:
            raise ValueError("Ensemble got no members; expected one trained network at least")
        shapes = {(one.input_shape, one.targets) for one in self.members}
        if len(shapes) > 1:
            raise ValueError(f"Ensemble got members for {shapes}; expected one shape of data")
        object.__setattr__(self, "weights", _shares(self.weights, len(self.members)))

    def predict_proba(self, x: ArrayLike) -> np.ndarray:
        """Returns the members' mean probabilities (N, C) of inputs (N, ...)."""
        return self._mean([member.predict_proba(x) for member in self.members])

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Returns the class (N,) of the highest mean probability.

        For K labels it is 1 where the mean probability exceeds 1/2, and for real targets the mean
        of the members' predictions.
        """
        if self.members[0].objective.point is not None:
            return self._mean([member.predict(x) for member in self.members])
        probabilities = self.predict_proba(x)
        is_classes = not self.members[0].targets.is_real
        return probabilities.argmax(axis=-1) if is_classes else (probabilities > 0.5).astype(int)

    def score(self, data: Dataset) -> float:
        """Returns the weighted accuracy on `data`; for real targets the rmse."""
        first = self.members[0]
        check_kind(first, data)
        if first.objective.point is not None:
            return rmse(self.predict(data.original), data)
        probabilities = self.predict_proba(data.original)
        if first.targets.is_real:
            return hit_rate(OBJECTIVES["sigmoid"], probabilities - 0.5, data)
        return hit_rate(OBJECTIVES["softmax"], probabilities, data)

    def _mean(self, found: list[np.ndarray]) -> np.ndarray:
        return np.average(found, axis=0, weights=self.weights).astype(found[0].dtype)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes all members and weights to one HDF5 file, which `load` reads.

        Raises:
          OSError: the disk is full, or the folder cannot be written to; an existing file stays.
        """
        save_network(self, path)

    def __repr__(self) -> str:
        return f"<{self._text()}>"

    def summary(self) -> None:
        """Prints the number of members, and how they were chosen."""
        show(self._text())

    def _text(self) -> str:
        count, least, most = len(self.members), self.weights.min(), self.weights.max()
        spread = "equal weights" if least == most else f"weights from {least:.3g} to {most:.3g}"
        networks = "1 network" if count == 1 else f"{count:,} networks with {spread}"
        return f"Ensemble of {networks}." + (f" {self.chosen}" if self.chosen else "")


def _shares(weights: ArrayLike | None, count: int) -> np.ndarray:
    """Returns weights (M,) that sum to 1."""
    if weights is None:
        return np.full(count, 1 / count)
    try:
        given = np.array(weights, np.float64)
    except (TypeError, ValueError):
        given = np.zeros(0)
    if given.shape != (count,) or not (given > 0).all() or not np.isfinite(given.sum()):
        raise ValueError(
            f"Ensemble got weights {brief(weights)} for {count:,} members; expected as many finite "
            "numbers above 0"
        )
    total = given.sum()
    # so that weights of a file come back to the bit
    return given if math.isclose(total, 1, rel_tol=1e-12) else given / total
