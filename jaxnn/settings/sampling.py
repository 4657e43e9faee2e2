"""Settings drawn from a space: at random, from a Sobol sequence, or on a grid."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxnn.settings.alternatives import AXIS, AnyOf, Either, axes_in, drawn_from
from jaxnn.settings.domains import Choice, Domain, Draw, Range
from jaxnn.settings.hyperparameters import HYPERPARAMETERS, checked
from jaxnn.settings.layers import Layers
from jaxnn.settings.traced import exact
from jaxnn.system.checks import brief, check_fits, plain, whole_number
from jaxnn.system.functions import Function, name_of, own_numbers

Space = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""Name of a hyperparameter -> its domain, or a fixed value; or several, of which one is drawn."""


class Settings(list[dict[str, Any]]):
    """A list of settings with the space that they were sampled from."""

    space: Mapping[str, Any]

    def __init__(self, settings: Sequence[dict[str, Any]], space: Space):
        super().__init__(settings)
        self.space = checked_space(space)


def sample(space: Space, n: int, seed: int = 0, *, method: str = "sobol") -> Settings:
    """Draws n settings from a space.

    Args:
      space: name -> domain (`uniform`, `loguniform`, `reverseloguniform`, `randint`, `lograndint`,
        `choice`, `layers`), or a plain value, which is fixed. In a list of spaces, all are equally
        likely for each setting, which has the names of its own space alone. Lists in it count as
        their spaces.
      n: the number of settings.
      seed: the seed. With the same seed, a larger n begins with the settings of a smaller one.
      method: "sobol": scrambled Sobol points, which fill the space more evenly than random ones
        (200 searches of 16 settings each on the digits: mean best cost 0.103, against 0.113 +-
        0.003); "random": independent draws; "grid": every option of each choice, combined with as
        many evenly spaced values of each range as n allows (both ends included), which may give
        fewer than n. All spaces of a list have the same number of values of a range. Equal settings
        are drawn once.

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

    A learning rate of adam and one of momentum lie in different ranges:

    >>> adam = {"optimizer": "adam", "learning_rate": loguniform(1e-4, 1e-2)}
    >>> momentum = {"optimizer": "momentum", "learning_rate": loguniform(1e-2, 1e0)}
    >>> [one["learning_rate"] > 1e-2 for one in sample([adam, momentum], 4)]
    [False, True, True, False]
    """
    n, seed = whole_number("n", n, 1), whole_number("seed", seed)
    space = checked_space(space)
    # a setting is a dict of about 1,000 bytes
    check_fits(1000 * n, f"n got {n:,}: so many settings")
    axes = axes_in(space)
    if method == "random":
        positions = np.random.default_rng(seed).random((n, len(axes)))
    elif method == "grid":
        return Settings(_grid(space, n), space)
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
    places = [dict(zip(axes, row, strict=True)) for row in positions.tolist()]
    return Settings([_at(space, place) for place in places], space)


def _at(space: Mapping[str, Any], place: Mapping[str, float]) -> dict[str, Any]:
    """Returns the setting at a position on each axis."""
    return drawn_setting(space, lambda name, axis: axis.value(place[name]))


def functions_in(space: Mapping[str, Any]) -> dict[str, Function]:
    """Returns name -> function, of the functions among a space's values."""
    if isinstance(space, AnyOf):
        return {name: one for own in space.spaces for name, one in functions_in(own).items()}
    values = [option for one in space.values() for option in _options(one)]
    return {name_of(one): one for one in values if callable(one)}


def _options(domain: Any) -> list[Any]:
    """Returns the values among which a choice chooses, or a value itself."""
    if isinstance(domain, Either):
        return [value for option in domain.options for value in _options(option)]
    return [*getattr(domain, "options", (domain,))]


def drawn_setting(space: Mapping[str, Any], draw: Draw) -> dict[str, Any]:
    """Returns a setting, from a draw of each axis that it uses.

    Numbers that only other functions among its alternatives take are left out.
    """
    setting = drawn_from(space, draw)
    functions = functions_in(space)
    if not functions:
        return setting
    names, own = (
        {name for one in values if callable(one) for name in own_numbers(one, 0)}
        for values in (functions.values(), setting.values())
    )
    unused = names - own - HYPERPARAMETERS.keys()
    return {name: value for name, value in setting.items() if name not in unused}


