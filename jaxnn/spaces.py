"""Search spaces: ranges of values on their own scales, and settings sampled from them."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from jaxnn.checks import brief, plain, whole_number
from jaxnn.memory import check_fits
from jaxnn.settings import HYPERPARAMETERS, checked


def _power(r: float) -> float:
    """10^r; infinite where no float is as large, as beyond the end of a range."""
    try:
        return 10.0**r
    except OverflowError:
        return math.inf


_SCALES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "linear": (lambda value: value, lambda r: r),
    "log": (math.log10, _power),
    "reverse log": (lambda value: -math.log10(1 - value), lambda r: 1 - 10.0**-r),
}
"""Name -> (value to r, r to value); a range is sampled evenly in r."""


_NAMES = {
    ("linear", False): "uniform",
    ("log", False): "loguniform",
    ("reverse log", False): "reverseloguniform",
    ("linear", True): "randint",
    ("log", True): "lograndint",
}
"""Scale, and whether it is of whole numbers -> the function that makes such a range."""


def _bound(value: Any, is_whole: bool) -> float:
    """The bound of a range as a plain number."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    try:
        is_fine = is_number and math.isfinite(value) and (not is_whole or value == int(value))
    except OverflowError:
        is_fine = False
    if not is_fine:
        kind = "a whole number" if is_whole else "a finite number"
        raise ValueError(f"a range got the bound {brief(value)}; expected {kind}")
    number: float = plain("a range", value)
    return number


@dataclasses.dataclass(frozen=True, repr=False)
class Range:
    """The numbers from `low` to `high`, evenly spread on a scale; see `uniform` and its siblings.

    A whole-number range contains both ends, and reaches half a unit beyond them before rounding.
    """

    low: float
    high: float
    scale: str = "linear"
    is_whole: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            object.__setattr__(self, name, _bound(getattr(self, name), self.is_whole))
        if self.scale not in _SCALES:
            raise ValueError(f"a range got the scale {self.scale!r}; expected {list(_SCALES)}")
        if math.isinf(float(self.high) - float(self.low)):
            raise ValueError(f"a range got {self.low} and {self.high}; expected closer bounds")
        if self.low >= self.high:
            raise ValueError(
                f"a range got low {self.low} and high {self.high}; expected low < high"
            )
        if self.scale == "log" and self.low <= 0:
            raise ValueError(
                f"a logarithmic range got the bound {self.low}; expected bounds > 0, as values: "
                "loguniform(1e-4, 1) is 10^r with r from -4 to 0"
            )
        if self.scale == "reverse log" and not 0 <= self.low < self.high < 1:
            raise ValueError(
                f"reverseloguniform got {self.low} and {self.high}; expected bounds in [0, 1), as "
                "values: reverseloguniform(0.9, 0.999) is 1 - 10^-r with r from 1 to 3"
            )

    def __repr__(self) -> str:
        bounds, name = (self.low, self.high), _NAMES.get((self.scale, self.is_whole))
        if name is None:
            return f"jaxnn.spaces.Range{(*bounds, self.scale, self.is_whole)}"
        return f"jaxnn.{name}{bounds}"

    def _ends(self) -> tuple[float, float]:
        to_r, _ = _SCALES[self.scale]
        margin = 0.5 if self.is_whole else 0.0
        return to_r(self.low - margin), to_r(self.high + margin)

    def value(self, position: float) -> Any:
        """The value at a position in 0..1 along the scale; positions beyond give values beyond."""
        first, last = self._ends()
        value = _SCALES[self.scale][1](first + position * (last - first))
        inside = 0 <= position <= 1
        if self.is_whole and math.isfinite(value):
            # halves up, not to even: every whole number has the same share
            whole = math.floor(value + 0.5)
            return min(max(whole, int(self.low)), int(self.high)) if inside else whole
        return float(min(max(value, self.low), self.high)) if inside else value

    def position(self, value: float) -> float:
        """Where a value lies, 0..1; the inverse of `value`. What lies outside is at an end."""
        value = min(max(value, self.low), self.high)
        first, last = self._ends()
        return (_SCALES[self.scale][0](value) - first) / (last - first)


