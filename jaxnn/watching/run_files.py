"""A run as a file: the network, its journal, and the states that `undo` restores."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.compiled.steps import TrainState
from jaxnn.disk.commits import Commit
from jaxnn.disk.directories import Commits, Content
from jaxnn.disk.encoding import check, decode, encode
from jaxnn.disk.trees import filled, groups_of, named
from jaxnn.disk.versions import format_of
from jaxnn.formats.layout import complete_or_refused
from jaxnn.formats.schemas import RUN_VALUES, check_curves, check_state
from jaxnn.functional.metrics import COST
from jaxnn.system.checks import brief
from jaxnn.system.draws import from_words
from jaxnn.system.functions import Missing
from jaxnn.training.recipes import Recipe
from jaxnn.watching.journals import UNDO_LEVELS, Clock, Entry, Journal, Moment, may_be_set


def write_run(commits: Commits, identity: Mapping[str, Any], journal: Journal) -> None:
    """Writes a commit of a run, where it has a directory."""
    if not commits.is_on:
        return
    moments = [*journal.past, journal.now]
    # `set` does not change the state: one that several moments share is written once
    states = list({id(one.train_state): one.train_state for one in moments}.values())
    place = {id(state): index for index, state in enumerate(states)}

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        for index, state in enumerate(states):
            yield from named(f"states/{index}", _with_key_data(state))
        for index, entry in enumerate(journal.entries):
            yield from named(f"entries/{index}", entry.curves)

    def content() -> Content:
        about = {
            "format": format_of("run"),
            "entries": [[entry.epoch, entry.action, entry.detail] for entry in journal.entries],
            "stands": journal.stands,
            "moments": [
                [place[id(one.train_state)], encode(one.given), one.epoch] for one in moments
            ],
            "identity": identity,
            "seconds": journal.clock[1:],
            "is_finished": False,
        }
        return arrays(), about

    commits.write(content)


def restore_run(
    commit: Commit, journal: Journal, recipe_of: Callable[[dict[str, Any]], Recipe]
) -> None:
    """Fills an empty journal from a commit; its state gives the expected shapes.

    Raises:
      ValueError: the commit does not fit the run.
    """
    path, arrays, about = commit
    template = jax.eval_shape(_with_key_data, journal.now.train_state)

    def state_of(index: int) -> TrainState:
        state = jax.tree.map(jnp.asarray, filled(path, f"states/{index}", template, arrays))
        return state._replace(dropout_key=from_words(state.dropout_key))

    with complete_or_refused(path):
        check("the run", about, RUN_VALUES)
        count = 1 + max(index for index, _, _ in about["moments"])
        if count > len(about["moments"]):
            raise ValueError(f"the run has {count:,} states; expected one a moment at most")
        states = [state_of(index) for index in range(count)]
        moments = []
        for index, encoded, epoch in about["moments"]:
            # files have names in place of functions, which no set changes
            given = {
                name: journal.now.given.get(name) if isinstance(value, Missing) else value
                for name, value in decode(encoded).items()
            }
            moment = Moment(states[index], given, recipe_of(given), epoch)
            check_state(moment.train_state, epoch)
            _check_structure(moment, journal.now)
            moments.append(moment)
        groups = groups_of(arrays, 2)
        for index, (epoch, action, detail) in enumerate(about["entries"]):
            curves = groups.get(f"entries/{index}", {})
            check_curves(curves)
            journal.entries.append(Entry(epoch, action, detail, curves))
        journal.stands.extend(about["stands"])
        _check_journal(journal, moments)
    journal.past.extend(moments[:-1])
    journal.now, journal.clock = moments[-1], Clock(journal.clock.began, *about["seconds"])


def _check_structure(moment: Moment, fresh: Moment) -> None:
    """Raises ValueError if a moment's setting differs in more than `set` can change."""
    own, first = moment.recipe.setting, fresh.recipe.setting
    for name, value in first.items():
        if not may_be_set(name) and own[name] != value:
            raise ValueError(
                f"the run has a moment with {name} {brief(own[name])}; expected {brief(value)}, as "
                "the run was begun with"
            )


def _check_journal(journal: Journal, moments: Sequence[Moment]) -> None:
    """Raises ValueError unless the entries that were not undone lead to the last moment."""
    entries, stands = journal.entries, journal.stands
    if sorted({*stands}) != stands or max(stands, default=-1) >= len(entries):
        raise ValueError(f"the run has stands {brief(stands)}; expected rising places of entries")
    if any(entry.action not in ("train", "set") for entry in journal.standing):
        raise ValueError(f"the run has stands {brief(stands)}; expected those of train and set")
    if not len(moments) - 1 <= min(len(stands), UNDO_LEVELS):
        raise ValueError(f"the run has {len(moments):,} moments; expected one more than can go")
    if any(entry.curves.keys() - {*journal.names} for entry in entries):
        raise ValueError(f"the run has curves of other names than {', '.join(journal.names)}")
    lengths = {len(curve) for curve in journal.curves.values()}
    if lengths != {moments[-1].epoch}:
        raise ValueError(f"the run has curves of {lengths} epochs; expected {moments[-1].epoch}")
    diverged, costs = int(moments[-1].train_state.diverged), journal.curves[COST.name]
    # the curves of a network that has diverged end with NaN
    if np.isnan(costs[-1:]).any() != (diverged >= 0):
        raise ValueError(
            f"the run has a state that diverged at step {diverged} (-1: at none), and curves that "
            f"end with {costs[-1:]}"
        )


def _with_key_data(state: TrainState) -> TrainState:
    """Replaces the key by its words, since NumPy has no keys."""
    return state._replace(dropout_key=jax.random.key_data(state.dropout_key))
