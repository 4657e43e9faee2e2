"""Sessions: the directory of a run, from when it is locked until it is released."""

import contextlib
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxnn.compiled.steps import TrainState
from jaxnn.disk.directories import Commits, commits_in
from jaxnn.disk.writing import StrPath
from jaxnn.engine.identities import checked_identity
from jaxnn.engine.options import Call
from jaxnn.functional.metrics import COST
from jaxnn.system.terminal import warn_caller
from jaxnn.training.recipes import Recipe
from jaxnn.watching.journals import Journal
from jaxnn.watching.run_files import restore_run, write_run


class Session:
    """Writes a run to its directory, which stays locked until `close` or the end of this object.

    Args:
      commits: the commits of the directory; None writes nothing.
      identity: the identity of the call that started the run, which every commit holds.
      give_back: releases the directory.
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
        """Writes a commit, and warns of the first that fails."""
        had_failed = bool(self._commits.failure)
        write_run(self._commits, self._identity, journal)
        if self._commits.failure and not had_failed:
            warn_caller(self._commits.failure, is_over=True)

    def save_if_due(
        self, journal: Journal, state: TrainState, curves: dict[str, np.ndarray]
    ) -> None:
        """Writes a commit during a stretch of training, as if the stretch ended there."""
        if self._commits.is_due():
            then, epochs = journal.copy(), len(curves[COST.name])
            now = then.now._replace(train_state=state, epoch=then.now.epoch + epochs)
            then.write("train", f"{epochs} epochs, broken off", curves, now)
            self.save(then)

    def close(self) -> None:
        """Releases the directory; nothing more is written."""
        self._commits = Commits(None, 0.0)
        self._give_back()


def open_session(
    directory: StrPath | None,
    interval: float,
    call: Call,
    journal: Journal,
    recipe_of: Callable[[dict[str, Any]], Recipe],
) -> Session:
    """Locks a directory and fills the empty journal of a new run from its last commit.

    Args:
      call: the call that starts the run.
      recipe_of: makes the recipe of a setting.

    Raises:
      ValueError: the directory holds something else; or as for `commits_in`.
    """
    with contextlib.ExitStack() as opened:
        commits = opened.enter_context(commits_in(directory, interval))
        identity = checked_identity(commits, call)
        for commit in commits.take():
            restore_run(commit, journal, recipe_of)
        return Session(commits, identity, opened.pop_all().close)
