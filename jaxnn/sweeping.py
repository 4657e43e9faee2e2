"""Caviar: many settings trained at once, as lanes of a few compiled programs."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxnn.checks import one_of_two, whole_number
from jaxnn.chunks import Group, Job
from jaxnn.datasets import Dataset
from jaxnn.fitted import Fitted
from jaxnn.hooks import Hook, OnEpoch, check_on_epoch
from jaxnn.planning import plan_recipes
from jaxnn.plans import Plan, PlannedProgram, check_plan
from jaxnn.preparing import (
    Recipe,
    check_row_space,
    checked_data,
    recipes,
    treatments,
    warn_caller,
    warn_of_scales,
)
from jaxnn.progress import TrainingInterrupted, deferred_interrupt, sweep_display
from jaxnn.settings import Setting
from jaxnn.showing import call_text
from jaxnn.splits import stratified_folds
from jaxnn.studies import Study
from jaxnn.training import curve_names
from jaxnn.types import Model, ModelFn, as_model

Folds = list[tuple[Dataset, Dataset | None]]
"""Training and validation set of each; one pair without cross-validation."""


@dataclasses.dataclass(frozen=True)
class Options:
    """How the networks of a sweep or search are trained and ranked; see there.

    Raises:
      ValueError: bad input.
    """

    model: Model | ModelFn | None = None
    seeds: int = 1
    folds: int = 1
    seed: int = 0
    order_seed: int = 0
    keep: str = "last"
    metric: str = "accuracy"
    select: str = "mean"
    row_space: bool = False
    chunk: int | None = None
    progress: bool | None = None
    on_epoch: OnEpoch | None = None

    def __post_init__(self) -> None:
        if self.model is not None:
            object.__setattr__(self, "model", as_model(self.model))
        for name, least in (("seeds", 1), ("folds", 1), ("seed", 0), ("order_seed", 0)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least))
        whole_number("seed + seeds", self.seed + self.seeds)
        if self.chunk is not None:
            object.__setattr__(self, "chunk", whole_number("chunk", self.chunk, 1))
        one_of_two("keep", self.keep, "last", "best")
        one_of_two("metric", self.metric, "accuracy", "cost")
        one_of_two("select", self.select, "mean", "lower_bound")
        if self.select == "lower_bound" and self.seeds * self.folds < 2:
            raise ValueError(
                "select='lower_bound' came with one repetition; expected seeds or folds of two at "
                "least, whose spread the bound is made of"
            )
        check_row_space(self.row_space, self.model)
        check_on_epoch(self.on_epoch)

    @classmethod
    def among(cls, arguments: Mapping[str, Any]) -> "Options":
        """The options among a function's arguments, which have the same names."""
        names = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in arguments.items() if name in names})

    def parts(self, train: Dataset, valid: Dataset | float | None) -> Folds:
        """What is trained and validated on."""
        if self.folds == 1:
            if valid is None:
                raise ValueError(
                    "valid got None; expected a Dataset, or a fraction of train such as 0.2"
                )
            return [checked_data(train, valid, self.order_seed)]
        if valid is not None:
            raise ValueError(
                f"valid came with folds={self.folds}; expected None: each fold holds out a part of "
                "train"
            )
        train, _ = checked_data(train, None, self.order_seed)
        return [*stratified_folds(train, self.folds, self.order_seed)]

    def plan(self, prepared: Sequence[Recipe], train: Dataset, epochs: int, **more: Any) -> Plan:
        return plan_recipes(
            prepared,
            train,
            epochs,
            self.seeds,
            folds=self.folds,
            row_space=self.row_space,
            chunk=self.chunk,
            **more,
        )


@contextlib.contextmanager
def open_job(options: Options, parts: Folds, plan: Plan, epochs: int, total: int) -> Iterator[Job]:
    """A job that settings are added to, and trained, while it is open.

    Args:
      plan: the first settings', or what those to come are planned by.
      total: epochs that all its networks train for together, for the display.

    Raises:
      TrainingInterrupted: at its end, if Ctrl-C came.
    """
    start = time.perf_counter()
    train, valid = parts[0]
    shape = (0, options.seeds * options.folds)
    study = Study(
        given=[],
        settings=[],
        model=options.model,
        metric=options.metric,
        plan=plan,
        treatments={},
        input_shape=train.x.shape[1:],
        num_classes=train.num_classes,
        curves={name: np.empty((*shape, epochs), train.x.dtype) for name in curve_names(valid)},
        diverged=np.empty(shape, int),
        epochs_done=np.empty(shape, int),
        ends=np.empty(shape, int),
        dropped=np.empty(0, int),
        kept_epochs=np.empty(shape, int),
        places=np.empty((*shape, 2), int),
        folds=options.folds,
        select=options.select,
    )
    with (
        sweep_display(total, epochs, options.progress) as display,
        deferred_interrupt() as is_interrupted,
    ):
        hook = Hook(options.on_epoch)
        job = Job(
            study,
            parts,
            options.seeds,
            options.seed,
            options.order_seed,
            display,
            is_interrupted,
            hook,
        )
        yield job
    study.seconds = time.perf_counter() - start
    for note in [*job.warnings, *filter(None, [hook.failure])]:
        warn_caller(note)
    if is_interrupted():
        raise TrainingInterrupted(
            f"training was interrupted with {study.is_complete.sum():,} of "
            f"{study.diverged.size:,} networks complete",
            study=study,
        )


