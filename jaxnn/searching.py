"""Searching: from a space to its best setting, in rounds and rungs of sweeps."""

import math
import sys
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from jaxnn import with_optuna
from jaxnn.archives import whole_study
from jaxnn.checks import brief, whole_number
from jaxnn.chunks import train_up_to
from jaxnn.commits import commits_in
from jaxnn.datasets import Dataset
from jaxnn.files import StrPath
from jaxnn.forks import check_fork
from jaxnn.hooks import OnEpoch
from jaxnn.hosts import all_hosts
from jaxnn.identities import checked_identity
from jaxnn.jobs import Job
from jaxnn.opening import add, open_job
from jaxnn.options import Options, hold_out_note
from jaxnn.plans import PlannedProgram
from jaxnn.preparing import recipes
from jaxnn.sharing import of_first, plan_of_first
from jaxnn.showing import call_text
from jaxnn.spaces import Settings, Space, checked_space, sample
from jaxnn.storages import shown
from jaxnn.studies import Study
from jaxnn.trials import Rung
from jaxnn.types import Model, ModelFn
from jaxnn.zooming import zoom

PROBES = 256
"""Settings that programs are planned for where the true ones are not known yet."""

METHODS = ("random", "sobol", "grid", "coarse_to_fine", "halving", "optuna")


