"""Training states of lanes: saved in commits, and restored from them."""

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.compiled.programs import Program
from jaxnn.compiled.steps import TrainState, init_train_state
from jaxnn.disk.commits import Commit
from jaxnn.disk.directories import Commits, Content
from jaxnn.disk.encoding import decode, encode
from jaxnn.disk.trees import filled, named, stacked
from jaxnn.formats.agreement import check_lane, checked_program
from jaxnn.formats.functions import is_same
from jaxnn.formats.layout import NUMBERS, complete_or_refused, part_in, record_content
from jaxnn.formats.parts import part_of, take_over
from jaxnn.functional.metrics import COST
from jaxnn.functional.types import Model, ModelFn
from jaxnn.planning.plans import Plan, functions_of
from jaxnn.results.records import COLUMNS, Record
from jaxnn.results.trials import Lane
from jaxnn.settings.traced import traced_numbers
from jaxnn.system.draws import new_key

States = dict[Lane, TrainState]
"""Lane -> its state on the host, with the words of the key in place of the key."""


class Past(NamedTuple):
    """The contents of a commit: a study of some settings, and the states of unfinished lanes.

    Attributes:
      study: the study, or the part of it that the commit holds.
      rows: number of a setting -> its row in this study.
      states: the states of the lanes that were in training.
      first_chunk: the index of its first chunk in the study that resumes.
    """

    study: Record
    rows: dict[int, int]
    states: States
    first_chunk: int = 0

    def epochs_done(self, lane: Lane) -> int:
        number, repeat = lane
        return int(self.study.epochs_done[self.rows[number], repeat]) if number in self.rows else 0


def settled(study: Record, states: States, training: Collection[Lane]) -> Record:
    """Returns the study in which each lane in training is only as far as its state."""
    rows = {name: getattr(study, name).copy() for name in COLUMNS}
    curves = {name: curve.copy() for name, curve in study.curves.items()}
    for lane in training:
        epoch = int(states[lane].epoch) if lane in states else 0
        rows["epochs_done"][lane], rows["kept_epochs"][lane] = epoch, epoch - 1
        # the state knows whether it diverged or was stopped; the network of an earlier rung does
        # not belong to it
        rows["diverged"][lane] = rows["stopped"][lane] = rows["places"][lane] = -1
        for curve in curves.values():
            curve[lane][epoch:] = np.nan
    return dataclasses.replace(study, curves=curves, **rows)


def snapshot(
    study: Record,
    states: States,
    training: Collection[Lane],
    programs: Mapping[int, Program],
    lanes: Collection[Lane] | None = None,
    is_whole: bool = True,
) -> Content:
    """Returns a study and the states of its lanes as named arrays, and the rest as JSON.

    Lanes are independent and may be at different epochs.

    Args:
      states: the states of the lanes in training.
      training: lanes whose entries in the study may be ahead of their states.
      programs: number of a setting -> its program.
      lanes: the lanes of this process; None is all lanes.
      is_whole: whether to include all settings and the plan.
    """
    then, setting_numbers = settled(study, states, training), None
    if lanes is not None:
        then, setting_numbers = part_of(then, lanes, is_whole=is_whole)
    groups: dict[Program, list[Lane]] = {}
    for lane in states:
        groups.setdefault(programs[lane[0]], []).append(lane)
    of_record, about_record = record_content(then)
    about = {**about_record, "states": [encode(program) for program in groups]}

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        if setting_numbers is not None:
            yield NUMBERS, setting_numbers
        yield from of_record
        for index, lanes in enumerate(groups.values()):
            yield f"states/{index}/lanes", np.array(lanes)
            # leaf by leaf, since stacking all leaves at once would double the memory
            leaves = [jax.tree.leaves(states[lane]) for lane in lanes]
            for place, (name, _) in enumerate(named(f"states/{index}", states[lanes[0]])):
                yield name, np.stack([own[place] for own in leaves])

    return arrays(), about