@dataclasses.dataclass(frozen=True, repr=False)
class Choice:
    """One of `options`, each as likely."""

    options: tuple[Any, ...]

    def __post_init__(self) -> None:
        options = plain("choice", self.options)
        if not isinstance(options, tuple) or not options:
            raise ValueError(f"choice got {brief(options)}; expected a list of at least one option")
        object.__setattr__(self, "options", options)

    def __repr__(self) -> str:
        return f"jaxnn.choice({[*self.options]})"

    def value(self, position: float) -> Any:
        return self.options[min(int(position * len(self.options)), len(self.options) - 1)]

    @functools.cached_property
    def _places(self) -> dict[Any, int]:
        # of equal options the first
        return {option: place for place, option in reversed([*enumerate(self.options)])}

    def position(self, value: Any) -> float:
        return (self._places[value] + 0.5) / len(self.options)


Domain = Range | Choice
Space = Mapping[str, Any]
"""Name of a hyperparameter -> its domain, or the plain value it is fixed at."""


def uniform(low: float, high: float) -> Range:
    """Evenly from low to high.

    >>> uniform(0.0, 0.5).value(0.5)
    0.25
    """
    return Range(low, high)


def loguniform(low: float, high: float) -> Range:
    """10^r with r even: as much between 0.0001 and 0.001 as between 0.1 and 1. Bounds are values.

    >>> loguniform(1e-4, 1e0).value(0.5)
    0.01
    """
    return Range(low, high, "log")


def reverseloguniform(low: float, high: float) -> Range:
    """1 - 10^r with r even: as much between 0.9 and 0.99 as between 0.99 and 0.999.

    The course's scale for beta, whose averaging window 1 / (1 - beta) it spreads evenly in
    magnitude. Bounds are values in [0, 1).

    >>> reverseloguniform(0.9, 0.999).value(0.5)
    0.99
    """
    return Range(low, high, "reverse log")


def randint(low: int, high: int) -> Range:
    """A whole number from low to high, both included.

    >>> [randint(1, 3).value(position) for position in (0.0, 0.5, 1.0)]
    [1, 2, 3]
    """
    return Range(low, high, "linear", is_whole=True)


def lograndint(low: int, high: int) -> Range:
    """A whole number from low to high, both included, n with weight log((n + 1/2) / (n - 1/2)).

    >>> lograndint(1, 100).value(0.5)
    7
    """
    return Range(low, high, "log", is_whole=True)


def choice(options: Sequence[Any]) -> Choice:
    """One of the options, each as likely.

    >>> choice([16, 32, 64]).value(0.5)
    32
    """
    if isinstance(options, str) or not isinstance(options, Sequence) or len(options) == 0:
        raise ValueError(f"choice got {brief(options)}; expected a list of at least one option")
    return Choice(tuple(options))


class Settings(list[dict[str, Any]]):
    """A list of settings that remembers the space it was sampled from."""

    space: dict[str, Any]

    def __init__(self, settings: Sequence[dict[str, Any]], space: Space):
        super().__init__(settings)
        self.space = checked_space(space)


def sample(space: Space, n: int, seed: int = 0, *, method: str = "sobol") -> Settings:
    """Draws n settings from a space.

    Args:
      space: name -> domain (`uniform`, `loguniform`, `reverseloguniform`, `randint`, `lograndint`,
        `choice`), or a plain value, which is fixed.
      n: how many.
      seed: of the draw; with the same seed, the first settings of a larger n are those of a
        smaller one.
      method: "sobol": scrambled Sobol points, which fill the space more evenly than chance (200
        searches of 16 settings each on the digits: mean best cost 0.103, against 0.113 +- 0.003);
        "random": independent draws; "grid": every option of each choice, with as many evenly
        spaced values of each range as n allows (both ends among them), which may give fewer than n.

    Returns:
      a list of dicts. It remembers the space, so that a study can say when its best setting lies
      at an edge.

    Raises:
      ValueError: a bound or a fixed value that its hyperparameter does not allow; a grid of more
        options than n.

    >>> space = {"learning_rate": loguniform(1e-4, 1e0), "hidden": (25, 12)}
    >>> settings = sample(space, 4)
    >>> sorted(math.floor(math.log10(setting["learning_rate"])) for setting in settings)
    [-4, -3, -2, -1]
    """
    n, seed = whole_number("n", n, 1), whole_number("seed", seed)
    space = checked_space(space)
    # a setting is a dict, of about as many bytes
    check_fits(1000 * n, f"n got {n:,}: so many settings")
    names = [name for name, domain in space.items() if isinstance(domain, Domain)]
    if method == "random":
        positions = np.random.default_rng(seed).random((n, len(names)))
    elif method == "grid":
        positions = _grid([space[name] for name in names], n)
    elif method != "sobol":
        raise ValueError(f"method got {method!r}; expected 'sobol', 'random' or 'grid'")
    elif names:
        # slow to import, and it changes the process's warning filters
        from scipy.stats import qmc

        points = qmc.Sobol(len(names), scramble=True, rng=np.random.default_rng(seed))
        # a whole power of two, as Sobol's balance wants it, of which the first n are taken
        positions = points.random_base2(math.ceil(math.log2(n)))[:n]
    else:
        positions = np.empty((n, 0))
    settings = []
    for row in positions.tolist():
        drawn = {name: space[name].value(u) for name, u in zip(names, row, strict=True)}
        settings.append({name: drawn.get(name, value) for name, value in space.items()})
    return Settings(settings, space)


