"""Settings drawn from a space: at random, from a Sobol sequence, or on a grid."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxnn.settings.domains import Axis, Choice, Domain, Range
from jaxnn.settings.hyperparameters import HYPERPARAMETERS, checked
from jaxnn.settings.layers import Layers
from jaxnn.settings.traced import exact
from jaxnn.system.checks import brief, check_fits, plain, whole_number
from jaxnn.system.functions import Function, name_of, own_numbers

Space = Mapping[str, Any]
"""Name of a hyperparameter -> its domain, or a fixed value."""


class Settings(list[dict[str, Any]]):
    """A list of settings with the space that they were sampled from."""

    space: dict[str, Any]

    def __init__(self, settings: Sequence[dict[str, Any]], space: Space):
        super().__init__(settings)
        self.space = checked_space(space)


def sample(space: Space, n: int, seed: int = 0, *, method: str = "sobol") -> Settings:
    """Draws n settings from a space.

    Args:
      space: name -> domain (`uniform`, `loguniform`, `reverseloguniform`, `randint`, `lograndint`,
        `choice`, `layers`), or a plain value, which is fixed.
      n: the number of settings.
      seed: the seed. With the same seed, a larger n begins with the settings of a smaller one.
      method: "sobol": scrambled Sobol points, which fill the space more evenly than random ones
        (200 searches of 16 settings each on the digits: mean best cost 0.103, against 0.113 +-
        0.003); "random": independent draws; "grid": every option of each choice, combined with as
        many evenly spaced values of each range as n allows (both ends included), which may give
        fewer than n. Equal settings of `layers` are drawn once.

    Returns:
      a list of dicts, with the space as an attribute, so that a study can tell whether its best
      setting lies at an edge of the space.

    Raises:
      ValueError: a bound or a fixed value that its hyperparameter does not allow; or a grid with
        more combinations of options than n.

    >>> from jaxnn import loguniform
    >>> space = {"learning_rate": loguniform(1e-4, 1e0), "hidden": (25, 12)}
    >>> settings = sample(space, 4)
    >>> sorted(math.floor(math.log10(setting["learning_rate"])) for setting in settings)
    [-4, -3, -2, -1]
    """
    n, seed = whole_number("n", n, 1), whole_number("seed", seed)
    space = checked_space(space)
    # a setting is a dict of about 1,000 bytes
    check_fits(1000 * n, f"n got {n:,}: so many settings")
    axes = axes_of(space)
    if method == "random":
        positions = np.random.default_rng(seed).random((n, len(axes)))
    elif method == "grid":
        positions = _grid([*axes.values()], n)
    elif method != "sobol":
        raise ValueError(f"method got {method!r}; expected 'sobol', 'random' or 'grid'")
    elif axes:
        # slow to import, and it changes the process's warning filters
        from scipy.stats import qmc

        points = qmc.Sobol(len(axes), scramble=True, rng=np.random.default_rng(seed))
        # Sobol points are balanced for powers of two; take the first n
        positions = points.random_base2(math.ceil(math.log2(n)))[:n]
    else:
        positions = np.empty((n, 0))
    settings = []
    for row in positions.tolist():
        drawn = {name: axis.value(u) for (name, axis), u in zip(axes.items(), row, strict=True)}
        settings.append(joined(space, drawn))
    if method == "grid" and any(isinstance(domain, Layers) for domain in space.values()):
        # networks of two layers differ in no unit of the third
        distinct: dict[Any, dict[str, Any]] = {}
        for setting in settings:
            distinct.setdefault(exact((*setting.values(),)), setting)
        settings = [*distinct.values()]
    return Settings(settings, space)


def axes_of(space: Space) -> dict[str, Axis]:
    """Returns name -> axis, for each axis of a space's domains.

    >>> [*axes_of({"optimizer": "gd", "l2": Range(1e-4, 1e-1, "log")})]
    ['l2']
    """
    domains = {name: domain for name, domain in space.items() if isinstance(domain, Domain)}
    return {name: one for key, domain in domains.items() for name, one in domain.axes(key).items()}


def functions_in(space: Space) -> dict[str, Function]:
    """Returns name -> function, of the functions among a space's values."""
    options = [value for one in space.values() for value in getattr(one, "options", (one,))]
    return {name_of(one): one for one in options if callable(one)}


