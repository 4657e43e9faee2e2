"""`zoom`: the part of a space where a study's best settings lie, for coarse-to-fine search."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from jaxnn.results.records import Record
from jaxnn.settings.alternatives import AnyOf
from jaxnn.settings.domains import Axis, Choice, Domain, Range
from jaxnn.settings.sampling import Space, checked_space, functions_in
from jaxnn.system.functions import named


def zoom(space: Space, study: Record, top: float = 0.1) -> Any:
    """Returns the part of a space where a study's best settings lie.

    If the best k settings lie at positions a to b of a range, on its scale from 0 to 1, the new
    range goes from a - m to b + m with m = (b - a) / (k - 1), which is the expected gap at each end
    of k uniform draws. It never exceeds the old range; the summary of a study says which ranges to
    widen. A choice keeps the options of the best settings, in their order. Fixed values stay. A
    range of whole numbers may shrink to a single one, which is then fixed. Of `layers` each axis is
    zoomed by itself; one that fewer than two of the best settings use stays as it was. Of a list of
    spaces, those of the best settings are left, each zoomed around its own.

    Args:
      space: name -> domain or fixed value, or a list of such spaces.
      study: a sweep of settings from that space.
      top: the share of settings that count as best, in (0, 1]; at least two settings count.

    Returns:
      a space to `sample` from, or a list of such.

    Raises:
      ValueError: fewer than two settings have a value, or they lack a name of the space.

    >>> from jaxnn import Dataset, loguniform, sample, sweep
    >>> x = np.random.default_rng(0).normal(size=(80, 2))
    >>> space = {"learning_rate": loguniform(1e-6, 1e0), "optimizer": "gd"}
    >>> study = sweep(sample(space, 32), Dataset(x, (x[:, 0] > 0) * 1), 0.25, epochs=5)
    >>> finer = zoom(space, study)
    >>> finer["learning_rate"].low > 1e-3, finer["learning_rate"].scale, finer["optimizer"]
    (True, 'log', 'gd')
    """
    if not isinstance(top, Real) or not 0 < top <= 1:
        raise ValueError(f"top got {top!r}; expected a share in (0, 1] such as 0.1")
    if len(study.ranked) < 2:
        raise ValueError(
            f"zoom got a study in which {len(study.ranked)} of {len(study.settings)} settings have "
            "a value; expected two at least"
        )
    rows = study.ranked[: max(2, math.ceil(top * len(study.settings)))].tolist()
    found = _zoomed_space(checked_space(space), study, rows)
    return [*found.spaces] if isinstance(found, AnyOf) else found


def _zoomed_space(space: Mapping[str, Any], study: Record, rows: list[int]) -> Mapping[str, Any]:
    """Returns the part of a space around settings that were drawn from it."""
    if isinstance(space, AnyOf):
        of_each: dict[int, list[int]] = {}
        for row in rows:
            if (place := space.place(study.given[row])) is not None:
                of_each.setdefault(place, []).append(row)
        left = [_zoomed_space(space.spaces[one], study, of_each[one]) for one in sorted(of_each)]
        if not left:
            raise ValueError(
                "zoom got a study whose best settings are of none of the spaces; expected one of "
                "settings from them"
            )
        return left[0] if len(left) == 1 else AnyOf(tuple(left))
    has_functions, best = bool(functions_in(space)), [study.settings[row] for row in rows]
    zoomed = {}
    for name, domain in space.items():
        if isinstance(domain, Domain):
            if name not in best[0] and not has_functions:
                raise ValueError(f"zoom got a study without {name!r}, which the space has")
            # only settings with a function have its numbers
            used = [domain.split(name, one[name]) for one in best if name in one]
            axes: dict[str, Any] = {}
            for axis, old in domain.axes(name).items():
                values = [one[axis] for one in used if axis in one]
                is_known = len(values) > 1
                axes[axis] = _zoomed(axis, old, values, len(study.settings)) if is_known else old
            domain = domain.replaced(name, axes)
        zoomed[name] = domain
    return zoomed


def _zoomed(name: str, domain: Axis, values: list[Any], num_settings: int) -> Any:
    if isinstance(domain, Choice):
        # a study that was loaded has the names of functions
        known = [*map(named, values)]
        left = tuple(option for option in domain.options if named(option) in known)
        if not left:
            raise ValueError(
                f"zoom got a study whose best settings have none of the options of {name!r}; "
                "expected one of settings from this space"
            )
        return Choice(left)
    positions = np.array([domain.position(value) for value in values])
    first, last = positions.min(), positions.max()
    # if the best are equal, keep half the mean distance between settings
    margin = max((last - first) / (len(values) - 1), 1 / (2 * num_settings))
    low, high = domain.value(max(0.0, first - margin)), domain.value(min(1.0, last + margin))
    # a range of whole numbers may shrink to one
    return Range(low, high, domain.scale, domain.is_whole) if low < high else low
