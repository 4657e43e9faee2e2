"""Sessions: the directory that a run writes to, from its opening until it is given back."""

import contextlib
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxnn.compiled.objectives import COST
from jaxnn.compiled.steps import TrainState
from jaxnn.disk.directories import Commits, commits_in
from jaxnn.disk.writing import StrPath
from jaxnn.engine.identities import checked_identity
from jaxnn.engine.options import Call
from jaxnn.system.terminal import warn_caller
from jaxnn.training.recipes import Recipe
from jaxnn.watching.journals import Journal
from jaxnn.watching.run_files import restore_run, write_run


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
        write_run(self._commits, self._identity, journal)
        if self._commits.failure and not had_failed:
            warn_caller(self._commits.failure, is_over=True)

    def save_if_due(
        self, journal: Journal, state: TrainState, curves: dict[str, np.ndarray]
    ) -> None:
        """Writes one in the middle of a stretch of training, as if the stretch ended there."""
        if self._commits.is_due():
            then, epochs = journal.copy(), len(curves[COST.name])
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
    recipe_of: Callable[[dict[str, Any]], Recipe],
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
            restore_run(commit, journal, recipe_of)
        return Session(commits, identity, opened.pop_all().close)
