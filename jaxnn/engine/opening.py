"""Opening: a job from its empty study to its last commit, and the settings that are added to it."""

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

from jaxnn.data.inputs import treatments
from jaxnn.disk.directories import Commits
from jaxnn.engine.jobs import Group, Job
from jaxnn.engine.options import Folds, Options
from jaxnn.formats.states import pasts_of
from jaxnn.planning.plans import Plan, PlannedProgram
from jaxnn.results.records import Record
from jaxnn.settings.hyperparameters import Setting, plain_setting
from jaxnn.system.checks import check_fits
from jaxnn.system.display import sweep_display
from jaxnn.system.processes import ALONE, Hosts
from jaxnn.system.signals import ended_by_interrupt, held_signals, rescued
from jaxnn.system.terminal import warn_caller
from jaxnn.training.hooks import Hook
from jaxnn.training.recipes import Recipe, warn_of_scales
from jaxnn.training.steps import curve_names

AnyRecord = TypeVar("AnyRecord", bound=Record)


def empty_record(
    kind: type[AnyRecord], options: Options, parts: Folds, plan: Plan, epochs: int
) -> AnyRecord:
    """The record of a search before its first setting.

    Args:
      plan: the first settings', or what those to come are planned by.
    """
    train, valid = parts[0]
    return kind.empty(
        options.seeds * options.folds,
        epochs,
        curve_names(valid),
        train.x.dtype,
        model=options.model,
        metric=options.metric,
        plan=plan,
        input_shape=train.x.shape[1:],
        num_classes=train.num_classes,
        folds=options.folds,
        select=options.select,
    )


@contextlib.contextmanager
def open_job(
    study: Record,
    options: Options,
    parts: Folds,
    total: int,
    commits: Commits | None = None,
    identity: Mapping[str, Any] | None = None,
    hosts: Hosts = ALONE,
) -> Iterator[Job]:
    """A job that settings are added to, and trained, while it is open.

    Args:
      study: an empty record, which it fills.
      total: epochs that all its networks train for together, for the display.
      commits: where what is reached is saved, and what was reached before is found.
      identity: of the call, which every commit has.
      hosts: the processes that share its lanes.

    Raises:
      TrainingInterrupted: at its end, if Ctrl-C or SIGTERM came.
    """
    start = time.perf_counter()
    # one process speaks for all, which have about as much to do
    progress = options.progress if options.progress is not None or hosts.is_first else False
    hook, opened = Hook(options.on_epoch), list[Job]()
    with rescued(lambda: opened[0].interrupted() if opened else None):
        with (
            ended_by_interrupt() as is_interrupted,
            sweep_display(total / hosts.count, study.num_epochs, progress) as display,
        ):
            job = Job(
                study,
                parts,
                options.seeds,
                options.seed,
                options.order_seed,
                display,
                lambda: is_interrupted() or hook.interrupt is not None,
                hook,
                commits or Commits(None, 0.0),
                identity or {},
                options.model,
                hosts,
            )
            opened.append(job)
            job.past = pasts_of(job.commits, options.model, study)
            is_finished = False
            try:
                # a second Ctrl-C, which acts at once, or a sampler's
                with rescued(job.interrupted):
                    yield job
                # what memory was too short for is tried again by the next call
                is_finished = not job.is_over and bool((study.epochs_done > 0).all())
            finally:
                # also after an error: what was trained is not lost by it
                study.seconds += time.perf_counter() - start
                if is_finished or job.has_trained:
                    with held_signals():
                        job.commit(is_finished)
            job.close(is_finished)
        if not opened:
            # two signals came before there was anything to end
            raise KeyboardInterrupt
        with ended_by_interrupt() as is_late, held_signals():
            for note in [*job.warnings, *filter(None, [hook.failure, job.commits.failure])]:
                warn_caller(note, is_over=True)
        if job.is_over or job.is_interrupted() or is_late():
            with held_signals():
                raise job.interrupted() from hook.interrupt


def add(
    job: Job, options: Options, given: Sequence[Setting], prepared: list[Recipe], plan: Plan
) -> list[int]:
    """Adds settings to a job, whose plan this is from now on; returns their numbers.

    Raises:
      ValueError: the machine has no room for their curves.
    """
    study, train = job.study, job.folds[0][0]
    first, (num_settings, num_repeats) = len(study.given), study.diverged.shape
    lanes = (num_settings + len(given)) * num_repeats
    # four curves of eight bytes a number at most, and what else is known of a lane
    needed = lanes * (32 * study.num_epochs + 200)
    check_fits(needed, f"{lanes:,} networks of {study.num_epochs:,} epochs: their curves")
    warn_of_scales(prepared, train, is_over=job.has_trained)
    job.recipes += prepared
    study.grow([plain_setting(one) for one in given], [one.setting for one in prepared])
    study.plan = plan
    job.note(plan.note)
    for inputs in dict.fromkeys(one.setting["inputs"] for one in prepared):
        if (inputs, 0) not in study.treatments:
            parts = [train for train, _ in job.folds]
            for fold, one in enumerate(treatments(inputs, parts, options.row_space)):
                study.treatments[inputs, fold] = one
    _check_alike(job)
    groups = {_key(group.planned): group for group in job.groups}
    for planned in plan.programs:
        if _key(planned) in groups:
            groups[_key(planned)].planned = planned
            continue
        program = planned.program.with_features(study.treatments[planned.inputs, 0].num_features)
        program = program._replace(keep_best=options.metric if options.keep == "best" else None)
        job.groups.append(Group(planned, program, planned.chunk))
    return list(range(first, len(study.given)))


def _check_alike(job: Job) -> None:
    """ValueError if processes treat inputs to other bits, as machines of several kinds may."""
    if job.hosts.count == 1:
        return
    sha = hashlib.sha256()
    for leaf in jax.tree.leaves([*job.study.treatments.values()]):
        sha.update(np.ascontiguousarray(leaf).tobytes())
    if len({*job.hosts.exchange("the treatment of inputs", sha.digest())}) > 1:
        raise ValueError(
            "the processes of the job round the inputs' treatment differently; expected machines "
            "of one kind, with as many threads each"
        )


def _key(planned: PlannedProgram) -> tuple[Any, ...]:
    return planned.program, planned.inputs, planned.chunk
