"""Caviar: many settings trained at once, as lanes of a few compiled programs."""

import time
import warnings
from collections.abc import Sequence

import numpy as np

from jaxnn.checks import whole_number
from jaxnn.chunks import Group, Job, train_everywhere
from jaxnn.datasets import Dataset
from jaxnn.planning import Plan, check_plan, plan_recipes
from jaxnn.preparing import (
    check_row_space,
    checked_data,
    recipes,
    treatment,
    warn_of_scales,
)
from jaxnn.progress import TrainingInterrupted, deferred_interrupt, sweep_display
from jaxnn.settings import Setting
from jaxnn.studies import Study
from jaxnn.training import curve_names
from jaxnn.types import Model, as_model


def sweep(
    settings: Sequence[Setting],
    train: Dataset,
    valid: Dataset | float,
    *,
    epochs: int,
    seeds: int = 1,
    seed: int = 0,
    order_seed: int = 0,
    model: Model | None = None,
    keep: str = "last",
    metric: str = "accuracy",
    row_space: bool = False,
    plan: Plan | None = None,
    chunk: int | None = None,
    progress: bool | None = None,
) -> Study:
    """Trains all settings at once, and each network as `fit` would train it alone.

    A network, setting x repetition, is a lane. Lanes share compiled programs, in which every number
    (`learning_rate`, `momentum`, `l2`, `dropout`, ...) differs by lane, and so may the structure
    (`hidden`, `activation`, `batch_norm`, `optimizer`, ...): the plan decides which settings are
    padded and trained together, see `plan`. Each local device takes chunk after chunk of a
    program's lanes.

    Repetition k of setting i equals `fit(settings[i], train, valid, epochs=epochs, seed=seed + k,
    order_seed=order_seed)` up to rounding. A lane's bits depend on its program and the size of the
    chunk, both of which are the plan's; not on the other lanes, their number or order, or the
    number of devices. Settings of equal structure have the same plan however many they are; among
    others, `plan` keeps it.

    Args:
      settings: dicts, as from `sample`.
      train: the training set.
      valid: a Dataset to evaluate on after every epoch, or a fraction of `train` to hold out for it
        (stratified, drawn from `order_seed`).
      epochs: passes over the training set, at least 1.
      seeds: K, repetitions of each setting.
      seed: of weights and dropout, for the first repetition.
      order_seed: of the mini-batches, common to all lanes.
      model: a pair of pure functions in place of `mlp`.
      keep: "last" keeps each network as it ends; "best" keeps it as it was at its best validation
        epoch, and values it by that epoch.
      metric: "accuracy" or "cost" on the validation set: what ranks the settings.
      row_space: where there are fewer examples than features, train in the row space of the
        training inputs and lift the weights back at the end, see `fit`.
      plan: which settings share a program, made by `plan` for the same settings; None makes it.
      chunk: lanes that a device trains at a time; None leaves it to the plan.
      progress: False shows nothing; otherwise a live line on a terminal or in a notebook, and
        elsewhere a line every ten seconds.

    Returns:
      a `Study`. A network whose cost stops being finite is frozen, marked with its step and ranked
      last.

    Raises:
      ValueError: bad input, before anything is compiled.
      TrainingInterrupted: on Ctrl-C, with what was reached in its `study`.

    >>> from jaxnn import loguniform, sample
    >>> x = np.random.default_rng(0).normal(size=(80, 2))
    >>> data = Dataset(x, (x[:, 0] > 0).astype(int))
    >>> settings = sample({"learning_rate": loguniform(1e-4, 1e0)}, 8)
    >>> study = sweep(settings, data, 0.25, epochs=10)
    >>> study.curves["valid_cost"].shape, study.best_params["learning_rate"] > 1e-2
    ((8, 1, 10), True)
    """
    start = time.perf_counter()
    is_mlp = model is None
    model = None if model is None else as_model(model)
    epochs, seeds = whole_number("epochs", epochs, 1), whole_number("seeds", seeds, 1)
    seed, order_seed = whole_number("seed", seed), whole_number("order_seed", order_seed)
    whole_number("seed + seeds", seed + seeds)
    if chunk is not None:
        chunk = whole_number("chunk", chunk, 1)
    if keep not in ("last", "best"):
        raise ValueError(f"keep got {keep!r}; expected 'last' or 'best'")
    if metric not in ("accuracy", "cost"):
        raise ValueError(f"metric got {metric!r}; expected 'accuracy' or 'cost'")
    if plan is not None and not isinstance(plan, Plan):
        raise ValueError(f"plan got {plan!r}; expected one made by jaxnn.plan")
    check_row_space(row_space, model)
    if valid is None:
        raise ValueError("valid got None; expected a Dataset, or a fraction of train such as 0.2")
    train, held_out = checked_data(train, valid, order_seed)
    assert held_out is not None
    prepared = recipes(settings, train, model)
    in_full = [recipe.setting for recipe in prepared]
    if is_mlp and any(s["inputs"] == "raw" and not s["batch_norm"] for s in in_full):
        warn_of_scales(train)
    if plan is None:
        plan = plan_recipes(prepared, train, epochs, seeds, row_space=row_space, chunk=chunk)
    check_plan(plan, prepared, row_space)
    treatments = {
        inputs: treatment(inputs, train, row_space)
        for inputs in dict.fromkeys(setting["inputs"] for setting in in_full)
    }
    groups = []
    for planned in plan.programs:
        program = planned.program.with_features(treatments[planned.inputs].num_features)
        program = program._replace(keep_best=metric if keep == "best" else None)
        lanes = [(number, repeat) for number in planned.settings for repeat in range(seeds)]
        groups.append(Group(program, planned.inputs, lanes, chunk or planned.chunk))
    shape = (len(prepared), seeds)
    study = Study(
        given=settings,
        settings=in_full,
        model=model,
        metric=metric,
        plan=plan,
        treatments=treatments,
        input_shape=train.x.shape[1:],
        num_classes=train.num_classes,
        curves={
            name: np.full((*shape, epochs), np.nan, train.x.dtype) for name in curve_names(held_out)
        },
        diverged=np.full(shape, -1),
        epochs_done=np.zeros(shape, int),
        kept_epochs=np.full(shape, epochs - 1),
        places=np.full((*shape, 2), -1),
    )
    if plan.note:
        study.notes.append(plan.note)
    if not isinstance(valid, Dataset):
        share = f"{len(held_out)} of {len(held_out) + len(train)}"
        study.notes.append(f"Validation: {share} examples of the training set, stratified.")
    with (
        sweep_display(study.diverged.size, epochs, progress) as display,
        deferred_interrupt() as is_interrupted,
    ):
        num_notes = len(study.notes)
        job = Job(
            study, prepared, groups, train, held_out, seed, order_seed, display, is_interrupted
        )
        train_everywhere(job)
    for note in study.notes[num_notes:]:
        warnings.warn(note, stacklevel=2)
    study.seconds = time.perf_counter() - start
    if is_interrupted():
        raise TrainingInterrupted(
            f"the sweep was interrupted with {(study.epochs_done == epochs).sum():,} of "
            f"{study.diverged.size:,} networks complete",
            study=study,
        )
    return study
