"""Halving and Hyperband: many settings for few epochs, the best of them for more and more."""

import itertools
import math
from collections.abc import Sequence

from jaxnn.methods.arena import Arena
from jaxnn.methods.budgets import Budget, Rungs
from jaxnn.results.trials import Rung

Steps = list[tuple[int, int]]
"""(number of settings, last epoch) of each rung."""


def halving(arena: Arena) -> None:
    """Trains all settings for `min_epochs`, the best 1 / factor of them longer, and so on."""
    climb(arena, arena.add_drawn(), _steps(arena.budget))


def hyperband(arena: Arena) -> None:
    """Trains brackets of settings, each a halving that begins with more epochs than the one before.

    All brackets are added at once, so that they share compiled programs.
    """
    rows, every = arena.add_drawn(), brackets(arena.budget)
    for number, steps in enumerate(every, 1):
        count, until = steps[0]
        if number > 1 and arena.is_over(count, until):
            arena.job.note(f"It trained {number - 1} of {len(every)} brackets.")
            return
        climb(arena, rows[:count], steps, f"bracket {number} of {len(every)}, ")
        rows = rows[count:]
        if arena.is_called_off():
            return


def climb(arena: Arena, rows: Sequence[int], steps: Steps, where: str = "") -> None:
    """Trains settings rung by rung."""
    done = 0
    for step, (count, until) in enumerate(steps):
        if step and arena.is_late(count, until - done):
            arena.finish(rows)
            break
        if step:
            rows = arena.keep(rows, count)
        stage = f"rung {step + 1} of {len(steps)}" if len(steps) > 1 else "training"
        arena.train(rows, until, where + stage)
        done = until
        if arena.is_called_off():
            return
    if len(steps) > 1 or where:
        arena.record.rungs.append(Rung(done, tuple(rows), tuple(rows)))


def halving_steps(num_settings: int, min_epochs: float, max_epochs: int, factor: float) -> Steps:
    """Returns the rungs of a halving.

    >>> halving_steps(128, 1, 40, 3)
    [(128, 1), (43, 3), (15, 9), (5, 27), (2, 40)]
    """
    steps, count, epochs = [], num_settings, float(min_epochs)
    while round(epochs) < max_epochs and count > 1:
        steps.append((count, round(epochs)))
        count, epochs = math.ceil(count / factor), epochs * factor
    return [*steps, (count, max_epochs)]


def _steps(budget: Budget) -> Steps:
    return halving_steps(budget.num_settings, budget.min_epochs, budget.max_epochs, budget.factor)


def brackets(budget: Budget) -> list[Steps]:
    """Returns the rungs of each bracket of Hyperband, the one with the fewest epochs first.

    With R = max_epochs / min_epochs there are 1 + floor(log_factor(R)) brackets. The one that has s
    rungs below max_epochs gets a share proportional to factor^s / (s + 1) of the settings, as in
    Hyperband, where all brackets train for about as many epochs. Brackets of no setting are left
    out.
    """
    # a rounding error must not lose a bracket: log(243, 3) is below 5
    most = math.floor(math.log(budget.max_epochs / budget.min_epochs, budget.factor) + 1e-9)
    powers = range(most, -1, -1)
    shares = [budget.factor**power / (power + 1) for power in powers]
    ends = [budget.num_settings * sum(shares[: n + 1]) / sum(shares) for n in range(len(shares))]
    edges = [0, *map(round, ends)]
    counts = [after - before for before, after in itertools.pairwise(edges)]
    begins = [budget.max_epochs / budget.factor**power for power in powers]
    return [
        halving_steps(count, begin, budget.max_epochs, budget.factor)
        for begin, count in zip(begins, counts, strict=True)
        if count
    ]


def in_halves(budget: Budget) -> Rungs:
    return _stretches(_steps(budget))


def in_brackets(budget: Budget) -> Rungs:
    return [one for steps in brackets(budget) for one in _stretches(steps)]


def _stretches(steps: Steps) -> Rungs:
    before = [0, *(until for _, until in steps)]
    return [(count, until - start) for (count, until), start in zip(steps, before, strict=False)]
