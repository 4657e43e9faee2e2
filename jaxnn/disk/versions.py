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

VERSIONS = {"network": 3, "ensemble": 1, "study": 4, "run": 1}
"""Kind of file -> the version that is written now.

The members of an ensemble are written as networks: a new version of these is one of it as well."""


def _with_tables(arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Held:
    """Version 1 of a study wrote each setting as JSON, whatever others were."""
    for name in ("given", "settings"):
        count = len(about[name]) if isinstance(about.get(name), list) else 0
        arrays = {**arrays, f"{name}/kind": np.arange(count)}
    return arrays, about


def _with_switches(arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Held:
    """Version 2 had a field of a program for each thing that it computes, and classes alone."""
    return arrays, {
        **_with_targets(arrays, about)[1],
        "plan": _switched(about["plan"]),
    }


def _with_targets(arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Held:
    """Before, all targets were classes."""
    targets = {"num_classes": about["num_classes"], "shape": {"tuple": []}}
    return arrays, {**about, "targets": {"Targets": targets}}


def _with_stops(arrays: dict[str, np.ndarray], about: dict[str, Any]) -> Held:
    """Version 3 did not tell which networks were stopped by themselves, and had no populations."""
    none = np.full_like(arrays["lanes/diverged"], -1)
    born = np.zeros_like(arrays["lanes/dropped"])
    new = {"lanes/stopped": none, "lanes/parent": born - 1, "lanes/born": born}
    return arrays | new, about


_ONCE_FIELDS = {"dropout": "has_dropout", "l2": "has_l2"}


def _switched(value: Any) -> Any:
    """Returns JSON in which programs name what they compute."""
    if isinstance(value, list):
        return [_switched(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: _switched(item) for key, item in value.items()}
    program = value.get("Program")
    if isinstance(program, dict):
        program = dict(program)
        on = [name for name, field in _ONCE_FIELDS.items() if program.pop(field, False)]
        # of its schedules the file says nothing
        program.pop("has_decay", None)
        value["Program"] = {"switches": {"tuple": on}, **program}
    return value


UPGRADES: dict[tuple[str, int], Callable[[dict[str, np.ndarray], dict[str, Any]], Held]] = {
    ("study", 1): _with_tables,
    ("study", 2): _with_switches,
    ("study", 3): _with_stops,
    ("network", 2): _with_targets,
}
"""(kind, version) -> the function that upgrades a file of that version to the next."""


def format_of(kind: str) -> str:
    """Returns the attribute "format" of a file of some kind.

    >>> format_of("network")
    'jaxnn network 3'
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