def joined(space: Space, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the setting that has the drawn values, name of an axis -> value.

    Numbers that only other functions among its alternatives take are left out.
    """
    setting = {
        name: domain.join({axis: drawn[axis] for axis in domain.axes(name)})
        if isinstance(domain, Domain)
        else domain
        for name, domain in space.items()
    }
    functions = functions_in(space)
    if not functions:
        return setting
    names, own = (
        {name for one in values if callable(one) for name in own_numbers(one, 0)}
        for values in (functions.values(), setting.values())
    )
    unused = names - own - HYPERPARAMETERS.keys()
    return {name: value for name, value in setting.items() if name not in unused}


def _grid(axes: Sequence[Axis], n: int) -> np.ndarray:
    """Returns positions (at most n, axes) on a grid."""
    options = {i: len(axis.options) for i, axis in enumerate(axes) if isinstance(axis, Choice)}
    num_combinations = math.prod(options.values())
    if num_combinations > n:
        raise ValueError(
            f"a grid got n={n}; expected {num_combinations} at least, for every option of each "
            "choice with the others"
        )
    num_ranges = len(axes) - len(options)
    # the exact integer root: 3 for 27 settings of three ranges; 27 ** (1 / 3) is below 3
    num_values = max(k for k in range(1, n + 1) if num_combinations * k**num_ranges <= n)
    places = []
    for index, axis in enumerate(axes):
        if isinstance(axis, Choice):
            places.append((np.arange(options[index]) + 0.5) / options[index])
        else:
            places.append(np.linspace(0, 1, num_values) if num_values > 1 else np.array([0.5]))
    if not places:
        return np.empty((1, 0))
    return np.stack(np.meshgrid(*places, indexing="ij"), axis=-1).reshape(-1, len(axes))


def checked_space(space: Space) -> dict[str, Any]:
    """Returns a copy of the space in plain values; unknown names are not checked.

    Raises:
      ValueError: a value that its hyperparameter does not allow, or that cannot be saved; or two
        names alike.
    """
    if not isinstance(space, Mapping) or not all(isinstance(name, str) for name in space):
        raise ValueError(f"space got {brief(space)}; expected a dict, name -> domain or value")
    own = {}
    for name, domain in space.items():
        own[str.__str__(name)] = domain if isinstance(domain, Domain) else plain(name, domain)
        if isinstance(domain, Layers):
            _check_layers(name, domain, space)
        elif name in HYPERPARAMETERS:
            _check(name, domain)
    return own


def _check_layers(name: str, domain: Layers, space: Space) -> None:
    """Refuses layers of another hyperparameter, and a space with a name of one of their axes."""
    if name != "hidden":
        raise ValueError(
            f"space: {name} got {brief(domain)}, which draws layers; expected it for 'hidden' alone"
        )
    for axis in domain.axes(name):
        if axis in space:
            raise ValueError(
                f"space has {axis!r}, and so are called the axes of hidden, {brief(domain)}; "
                f"expected another name for {axis!r}, or jaxnn.choice([...]) for hidden"
            )


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


def _order(value: Any) -> Any:
    """A sort key of values of one hyperparameter."""
    if isinstance(value, tuple):
        return len(value), value
    # functions beside names
    return name_of(value) if callable(value) else value


def span(name: str, values: Sequence[Any], domain: Any = None) -> Domain:
    """Returns a domain that contains the given values: `domain`, if all of them lie in it."""
    # layers that are fixed have no axis
    is_drawn = isinstance(domain, Domain) and domain.axes(name)
    if is_drawn and domain.holds(name, values):
        return domain
    has_none = None in values
    values = sorted({value for value in values if value is not None}, key=_order)
    if has_none:
        return Choice((None, *values))
    rule = HYPERPARAMETERS.get(name)
    if not (rule is None or rule.is_number) or len(values) == 1:
        return Choice(tuple(values))
    low, high = values[0], values[-1]
    if rule is not None and rule.is_decay and low >= 0.5:
        return Range(low, high, "reverse log")
    return Range(low, high, "log" if low > 0 and high / low >= 30 else "linear")
