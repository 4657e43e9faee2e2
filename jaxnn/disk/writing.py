"""Writing a file so that it is there whole, or as it was before."""

import contextlib
import os
import stat
import uuid
from collections.abc import Iterable
from pathlib import Path

from jaxnn.system.checks import as_path

StrPath = str | os.PathLike[str]

PARTIAL = ".partial"
"""How the name of a file ends that is being written."""

_SHOWN = 24
"""Letters of the file's name that the name of its partial file begins with: names have limits."""


def write_whole(path: StrPath, parts: Iterable[bytes | memoryview]) -> None:
    """Writes the parts of a file one after another; whole or not at all.

    They are written beside the file's place under a name that no other call has, flushed, and moved
    there. So of several that write to one path at a time, the last one wins. A link stays a link to
    the file, which keeps its mode and, where that is allowed, its owner.

    Raises:
      OSError: the disk is full, the folder is missing or cannot be written to. The file that was
        there before is untouched.
      ValueError: it is no path, or there is something else than a file, such as a folder or a
        device.
    """
    place = Path(os.path.realpath(as_path("path", path)))
    before = _status(place)
    if before is not None and not stat.S_ISREG(before.st_mode):
        raise ValueError(f"path got {str(path)!r}, which is no file; expected the name of a file")
    partial = place.with_name(f".{place.name[:_SHOWN]}.{uuid.uuid4().hex}{PARTIAL}")
    # without an old file the mode that open() gives; nobody else reads what only the owner may
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
        # by the name that was given, and not by the hidden one
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
    """Gives a new file the owner, if allowed, and the mode of the old one."""
    if hasattr(os, "chown"):
        with contextlib.suppress(OSError):
            os.chown(partial, before.st_uid, before.st_gid)
    # not every file system has modes
    with contextlib.suppress(OSError):
        os.chmod(partial, stat.S_IMODE(before.st_mode))


def _sync_folder(folder: Path) -> None:
    """Makes a move last a power cut; not every system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
