"""How sure a mean over repetitions or folds is, and whether two settings differ."""

import math
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
"""Of intervals."""


class Comparison(NamedTuple):
    """Two settings, compared on common seeds and folds.

    Attributes:
      difference: mean of the first setting's values minus the second's.
      standard_error: of the difference.
      interval: the difference's 95 % interval.
      p_value: of a paired t-test that the two are equal.
    """

    difference: float
    standard_error: float
    interval: tuple[float, float]
    p_value: float

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves 0 out."""
        low, high = self.interval
        return low > 0 or high < 0

    def __str__(self) -> str:
        low, high = self.interval
        verdict = "a real difference" if self.is_real else "cannot be told apart"
        return f"{self.difference:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}: {verdict}"


def by_unit(values: np.ndarray, folds: int) -> np.ndarray:
    """Values (..., K), fold after fold, as the (..., n) that are independent of one another.

    Without folds each repetition is one. With folds it is a fold, by the mean of its repetitions.
    """
    if folds == 1:
        return values
    return values.reshape(*values.shape[:-1], folds, values.shape[-1] // folds).mean(axis=-1)


def standard_error(values: np.ndarray, folds: int = 1) -> np.ndarray:
    """Of means over the last axis of values (..., K); NaN where there is one value only.

    s / sqrt(n) over repetitions. Folds share most of their training examples, so their values are
    not independent, and s^2 counts 1 / n + 1 / (folds - 1) times: held-out over training part
    (Nadeau and Bengio, Inference for the Generalization Error, Machine Learning 52, 2003).

    >>> standard_error(np.array([0.9, 0.92, 0.94, 0.96])).round(4).item()
    0.0129
    """
    units = by_unit(values, folds)
    n = units.shape[-1]
    if n < 2:
        return np.full(units.shape[:-1], np.nan)
    share = 1 / n + (1 / (folds - 1) if folds > 1 else 0)
    return units.std(axis=-1, ddof=1) * math.sqrt(share)


def half_width(values: np.ndarray, folds: int = 1) -> np.ndarray:
    """How far the 95 % interval of a mean reaches to either side: Student's t times its error."""
    # slow to import
    from scipy.special import stdtrit

    freedom = by_unit(values, folds).shape[-1] - 1
    quantile = stdtrit(freedom, (1 + LEVEL) / 2) if freedom > 0 else math.nan
    return quantile * standard_error(values, folds)


def compare(first: np.ndarray, second: np.ndarray, folds: int = 1) -> Comparison:
    """The paired comparison of two settings' values (K,).

    >>> print(compare(np.array([0.90, 0.92, 0.91]), np.array([0.85, 0.88, 0.86])))
    +0.0467, 95 % interval +0.0323 to +0.0610: a real difference
    """
    from scipy.special import stdtr

    differences = first - second
    mean, error = float(differences.mean()), float(standard_error(differences, folds))
    reach = float(half_width(differences, folds))
    freedom = by_unit(differences, folds).shape[-1] - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = abs(np.float64(mean) / error)
    # equal values throughout tell nothing apart
    p_value = 1.0 if mean == 0 == error else float(2 * stdtr(max(freedom, 1), -statistic))
    return Comparison(mean, error, (mean - reach, mean + reach), p_value)
