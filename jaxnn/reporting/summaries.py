"""Summaries: a study as text for people."""

from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table

from jaxnn.results.axes import axes_in
from jaxnn.results.records import Record
from jaxnn.settings.alternatives import AnyOf
from jaxnn.settings.domains import Range
from jaxnn.settings.hyperparameters import HYPERPARAMETERS
from jaxnn.system.functions import short_name
from jaxnn.system.terminal import counted


def headline(study: Record) -> str:
    """Returns one line on how much was trained and how long it took."""
    num_settings, num_repeats = study.diverged.shape
    num_done = int(study.is_complete.sum())
    rate = num_done / max(study.seconds, 1e-9)
    repeats = counted(num_repeats // study.folds, "repetition")
    if study.folds > 1:
        repeats = f"{study.folds} folds x {repeats}"
    return (
        f"{counted(num_settings, 'setting')} x {repeats}, "
        f"{counted(study.num_epochs, 'epoch')}: {counted(num_done, 'network')} in "
        f"{study.seconds:.1f} s ({rate:,.1f} a second); "
        f"compiling: {study.compile_seconds:.1f} s, summed over programs"
    )


def summary(study: Record, top: int) -> Group:
    """Returns the best settings as a table, with their spread over repetitions, and remarks."""
    if not study.given:
        return Group(headline(study), *study.notes)
    num_repeats = study.diverged.shape[1]
    other = study.ranked_by[1].valid
    table = Table(header_style="bold")
    names = ["rank", "setting", f"valid {study.metric}"]
    names += ["95 % interval"] if num_repeats > 1 else []
    for name in [*names, other.replace("_", " ")]:
        table.add_column(name, justify="right")
    axes = study.axes
    for axis in axes:
        table.add_column(axis.name, justify="right", overflow="fold")
    for rank, number in enumerate(study.ranked[:top], 1):
        trial, setting = study.trial(int(number)), study.settings[number]
        shown = [f"{trial.value:.4f}"]
        if num_repeats > 1:
            low, high = trial.interval
            shown = [f"{shown[0]} ± {trial.standard_error:.4f}", f"{low:.4f} to {high:.4f}"]
        row = [short(one.value(setting)) if one.is_used(setting) else "-" for one in axes]
        table.add_row(
            str(rank), str(number), *shown, f"{study.reached(other, number).mean():.4f}", *row
        )
    if table.row_count == 0:
        table = Table(show_header=False, box=None)
    return Group(headline(study), table, *remarks(study))


def remarks(study: Record) -> list[str]:
    """Returns sentences on what the user should look at."""
    num_repeats, without_value = study.diverged.shape[1], study.failures()
    if not study.ranked.size:
        return [f"No setting has a value: {without_value}.", *study.notes]
    notes = [f"Not ranked: {without_value}."] if without_value else []
    if num_repeats > 1:
        over = "folds" if study.folds > 1 else "repetitions"
        notes.append(f"±: standard error over {over}.")
        contenders = study.contenders()
        if contenders:
            shown = [", ".join(map(str, contenders[:20]))]
            shown += [f"and {len(contenders) - 20:,} more"] if len(contenders) > 20 else []
            notes.append(f"Cannot be told apart from the best: settings {' '.join(shown)}.")
    for name, bound in at_edge(study).items():
        notes.append(
            f"The best setting lies at the edge of the space: {name} near {bound:g}; widen it."
        )
    return [*notes, *study.notes]


def at_edge(study: Record) -> dict[str, float]:
    """Returns name -> bound for ranges that should be widened, since the best settings lie there.

    The best setting lies in the outer 5 % of the range, and the mean of the best tenth (at least
    three settings) in its outer third. Both rarely happen by chance.
    """
    if study.space is None:
        return {}
    best = study.ranked[: max(3, len(study.given) // 10)]
    space = study.space
    if isinstance(space, AnyOf):
        # each space of a list has edges of its own
        places = [space.place(study.given[number]) for number in best]
        if not places or places[0] is None:
            return {}
        best = best[[place == places[0] for place in places]]
        space = space.spaces[places[0]]
    found = {}
    for one, axis in axes_in(space):
        users = [n for n in best if one.is_used(study.settings[n])]
        if not isinstance(axis, Range) or len(users) < 3 or users[0] != best[0]:
            continue
        positions = np.array([axis.position(one.value(study.settings[n])) for n in users])
        # measured from the edge that is nearer to the best
        edge = float(positions[0] > 0.5)
        distance = abs(positions - edge)
        beyond = axis.value(edge + (0.05 if edge else -0.05))
        is_part = one.domain is not None and one.is_shown
        rule = None if is_part else HYPERPARAMETERS.get(one.key)
        may_widen = rule is None or rule.is_valid(beyond)
        if one.domain is not None:
            may_widen = may_widen and one.domain.allows(one.name, beyond)
        if distance[0] < 0.05 and distance.mean() < 1 / 3 and may_widen:
            found[one.name if is_part else one.key] = axis.high if edge else axis.low
    return found


def short(value: Any) -> str:
    """Returns a hyperparameter's value for a table; values near 1 keep the digits of 1 - value."""
    if callable(value):
        return short_name(value)
    if isinstance(value, float):
        return f"{value:.3g}" if value < 0.9 or value > 1 else f"{value:.5g}"
    return "-".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
