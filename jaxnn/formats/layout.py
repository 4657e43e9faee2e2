"""The layout of HDF5 files of networks, ensembles and studies, which h5py alone can read.

| file | groups of arrays | some of the attributes, as JSON |
| --- | --- | --- |
| network | params, state, inputs and targets (mean, deviation), curves | setting, targets, ... |
| ensemble | weights, members (of each, the groups of a network) | members, chosen |
| study | curves, lanes (diverged, ...), given, settings, treatments, chunks | plan, call, ... |

`given` and `settings` are tables, see `jaxnn.formats.tables`: what settings have in common is an
attribute, their floats are arrays. A leaf's name is its path in the pytree: params/0/kernel.
`jaxnn.disk.hdf5` describes the first 512 bytes, `jaxnn.disk.directories` the directory of a search.
"""

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import jax
import numpy as np

from jaxnn.compiled.networks import NOT_HERE
from jaxnn.data.inputs import InputStatistics, RowSpace, Treatment
from jaxnn.data.targets import TargetStatistics
from jaxnn.disk.commits import Commit, finished_among
from jaxnn.disk.encoding import check, decode, encode
from jaxnn.disk.hdf5 import write_arrays
from jaxnn.disk.trees import filled, groups_of, named, stacked
from jaxnn.disk.versions import format_of
from jaxnn.disk.writing import StrPath
from jaxnn.formats.agreement import check_study, checked_networks, completed
from jaxnn.formats.functions import with_functions
from jaxnn.formats.parts import Part, absorb
from jaxnn.formats.schemas import STUDY_VALUES, check_range
from jaxnn.formats.tables import TABLES, settings_of, table
from jaxnn.functional.metrics import COST
from jaxnn.functional.types import Model, ModelFn
from jaxnn.results.records import COLUMNS, WRITTEN, Record
from jaxnn.results.trials import Chunk
from jaxnn.system.draws import new_key
from jaxnn.system.functions import Function
from jaxnn.system.terminal import visible

STUDY = format_of("study")


def whole_record(
    commits: Sequence[Commit],
    model: Model | ModelFn | None,
    functions: Mapping[str, Function] | None = None,
) -> Record:
    """Returns the study of the commits of all processes, one of which describes all settings.

    Args:
      model, functions: the code of the call, which no file holds.
    """
    with complete_or_refused(commits[0].path.parent):
        first, *others = best_first(commits)
    with complete_or_refused(first.path):
        return with_functions(merged_record(*first, model, others), functions or {})


def best_first(commits: Sequence[Commit]) -> Sequence[Commit]:
    """Returns the commits of the job that finished the search, or all, best-informed first."""

    def knowledge(commit: Commit) -> tuple[bool, int, int, int]:
        _, arrays, about = commit
        done = arrays.get("lanes/epochs_done", np.zeros(0))
        # a Run has neither settings nor rungs
        count, rungs = len(arrays.get("settings/kind", ())), len(about.get("rungs", ()))
        return commit.is_whole, count, rungs, int(done.sum())

    return finished_among(commits) or sorted(commits, key=knowledge, reverse=True)


def merged_record(
    path: StrPath,
    arrays: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    model: Model | ModelFn | None,
    others: Sequence[Commit],
) -> Record:
    """Returns the study of a file, completed by other processes' commits."""
    study = part_in(path, arrays, about, model).study
    for other in others:
        with complete_or_refused(other.path):
            absorb(study, part_in(*other, model))
    return study


@contextlib.contextmanager
def complete_or_refused(path: StrPath) -> Iterator[None]:
    """Turns errors from missing or bad contents into a ValueError that names the file."""
    try:
        yield
    except (KeyError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"{path} lacks a part of what it should hold: {error!r}") from error
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: {visible(str(error))}") from error


def save_record(study: Record, path: StrPath) -> None:
    """Writes a study, see `Study.save`."""
    if study.model is NOT_HERE:
        raise ValueError(
            "the study was loaded without its model, and so without its networks; expected "
            "load(path, model) before it is saved again"
        )
    write_arrays(path, *record_content(study))


def record_content(study: Record) -> tuple[Iterator[tuple[str, np.ndarray]], dict[str, Any]]:
    """Returns the arrays of a study by name, and the rest as JSON."""
    tables = {name: table(getattr(study, name)) for name in TABLES}
    columns = (
        (f"{group}/{name}", array)
        for group, (arrays, _) in tables.items()
        for name, array in arrays.items()
    )
    kinds = {group: kinds for group, (_, kinds) in tables.items()}
    return itertools.chain(columns, _arrays(study)), _about(study) | kinds


