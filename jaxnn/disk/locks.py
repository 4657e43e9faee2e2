"""Locks: one process or job at a time writes to a directory.

The lock is a file that the process has locked while it works, so a dead one holds nothing. Version
0.2 called the file "lock", a name that a user may have given to something else. So an old lock is
only taken, and never written to.
"""

import contextlib
import os
import re
import stat
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover
    # Windows has no such locks: two writers are then not told apart
    fcntl = None  # type: ignore[assignment]


LOCK = ".jaxnn-lock"
"""The file's name; it holds the process's number and, of a job of several, a token."""

_OLD_LOCK = "lock"

_TEXT = re.compile(rb"[0-9]{1,20}\n([0-9a-f]{32})?")
"""What a lock holds; other files of that name are the user's."""

_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""No link is followed to a file that would be written to, and no pipe waited for."""


def open_lock(directory: Path, stack: contextlib.ExitStack) -> int:
    """Makes the directory and opens its lock, until the stack ends.

    Raises:
      ValueError: it is no directory, cannot be written to, or has something else by that name.
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
    # which gives the lock back as a kill would
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
    """Whether a file is empty, or holds what a lock does."""
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        return False
    text = os.pread(handle, 100, 0)
    return not text or _TEXT.fullmatch(text) is not None


def take_lock(directory: Path, handle: int, stack: contextlib.ExitStack, token: str) -> None:
    """Takes a lock that was opened, and that of version 0.2 if there is one, until the stack ends.

    Raises:
      ValueError: another process has it.
    """
    _lock(directory, handle)
    _take_old_lock(directory, stack)
    with contextlib.suppress(OSError):
        # only for people; a full disk is told of by the first commit
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n{token}".encode())
        os.fsync(handle)


def _take_old_lock(directory: Path, stack: contextlib.ExitStack) -> None:
    if fcntl is None or not (directory / _OLD_LOCK).is_file():
        return
    try:
        handle = os.open(directory / _OLD_LOCK, os.O_RDWR)
    except OSError:
        # nor could version 0.2 open it
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
            "expected one of its own for each search: wait for that one (close() a Run), or "
            "give another"
        ) from error
    except OSError:
        # a file system without locks: as on Windows
        pass
