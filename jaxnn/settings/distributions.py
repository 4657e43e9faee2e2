"""What a hyperparameter is drawn from: ranges on a scale, and choices."""

from collections.abc import Sequence
from typing import Any

from jaxnn.settings.alternatives import Either
from jaxnn.settings.domains import Choice, Domain, Range
from jaxnn.system.checks import brief


def uniform(low: float, high: float) -> Range:
    """Returns the range of numbers from low to high, evenly spread.

    >>> uniform(0.0, 0.5).value(0.5)
    0.25
    """
    return Range(low, high)


def loguniform(low: float, high: float) -> Range:
    """Returns the range of 10^r with r evenly spread, such as for a learning rate.

    Values between 0.0001 and 0.001 are as likely as values between 0.1 and 1. The bounds are
    values, not exponents.

    >>> loguniform(1e-4, 1e0).value(0.5)
    0.01
    """
    return Range(low, high, "log")


def reverseloguniform(low: float, high: float) -> Range:
    """Returns the range of 1 - 10^r with r evenly spread, such as for momentum.

    Values between 0.9 and 0.99 are as likely as values between 0.99 and 0.999. It is the course's
    scale for beta, on which the averaging window 1 / (1 - beta) is spread logarithmically. The
    bounds are values in [0, 1).

    >>> reverseloguniform(0.9, 0.999).value(0.5)
    0.99
    """
    return Range(low, high, "reverse log")


def randint(low: int, high: int) -> Range:
    """Returns the range of whole numbers from low to high, both included.

    >>> [randint(1, 3).value(position) for position in (0.0, 0.5, 1.0)]
    [1, 2, 3]
    """
    return Range(low, high, "linear", is_whole=True)


def lograndint(low: int, high: int) -> Range:
    """Returns the range of whole numbers from low to high, both included, on a logarithmic scale.

    The number n has the weight log((n + 1/2) / (n - 1/2)).

    >>> lograndint(1, 100).value(0.5)
    7
    """
    return Range(low, high, "log", is_whole=True)


def choice(options: Sequence[Any]) -> Any:
    """Returns a choice among options, all equally likely.

    An option may be a range or a choice itself: then a value is drawn from it. Such a choice has
    the axis "<name>_option" and, for option k that is drawn from, the axis "<name>_<k>".

    Raises:
      ValueError: there is no option, or one is of several axes, such as `layers`.

    >>> choice([16, 32, 64]).value(0.5)
    32
    >>> from jaxnn import sample
    >>> settings = sample({"dropout": choice([0.0, uniform(0.1, 0.5)])}, 4)
    >>> [round(setting["dropout"], 2) for setting in settings]
    [0.0, 0.14, 0.31, 0.0]
    """
    if isinstance(options, str) or not isinstance(options, Sequence) or len(options) == 0:
        raise ValueError(f"choice got {brief(options)}; expected a list of at least one option")
    has_domains = any(isinstance(option, Domain) for option in options)
    return Either(tuple(options)) if has_domains else Choice(tuple(options))
