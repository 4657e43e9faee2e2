"""Versions of files: each kind has a number, and an older file is made a newer one as it is read.

A change to what a kind of file holds raises its number in VERSIONS and adds a function to UPGRADES,
which is given what a file of the version before holds. It sees plain arrays and JSON: nothing is
decoded yet, so a class may have other fields by now.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

Held = tuple[dict[str, np.ndarray], dict[str, Any]]
"""The arrays of a file by name, and its attributes."""

VERSIONS = {"network": 2, "study": 1, "run": 1}
"""Kind of file -> the version that is written."""

UPGRADES: dict[tuple[str, int], Callable[[dict[str, np.ndarray], dict[str, Any]], Held]] = {}
"""(kind, version) -> what makes a file of that version one of the next."""


def format_of(kind: str) -> str:
    """What a file of a kind says of itself.

    >>> format_of("network")
    'jaxnn network 2'
    """
    return f"jaxnn {kind} {VERSIONS[kind]}"


def upgraded(arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Held:
    """What a file holds, in the newest version that there is a way to."""
    match = re.fullmatch(r"jaxnn (\w{1,20}) (\d{1,9})", str(about.get("format")))
    if match is None:
        return arrays, about
    kind, version = match[1], int(match[2])
    while (kind, version) in UPGRADES:
        arrays, about = UPGRADES[kind, version](arrays, about)
        version += 1
        about = {**about, "format": f"jaxnn {kind} {version}"}
    return arrays, about