def search(
    space: Space,
    train: Dataset,
    valid: Dataset | float | None = None,
    *,
    method: str = "halving",
    num_settings: int = 64,
    max_epochs: int,
    min_epochs: int = 1,
    factor: float = 3,
    rounds: int = 3,
    batch: int = 32,
    sampler: Any = None,
    storage: Any = None,
    name: str | None = None,
    folds: int = 1,
    seeds: int = 1,
    patience: int | None = None,
    seed: int = 0,
    order_seed: int = 0,
    select: str = "mean",
    keep: str = "last",
    metric: str = "accuracy",
    model: Model | ModelFn | None = None,
    row_space: bool = False,
    chunk: int | None = None,
    directory: StrPath | None = None,
    commit_interval: float = 60.0,
    progress: bool | None = None,
    on_epoch: OnEpoch | None = None,
) -> Study:
    """Looks for the best setting of a space; all networks are lanes of a few compiled programs.

    | method | what is trained |
    | --- | --- |
    | "random", "sobol" | num_settings drawn by chance, or more evenly; all to max_epochs |
    | "grid" | evenly spaced values of every range with every option: people ask for it. Of n \
      settings of d hyperparameters it tries only n^(1/d) values of the one that matters; "sobol" \
      tries n |
    | "coarse_to_fine" | in `rounds`: each draws its share of num_settings from what `zoom` \
      leaves around the best so far |
    | "halving" | num_settings for min_epochs; the best 1 / factor of them, by the mean over the \
      last third of these epochs, go on from where they are to factor x as many, and so on; the \
      last ones to max_epochs |
    | "optuna" | a sampler of Optuna is asked for `batch` settings, which are trained in one sweep \
      and told back, until there are num_settings; needs the extra "optuna" |

    Later rungs compile nothing: survivors are packed into fewer chunks of the programs that are
    there. So do later rounds and batches, unless a structure comes that fits into none. The same
    call gives the same study, to the bit, unless it shares one with other processes in a storage.
    In a job of several processes, see `connect`, all make the call together.

    Args:
      space: name -> domain or fixed value, as for `sample`.
      train, valid: as for `sweep`; with folds valid is None.
      num_settings: how many are tried; in a storage by all processes and calls of that name.
      max_epochs: of a setting that is trained to the end.
      min_epochs, factor: of a halving: the first rung, and the ratio of the rungs.
      rounds: of coarse_to_fine.
      batch, sampler, storage, name: of optuna: settings asked at a time; None is its TPE sampler,
        seeded, with the constant liar; None keeps the study in memory, otherwise a URL or a storage
        of Optuna; the study's name, under which an existing one is gone on with, by any number of
        processes at once (see `ledgers`), whose samplers are seeded anew. It goes on by the call
        that it was begun with: only num_settings, batch, sampler and chunk may differ. A sampler
        that ends the study, such as Optuna's of a grid, ends the search.
      folds: of a stratified cross-validation: each setting is trained `folds` times, and each
        training example is held out once.
      seeds: repetitions of each setting, on each fold.
      patience: a network stops after so many epochs without a better validation metric; looked at
        every patience / 2 epochs. None trains all to the end.
      seed: of the settings that are drawn, weights and dropout.
      order_seed: of mini-batches, folds and a hold-out.
      select: "mean" ranks settings by their mean value, "lower_bound" by the worse end of its 95 %
        interval over repetitions or folds.
      keep, metric, model, row_space, chunk, directory, commit_interval, progress, on_epoch: as for
        `sweep`.

    Returns:
      a `Study`; settings that were dropped on the way have the value that they had reached, the
      state "PRUNED", and come after those that were trained to the end.

    Raises:
      ValueError: bad input, or a study of that name that was begun with another call, before
        anything is compiled.
      TrainingInterrupted: on Ctrl-C or SIGTERM, or where Optuna's sampler or storage fails after
        something was trained, with what was reached in its `study`.

    Sources: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012;
    Jamieson and Talwalkar, Non-stochastic Best Arm Identification, AISTATS 2016 (halving).

    >>> from jaxnn import loguniform
    >>> x = np.random.default_rng(0).normal(size=(80, 2))
    >>> data, space = Dataset(x, (x[:, 0] > 0) * 1), {"learning_rate": loguniform(1e-4, 1e0)}
    >>> study = search(space, data, 0.25, num_settings=9, max_epochs=9)
    >>> [(rung.epochs, len(rung.entered)) for rung in study.rungs], len(study.ranked)
    ([(1, 9), (3, 3), (9, 1)], 1)
    """
    arguments = locals()
    check_fork("search")
    hosts = all_hosts()
    with hosts.raised_together("the arguments of search"):
        call = call_text(search, {**arguments, "storage": shown(storage)})
        options = Options.among(arguments)
        if method not in METHODS:
            raise ValueError(f"method got {method!r}; expected one of {', '.join(METHODS)}")
        num_settings = whole_number("num_settings", num_settings, 1)
        max_epochs = whole_number("max_epochs", max_epochs, 1)
        if whole_number("min_epochs", min_epochs, 1) > max_epochs:
            raise ValueError(
                f"min_epochs got {min_epochs}; expected at most max_epochs, {max_epochs}"
            )
        # as a float: whole numbers beyond its range exist
        if not isinstance(factor, Real) or not 1 < factor <= sys.float_info.max:
            raise ValueError(f"factor got {brief(factor)}; expected a number > 1 such as 3")
        if patience is not None:
            patience = whole_number("patience", patience, 1)
        if whole_number("rounds", rounds, 1) > num_settings and method == "coarse_to_fine":
            raise ValueError(f"rounds got {rounds}; expected at most num_settings, {num_settings}")
        whole_number("batch", batch, 1)
        if directory is not None and storage is not None:
            raise ValueError(
                "directory came with a storage, in which Optuna keeps the study; "
                "expected one of them"
            )
        if storage is not None and hosts.count > 1:
            raise ValueError(
                f"storage came in a job of {hosts.count} processes of JAX, which train the "
                "lanes of one search together; expected None, or processes that are independent"
            )
        parts = options.parts(train, valid)
        training_part, space = parts[0][0], checked_space(space)
        is_drawn_at_once = method in ("random", "sobol", "grid", "halving")
        draw = method if method in ("random", "grid") else "sobol"
        # what is drawn later comes from the same space: enough settings tell its programs
        count = num_settings if is_drawn_at_once else max(num_settings, PROBES)
        first = sample(space, count, seed, method=draw)
        prepared = recipes(first, training_part, options.model)
        steps = [(min(num_settings, len(first)), max_epochs)]
        if method == "halving":
            steps = halving_steps(num_settings, min_epochs, max_epochs, factor)
        epochs = np.diff([0, *(until for _, until in steps)])
        rungs = [(count, int(some)) for (count, _), some in zip(steps, epochs, strict=True)]
        total = sum(count * some for count, some in rungs)
        if not is_drawn_at_once:
            times = rounds if method == "coarse_to_fine" else math.ceil(num_settings / batch)
            rungs = [(num_settings / times, max_epochs)] * times
        shares = [(count / len(prepared), some) for count, some in rungs]
        plan = options.plan(prepared, training_part, max_epochs, rungs=shares)
    plan = plan_of_first(hosts, plan, options.model)
    with commits_in(directory, commit_interval, hosts) as commits:
        own = checked_identity(commits, search, arguments, plan, hosts)
        if commits.finished:
            return whole_study(commits.finished, options.model)
        brain = None
        if method == "optuna":
            brain = with_optuna.Brain(search, arguments)
        work = total * seeds * folds
        with open_job(options, parts, plan, max_epochs, work, commits, own, hosts) as job:
            job.study.space, job.study.call = space, call
            job.note(hold_out_note(valid, parts))
            known: list[PlannedProgram] = [*plan.programs]

            def train_settings(settings: Sequence[dict[str, Any]]) -> list[int]:
                # a sampler without a seed draws other settings in each process
                settings = of_first(hosts, "the settings", [dict(one) for one in settings])
                new = recipes(settings, training_part, options.model)
                whole = options.plan([*job.recipes, *new], training_part, max_epochs, known=known)
                whole = plan_of_first(hosts, whole, options.model)
                known.extend(one for one in whole.programs if not _is_known(one, known))
                numbers = add(job, options, settings, new, whole)
                climb(job, numbers, [(len(numbers), max_epochs)], patience)
                return numbers

            if is_drawn_at_once:
                climb(job, add(job, options, first, prepared, plan), steps, patience)
            elif brain is not None:
                brain.search(job, num_settings, batch, train_settings)
            else:
                coarse_to_fine(job, space, num_settings, rounds, seed, train_settings)
    return job.study


