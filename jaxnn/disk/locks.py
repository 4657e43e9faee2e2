"""Locks: one process or job at a time writes to a directory.

A process holds a lock on a file while it works; the system releases the lock when the process ends.
Version 0.2 called the file "lock", a name that a user's file may have as well. An old lock is
therefore taken but never written to.
"""

import contextlib
import os
import re
import stat
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover
    # Windows has no such locks: two writers are then not detected
    fcntl = None  # type: ignore[assignment]


LOCK = ".jaxnn-lock"
"""The file's name. It holds the process's number and, for a job of several, a token."""

_OLD_LOCK = "lock"

_TEXT = re.compile(rb"[0-9]{1,20}\n([0-9a-f]{32})?")
"""Contents of a lock; other files of that name are the user's."""

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""No link is followed, since its target would be written to; opening a pipe does not wait."""


def open_lock(directory: Path, stack: contextlib.ExitStack) -> int:
    """Makes the directory and opens its lock; the stack closes it.

    Raises:
      ValueError: it is not a directory, cannot be written to, or has a file of that name that jaxnn
        did not write.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory / LOCK, _FLAGS, 0o644)
    except OSError as error:
        if (directory / LOCK).is_symlink():
            raise _foreign(directory) from error
        raise ValueError(
            f"directory got {str(directory)!r}, which cannot be written to ({error}); expected a "
            "directory of your own"
        ) from error
    # closing releases the lock, as a kill would
    stack.callback(os.close, handle)
    if not _is_lock(handle):
        raise _foreign(directory)
    return handle


def _foreign(directory: Path) -> ValueError:
    return ValueError(
        f"directory got {str(directory)!r}, whose {LOCK} is not one that jaxnn wrote; expected "
        "that file moved away, or another directory"
    )


def _is_lock(handle: int) -> bool:
    """Whether a file is empty or has the contents of a lock."""
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        return False
    text = os.pread(handle, 100, 0)
    return not text or _TEXT.fullmatch(text) is not None


def take_lock(directory: Path, handle: int, stack: contextlib.ExitStack, token: str) -> None:
    """Takes an opened lock, and that of version 0.2 if there is one, until the stack ends.

    Raises:
      ValueError: another process holds it.
    """
    _lock(directory, handle)
    _take_old_lock(directory, stack)
    with contextlib.suppress(OSError):
        # only for people to read; the first commit reports a full disk
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n{token}".encode())
        os.fsync(handle)


def _take_old_lock(directory: Path, stack: contextlib.ExitStack) -> None:
    if fcntl is None or not (directory / _OLD_LOCK).is_file():
        return
    try:
        handle = os.open(directory / _OLD_LOCK, os.O_RDWR)
    except OSError:
        # version 0.2 could not open it either
        return
    stack.callback(os.close, handle)
    if _TEXT.fullmatch(os.pread(handle, 100, 0)):
        _lock(directory, handle)


def _lock(directory: Path, handle: int) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.read(handle, 100).decode("ascii", "replace").split("\n")[0] or "unknown"
        raise ValueError(
            f"directory got {str(directory)!r}, to which the process {owner} is writing; "
            "expected a directory that no other search uses: wait for that process, close() its "
            "Run, or give another directory"
        ) from error
    except OSError:
        # the file system has no locks: go on without one, as on Windows
        pass
