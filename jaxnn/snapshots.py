"""Snapshots: lanes in the middle of their training as arrays, and lanes brought back to there."""

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.archives import complete_or_refused, study_about, study_arrays, study_of
from jaxnn.commits import Commit, Content
from jaxnn.mixtures import Mixture
from jaxnn.preparing import network_of
from jaxnn.programs import Program
from jaxnn.records import decode, encode
from jaxnn.settings import traced_numbers
from jaxnn.studies import Study
from jaxnn.training import TrainState, init_train_state
from jaxnn.trees import filled, named, stacked
from jaxnn.trials import Lane
from jaxnn.types import Model, ModelFn

States = dict[Lane, TrainState]
"""On the host; a key is there as its numbers."""


class Past(NamedTuple):
    """What a commit knew: a study, and the states of the lanes that go on."""

    study: Study
    states: States


def snapshot(
    study: Study, states: States, training: Collection[Lane], programs: Mapping[int, Program]
) -> Content:
    """A study and its lanes as arrays by name, and the rest as JSON.

    Lanes are independent, so those that are being trained are each taken as they were last put into
    `states`, and need not have come equally far.

    Args:
      training: the lanes whose entries in the study may be ahead of their states.
      programs: by the setting's number.
    """
    names = ("diverged", "epochs_done", "kept_epochs", "places")
    rows = {name: getattr(study, name).copy() for name in names}
    curves = {name: curve.copy() for name, curve in study.curves.items()}
    for lane in training:
        epoch = int(states[lane].epoch) if lane in states else 0
        rows["epochs_done"][lane], rows["kept_epochs"][lane] = epoch, epoch - 1
        # the state knows whether it has diverged; a network of an earlier rung would not be its own
        rows["diverged"][lane] = rows["places"][lane] = -1
        for curve in curves.values():
            curve[lane][epoch:] = np.nan
    then = dataclasses.replace(study, curves=curves, **rows)
    groups: dict[Program, list[Lane]] = {}
    for lane in states:
        groups.setdefault(programs[lane[0]], []).append(lane)
    about = {
        **study_about(then),
        "states": [encode(program) for program in groups],
    }

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        yield from study_arrays(then)
        for index, lanes in enumerate(groups.values()):
            yield f"states/{index}/lanes", np.array(lanes)
            # leaf by leaf: together they would take their memory once more
            leaves = [jax.tree.leaves(states[lane]) for lane in lanes]
            for place, (name, _) in enumerate(named(f"states/{index}", states[lanes[0]])):
                yield name, np.stack([own[place] for own in leaves])

    return arrays(), about


def past_of(commit: Commit, model: Model | ModelFn | None) -> Past:
    """What a commit knew; ValueError if its arrays do not fit what it says of them."""
    path, arrays, about = commit
    states: States = {}
    with complete_or_refused(path):
        study = study_of(path, arrays, about, model)
        for index, encoded in enumerate(about["states"]):
            program = decode(encoded)
            lanes = [(int(n), int(k)) for n, k in arrays[f"states/{index}/lanes"]]
            setting = study.settings[lanes[0][0]]
            if not isinstance(program.model, Mixture) and study.model is not None:
                program = program._replace(model=network_of(study.model, setting))
            template = stacked(_state_template(program, setting), len(lanes))
            rows = filled(path, f"states/{index}", template, arrays)
            for row, lane in enumerate(lanes):
                states[lane] = jax.tree.map(lambda leaf, row=row: leaf[row].copy(), rows)
    return Past(study, states)


def _state_template(program: Program, setting: Mapping[str, Any]) -> TrainState:
    """Shapes and types of a lane's state on the host."""
    numbers = traced_numbers(setting)
    if isinstance(program.model, Mixture):
        numbers |= program.model.structure(setting)
    state = jax.eval_shape(lambda key: init_train_state(program, key, numbers), jax.random.key(0))
    keys = jax.eval_shape(jax.random.key_data, state.dropout_key)
    return state._replace(dropout_key=keys)


def restore(past: Past, study: Study, states: States, lanes: Iterable[Lane], until: int) -> None:
    """Brings lanes to where the past left them, at most to the epoch `until`.

    A search that is gone on with runs anew from its start, and finds its networks trained as far
    as they were: so it takes the same decisions, and draws the same settings.
    """
    then = past.study
    for lane in lanes:
        number = lane[0]
        if number >= len(then.given) or then.epochs_done[lane] <= study.epochs_done[lane]:
            continue
        if then.settings[number] != study.settings[number]:
            raise ValueError(
                f"setting {number} is not the one that the directory holds: "
                f"{study.given[number]}, {then.given[number]} there. Expected the same sampler, "
                "with a seed, or another directory"
            )
        reached = min(int(then.epochs_done[lane]), until)
        # a network that diverged later than that is still fine
        has_diverged = (
            then.diverged[lane] >= 0 and np.isnan(then.curves["cost"][lane][:until]).any()
        )
        is_last = reached == then.epochs_done[lane] or has_diverged
        for name, curve in then.curves.items():
            study.curves[name][lane][:reached] = curve[lane][:reached]
        study.diverged[lane] = then.diverged[lane] if has_diverged else -1
        study.epochs_done[lane] = study.num_epochs if has_diverged else reached
        study.kept_epochs[lane] = then.kept_epochs[lane] if is_last else reached - 1
        if is_last:
            study.places[lane] = then.places[lane]
        if is_last and lane in past.states:
            states[lane] = past.states.pop(lane)


def is_exhausted(past: Past, study: Study) -> bool:
    """Whether a study knows all that the past knew."""
    known = len(past.study.given)
    is_there = len(study.given) >= known
    return is_there and bool((study.epochs_done[:known] >= past.study.epochs_done).all())
