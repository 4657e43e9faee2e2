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
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnn.disk.hdf5 import read_arrays, write_arrays
from jaxnn.disk.locks import LOCK, open_lock, take_lock
from jaxnn.disk.writing import PARTIAL, StrPath
from jaxnn.system.checks import as_path
from jaxnn.system.processes import ALONE, Hosts
from jaxnn.system.terminal import warn_caller

SHARE = 33
"""Time between commits, in times that the last one took: commits take at most 3 % of the whole."""

_KEPT = 2

Content = tuple[Iterable[tuple[str, np.ndarray]], Mapping[str, Any]]
"""Arrays by name, and the rest as JSON."""


class Commit(NamedTuple):
    """A commit that was read back; `jaxnn.formats.layout` describes its arrays and attributes."""

    path: Path
    arrays: dict[str, np.ndarray]
    about: dict[str, Any]

    @property
    def is_whole(self) -> bool:
        """Whether it describes the whole search: all settings, the plan and the original call."""
        return _series(self.path).process == 1


class Series(NamedTuple):
    """The commits of one process of a job; `process` counts from 1."""

    process: int = 1
    of: int = 1

    def file_name(self, number: int) -> str:
        part = "" if self.of == 1 else f".{self.process}-of-{self.of}"
        return f"commit-{number:06}{part}.h5"


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
        self.last = [] if directory is None else _newest(directory)
        self.failure = ""
        there = {} if directory is None else _commits(directory)
        # numbers of damaged files and of the user's own files are not used again
        self._number = max((_number(path) for paths in there.values() for path in paths), default=0)
        self._good = [commit.path for commit in self.last if _series(commit.path) == series]
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
            _remove_commits(self._older)
            self._older = []

    def remove_others(self) -> None:
        """Removes commits of other numbers of processes, once the search is finished."""
        if self.directory is not None:
            with self.attempt():
                for series, paths in _commits(self.directory).items():
                    _remove_commits(paths if series.of != self.series.of else [])

    def _check_lock(self) -> None:
        """Raises OSError if the directory is no longer the one that was locked."""
        if self.directory is not None and self._lock is not None:
            now = os.stat(self.directory / LOCK)
            if not os.path.samestat(os.fstat(self._lock), now):
                raise OSError("the directory was removed and made anew")


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
                for leftover in filter(_is_leftover, path.iterdir()):
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


def finished_among(commits: Iterable[Commit]) -> list[Commit]:
    """Returns the commits of a job that finished the search; empty if it is not finished."""
    done = {_series(one.path): one for one in commits if one.about["is_finished"]}
    for of in sorted({series.of for series in done}):
        # no loop up to `of`: it comes from a file's name and may be huge
        together = sorted(series for series in done if series.of == of)
        if len(together) == of:
            return [done[series] for series in together]
    return []


def newest(directory: StrPath) -> list[Commit]:
    """Returns the newest readable commit of each series; the first describes the whole search.

    Raises:
      FileNotFoundError: the directory has no commit.
      ValueError: all commits are damaged.
    """
    found = _newest(as_path("directory", directory))
    if not found or not found[0].is_whole:
        raise FileNotFoundError(f"{directory} has no commits; expected a directory of a search")
    return found


def _newest(directory: Path) -> list[Commit]:
    """Returns the newest readable commit of each series; empty where there is none."""
    found: list[Commit] = []
    damaged: list[ValueError] = []
    for _, paths in sorted(_commits(directory).items()):
        try:
            found.append(_last(paths))
        except ValueError as error:
            damaged.append(error)
    if damaged and not found:
        raise damaged[0]
    for one in damaged:
        # other series hold its networks, or they are trained again
        warn_caller(str(one))
    return found


def _commits(directory: Path) -> dict[Series, list[Path]]:
    """Returns the paths of all commits by series, oldest first; other files are ignored."""
    found: dict[Series, list[Path]] = {}
    for path in sorted(directory.glob("commit-*.h5"), key=_number):
        if _number(path) > 0:
            found.setdefault(_series(path), []).append(path)
    return found


_NAME = re.compile(r"commit-([0-9]{6,})(?:\.([0-9]+)-of-([0-9]+))?\.h5")

_LEFTOVER = re.compile(rf"\.commit-[0-9]{{6}}.*\.[0-9a-f]{{32}}{re.escape(PARTIAL)}")


def _number(path: Path) -> int:
    """Returns the number of a commit, and 0 for any other file."""
    match, series = _NAME.fullmatch(path.name), _series(path)
    is_ours = match and series.process in range(1, series.of + 1)
    number = int(match[1]) if match and is_ours else 0
    return number if series.file_name(number) == path.name else 0


def _series(path: Path) -> Series:
    match = _NAME.fullmatch(path.name)
    return Series(int(match[2]), int(match[3])) if match and match[2] else Series()


def _is_leftover(path: Path) -> bool:
    """Whether it is a temporary file that a killed process left behind."""
    return _LEFTOVER.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()


def _remove_commits(paths: Iterable[Path]) -> None:
    """Removes files that can be read as commits; others of such a name may be the user's."""
    for path in paths:
        with contextlib.suppress(ValueError, FileNotFoundError):
            if not path.is_symlink():
                _read(path)
                path.unlink()


def _read(path: Path) -> Commit:
    arrays, about = read_arrays(path)
    if not {"identity", "is_finished"} <= about.keys():
        raise ValueError(f"{path} is no commit; expected one that a search wrote")
    return Commit(path, arrays, about)


def _last(paths: list[Path]) -> Commit:
    """Returns the newest readable commit; a warning or the error names the damaged ones."""
    damaged: list[str] = []
    for path in reversed(paths):
        try:
            commit = _read(path)
        except (ValueError, OSError) as error:
            damaged.append(str(error))
            continue
        if damaged:
            warn_caller(f"{'; '.join(damaged)}; {path.name} was used instead")
        return commit
    raise ValueError(
        f"{paths[0].parent} has no commit that can be read: {'; '.join(damaged)}. Expected another "
        "directory, or this one emptied to begin anew"
    )
