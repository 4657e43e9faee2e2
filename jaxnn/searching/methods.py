"""Search methods: which settings are drawn, how long they train, and which are kept.

A method is a row of METHODS. Its function gets an `Arena`, in which it adds settings, trains them
to an epoch and keeps the best. It should return soon after `Arena.is_called_off` becomes true.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxnn.engine.options import Call
from jaxnn.results.trials import Rung
from jaxnn.searching.arena import Arena
from jaxnn.searching.budgets import Budget
from jaxnn.searching.zooming import zoom
from jaxnn.settings.sampling import Settings, sample
from jaxnn.with_optuna.brain import OptunaSearch

PROBES = 256
"""Settings that the plan is made for while the true ones are not known yet."""

Rungs = list[tuple[float, int]]
"""(number of settings, further epochs) of each stretch of training."""


class Method(NamedTuple):
    """A search method.

    Attributes:
      run: chooses settings and trains them.
      rungs: the expected amount of training, for the plan and the display.
      draw: how the first settings are drawn from the space, see `sample`.
      is_drawn_at_once: whether these are all settings; otherwise they only serve for the plan.
      begin: checks the call before anything is trained and may raise ValueError; its result is
        `arena.begun`.
    """

    run: Callable[[Arena], None]
    rungs: Callable[[Budget], Rungs]
    draw: str = "sobol"
    is_drawn_at_once: bool = True
    begin: Callable[[Call], Any] = lambda call: None


def train_all(arena: Arena) -> None:
    """Trains all settings to `max_epochs`."""
    arena.train(arena.add_drawn(), arena.budget.max_epochs)


def halving(arena: Arena) -> None:
    """Trains all settings for `min_epochs`, the best 1 / factor of them longer, and so on."""
    climb(arena, arena.add_drawn(), _steps(arena.budget))


def coarse_to_fine(arena: Arena) -> None:
    """Trains settings in rounds, each drawn from the part of the space around the best so far."""
    budget, record = arena.budget, arena.record
    edges = [round(budget.num_settings * step / budget.rounds) for step in range(budget.rounds + 1)]
    part = arena.space
    for step in range(budget.rounds):
        if arena.is_called_off():
            return
        if step:
            # half a setting less, so that rounding up cannot add one
            top = (max(2, math.ceil(TOP * edges[1])) - 0.5) / len(record.given)
            enough = len(record.ranked) > 1
            part = zoom(arena.space, record, min(1.0, top)) if enough else arena.space
        drawn = sample(part, edges[step + 1] - edges[step], budget.seed + step)
        arena.train(arena.add(Settings(drawn, part)), budget.max_epochs)


def ask_optuna(arena: Arena) -> None:
    """Trains batches of settings that a sampler of Optuna proposes."""
    # the sampler knows the space as it was given, without the patience of the call
    stops = ("patience", "monitor") if arena.budget.patience is not None else ()
    more = {name: arena.space[name] for name in stops}

    def train(settings: Sequence[dict[str, Any]]) -> list[int]:
        rows = arena.add([one | more for one in settings])
        arena.train(rows, arena.budget.max_epochs)
        return rows

    arena.begun.search(arena.job, arena.budget.num_settings, arena.budget.batch, train)


def climb(arena: Arena, rows: Sequence[int], steps: Sequence[tuple[int, int]]) -> None:
    """Trains settings rung by rung, by steps (number of settings, epoch)."""
    for step, (count, until) in enumerate(steps):
        if step:
            rows = arena.keep(rows, count)
        stage = f"rung {step + 1} of {len(steps)}" if len(steps) > 1 else "training"
        arena.train(rows, until, stage)
        if arena.is_called_off():
            return
    if len(steps) > 1:
        arena.record.rungs.append(Rung(until, tuple(rows), tuple(rows)))


def halving_steps(
    num_settings: int, min_epochs: int, max_epochs: int, factor: float
) -> list[tuple[int, int]]:
    """Returns the rungs of a halving as (number of settings, last epoch).

    >>> halving_steps(128, 1, 40, 3)
    [(128, 1), (43, 3), (15, 9), (5, 27), (2, 40)]
    """
    steps, count, epochs = [], num_settings, float(min_epochs)
    while round(epochs) < max_epochs and count > 1:
        steps.append((count, round(epochs)))
        count, epochs = math.ceil(count / factor), epochs * factor
    return [*steps, (count, max_epochs)]


def _steps(budget: Budget) -> list[tuple[int, int]]:
    return halving_steps(budget.num_settings, budget.min_epochs, budget.max_epochs, budget.factor)


def in_one(budget: Budget) -> Rungs:
    return [(budget.num_settings, budget.max_epochs)]


def in_halves(budget: Budget) -> Rungs:
    steps = _steps(budget)
    before = [0, *(until for _, until in steps)]
    return [(count, until - start) for (count, until), start in zip(steps, before, strict=False)]


def in_rounds(budget: Budget) -> Rungs:
    if budget.rounds > budget.num_settings:
        raise ValueError(
            f"rounds got {budget.rounds}; expected at most num_settings, {budget.num_settings}"
        )
    return [(budget.num_settings / budget.rounds, budget.max_epochs)] * budget.rounds


def in_batches(budget: Budget) -> Rungs:
    times = math.ceil(budget.num_settings / budget.batch)
    return [(budget.num_settings / times, budget.max_epochs)] * times


METHODS: dict[str, Method] = {
    "random": Method(train_all, in_one, draw="random"),
    "sobol": Method(train_all, in_one),
    "grid": Method(train_all, in_one, draw="grid"),
    "coarse_to_fine": Method(coarse_to_fine, in_rounds, is_drawn_at_once=False),
    "halving": Method(halving, in_halves),
    "optuna": Method(ask_optuna, in_batches, is_drawn_at_once=False, begin=OptunaSearch),
}

TOP = 0.2
"""Share of a round's settings that the next round of coarse_to_fine is drawn around."""