def add(
    job: Job, options: Options, given: Sequence[Setting], prepared: list[Recipe], plan: Plan
) -> list[int]:
    """Adds settings to a job, whose plan this is from now on; returns their numbers."""
    study, train = job.study, job.folds[0][0]
    first = len(study.given)
    warn_of_scales(prepared, train)
    job.recipes += prepared
    study.grow([dict(one) for one in given], [one.setting for one in prepared])
    study.plan = plan
    if plan.note and plan.note not in study.notes:
        study.notes.append(plan.note)
    for inputs in dict.fromkeys(one.setting["inputs"] for one in prepared):
        if (inputs, 0) not in study.treatments:
            parts = [train for train, _ in job.folds]
            for fold, one in enumerate(treatments(inputs, parts, options.row_space)):
                study.treatments[inputs, fold] = one
    groups = {_key(group.planned): group for group in job.groups}
    for planned in plan.programs:
        if _key(planned) in groups:
            groups[_key(planned)].planned = planned
            continue
        program = planned.program.with_features(study.treatments[planned.inputs, 0].num_features)
        program = program._replace(keep_best=options.metric if options.keep == "best" else None)
        job.groups.append(Group(planned, program, options.chunk or planned.chunk))
    return list(range(first, len(study.given)))


def _key(planned: PlannedProgram) -> tuple[Any, ...]:
    return planned.program, planned.inputs, planned.chunk


def sweep(
    settings: Sequence[Setting],
    train: Dataset,
    valid: Dataset | float,
    *,
    epochs: int,
    seeds: int = 1,
    seed: int = 0,
    order_seed: int = 0,
    model: Model | ModelFn | None = None,
    keep: str = "last",
    metric: str = "accuracy",
    row_space: bool = False,
    plan: Plan | None = None,
    chunk: int | None = None,
    progress: bool | None = None,
    on_epoch: OnEpoch | None = None,
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
      model: a pair of pure functions in place of `mlp`, or a function that makes one, see `fit`.
      keep: "last" keeps each network as it ends; "best" keeps it as it was at its best validation
        epoch, and values it by that epoch.
      metric: "accuracy" or "cost" on the validation set: what ranks the settings.
      row_space: where there are fewer examples than features, train in the row space of the
        training inputs and lift the weights back at the end, see `fit`.
      plan: which settings share a program, made by `plan` for the same settings; None makes it.
      chunk: lanes that a device trains at a time; None leaves it to the plan.
      progress: False shows nothing; otherwise a live line on a terminal or in a notebook, and
        elsewhere a line every ten seconds.
      on_epoch: a function that is called with an `EpochInfo` for every epoch of every network, from
        the host after a compiled call of several epochs. One that raises is not called again, which
        a warning says at the end.

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
    arguments = locals()
    call, options = call_text(sweep, arguments), Options.among(arguments)
    epochs = whole_number("epochs", epochs, 1)
    if plan is not None and not isinstance(plan, Plan):
        raise ValueError(f"plan got {plan!r}; expected one made by jaxnn.plan")
    parts = options.parts(train, valid)
    prepared = recipes(settings, parts[0][0], options.model)
    plan = options.plan(prepared, parts[0][0], epochs) if plan is None else plan
    check_plan(plan, prepared, row_space)
    with open_job(options, parts, plan, epochs, len(prepared) * seeds * epochs) as job:
        numbers = add(job, options, settings, prepared, plan)
        job.study.space, job.study.call = getattr(settings, "space", None), call
        job.study.notes += hold_out_note(valid, parts)
        job.train(job.lanes(numbers), epochs)
    return job.study


def hold_out_note(valid: Dataset | float | None, parts: Folds) -> list[str]:
    """Says what was held out, where that was left to us."""
    train, held_out = parts[0]
    if isinstance(valid, Dataset) or valid is None or held_out is None:
        return []
    share = f"{len(held_out)} of {len(held_out) + len(train)}"
    return [f"Validation: {share} examples of the training set, stratified."]


def refitted(
    study: Study,
    numbers: Sequence[int],
    data: Dataset,
    seed: int,
    order_seed: int,
    progress: bool | None,
) -> list[Fitted]:
    """Settings of a study, trained anew on other data without validation; see `Study.refit`."""
    options = Options(
        study.model,
        seed=seed,
        order_seed=order_seed,
        row_space=study.plan.row_space,
        progress=progress,
    )
    parts: Folds = [checked_data(data, None, order_seed)]
    given = [study.given[number] for number in numbers]
    # for as long as what was kept was trained, on the mean
    ends = [round(float(study.kept_epochs[number].mean())) + 1 for number in numbers]
    prepared = recipes(given, data, options.model)
    plan = options.plan(prepared, data, max(ends))
    with open_job(options, parts, plan, max(ends), sum(ends)) as job:
        add(job, options, given, prepared, plan)
        job.study.ends[:, 0] = ends
        for until in sorted({*ends}):
            lanes = [(index, 0) for index, end in enumerate(ends) if end >= until]
            job.train(lanes, until, goes_on=until < max(ends))
    return [job.study.fitted(index) for index in range(len(numbers))]