def _is_known(planned: PlannedProgram, known: Sequence[PlannedProgram]) -> bool:
    key = lambda one: (one.program, one.inputs, one.chunk)
    return key(planned) in map(key, known)


def halving_steps(
    num_settings: int, min_epochs: int, max_epochs: int, factor: float
) -> list[tuple[int, int]]:
    """How many settings are trained up to which epoch, rung by rung.

    >>> halving_steps(128, 1, 40, 3)
    [(128, 1), (43, 3), (15, 9), (5, 27), (2, 40)]
    """
    steps, count, epochs = [], num_settings, float(min_epochs)
    while round(epochs) < max_epochs and count > 1:
        steps.append((count, round(epochs)))
        count, epochs = math.ceil(count / factor), epochs * factor
    return [*steps, (count, max_epochs)]


def climb(
    job: Job, numbers: Sequence[int], steps: Sequence[tuple[int, int]], patience: int | None
) -> None:
    """Trains settings rung by rung, each time the best of them as many as the step says."""
    study = job.study
    lanes, done = job.lanes(numbers), 0
    for step, (count, until) in enumerate(steps):
        if step:
            kept = _best(study, numbers, count, done)
            is_complete = np.all(study.is_complete, axis=1)
            study.dropped[[n for n in numbers if n not in kept and not is_complete[n]]] = done
            study.rungs.append(Rung(done, tuple(numbers), tuple(sorted(kept))))
            numbers = sorted(kept)
        going = set(numbers)
        job.stage = f"rung {step + 1} of {len(steps)}" if len(steps) > 1 else "training"
        while done < until and not job.is_called_off():
            # networks that ended need nothing more, and their places are for others
            lanes = [
                (number, repeat)
                for number, repeat in lanes
                if number in going
                and study.diverged[number, repeat] < 0
                and study.ends[number, repeat] > done
            ]
            done = until if patience is None else min(until, done + max(1, patience // 2))
            if lanes:
                train_up_to(job, lanes, done, goes_on=done < study.num_epochs)
            if patience is not None:
                _end_the_stuck(study, lanes, done, patience)
        if job.is_called_off():
            return
    if len(steps) > 1:
        study.rungs.append(Rung(done, tuple(numbers), tuple(numbers)))


def _best(study: Study, numbers: Sequence[int], count: int, done: int) -> set[int]:
    """The best of some settings that were all trained for `done` epochs.

    By the last third of these epochs: a single one is so noisy that on the later rungs, where the
    settings are alike, it would drop them nearly by chance.
    """
    first, second = study.losses(slice(done - max(1, done // 3), done))
    # a setting that has no value any more is dropped even where there is room
    fine = [number for number in numbers if np.isfinite(first[number])] or list(numbers)
    return set(sorted(fine, key=lambda n: (first[n], second[n], n))[:count])


def _end_the_stuck(study: Study, lanes: list[tuple[int, int]], done: int, patience: int) -> None:
    """Ends networks whose best epoch is `patience` epochs ago."""
    curve = study.curves[f"valid_{study.metric}"]
    for number, repeat in lanes:
        values = curve[number, repeat, :done]
        if np.isfinite(values).all():
            best = values.argmax() if study.metric == "accuracy" else values.argmin()
            if done - 1 - best >= patience:
                study.ends[number, repeat] = done


def coarse_to_fine(
    job: Job,
    space: Space,
    num_settings: int,
    rounds: int,
    seed: int,
    train_settings: Callable[[Sequence[dict[str, Any]]], list[int]],
) -> None:
    """Rounds of settings, each drawn from what the best so far leave of the space."""
    edges = [round(num_settings * step / rounds) for step in range(rounds + 1)]
    part = space
    for step in range(rounds):
        if job.is_over:
            return
        if step:
            # half a setting less: rounding must not make it one more
            top = (max(2, math.ceil(TOP * edges[1])) - 0.5) / len(job.study.given)
            part = zoom(space, job.study, min(1.0, top)) if len(job.study.ranked) > 1 else space
        drawn = sample(part, edges[step + 1] - edges[step], seed + step)
        train_settings(Settings(drawn, part))


TOP = 0.2
"""Share of a round's settings that the next round of coarse_to_fine is drawn around."""
