"""The directory of a search: its commits, from which a killed search resumes.

    directory/.jaxnn-lock                text: the process that holds it, see `jaxnn.disk.locks`
    directory/commit-000012.h5           the newest two commits
    directory/commit-000012.2-of-4.h5    those of the second of four processes, with its lanes

A commit is a study as `Study.save` writes it, with the states of the networks in training and the
call that started the search. It is written under a temporary name, flushed and then renamed, so a
kill at any moment leaves the previous commit intact. Each process of a job writes a series of
commits with its own lanes. The plan and the number of processes alone decide which lanes those are.
Commits of another number of processes stay valid until the search is finished.

A commit holds all networks and is built in memory, which takes twice their size in addition. At
most 3 % of the time goes into commits: one that takes 20 s is written every 11 minutes. It is
written when the chunks in training have finished a compiled call.
"""

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxnn.disk.commits import (
    Commit,
    Series,
    commits_by_series,
    finished_among,
    is_leftover,
    newest_among,
    number_of,
    remove_commits,
    series_of,
)
from jaxnn.disk.hdf5 import write_arrays
from jaxnn.disk.locks import LOCK, open_lock, take_lock
from jaxnn.disk.writing import StrPath
from jaxnn.system.checks import as_path
from jaxnn.system.processes import ALONE, Hosts

SHARE = 33
"""Time between commits, in times that the last one took: commits take at most 3 % of the whole."""

_KEPT = 2

Content = tuple[Iterable[tuple[str, np.ndarray]], Mapping[str, Any]]
"""Arrays by name, and the rest as JSON."""


class Commits:
    """The commits of one search; without a directory it does nothing.

    Attributes:
      last: the newest readable commit of each series that the directory had at the start.
      failure: why the last commit could not be written, or "".
    """

    def __init__(
        self,
        directory: Path | None,
        interval: float,
        lock: int | None = None,
        series: Series = Series(),  # noqa: B008
    ):
        self.directory, self._lock, self.series = directory, lock, series
        self.last = [] if directory is None else newest_among(directory)
        self.failure = ""
        there = {} if directory is None else commits_by_series(directory)
        # numbers of damaged files and of the user's own files are not used again
        self._number = max(
            (number_of(path) for paths in there.values() for path in paths), default=0
        )
        self._good = [commit.path for commit in self.last if series_of(commit.path) == series]
        self._older = [path for path in there.get(series, []) if path not in self._good]
        self._interval, self._ended = interval, time.monotonic()
        # seconds spent on the last commit, and so far on the next one
        self._took = self._spent = 0.0

    @property
    def is_on(self) -> bool:
        return self.directory is not None

    @property
    def is_first(self) -> bool:
        """Whether its commits describe the whole search."""
        return self.series.process == 1

    @property
    def finished(self) -> list[Commit]:
        """The last commits of a job that finished the search; empty if it is not finished."""
        return finished_among(self.last)

    def take(self) -> list[Commit]:
        """Returns `last` and forgets it, so that its large arrays can be freed."""
        last, self.last = self.last, []
        return last

    def is_due(self, is_rung: bool = False) -> bool:
        """Whether to write a commit now; between rungs the interval need not have passed."""
        least = 0.0 if is_rung else self._interval
        waited = time.monotonic() - self._ended
        return self.is_on and waited >= max(least, SHARE * self._took)

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """Counts the block as time of the next commit; an error in it becomes `failure`."""
        start = time.monotonic()
        try:
            yield
        except Exception as error:
            # a search goes on even where it cannot be saved
            self.failure = (
                f"Nothing can be saved in {self.directory}: {error}. Training goes on in memory, "
                "the last good commit stays; study.save(path) saves it elsewhere."
            )
        finally:
            self._spent += time.monotonic() - start

    def write(self, make: Callable[[], Content]) -> None:
        """Writes a commit; if that fails, `failure` says why and the previous commit stays."""
        if self.directory is None:
            return
        with self.attempt():
            self._check_lock()
            arrays, about = make()
            number = self._number + 1
            while os.path.lexists(path := self.directory / self.series.file_name(number)):
                # somebody else's file or link of that name
                number += 1
            write_arrays(path, arrays, about)
            self._number, self.failure = number, ""
            self._good.append(path)
            self._remove_older()
        self._ended, self._took, self._spent = time.monotonic(), self._spent, 0.0

    def _remove_older(self) -> None:
        """Removes all own commits but the newest two."""
        while len(self._good) > _KEPT:
            self._good.pop(0).unlink(missing_ok=True)
        if len(self._good) == _KEPT:
            remove_commits(self._older)
            self._older = []

    def remove_others(self) -> None:
        """Removes commits of other numbers of processes, once the search is finished."""
        if self.directory is not None:
            with self.attempt():
                for series, paths in commits_by_series(self.directory).items():
                    remove_commits(paths if series.of != self.series.of else [])

    def _check_lock(self) -> None:
        """Raises OSError if the directory is no longer the one that was locked."""
        if self.directory is not None and self._lock is not None:
            now = os.stat(self.directory / LOCK)
            if not os.path.samestat(os.fstat(self._lock), now):
                raise OSError("it was removed and made anew")


@contextlib.contextmanager
def commits_in(
    directory: StrPath | None, interval: float, hosts: Hosts = ALONE
) -> Iterator[Commits]:
    """Locks a directory, which is made if necessary, and yields its commits.

    Args:
      interval: least seconds between two commits; a rung does not wait for it.
      hosts: the processes that share the directory, each with a series.

    Raises:
      ValueError: it is not a directory, cannot be written to, belongs to another process, or all
        its commits are damaged; or the interval is not a number of seconds.
    """
    if not isinstance(interval, int | float) or isinstance(interval, bool) or not interval >= 0:
        raise ValueError(f"commit_interval got {interval!r}; expected seconds >= 0 such as 60")
    if directory is None:
        yield Commits(None, 0.0)
        return
    path = as_path("directory", directory)
    with contextlib.ExitStack() as stack:
        with hosts.raised_together("the lock of the directory"):
            if hosts.is_first:
                handle = open_lock(path, stack)
                # the token shows the processes of a job whether they see the same file
                take_lock(path, handle, stack, uuid.uuid4().hex if hosts.count > 1 else "")
                for leftover in filter(is_leftover, path.iterdir()):
                    leftover.unlink(missing_ok=True)
        with hosts.raised_together("the commits of the directory"):
            if not hosts.is_first:
                # process 0 holds the lock; the others only check that it is the same file
                handle = open_lock(path, stack)
            series = Series(hosts.index + 1, hosts.count)
            commits = Commits(path, interval, handle, series)
            seen = [(path / LOCK).read_text(), *(commit.path.name for commit in commits.last)]
        if len({*hosts.exchange("the files of the directory", " ".join(seen).encode())}) > 1:
            raise ValueError(
                f"directory got {str(path)!r}, in which the processes see different files; "
                "expected one that they all share"
            )
        yield commits
