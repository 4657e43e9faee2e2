"""Versions of files: each kind has a version number, and older files are upgraded when read.

To change what a kind of file holds, raise its number in VERSIONS and add a function to UPGRADES
that converts the contents of the previous version. It works on plain arrays and JSON, before
anything is decoded, so the classes may have changed since.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

Held = tuple[dict[str, np.ndarray], dict[str, Any]]
"""The arrays of a file by name, and its attributes."""

VERSIONS = {"network": 2, "study": 2, "run": 1}
"""Kind of file -> the version that is written now."""


def _with_tables(arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Held:
    """Version 1 of a study wrote each setting as JSON, whatever others were."""
    for name in ("given", "settings"):
        count = len(about[name]) if isinstance(about.get(name), list) else 0
        arrays = {**arrays, f"{name}/kind": np.arange(count)}
    return arrays, about


UPGRADES: dict[tuple[str, int], Callable[[dict[str, np.ndarray], dict[str, Any]], Held]] = {
    ("study", 1): _with_tables
}
"""(kind, version) -> the function that upgrades a file of that version to the next."""


def format_of(kind: str) -> str:
    """Returns the attribute "format" of a file of some kind.

    >>> format_of("network")
    'jaxnn network 2'
    """
    return f"jaxnn {kind} {VERSIONS[kind]}"


def upgraded(arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Held:
    """Returns a file's contents, upgraded as far as UPGRADES goes."""
    match = re.fullmatch(r"jaxnn (\w{1,20}) (\d{1,9})", str(about.get("format")))
    if match is None:
        return arrays, about
    kind, version = match[1], int(match[2])
    while (kind, version) in UPGRADES:
        arrays, about = UPGRADES[kind, version](arrays, about)
        version += 1
        about = {**about, "format": f"jaxnn {kind} {version}"}
    return arrays, about