def past_of(commit: Commit, model: Model | ModelFn | None, plan: Plan) -> Past:
    """Returns the contents of a commit.

    Args:
      plan: the plan of the call, whose functions stand for those that the commit names.

    Raises:
      ValueError: its arrays and attributes do not fit each other.
    """
    path, arrays, about = commit
    states: States = {}
    with complete_or_refused(path):
        study, setting_numbers = part_in(path, arrays, about, model)
        rows = {int(number): row for row, number in enumerate(setting_numbers)}
        for index, encoded in enumerate(about["states"]):
            program = decode(encoded, functions_of(plan))
            lanes = [(int(n), int(k)) for n, k in arrays[f"states/{index}/lanes"]]
            own = [(rows[number], repeat) for number, repeat in lanes]
            program = checked_program(study, program, own)
            if not states.keys().isdisjoint(lanes) or len({*lanes}) < len(lanes):
                raise ValueError("it holds two states of one network")
            setting = study.settings[rows[lanes[0][0]]]
            template = stacked(_state_template(program, setting), len(lanes))
            stored = filled(path, f"states/{index}", template, arrays)
            for row, lane in enumerate(lanes):
                states[lane] = jax.tree.map(lambda leaf, row=row: leaf[row].copy(), stored)
                check_lane(study, (rows[lane[0]], lane[1]), states[lane])
    return Past(study, rows, states)


def pasts_of(commits: Commits, model: Model | ModelFn | None, study: Record) -> list[Past]:
    """Returns the contents of a directory's commits; adds their chunks and notes to the study."""
    found = []
    for commit in commits.take():
        past = past_of(commit, model, study.plan)._replace(first_chunk=len(study.chunks))
        take_over(study, past.study)
        found.append(past)
    return found


def _state_template(program: Program, setting: Mapping[str, Any]) -> TrainState:
    """Returns the shapes and types of a lane's state on the host."""
    numbers = traced_numbers(setting) | program.networks.lane_data(setting)
    state = init_train_state.eval_shape(program, new_key(0), numbers)
    keys = jax.eval_shape(jax.random.key_data, state.dropout_key)
    return state._replace(dropout_key=keys)


def restore(
    pasts: Sequence[Past], study: Record, states: States, lanes: Iterable[Lane], until: int
) -> None:
    """Restores lanes from commits, up to the epoch `until` at most.

    A resumed search runs again from its start. Instead of training it takes results from its
    commits as far as they go, so it makes the same decisions and draws the same settings.
    """
    for lane in lanes:
        past = max(pasts, key=lambda one: one.epochs_done(lane))
        if past.epochs_done(lane) <= study.epochs_done[lane]:
            continue
        then, number, row = past.study, lane[0], (past.rows[lane[0]], lane[1])
        if not is_same(then.settings[row[0]], study.settings[number]):
            raise ValueError(
                f"setting {number} is not the one that the directory holds: "
                f"{study.given[number]}, {then.given[row[0]]} there. Expected the same sampler, "
                "with a seed, or another directory"
            )
        reached = min(int(then.epochs_done[row]), until)
        # what diverged or was stopped after `until` is still in training there
        has_diverged = (
            then.diverged[row] >= 0 and np.isnan(then.curves[COST.name][row][:until]).any()
        )
        is_stopped = 0 <= then.stopped[row] <= until
        is_last = reached == then.epochs_done[row] or has_diverged or is_stopped
        for name in then.curves.keys() & study.curves.keys():
            study.curves[name][lane][:reached] = then.curves[name][row][:reached]
        study.diverged[lane] = then.diverged[row] if has_diverged else -1
        study.stopped[lane] = then.stopped[row] if is_stopped else -1
        study.epochs_done[lane] = study.num_epochs if has_diverged or is_stopped else reached
        study.kept_epochs[lane] = then.kept_epochs[row] if is_last else reached - 1
        if is_last and then.places[row][0] >= 0:
            study.places[lane] = then.places[row] + np.array([past.first_chunk, 0])
        if is_last and lane in past.states:
            states[lane] = past.states.pop(lane)


def is_exhausted(pasts: Sequence[Past], study: Record) -> bool:
    """Whether the study has caught up with all commits."""
    for past in pasts:
        setting_numbers = [*past.rows]
        if max(setting_numbers, default=-1) >= len(study.given):
            return False
        if (study.epochs_done[setting_numbers] < past.study.epochs_done).any():
            return False
    return True
