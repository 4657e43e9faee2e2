"""Commits: files that each hold all that a search had reached, and which are the newest."""

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxnn.disk.hdf5 import read_arrays
from jaxnn.disk.writing import PARTIAL, StrPath
from jaxnn.system.checks import as_path
from jaxnn.system.terminal import warn_caller


class Commit(NamedTuple):
    """A commit that was read back; `jaxnn.formats.layout` describes its arrays and attributes."""

    path: Path
    arrays: dict[str, np.ndarray]
    about: dict[str, Any]

    @property
    def is_whole(self) -> bool:
        """Whether it describes the whole search: all settings, the plan and the original call."""
        return series_of(self.path).process == 1


class Series(NamedTuple):
    """The commits of one process of a job; `process` counts from 1."""

    process: int = 1
    of: int = 1

    def file_name(self, number: int) -> str:
        part = "" if self.of == 1 else f".{self.process}-of-{self.of}"
        return f"commit-{number:06}{part}.h5"


def finished_among(commits: Iterable[Commit]) -> list[Commit]:
    """Returns the commits of a job that finished the search; empty if it is not finished."""
    done = {series_of(one.path): one for one in commits if one.about["is_finished"]}
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
    found = newest_among(as_path("directory", directory))
    if not found or not found[0].is_whole:
        raise FileNotFoundError(f"{directory} has no commits; expected a directory of a search")
    return found


def newest_among(directory: Path) -> list[Commit]:
    """Returns the newest readable commit of each series; empty where there is none."""
    found: list[Commit] = []
    damaged: list[ValueError] = []
    for _, paths in sorted(commits_by_series(directory).items()):
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


def commits_by_series(directory: Path) -> dict[Series, list[Path]]:
    """Returns the paths of all commits by series, oldest first; other files are ignored."""
    found: dict[Series, list[Path]] = {}
    for path in sorted(directory.glob("commit-*.h5"), key=number_of):
        if number_of(path) > 0:
            found.setdefault(series_of(path), []).append(path)
    return found


_NAME = re.compile(r"commit-([0-9]{6,})(?:\.([0-9]+)-of-([0-9]+))?\.h5")

_LEFTOVER = re.compile(rf"\.commit-[0-9]{{6}}.*\.[0-9a-f]{{32}}{re.escape(PARTIAL)}")


def number_of(path: Path) -> int:
    """Returns the number of a commit, and 0 for any other file."""
    match, series = _NAME.fullmatch(path.name), series_of(path)
    is_ours = match and series.process in range(1, series.of + 1)
    number = int(match[1]) if match and is_ours else 0
    return number if series.file_name(number) == path.name else 0


def series_of(path: Path) -> Series:
    match = _NAME.fullmatch(path.name)
    return Series(int(match[2]), int(match[3])) if match and match[2] else Series()


def is_leftover(path: Path) -> bool:
    """Whether it is a temporary file that a killed process left behind."""
    return _LEFTOVER.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()


def remove_commits(paths: Iterable[Path]) -> None:
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