def _grid(space: Mapping[str, Any], n: int) -> list[dict[str, Any]]:
    """Returns at most n settings: every option with as many values of each range as n allows."""
    alternatives = [*_without_alternatives(space)]
    each = [[*axes_in(one).values()] for one in alternatives]
    options = [math.prod(len(a.options) for a in axes if isinstance(a, Choice)) for axes in each]
    ranges = [sum(isinstance(axis, Range) for axis in axes) for axes in each]
    if sum(options) > n:
        raise ValueError(
            f"a grid got n={n}; expected {sum(options)} at least, for every option of each "
            "choice with the others"
        )
    # the exact integer root: 3 for 27 settings of three ranges; 27 ** (1 / 3) is below 3
    num_values = max(
        k
        for k in range(1, n + 1)
        if sum(count * k**power for count, power in zip(options, ranges, strict=True)) <= n
    )
    values = np.linspace(0, 1, num_values) if num_values > 1 else np.array([0.5])
    settings = []
    for one in alternatives:
        axes = axes_in(one)
        places = [
            (np.arange(len(axis.options)) + 0.5) / len(axis.options)
            if isinstance(axis, Choice)
            else values
            for axis in axes.values()
        ]
        for row in itertools.product(*(part.tolist() for part in places)):
            settings.append(_at(one, dict(zip(axes, row, strict=True))))
    # networks of two layers differ in no unit of the third
    distinct = {exact((*one.items(),)): one for one in reversed(settings)}
    return [*reversed(distinct.values())]


def _without_alternatives(space: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the spaces of a list, with each option that is an axis in its own space."""
    if isinstance(space, AnyOf):
        for one in space.spaces:
            yield from _without_alternatives(one)
        return
    parts = []
    for domain in space.values():
        options = domain.options if isinstance(domain, Either) else (domain,)
        # plain options stay together
        plain_ones = [option for option in options if not isinstance(option, Domain)]
        own = [option for option in options if isinstance(option, Domain)]
        if isinstance(domain, Either) and plain_ones:
            own.append(Choice(tuple(plain_ones)))
        parts.append(own if isinstance(domain, Either) else [domain])
    for row in itertools.product(*parts):
        yield dict(zip(space, row, strict=True))


def checked_space(space: Space) -> Mapping[str, Any]:
    """Returns a copy of the space in plain values; unknown names are not checked.

    Raises:
      ValueError: a value that its hyperparameter does not allow, or that cannot be saved; or two
        names alike.
    """
    if isinstance(space, AnyOf):
        return AnyOf(tuple(map(checked_space, space.spaces)))
    if isinstance(space, list | tuple) and space:
        # a space that is a list itself, such as one of `zoom`, adds its spaces
        each = [checked_space(one) for one in space]
        spaces = tuple(
            one for part in each for one in (part.spaces if isinstance(part, AnyOf) else (part,))
        )
        if any(AXIS in one for one in spaces):
            raise ValueError(f"space got the name {AXIS!r}, which tells the spaces of a list apart")
        return spaces[0] if len(spaces) == 1 else AnyOf(spaces)
    if not isinstance(space, Mapping) or not all(isinstance(name, str) for name in space):
        raise ValueError(
            f"space got {brief(space)}; expected a dict, name -> domain or value, or a list of such"
        )
    own = {}
    for name, domain in space.items():
        own[str.__str__(name)] = domain if isinstance(domain, Domain) else plain(name, domain)
        if isinstance(domain, Layers):
            _check_layers(name, domain, space)
        elif name in HYPERPARAMETERS:
            _check(name, domain)
    return own


def _check_layers(name: str, domain: Layers, space: Mapping[str, Any]) -> None:
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
    values = [*_options(domain)]
    for one in (domain, *values):
        if isinstance(one, Range):
            values += [one.value(0.0), one.value(1.0)]
    values = [value for value in values if not isinstance(value, Range)]
    for value in values:
        try:
            checked(name, value, HYPERPARAMETERS[name])
        except ValueError as error:
            is_fixed = not isinstance(domain, Domain)
            hint = ", or a domain such as jaxnn.choice([...])" if is_fixed else ""
            raise ValueError(f"space: {error}{hint}") from None
