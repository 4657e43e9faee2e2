"""Settings in files: what they have in common once, as JSON, and their floats as arrays.

| name | kind | meaning |
| --- | --- | --- |
| settings | attribute | a list of different settings, with null in place of each float or None |
| settings/kind | array (S,) | which of them each setting is |
| settings/floats/NAME | array (S,) | the floats that stand for null; NaN for None |
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxnn.disk.encoding import decode, encode
from jaxnn.disk.trees import filled
from jaxnn.formats.schemas import check_range
from jaxnn.settings.hyperparameters import Setting
from jaxnn.settings.traced import exact

TABLES = ("given", "settings")
"""The fields of a record that are settings."""


def table(settings: Sequence[Setting]) -> tuple[dict[str, np.ndarray], list[Any]]:
    """Returns settings as arrays by name, and the rest as JSON.

    >>> table([{"l2": 0.5, "hidden": (3,)}, {"l2": 0.25, "hidden": (3,)}])
    ({'kind': array([0, 0]), 'floats/l2': array([0.5 , 0.25])}, \
[{'l2': None, 'hidden': {'tuple': [3]}}])
    """
    rows: dict[Any, list[int]] = {}
    for row, setting in enumerate(settings):
        # text is itself: nothing of another type is equal to it
        key = (
            *setting,
            *[
                _is_float(one) or (one if type(one) is str else exact(one))
                for one in setting.values()
            ],
        )
        rows.setdefault(key, []).append(row)
    kinds, kind = [], np.zeros(len(settings), int)
    floats: dict[str, np.ndarray] = {}
    for index, own in enumerate(rows.values()):
        first, kind[own] = settings[own[0]], index
        names = [name for name, one in first.items() if _is_float(one)]
        kinds.append(encode({**first, **dict.fromkeys(names)}))
        for name in names:
            column = floats.setdefault(f"floats/{name}", np.full(len(settings), np.nan))
            column[own] = [settings[row][name] for row in own]
    return {"kind": kind, **floats}, kinds


def _is_float(value: Any) -> bool:
    """Whether a value is kept in an array: all floats of settings are finite, so NaN is None."""
    return type(value) is float or value is None


def settings_of(
    path: Any, group: str, kinds: Sequence[Any], arrays: Mapping[str, np.ndarray]
) -> list[dict[str, Any]]:
    """Returns the settings of a table in a group of a file.

    Raises:
      ValueError: the arrays do not fit, or they refer to a setting that is not among `kinds`.
    """
    known = [decode(one) for one in kinds]
    count = len(arrays[f"{group}/kind"])
    template = jax.ShapeDtypeStruct((count,), int)
    kind = filled(path, group, {"kind": template}, arrays)["kind"]
    check_range(f"{group}/kind", kind, 0, len(known) - 1)
    floats = [[name for name, value in one.items() if value is None] for one in known]
    columns = {
        name: _as_values(filled(path, f"{group}/floats/{name}", np.empty(count), arrays))
        for name in dict.fromkeys(name for names in floats for name in names)
    }
    return [
        {**known[one], **{name: columns[name][row] for name in floats[one]}}
        for row, one in enumerate(kind.tolist())
    ]


def _as_values(column: np.ndarray) -> list[float | None]:
    values: list[float | None] = column.tolist()
    for row in np.flatnonzero(np.isnan(column)):
        values[row] = None
    return values
