"""Checks that the parts of a study read from a file agree: settings, lanes, chunks and inputs."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxnn.compiled.networks import NOT_HERE, Networks, is_networks
from jaxnn.compiled.programs import Program
from jaxnn.compiled.steps import TrainState
from jaxnn.formats.functions import has_functions
from jaxnn.formats.schemas import check_curve, check_range, check_state, check_statistics
from jaxnn.functional.metrics import METRICS
from jaxnn.functional.objectives import Loss
from jaxnn.results.records import Record
from jaxnn.results.trials import Lane
from jaxnn.settings.hyperparameters import (
    HYPERPARAMETERS,
    Setting,
    complete,
)
from jaxnn.settings.sampling import checked_space, functions_in
from jaxnn.system.checks import brief, check_fits
from jaxnn.system.functions import named
from jaxnn.system.terminal import excerpt
from jaxnn.training.recipes import networks_of


def completed(setting: Setting, is_foreign: bool, loss: Loss = "softmax") -> dict[str, Any]:
    """Returns a setting that was read, checked and with defaults for names that an old file lacks.

    Args:
      is_foreign: whether a user's model may have named further numbers, as functions may.
      loss: the loss of a setting that names none, as those of earlier versions.
    """
    others = tuple(name for name in setting if name not in HYPERPARAMETERS)
    has_code = is_foreign or has_functions(setting)
    return complete(setting, NOT_HERE._replace(numbers=others) if has_code else None, loss=loss)


def check_study(study: Record, setting_numbers: np.ndarray | None) -> None:
    """Raises ValueError if a part of a study does not fit the others.

    Args:
      setting_numbers: the numbers of its settings in the whole study, if it is a part of one.
    """
    num_settings, num_repeats = study.diverged.shape
    # an interrupted search may have no settings yet, and so no arrays that confirm these sizes
    check_fits(32 * num_repeats * study.num_epochs, "it holds a study whose curves of a setting")
    if not num_settings == len(study.settings) == len(study.given):
        raise ValueError(
            f"it holds {len(study.settings)} settings and {len(study.given)} as given; expected "
            f"{num_settings}, the number of curves"
        )
    if num_repeats % study.folds:
        raise ValueError(f"it holds {num_repeats} repetitions of {study.folds} folds")
    for given, full in zip(study.given, study.settings, strict=True):
        # the defaults of a function that is not here are known from the full setting
        own = {**full, **given} if has_functions(full) else given
        _check_given(completed(own, study.model is not None, full["loss"]), full)
    _check_curves(study)
    _check_numbers(study, setting_numbers)
    _check_lanes(study)
    for rung in study.rungs:
        known = num_settings if setting_numbers is None else 2**31
        entered = {*rung.entered}
        is_fine = len(entered) == len(rung.entered) and {*rung.kept} <= entered
        if rung.epochs > study.num_epochs or max(entered, default=0) >= known or not is_fine:
            raise ValueError(f"it holds the rung {brief(rung)}; expected its settings and epochs")
    if study.space is not None:
        study.space = checked_space(study.space)
        unknown = {*study.space} - {*(study.settings[0] if study.settings else study.space)}
        if functions_in(study.space):
            # a number of a function is in its settings alone, of which there may be none yet
            unknown = set()
        if unknown:
            raise ValueError(f"its space has {brief(unknown)}; expected names of its settings")
    planned = [number for one in study.plan.programs for number in one.settings]
    if len({*planned}) < len(planned) or max(planned, default=-1) >= study.plan.num_settings:
        raise ValueError("its plan has settings twice, or more than it was made for")
    _check_treatments(study, is_part=setting_numbers is not None)


def _check_curves(study: Record) -> None:
    """ValueError unless a study has the curves of its settings, with values that can be."""
    losses = dict.fromkeys(one["loss"] for one in study.settings) or [study.targets.default_loss]
    objectives = [study.targets.objective(loss) for loss in losses]
    for name in (name for one in objectives for name in one.curves(has_valid=True)):
        if name not in study.curves:
            raise ValueError(f"it holds the curves {brief([*study.curves])}; expected {name}, too")
    if METRICS[study.metric].valid not in study.curves:
        raise ValueError(f"it holds no curve of its metric {study.metric}")
    for name, curve in study.curves.items():
        check_curve(name, curve, min(one.least_cost for one in objectives))


def _check_given(given: Setting, full: Setting) -> None:
    """Raises ValueError unless `full` is the given setting with every default."""
    for name in {**given, **full}:
        if given.get(name) != full.get(name):
            raise ValueError(
                f"it holds a setting with {excerpt(name, 200)} {brief(full.get(name))}, given as "
                f"{brief(given.get(name))}"
            )


def _check_numbers(study: Record, setting_numbers: np.ndarray | None) -> None:
    if setting_numbers is None:
        return
    is_fine = setting_numbers.dtype.kind == "i" and setting_numbers.shape == (len(study.given),)
    if not is_fine or (setting_numbers < 0).any() or (np.diff(setting_numbers) <= 0).any():
        raise ValueError(
            f"it holds the numbers {brief(setting_numbers)} of settings; expected rising ones"
        )


def _check_lanes(study: Record) -> None:
    """Raises ValueError if a column is out of range or two networks have the same place."""
    epochs = study.num_epochs
    for name, least, most in (
        ("diverged", -1, 2**31 - 1),
        ("stopped", -1, epochs),
        ("epochs_done", 0, epochs),
        ("ends", 1, epochs),
        ("dropped", 0, epochs),
        ("born", 0, epochs - 1),
        ("parent", -1, 2**31 - 1),
        # -1: no epoch was the best yet
        ("kept_epochs", -1, epochs - 1),
    ):
        check_range(name, getattr(study, name), least, most)
    if (study.parent >= np.arange(len(study.given))).any() and len(study.given) > 0:
        raise ValueError("it holds a setting that went on from itself or a later one")
    check_range("places", study.places[..., 0], -1, len(study.chunks) - 1)
    there = study.places[study.places[..., 0] >= 0]
    if len(np.unique(there, axis=0)) < len(there):
        raise ValueError("it holds places of which several networks have the same")


def checked_program(study: Record, program: Any, lanes: Sequence[Lane]) -> Program:
    """Returns a program that was read; raises ValueError unless it can train these lanes.

    Args:
      lanes: (row, repetition) in the study.
    """
    if not isinstance(program, Program) or not lanes:
        raise ValueError(f"it holds states of {brief(program)}; expected a program with lanes")
    rows, repeats = np.array(lanes).T
    check_range("states", repeats, 0, study.diverged.shape[1] - 1)
    networks = checked_networks(study, program.networks, rows)
    optimizers = {study.settings[row]["optimizer"] for row in rows}
    if not {*map(named, optimizers)} <= {*map(named, program.optimizers)}:
        raise ValueError(f"it holds states of {brief(program)}; expected {optimizers} among them")
    losses = {named(study.settings[row]["loss"]) for row in rows}
    if losses != {named(program.loss)}:
        raise ValueError(f"it holds states of {brief(program)}; expected the losses {losses}")
    return program._replace(networks=networks)


def check_lane(study: Record, lane: Lane, state: TrainState) -> None:
    """Raises ValueError unless a state agrees with the study; `lane` is (row, repetition)."""
    check_state(state, int(study.epochs_done[lane]))
    # in the middle of training only the state knows whether a network has diverged
    own, diverged = int(state.diverged), int(study.diverged[lane])
    if own != diverged and (diverged >= 0 or int(state.epoch) != study.epochs_done[lane]):
        raise ValueError(f"it holds a state that diverged at {own}; expected {diverged}")


def checked_networks(study: Record, networks: Any, rows: np.ndarray) -> Networks:
    """Returns networks that were read, with the study's code, which no file holds.

    Raises:
      ValueError: they are not the networks of the settings in these rows.
    """
    owns = {
        networks_of(study.settings[row], study.model, study.input_shape, study.targets): None
        for row in rows
    }
    is_foreign = study.model is not None
    if not is_networks(networks) or networks.is_mlp == is_foreign:
        raise ValueError(f"it holds networks of {brief(networks)}; expected the kind of the study")
    for own in owns:
        if networks.num_features is not None:
            # the row space may have fewer features
            own = own.with_features(networks.num_features)
        together = networks.merged(own)
        if together is None or (networks.is_here and together != networks):
            raise ValueError(f"it holds networks of {brief(networks)}; {brief(own)} does not fit")
        networks = together
    return networks


def _check_treatments(study: Record, is_part: bool) -> None:
    num_features = math.prod(study.input_shape)
    for (inputs, fold), one in study.treatments.items():
        if fold >= study.folds or (one.statistics is None) != (inputs == "raw"):
            raise ValueError(f"it holds a treatment {inputs} of fold {fold} that cannot be")
        if one.statistics is not None:
            check_statistics(*one.statistics, study.input_shape)
        if study.targets.is_real != (one.targets is not None):
            raise ValueError(f"it holds a treatment {inputs} whose targets are not the study's")
        if one.targets is not None:
            check_statistics(*one.targets, study.targets.shape)
        shape = (num_features, one.num_features)
        if one.space is None:
            is_fine = one.num_features == num_features
        else:
            basis = one.space.basis
            is_fine = basis.shape == shape and basis.dtype.kind == "f" and np.isfinite(basis).all()
        if not is_fine:
            raise ValueError(f"it holds a basis that is not of finite numbers {list(shape)}")
    # a part may lack them: the process that knows the whole study has them
    for setting in () if is_part else study.settings:
        for fold in range(study.folds):
            if (setting["inputs"], fold) not in study.treatments:
                raise ValueError(f"it lacks the treatment {setting['inputs']} of fold {fold}")
    for number, repeat in np.argwhere(study.places[..., 0] >= 0):
        key = study.settings[number]["inputs"], repeat // (study.diverged.shape[1] // study.folds)
        found = study.chunks[study.places[number, repeat, 0]].networks.num_features
        if found is not None and key in study.treatments:
            expected = study.treatments[key].num_features
            if found != expected:
                raise ValueError(f"it holds a chunk of {found} features; expected {expected}")
