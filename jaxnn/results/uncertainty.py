"""Uncertainty of a mean over repetitions or folds, and tests whether two settings differ."""

import math
from typing import NamedTuple

import numpy as np

LEVEL = 0.95
"""The level of intervals."""


class Comparison(NamedTuple):
    """Two settings, compared on common seeds and folds.

    Attributes:
      difference: mean of the first setting's values minus the second's.
      standard_error: the standard error of the difference.
      interval: the 95 % interval of the difference.
      p_value: the p-value of a paired t-test of equal settings.
    """

    difference: float
    standard_error: float
    interval: tuple[float, float]
    p_value: float

    @property
    def is_real(self) -> bool:
        """Whether the interval excludes 0."""
        low, high = self.interval
        return low > 0 or high < 0

    def __str__(self) -> str:
        low, high = self.interval
        verdict = "a real difference" if self.is_real else "cannot be told apart"
        return f"{self.difference:+.4f}, 95 % interval {low:+.4f} to {high:+.4f}: {verdict}"


def by_unit(values: np.ndarray, folds: int) -> np.ndarray:
    """Returns the units (..., n) of statistics for values (..., K), which come fold after fold.

    Without folds each repetition is a unit. With folds each fold is one, with the mean of its
    repetitions.
    """
    if folds == 1:
        return values
    return values.reshape(*values.shape[:-1], folds, values.shape[-1] // folds).mean(axis=-1)


def standard_error(values: np.ndarray, folds: int = 1) -> np.ndarray:
    """Returns the standard error of means over the last axis of values (..., K).

    It is s / sqrt(n) over n repetitions, and NaN if n is 1. Folds share most of their training
    examples, so their values are not independent: s^2 is multiplied by 1 / n + 1 / (folds - 1),
    whose second term is the ratio of held-out to training part.

    Source: Nadeau and Bengio, Inference for the Generalization Error, Machine Learning 52, 2003.

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
    """Returns half the width of a mean's 95 % interval: Student's t times the standard error."""
    # slow to import
    from scipy.special import stdtrit

    freedom = by_unit(values, folds).shape[-1] - 1
    quantile = stdtrit(freedom, (1 + LEVEL) / 2) if freedom > 0 else math.nan
    return quantile * standard_error(values, folds)


def are_close(values: np.ndarray, folds: int = 1) -> np.ndarray:
    """Returns which of values (S, K) do not differ significantly from the first, (S - 1,).

    With K = 1 nothing is known, and none is.
    """
    if len(values) == 0 or values.shape[1] < 2:
        return np.zeros(max(0, len(values) - 1), bool)
    differences = values[1:] - values[0]
    # NaN, of equal units, is close
    return ~(abs(differences.mean(axis=1)) > half_width(differences, folds))


def compare(first: np.ndarray, second: np.ndarray, folds: int = 1) -> Comparison:
    """Compares two settings' values (K,) by a paired t-test.

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
    # equal values: 0 / 0
    p_value = 1.0 if mean == 0 == error else float(2 * stdtr(max(freedom, 1), -statistic))
    return Comparison(mean, error, (mean - reach, mean + reach), p_value)
