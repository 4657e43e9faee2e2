"""Commits: what a search has reached, in a directory, so that a kill loses its last minutes alone.

    directory/lock                 text: the process that writes here; held by a file lock
    directory/commit-000012.h5     the newest two commits, each whole

A commit is a study as `Study.save` writes it, with the states of the networks that are in training,
and the call that began it. It is written under another name, flushed and then moved, so a kill at
any moment leaves the one before.

A commit holds all networks, and is made in memory: a large study needs that much room once more,
and one that takes 20 s is written every 11 minutes. It waits for the chunks in training to end a
call.
"""

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnn.files import PARTIAL, StrPath, read_arrays, write_arrays
from jaxnn.showing import warn_caller

try:
    import fcntl
except ImportError:  # pragma: no cover
    # Windows has no such locks: two writers are then not told apart
    fcntl = None  # type: ignore[assignment]

SHARE = 33
"""A commit comes after 33 times the time that the last one took: about 3 % of the whole at most."""

_KEPT = 2

Content = tuple[Iterable[tuple[str, np.ndarray]], Mapping[str, Any]]
"""Arrays by name, and the rest as JSON."""


class Commit(NamedTuple):
    """What was read back; see `archives`."""

    path: Path
    arrays: dict[str, np.ndarray]
    about: dict[str, Any]


class Commits:
    """The commits of one search; without a directory it does nothing.

    Attributes:
      last: the newest good commit that the directory had, or None.
      failure: why commits could not be written, or "".
    """

    def __init__(self, directory: Path | None, interval: float, lock: int | None = None):
        self.directory, self._lock = directory, lock
        self.last = None if directory is None else _last(directory)
        self.failure = ""
        self._number = 0 if self.last is None else _number(self.last.path)
        self._interval, self._ended = interval, time.monotonic()
        # seconds that went into the last commit, and so far into the next
        self._took = self._spent = 0.0

    @property
    def is_on(self) -> bool:
        return self.directory is not None

    @property
    def is_finished(self) -> bool:
        """Whether the search was finished when the last commit was written."""
        return self.last is not None and bool(self.last.about["is_finished"])

    def is_due(self, is_rung: bool = False) -> bool:
        """Whether it is time for another; between rungs as soon as the share of time allows."""
        least = 0.0 if is_rung else self._interval
        waited = time.monotonic() - self._ended
        return self.is_on and waited >= max(least, SHARE * self._took)

    @contextlib.contextmanager
    def attempt(self) -> Iterator[None]:
        """Counts what is done in it as time of the next commit; an error becomes `failure`."""
        start = time.monotonic()
        try:
            yield
        except Exception as error:
            # a search does not end because it cannot be saved
            self.failure = (
                f"Nothing can be saved in {self.directory}: {error}. Training goes on in memory, "
                "the last good commit stays; study.save(path) saves it elsewhere."
            )
        finally:
            self._spent += time.monotonic() - start

    def write(self, make: Callable[[], Content]) -> None:
        """Writes a commit; where that fails, `failure` says so, and the last good one stays."""
        if self.directory is None:
            return
        with self.attempt():
            self._check_lock()
            arrays, about = make()
            write_arrays(self.directory / f"commit-{self._number + 1:06}.h5", arrays, about)
            self._number, self.failure = self._number + 1, ""
            for path in _commits(self.directory):
                if not self._number - _KEPT < _number(path) <= self._number:
                    path.unlink()
        self._ended, self._took, self._spent = time.monotonic(), self._spent, 0.0

    def _check_lock(self) -> None:
        """OSError if the directory is not the one any more that was locked."""
        if self.directory is not None and self._lock is not None:
            now = os.stat(self.directory / "lock")
            if not os.path.samestat(os.fstat(self._lock), now):
                raise OSError("it was removed and made anew")


@contextlib.contextmanager
def commits_in(directory: StrPath | None, interval: float) -> Iterator[Commits]:
    """The commits of a directory, which is made and belongs to this process until the end.

    Raises:
      ValueError: it is not a directory, cannot be written to, belongs to another process, or all
        its commits are damaged; or a bad interval.
    """
    if not isinstance(interval, int | float) or isinstance(interval, bool) or not interval >= 0:
        raise ValueError(f"commit_interval got {interval!r}; expected seconds >= 0 such as 60")
    if directory is None:
        yield Commits(None, 0.0)
        return
    path = _as_path(directory)
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ValueError(
            f"directory got {str(path)!r}, which cannot be written to ({error}); expected a "
            "directory of your own"
        ) from error
    try:
        _take_lock(path, handle)
        for leftover in path.glob(f".commit-*{PARTIAL}"):
            leftover.unlink(missing_ok=True)
        yield Commits(path, float(interval), handle)
    finally:
        # which gives the lock back, as the end of the process would
        os.close(handle)


def _as_path(directory: Any) -> Path:
    if not isinstance(directory, str | os.PathLike):
        raise ValueError(f"directory got {directory!r}; expected a path")
    return Path(directory)


def newest(directory: StrPath) -> Commit:
    """The newest good commit of a directory.

    Raises:
      FileNotFoundError: there is none at all.
      ValueError: all are damaged.
    """
    last = _last(_as_path(directory))
    if last is None:
        raise FileNotFoundError(f"{directory} has no commits; expected a directory of a search")
    return last


def _take_lock(directory: Path, handle: int) -> None:
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(handle, 100).decode("ascii", "replace").strip() or "unknown"
            raise ValueError(
                f"directory got {str(directory)!r}, to which the process {owner} is writing; "
                "expected one of its own for each search: wait for that one (close() a Run), or "
                "give another"
            ) from error
        except OSError:
            # a file system without locks: as on Windows
            pass
    with contextlib.suppress(OSError):
        # only for people; a full disk is told of by the first commit
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())


def _commits(directory: Path) -> list[Path]:
    """All commits, oldest first; other files of such a name are the user's."""
    found = directory.glob("commit-*.h5")
    return sorted((path for path in found if _number(path) >= 0), key=_number)


def _number(path: Path) -> int:
    match = re.fullmatch(r"commit-([0-9]+)\.h5", path.name)
    return int(match[1]) if match else -1


def _last(directory: Path) -> Commit | None:
    """The newest commit that is whole; the damaged ones are named in a warning, or the error."""
    damaged: list[str] = []
    found = _commits(directory)
    for path in reversed(found):
        try:
            arrays, about = read_arrays(path)
            if not {"identity", "is_finished"} <= about.keys():
                raise ValueError(f"{path} is no commit")
        except (ValueError, OSError) as error:
            damaged.append(str(error))
            continue
        if damaged:
            warn_caller(f"{'; '.join(damaged)}; {path.name} was used instead")
        return Commit(path, arrays, about)
    if found:
        raise ValueError(
            f"{directory} has no commit that can be read: {'; '.join(damaged)}. Expected another "
            "directory, or this one emptied to begin anew"
        )
    return None