def _arrays(study: Record) -> Iterator[tuple[str, np.ndarray]]:
    yield from named("curves", study.curves)
    for name in COLUMNS:
        yield f"lanes/{name}", getattr(study, name)
    for (inputs, fold), one in study.treatments.items():
        yield from named(f"treatments/{inputs}/{fold}", [one.statistics, one.space, one.targets])
    for index in sorted({*study.places[..., 0].flat} - {-1}):
        # networks of other chunks were trained further, in later chunks
        chunk = study.chunks[index]
        yield from named(f"chunks/{index}/params", chunk.params)
        yield from named(f"chunks/{index}/state", chunk.state)


def _about(study: Record) -> dict[str, Any]:
    return {
        "format": STUDY,
        **{name: encode(getattr(study, name)) for name in WRITTEN if name not in TABLES},
        "is_foreign": study.model is not None,
        "treatments": [[*key, one.num_features] for key, one in study.treatments.items()],
        "shape": [*study.diverged.shape, study.num_epochs],
        "curves": list(study.curves),
        "dtype": str(study.curves[COST.name].dtype),
        "chunks": [
            [encode(one.networks), _num_lanes(one), one.start.isoformat(), one.end.isoformat()]
            for one in study.chunks
        ],
    }


def _num_lanes(chunk: Chunk) -> int:
    leaves = jax.tree.leaves((chunk.params, chunk.state))
    return len(leaves[0]) if leaves else 0


NUMBERS = "numbers"
"""Array of the numbers of settings, in a file with a part of a study."""


def part_in(
    path: StrPath,
    arrays: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    model: Model | ModelFn | None,
    is_message: bool = False,
) -> Part:
    """Returns the study, or the part of one, that a file or message holds.

    Args:
      path: the path, for errors.
      is_message: whether a process of the same job sent it, which leaves out what all know.
    """
    study = _study_of(path, arrays, about, model)
    setting_numbers = arrays.get(NUMBERS, np.arange(len(study.given)))
    if not is_message:
        check_study(study, arrays.get(NUMBERS))
    return Part(study, setting_numbers)


def _treatment(found: Mapping[str, np.ndarray], num_features: int) -> Treatment:
    mean, deviation = (found.get(f"0/{name}") for name in InputStatistics._fields)
    statistics = None if mean is None else InputStatistics(mean, deviation)  # type: ignore[arg-type]
    basis = found.get("1/basis")
    of_targets: Any = [found.get(f"2/{name}") for name in TargetStatistics._fields]
    return Treatment(
        statistics,
        None if basis is None else RowSpace(basis),
        num_features,
        None if of_targets[0] is None else TargetStatistics(*of_targets),
    )


def _study_of(
    path: StrPath,
    arrays: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    model: Model | ModelFn | None,
) -> Record:
    known: dict[str, Any] = {
        name: settings_of(path, name, about[name], arrays)
        if name in TABLES
        else decode(about[name])
        for name in WRITTEN
    }
    check("the study", {**about, **known}, STUDY_VALUES)
    is_foreign = about["is_foreign"]
    known["settings"] = [completed(setting, is_foreign) for setting in known["settings"]]
    num_settings, num_repeats, num_epochs = about["shape"]
    whole = {
        name: jax.ShapeDtypeStruct(column.whole(num_settings, num_repeats), int)
        for name, column in COLUMNS.items()
    }
    known |= filled(path, "lanes", whole, arrays)
    curve = jax.ShapeDtypeStruct((num_settings, num_repeats, num_epochs), about["dtype"])
    curves = filled(path, "curves", dict.fromkeys(about["curves"], curve), arrays)
    # JAX sorts the keys of a dict
    curves = {name: curves[name] for name in about["curves"]}
    if is_foreign and model is None:
        model = NOT_HERE
    study = Record(**known, model=model if is_foreign else None, treatments={}, curves=curves)
    groups = groups_of(arrays, 3)
    for inputs, fold, num_features in about["treatments"]:
        found = groups.get(f"treatments/{inputs}/{fold}", {})
        study.treatments[inputs, fold] = _treatment(found, num_features)
    for index, (encoded, count, start, end) in enumerate(about["chunks"]):
        is_in_it = study.places[..., 0] == index
        rows = np.flatnonzero(is_in_it.any(axis=1))
        check_range("places", study.places[is_in_it, 1], 0, count - 1)
        networks = checked_networks(study, decode(encoded), rows)
        params, state = {}, {}
        if len(rows) and networks.is_here:
            # all its settings have networks of the same shapes
            lane_data = networks.lane_data(study.settings[rows[0]])
            template = jax.eval_shape(networks.model(lane_data).init, new_key(0))
            params, state = (
                filled(path, f"chunks/{index}/{name}", stacked(tree, count), arrays)
                for name, tree in zip(("params", "state"), template, strict=True)
            )
        times = (datetime.fromisoformat(start), datetime.fromisoformat(end))
        study.chunks.append(Chunk(networks, params, state, *times))
    return study
