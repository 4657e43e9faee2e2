"""Population: settings that train together, where the best replace the worst on the way."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxnn.methods.arena import Arena
from jaxnn.methods.budgets import Budget, Rungs
from jaxnn.settings.alternatives import AnyOf, Either
from jaxnn.settings.domains import Range
from jaxnn.settings.traced import is_traced

REPLACED = 0.25
"""The share of a population that is replaced after a generation, by as many of the best."""

MOST_GENERATIONS = 10

DRAWN_ANEW, STEP = 0.25, 0.1
"""The chance that a number is drawn anew, and the deviation of its step otherwise, as a share of
its range on its scale."""


def population(arena: Arena) -> None:
    """Trains all settings; after each generation copies of the best replace the worst.

    A copy is a further setting: it goes on from the network of its parent, with the parent's
    structure and other numbers.
    """
    budget, rows = arena.budget, arena.add_drawn()
    if any(arena.record.settings[row]["patience"] is not None for row in rows):
        raise ValueError("patience came with method='population'; expected None: the worst end")
    rng, ends = np.random.default_rng(budget.seed), generations(budget)
    count = max(1, round(REPLACED * len(rows))) if len(rows) > 1 else 0
    for number, until in enumerate(ends):
        arena.train(rows, until, f"generation {number + 1} of {len(ends)}")
        if arena.is_called_off() or until == ends[-1]:
            return
        if arena.is_late(len(rows), ends[number + 1] - until):
            arena.finish(rows)
            return
        best = arena.ranked(rows)[:count]
        kept = arena.keep(rows, len(rows) - count)
        if not count:
            continue
        parents = rng.choice(best, len(rows) - len(kept)).tolist()
        given = [perturbed(arena.record.given[row], arena.space, rng) for row in parents]
        rows = [*kept, *arena.breed(parents, given)]


def perturbed(
    setting: Mapping[str, Any], space: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """Returns a setting with other traced numbers, where the space draws them from a range.

    Each is drawn anew, or makes a normal step on the range's scale.
    """
    if isinstance(space, AnyOf):
        place = space.place(setting)
        space = {} if place is None else space.spaces[place]
    found = dict(setting)
    for name, domain in space.items():
        options = domain.options if isinstance(domain, Either) else (domain,)
        ranges = [one for one in options if isinstance(one, Range)]
        own = [one for one in ranges if name in found and one.contains(found[name])]
        if not own or not is_traced(name):
            continue
        position = own[0].position(found[name]) + STEP * rng.standard_normal()
        is_anew, anew = rng.random() < DRAWN_ANEW, rng.random()
        found[name] = own[0].value(anew if is_anew else min(max(position, 0.0), 1.0))
    return found


def generations(budget: Budget) -> list[int]:
    """Returns the last epoch of each generation: at most ten, of at least `min_epochs` epochs."""
    count = max(1, min(MOST_GENERATIONS, budget.max_epochs // budget.min_epochs))
    return [round(budget.max_epochs * (number + 1) / count) for number in range(count)]


def in_generations(budget: Budget) -> Rungs:
    ends = [0, *generations(budget)]
    return [(budget.num_settings, after - before) for before, after in itertools.pairwise(ends)]