def _grid(domains: Sequence[Domain], n: int) -> np.ndarray:
    """Positions (at most n, domains) on a grid."""
    options = {i: len(d.options) for i, d in enumerate(domains) if isinstance(d, Choice)}
    num_combinations = math.prod(options.values())
    if num_combinations > n:
        raise ValueError(
            f"a grid got n={n}; expected {num_combinations} at least, for every option of each "
            "choice with the others"
        )
    num_ranges = len(domains) - len(options)
    # the whole root: 3 for 27 settings of three ranges, whose floating-point root is below
    places = max(k for k in range(1, n + 1) if num_combinations * k**num_ranges <= n)
    axes = []
    for index, domain in enumerate(domains):
        if isinstance(domain, Choice):
            axes.append((np.arange(options[index]) + 0.5) / options[index])
        else:
            axes.append(np.linspace(0, 1, places) if places > 1 else np.array([0.5]))
    if not axes:
        return np.empty((1, 0))
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def checked_space(space: Space) -> dict[str, Any]:
    """The space in plain values of its own; what no hyperparameter's name stands for passes.

    Raises:
      ValueError: a value that its hyperparameter does not allow, or that cannot be saved.
    """
    if not isinstance(space, Mapping) or not all(isinstance(name, str) for name in space):
        raise ValueError(f"space got {brief(space)}; expected a dict, name -> domain or value")
    own = {}
    for name, domain in space.items():
        own[str.__str__(name)] = domain if isinstance(domain, Domain) else plain(name, domain)
        if name in HYPERPARAMETERS:
            _check(name, domain)
    return own


def _check(name: str, domain: Any) -> None:
    """Refuses values that the hyperparameter does not allow."""
    if isinstance(domain, Range):
        values: tuple[Any, ...] = (domain.value(0.0), domain.value(1.0))
    else:
        values = domain.options if isinstance(domain, Choice) else (domain,)
    for value in values:
        try:
            checked(name, value, HYPERPARAMETERS[name])
        except ValueError as error:
            is_fixed = not isinstance(domain, Range | Choice)
            hint = ", or a domain such as jaxnn.choice([...])" if is_fixed else ""
            raise ValueError(f"space: {error}{hint}") from None


def course_space(tier: int = 1) -> dict[str, Any]:
    """What the course tunes first, second and third; a dict to change at will.

    | tier | adds |
    | --- | --- |
    | 1 | the learning rate, 10^r |
    | 2 | momentum, 1 - 10^r; hidden units; mini-batch size |
    | 3 | number of layers; learning-rate decay |

    From tier 2 on the optimizer is momentum or adam, whose own numbers are never tuned: they stay
    at 0.9, 0.999 and 1e-8, and adam leaves `momentum` unused.

    >>> sorted(course_space(2))
    ['batch_size', 'hidden', 'learning_rate', 'momentum', 'optimizer']
    """
    if whole_number("tier", tier, 1) > 3:
        raise ValueError(f"tier got {tier}; expected 1, 2 or 3")
    space: dict[str, Any] = {
        "optimizer": "adam",
        "learning_rate": loguniform(1e-4, 1e0),
        "hidden": (25, 12),
    }
    if tier >= 2:
        space |= {
            "optimizer": choice(["momentum", "adam"]),
            "momentum": reverseloguniform(0.9, 0.999),
            "hidden": choice([(25, 12), (50, 25), (64, 32), (128, 64)]),
            "batch_size": choice([16, 32, 64, 128]),
        }
    if tier == 3:
        space |= {
            "hidden": choice([(25,), (128,), (25, 12), (64, 32), (128, 64), (64, 32, 16)]),
            "decay_schedule": choice(["none", "inverse", "exponential"]),
        }
    return space
