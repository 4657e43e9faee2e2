"""A run on disk: the network as it is, its journal, and what `undo` would bring back."""

import contextlib
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.disk.directories import Commit, Commits, Content, commits_in
from jaxnn.disk.encoding import decode, encode
from jaxnn.disk.rules import check
from jaxnn.disk.trees import filled, groups_of, named
from jaxnn.disk.writing import StrPath
from jaxnn.engine.calls import Call
from jaxnn.engine.identities import checked_identity
from jaxnn.formats.layout import complete_or_refused
from jaxnn.formats.schemas import RUN_VALUES, check_curves, check_state
from jaxnn.searching.loading import RUN
from jaxnn.settings.hyperparameters import Setting
from jaxnn.system.arrays import from_words
from jaxnn.system.checks import brief
from jaxnn.system.terminal import warn_caller
from jaxnn.training.recipes import Recipe
from jaxnn.training.steps import TrainState
from jaxnn.watching.journals import UNDO_LEVELS, Clock, Entry, Journal, Moment, may_be_set


class Session:
    """What a run writes to its directory, which is its own until `close`, or while this lives.

    Args:
      commits: of the directory; without them nothing is written.
      identity: of the call that began the run, which every commit has.
      give_back: gives the directory back.
    """

    def __init__(
        self,
        commits: Commits | None = None,
        identity: Mapping[str, Any] | None = None,
        give_back: Callable[[], None] = lambda: None,
    ):
        self._commits, self._identity = commits or Commits(None, 0.0), identity or {}
        self._give_back = weakref.finalize(self, give_back)

    def save(self, journal: Journal) -> None:
        """Writes a commit; the first that fails is told of in a warning."""
        had_failed = bool(self._commits.failure)
        _write(self._commits, self._identity, journal)
        if self._commits.failure and not had_failed:
            warn_caller(self._commits.failure, is_over=True)

    def save_if_due(
        self, journal: Journal, state: TrainState, curves: dict[str, np.ndarray]
    ) -> None:
        """Writes one in the middle of a stretch of training, as if the stretch ended there."""
        if self._commits.is_due():
            then, epochs = journal.copy(), len(curves["cost"])
            now = then.now._replace(train_state=state, epoch=then.now.epoch + epochs)
            then.write("train", f"{epochs} epochs, broken off", curves, now)
            self.save(then)

    def close(self) -> None:
        """Gives the directory back, and writes nothing more."""
        self._commits = Commits(None, 0.0)
        self._give_back()


def open_session(
    directory: StrPath | None,
    interval: float,
    call: Call,
    journal: Journal,
    recipe_of: Callable[[Setting], Recipe],
) -> Session:
    """The session of a directory, whose last commit fills the empty journal of a new run.

    Args:
      call: that begins the run.
      recipe_of: makes the recipe of a setting.

    Raises:
      ValueError: it holds something else; see `commits_in`.
    """
    with contextlib.ExitStack() as opened:
        commits = opened.enter_context(commits_in(directory, interval))
        identity = checked_identity(commits, call)
        for commit in commits.take():
            _restore(commit, journal, recipe_of)
        return Session(commits, identity, opened.pop_all().close)


def _write(commits: Commits, identity: Mapping[str, Any], journal: Journal) -> None:
    if not commits.is_on:
        return
    moments = [*journal.past, journal.now]
    # `set` leaves the state alone: one that several moments have in common is written once
    states = list({id(one.train_state): one.train_state for one in moments}.values())
    place = {id(state): index for index, state in enumerate(states)}

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        for index, state in enumerate(states):
            yield from named(f"states/{index}", _with_key_data(state))
        for index, entry in enumerate(journal.entries):
            yield from named(f"entries/{index}", entry.curves)

    def content() -> Content:
        about = {
            "format": RUN,
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


def _restore(commit: Commit, journal: Journal, recipe_of: Callable[[Setting], Recipe]) -> None:
    """Fills an empty journal, whose state has the shapes of all, from a commit.

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
            given = decode(encoded)
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
    """ValueError where `set` could not have come from the run's setting to a moment's."""
    own, first = moment.recipe.setting, fresh.recipe.setting
    for name, value in first.items():
        if not may_be_set(name) and own[name] != value:
            raise ValueError(
                f"the run has a moment with {name} {brief(own[name])}; expected {brief(value)}, as "
                "the run was begun with"
            )


def _check_journal(journal: Journal, moments: Sequence[Moment]) -> None:
    """ValueError unless the entries that stand are what led to the last moment."""
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
    diverged, costs = int(moments[-1].train_state.diverged), journal.curves["cost"]
    # the curves of a network that has diverged end with NaN
    if np.isnan(costs[-1:]).any() != (diverged >= 0):
        raise ValueError(
            f"the run has a state that diverged at step {diverged} (-1: at none), and curves that "
            f"end with {costs[-1:]}"
        )


def _with_key_data(state: TrainState) -> TrainState:
    """NumPy has no keys: their numbers in place of them."""
    return state._replace(dropout_key=jax.random.key_data(state.dropout_key))
