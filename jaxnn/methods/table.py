"""Search methods: which settings are drawn, how long they train, and which are kept.

A method is a row of METHODS. Its function gets an `Arena`, in which it adds settings, trains them
to an epoch and keeps the best. It should return soon after `Arena.is_called_off` becomes true.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxnn.engine.options import Call
from jaxnn.methods.arena import Arena
from jaxnn.methods.budgets import Budget, Rungs
from jaxnn.methods.population import in_generations, population
from jaxnn.methods.rungs import halving, hyperband, in_brackets, in_halves
from jaxnn.methods.zooming import zoom
from jaxnn.with_optuna.brain import OptunaSearch


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


def coarse_to_fine(arena: Arena) -> None:
    """Trains settings in rounds, each drawn from the part of the space around the best so far."""
    budget, record = arena.budget, arena.record
    edges = [round(budget.num_settings * step / budget.rounds) for step in range(budget.rounds + 1)]
    part, known = arena.space, [one | arena.stops for one in arena.known]
    for step in range(budget.rounds):
        count = edges[step + 1] - edges[step]
        if arena.is_called_off() or (step and arena.is_over(count, budget.max_epochs)):
            return
        if step:
            # half a setting less, so that rounding up cannot add one
            top = (max(2, math.ceil(TOP * edges[1])) - 0.5) / len(record.given)
            enough = len(record.ranked) > 1
            part = zoom(arena.space, record, min(1.0, top)) if enough else arena.space
        own, known = known[:count], known[count:]
        if len(own) < count:
            own = [*own, *arena.draw(part, count - len(own), budget.seed + step)]
        arena.train(arena.add(own), budget.max_epochs)


def ask_optuna(arena: Arena) -> None:
    """Trains batches of settings that a sampler of Optuna proposes."""

    def train(settings: Sequence[dict[str, Any]]) -> list[int]:
        # the sampler knows the space as it was given, without the patience of the call
        rows = arena.add([one | arena.stops for one in settings])
        arena.train(rows, arena.budget.max_epochs)
        return rows

    arena.begun.search(
        arena.job,
        arena.budget.num_settings,
        arena.budget.batch,
        train,
        known=arena.known,
        allows=arena.allows,
        is_done=lambda: arena.is_over(arena.budget.batch, arena.budget.max_epochs),
    )


def in_one(budget: Budget) -> Rungs:
    return [(budget.num_settings, budget.max_epochs)]


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
    "hyperband": Method(hyperband, in_brackets),
    "population": Method(population, in_generations),
    "optuna": Method(ask_optuna, in_batches, is_drawn_at_once=False, begin=OptunaSearch),
}

TOP = 0.2
"""Share of a round's settings that the next round of coarse_to_fine is drawn around."""
