"""Archives: networks and studies as HDF5 files, readable with h5py alone.

| file | groups of arrays | some of the attributes, as JSON |
| --- | --- | --- |
| network | params, state, inputs (mean, deviation), curves | setting, diverged, input_shape |
| study | curves, lanes (diverged, ...), treatments, chunks (params, state) | settings, plan, call |

Leaves have their place in the pytree as name: params/0/kernel. See `files` for the first 512 bytes,
and `commits` for what a directory holds.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import jax
import numpy as np

from jaxnn.arrays import own as own_array
from jaxnn.checks import as_path, brief
from jaxnn.commits import Commit, finished_among, newest
from jaxnn.files import StrPath, read_arrays, write_arrays
from jaxnn.fitted import Fitted
from jaxnn.forks import check_fork
from jaxnn.inputs import InputStatistics
from jaxnn.keys import new_key
from jaxnn.mixtures import Mixture
from jaxnn.models import mlp_of_setting
from jaxnn.parts import Part, absorb
from jaxnn.preparing import Treatment, network_of
from jaxnn.projection import RowSpace
from jaxnn.records import FOREIGN, decode, encode
from jaxnn.schemas import (
    NETWORK_VALUES,
    STUDY_VALUES,
    check,
    check_curves,
    check_statistics,
)
from jaxnn.showing import visible
from jaxnn.studies import Study
from jaxnn.study_checks import check_chunk, check_study, completed
from jaxnn.trees import filled, group_of, groups_of, named, stacked
from jaxnn.trials import Chunk
from jaxnn.types import Model, ModelFn, as_model

NETWORK = "jaxnn network 2"

STUDY = "jaxnn study 1"

RUN = "jaxnn run 1"

_PLAIN = (
    *("given", "settings", "space", "metric", "plan", "input_shape", "num_classes", "folds"),
    *("select", "rungs", "notes", "seconds", "compile_seconds", "call"),
)
_LANES = ("diverged", "epochs_done", "ends", "dropped", "kept_epochs", "places")


def load(path: StrPath, model: Model | ModelFn | None = None) -> Any:
    """Reads what `Fitted.save` or `Study.save` wrote, or the last commit of a directory.

    Args:
      path: the file, or the directory that a `sweep` or `search` commits to, finished or not; of
        networks in the middle of their training it has the curves alone.
      model: what it was trained with, for networks that were not made by `mlp`. A study without it
        shows all but its networks.

    Returns:
      a `Fitted` or a `Study`.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is damaged, not one of ours, of another version, or holds what does not fit:
        arrays the structure that it names, values what they may be (see `schemas`), sizes what is
        there (see `claims`). No code comes from a file.

    >>> import tempfile
    >>> from jaxnn import Dataset, fit
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> fitted = fit({}, Dataset(x, (x[:, 0] > 0) * 1), epochs=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fitted.save(f"{folder}/network.h5")
    ...     again = load(f"{folder}/network.h5")
    >>> bool((again.predict_proba(x) == fitted.predict_proba(x)).all())
    True
    """
    check_fork("load")
    path, others = as_path("path", path), list[Commit]()
    if path.is_dir():
        with complete_or_refused(path):
            (path, arrays, about), *others = _best_first(newest(path))
    else:
        arrays, about = read_arrays(path)
    own = None if model is None else as_model(model)
    kind = about.get("format")
    if kind == RUN:
        raise ValueError(
            f"{path} is a commit of a Run; expected Run(setting, train, ..., directory=...), which "
            "goes on with it"
        )
    if kind not in (NETWORK, STUDY):
        raise ValueError(
            f"{path} has the format {brief(kind)}; expected {NETWORK!r} or {STUDY!r}, which this "
            "version of jaxnn reads"
        )
    with complete_or_refused(path):
        if kind == NETWORK:
            return _network(path, arrays, about, own)
        return _study(path, arrays, about, own, others)


def whole_study(commits: Sequence[Commit], model: Model | ModelFn | None) -> Study:
    """The study of all processes' commits, of which one at least knows all settings."""
    with complete_or_refused(commits[0].path.parent):
        first, *others = _best_first(commits)
    with complete_or_refused(first.path):
        return _study(*first, model, others)


def _best_first(commits: Sequence[Commit]) -> Sequence[Commit]:
    """Those of processes that finished together; or all, first the one that knows most settings."""

    def knowledge(commit: Commit) -> tuple[bool, int, int, int]:
        _, arrays, about = commit
        done = arrays.get("lanes/epochs_done", np.zeros(0))
        # a Run has neither settings nor rungs
        count, rungs = len(about.get("settings", ())), len(about.get("rungs", ()))
        return commit.is_whole, count, rungs, int(done.sum())

    return finished_among(commits) or sorted(commits, key=knowledge, reverse=True)


def _study(
    path: StrPath,
    arrays: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    model: Model | ModelFn | None,
    others: Sequence[Commit],
) -> Study:
    study = part_in(path, arrays, about, model).study
    for other in others:
        with complete_or_refused(other.path):
            absorb(study, part_in(*other, model))
    return study


@contextlib.contextmanager
def complete_or_refused(path: StrPath) -> Iterator[None]:
    """Errors of what a file lacks, or should not hold, become a ValueError that names the file."""
    try:
        yield
    except (KeyError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"{path} lacks a part of what it should hold: {error!r}") from error
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: {visible(str(error))}") from error


def save_network(fitted: Fitted, path: StrPath) -> None:
    """Writes a network, see `Fitted.save`."""
    trees = {
        "params": fitted.params,
        "state": fitted.state,
        "inputs": fitted.inputs,
        "curves": fitted.curves,
    }
    about = {
        "format": NETWORK,
        "setting": encode(fitted.setting),
        "diverged": fitted.diverged,
        "input_shape": encode(fitted.input_shape),
        "num_classes": fitted.num_classes,
        "is_mlp": fitted.is_mlp,
    }
    leaves = (leaf for group, tree in trees.items() for leaf in named(group, tree))
    write_arrays(path, leaves, about)


def _network(
    path: StrPath,
    arrays: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    model: Model | ModelFn | None,
) -> Fitted:
    about = {**about, **{name: decode(about[name]) for name in ("setting", "input_shape")}}
    check("the network", about, NETWORK_VALUES)
    input_shape = about["input_shape"]
    setting = completed(about["setting"], not about["is_mlp"])
    if about["is_mlp"]:
        own = mlp_of_setting(setting, input_shape, about["num_classes"])
    elif model is None:
        raise ValueError(
            f"{path} holds a network that mlp did not make; expected load(path, model)"
        )
    else:
        own = network_of(model, setting)
    params, state = jax.eval_shape(own.init, new_key(0))
    inputs = None
    if (setting["inputs"] == "raw") == bool(group_of(arrays, "inputs")):
        raise ValueError(f"its inputs are {setting['inputs']}; expected statistics where not raw")
    if setting["inputs"] != "raw":
        names = InputStatistics._fields
        shapes: list[Any] = [jax.ShapeDtypeStruct(input_shape, float) for _ in names]
        inputs = InputStatistics(*shapes)
        found = filled(path, "inputs", inputs, arrays)
        check_statistics(found.mean, found.deviation, input_shape)
    check_curves(group_of(arrays, "curves"))
    fill = lambda group, tree: jax.tree.map(own_array, filled(path, group, tree, arrays))
    return Fitted(
        model=own,
        params=fill("params", params),
        state=fill("state", state),
        inputs=filled(path, "inputs", inputs, arrays),
        setting=setting,
        curves=group_of(arrays, "curves"),
        diverged=about["diverged"],
        input_shape=input_shape,
        num_classes=about["num_classes"],
        is_mlp=about["is_mlp"],
    )


def save_study(study: Study, path: StrPath) -> None:
    """Writes a study, see `Study.save`."""
    if study.model is FOREIGN:
        raise ValueError(
            "the study was loaded without its model, and so without its networks; expected "
            "load(path, model) before it is saved again"
        )
    write_arrays(path, study_arrays(study), study_about(study))


def study_arrays(study: Study) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a study by name."""
    yield from named("curves", study.curves)
    for name in _LANES:
        yield f"lanes/{name}", getattr(study, name)
    for (inputs, fold), one in study.treatments.items():
        yield from named(f"treatments/{inputs}/{fold}", [one.statistics, one.space])
    for index in sorted({*study.places[..., 0].flat} - {-1}):
        # the others' networks were all trained on, as lanes of later chunks
        chunk = study.chunks[index]
        yield from named(f"chunks/{index}/params", chunk.params)
        yield from named(f"chunks/{index}/state", chunk.state)


def study_about(study: Study) -> dict[str, Any]:
    """The rest of a study, as JSON."""
    return {
        "format": STUDY,
        **{name: encode(getattr(study, name)) for name in _PLAIN},
        "is_foreign": study.model is not None,
        "treatments": [[*key, one.num_features] for key, one in study.treatments.items()],
        "shape": [*study.diverged.shape, study.num_epochs],
        "curves": list(study.curves),
        "dtype": str(study.curves["cost"].dtype),
        "chunks": [
            [encode(chunk.model), _num_lanes(chunk), chunk.start.isoformat(), chunk.end.isoformat()]
            for chunk in study.chunks
        ],
    }


def _num_lanes(chunk: Chunk) -> int:
    leaves = jax.tree.leaves((chunk.params, chunk.state))
    return len(leaves[0]) if leaves else 0


NUMBERS = "numbers"
"""Of the settings, in a file that holds some of a study's."""


def part_in(
    path: StrPath,
    arrays: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    model: Model | ModelFn | None,
    is_message: bool = False,
) -> Part:
    """The study of a file, or the part that it holds; `path` is for the errors.

    Args:
      is_message: of a process of the same job, which leaves out settings that all know.
    """
    study = _study_of(path, arrays, about, model)
    numbers = arrays.get(NUMBERS, np.arange(len(study.given)))
    if not is_message:
        check_study(study, arrays.get(NUMBERS))
    return Part(study, numbers)


def _treatment(found: Mapping[str, np.ndarray], num_features: int) -> Treatment:
    mean, deviation = (found.get(f"0/{name}") for name in InputStatistics._fields)
    statistics = None if mean is None else InputStatistics(mean, deviation)  # type: ignore[arg-type]
    basis = found.get("1/basis")
    return Treatment(statistics, None if basis is None else RowSpace(basis), num_features)


def _study_of(
    path: StrPath,
    arrays: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    model: Model | ModelFn | None,
) -> Study:
    known: dict[str, Any] = {name: decode(about[name]) for name in _PLAIN}
    check("the study", {**about, **known}, STUDY_VALUES)
    is_foreign = about["is_foreign"]
    known["settings"] = [completed(setting, is_foreign) for setting in known["settings"]]
    num_settings, num_repeats, num_epochs = about["shape"]
    shapes: dict[str, Any] = dict.fromkeys(_LANES, (num_settings, num_repeats))
    shapes |= {"dropped": (num_settings,), "places": (num_settings, num_repeats, 2)}
    whole = {name: jax.ShapeDtypeStruct(shape, int) for name, shape in shapes.items()}
    known |= filled(path, "lanes", whole, arrays)
    curve = jax.ShapeDtypeStruct((num_settings, num_repeats, num_epochs), about["dtype"])
    curves = filled(path, "curves", dict.fromkeys(about["curves"], curve), arrays)
    # a pytree's dict comes back in the order of the alphabet
    curves = {name: curves[name] for name in about["curves"]}
    if is_foreign and model is None:
        model = FOREIGN
    study = Study(**known, model=model if is_foreign else None, treatments={}, curves=curves)
    groups = groups_of(arrays, 3)
    for inputs, fold, num_features in about["treatments"]:
        found = groups.get(f"treatments/{inputs}/{fold}", {})
        study.treatments[inputs, fold] = _treatment(found, num_features)
    for index, (encoded, count, start, end) in enumerate(about["chunks"]):
        numbers = np.flatnonzero((study.places[..., 0] == index).any(axis=1))
        params, state, own = {}, {}, decode(encoded)
        check_chunk(study, own, numbers, study.places[study.places[..., 0] == index, 1], count)
        if len(numbers) and study.model is not FOREIGN:
            # any of its settings has networks of the same shapes
            setting = study.settings[numbers[0]]
            if isinstance(own, Mixture):
                init = own.model(own.structure(setting)).init
            else:
                own = network_of(study.model, setting)  # type: ignore[arg-type]
                init = own.init
            template = jax.eval_shape(init, new_key(0))
            params, state = (
                filled(path, f"chunks/{index}/{name}", stacked(tree, count), arrays)
                for name, tree in zip(("params", "state"), template, strict=True)
            )
        times = (datetime.fromisoformat(start), datetime.fromisoformat(end))
        study.chunks.append(Chunk(own, params, state, *times))
    return study
