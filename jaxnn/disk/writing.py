"""Atomic writes: a file is replaced as a whole, or stays as it was."""

import contextlib
import os
import stat
import uuid
from collections.abc import Iterable
from pathlib import Path

from jaxnn.system.checks import as_path

StrPath = str | os.PathLike[str]

PARTIAL = ".partial"
"""Suffix of the temporary file during a write."""

_SHOWN = 24
"""Letters of the file's name in the name of its temporary file; names have a greatest length."""


def write_whole(path: StrPath, parts: Iterable[bytes | memoryview]) -> None:
    """Writes the parts of a file one after another; whole or not at all.

    They are written to a temporary file of a unique name in the same folder, which is flushed and
    then renamed. Of several concurrent writers to one path, the last one wins. A link stays a link,
    and its target keeps its mode and, where the system allows it, its owner.

    Raises:
      OSError: the disk is full, or the folder is missing or cannot be written to. An existing file
        stays untouched.
      ValueError: the path is not a path, or names something other than a file, such as a folder or
        a device.
    """
    place = Path(os.path.realpath(as_path("path", path)))
    before = _status(place)
    if before is not None and not stat.S_ISREG(before.st_mode):
        raise ValueError(f"path got {str(path)!r}, which is no file; expected the name of a file")
    partial = place.with_name(f".{place.name[:_SHOWN]}.{uuid.uuid4().hex}{PARTIAL}")
    # a new file gets the mode that open() gives; else private until it has the old file's mode
    mode = 0o666 if before is None else 0o600
    try:
        with open(partial, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as raw:
            if before is not None:
                _take_over(partial, before)
            for part in parts:
                raw.write(part)
            raw.flush()
            os.fsync(raw.fileno())
        os.replace(partial, place)
    except OSError as error:
        if error.filename is None or str(error.filename) != str(partial):
            raise
        # the error names the given path, not the temporary file
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
    _sync_folder(place.parent)


def _status(place: Path) -> os.stat_result | None:
    try:
        return place.stat()
    except FileNotFoundError:
        return None


def _take_over(partial: Path, before: os.stat_result) -> None:
    """Copies the owner, if allowed, and the mode of the old file to the new one."""
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):
            os.chown(partial, before.st_uid, before.st_gid)
    # not every file system has modes
    with contextlib.suppress(OSError):
        os.chmod(partial, stat.S_IMODE(before.st_mode))


def _sync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut, on systems that can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
