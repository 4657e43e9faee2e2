"""An ensemble as a file: what `Ensemble.save` writes, and reading it.

Each member is a group "members/0", "members/1", ..., with the arrays of a file of a network; its
attributes are an entry of the list "members".
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from jaxnn.disk.encoding import (
    Rule,
    an,
    check,
    decode,
    encode,
    key_of,
    many,
    maybe,
    recorded,
    whole,
)
from jaxnn.disk.hdf5 import write_arrays
from jaxnn.disk.trees import groups_of
from jaxnn.disk.versions import format_of
from jaxnn.disk.writing import StrPath
from jaxnn.formats.networks import network_content, network_in
from jaxnn.functional.metrics import METRICS
from jaxnn.functional.types import Model, ModelFn
from jaxnn.training.ensembles import Chosen, Ensemble
from jaxnn.training.fitted import save_network

ENSEMBLE = format_of("ensemble")

_NUMBER = Rule(
    "a finite number", lambda value: type(value) in (int, float) and math.isfinite(value)
)

recorded(
    numbers=many(whole(), 1),
    repeats=many(whole(), 1),
    counts=many(whole(1), 1),
    num_candidates=whole(1),
    num_examples=whole(1),
    metric=key_of(METRICS),
    best_value=_NUMBER,
    value=_NUMBER,
    best_cost=_NUMBER,
    cost=_NUMBER,
    difference=_NUMBER,
    standard_error=_NUMBER,
)(Chosen)

ENSEMBLE_VALUES = {
    "members": many(an(dict), 1, kind=list),
    "chosen": maybe(an(Chosen)),
}


@save_network.register
def write_ensemble(ensemble: Ensemble, path: StrPath) -> None:
    """Writes an ensemble, see `Ensemble.save`."""
    contents = [network_content(one) for one in ensemble.members]
    arrays: Iterator[tuple[str, np.ndarray]] = (
        (f"members/{number}/{name}", array)
        for number, (own, _) in enumerate(contents)
        for name, array in own
    )
    about = {
        "format": ENSEMBLE,
        "members": [about for _, about in contents],
        "chosen": encode(ensemble.chosen),
    }
    write_arrays(path, itertools.chain(arrays, [("weights", ensemble.weights)]), about)


def ensemble_in(
    path: StrPath,
    arrays: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    model: Model | ModelFn | None,
) -> Ensemble:
    """Returns the ensemble of a file.

    Raises:
      ValueError: the contents do not fit each other.
    """
    chosen = decode(about["chosen"])
    check("the ensemble", {**about, "chosen": chosen}, ENSEMBLE_VALUES)
    if chosen is not None and len({*map(len, chosen[:3])}) > 1:
        raise ValueError("its choice has columns of several lengths; expected one")
    groups = groups_of(arrays, 2)
    members = [
        network_in(path, groups.get(f"members/{number}", {}), own, model)
        for number, own in enumerate(about["members"])
    ]
    return Ensemble(members, arrays["weights"], chosen)
