"""Chunks: lanes that wait are taken by the devices, trained on and written to the study."""

import itertools
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.data.batches import EPOCHS_PER_CALL, without_unfinished
from jaxnn.data.datasets import Dataset
from jaxnn.engine.jobs import Group, Job
from jaxnn.results.trials import Chunk, Lane
from jaxnn.system.arrays import from_words
from jaxnn.system.signals import held_signals
from jaxnn.training.lanes import init_lanes, train_lanes
from jaxnn.training.programs import Program, initial
from jaxnn.training.recipes import Recipe
from jaxnn.training.steps import TrainState


def train_up_to(job: Job, lanes: Iterable[Lane], until: int, goes_on: bool = False) -> None:
    """Trains lanes, all of them as far as each other, up to an epoch.

    Each process of a job trains its own, and hears at the end of the others'.

    Args:
      goes_on: keeps the states of those that are fine, to train them on later.
    """
    if job.has_trained and job.hosts.count == 1 and job.commits.is_due(is_rung=True):
        job.commit()
    job.until, job.goes_on = until, goes_on
    job.stop.clear()
    everywhere = list(lanes)
    job.deal(everywhere)
    job.restore(everywhere, until)
    lanes = [lane for lane in everywhere if job.owners[lane] == job.hosts.index]
    for lane in lanes:
        # a commit may know a lane's epochs but not its state, where memory was short before
        if job.study.epochs_done[lane] < until and lane not in job.states:
            job.study.epochs_done[lane] = 0
    # a chunk's lanes have their data and their epoch in common, so they wait in that order
    lanes = sorted(lanes, key=lambda lane: _in_common(job, lane))
    # what is not trained on will not be: its state may go
    job.states = {lane: job.states[lane] for lane in lanes if lane in job.states}
    for group in job.groups:
        mine = set(group.planned.settings)
        group.waiting = [
            lane for lane in lanes if lane[0] in mine and job.study.epochs_done[lane] < until
        ]
    with job.stretch():
        if any(group.waiting for group in job.groups):
            job.has_trained = True
            _train_everywhere(job)
            job.awaited = None
    job.share(everywhere)


def _in_common(job: Job, lane: Lane) -> tuple[int, int, int]:
    """What lanes of a chunk must share: their fold, how far they are, and their mini-batches."""
    return job.fold_of(lane), int(job.study.epochs_done[lane]), job.order_seed_of(lane)


def _train_everywhere(job: Job) -> None:
    """Threads that take chunk after chunk: one a device, on a CPU one a core.

    Once a program is compiled no device waits for another, and several programs are compiled side
    by side. XLA runs small operations on one core: on two cores two chunks of 32 lanes of
    64-32-16-10 took half the time side by side (8.6 us a step and lane, not 18), which larger
    chunks do not reach.
    """
    devices = jax.local_devices()
    if devices[0].platform == "cpu":
        devices = devices * max(1, _num_cores() // len(devices))
    is_x64 = jnp.result_type(float) == np.float64

    def work(device: jax.Device) -> None:
        # JAX keeps this by thread
        with jax.enable_x64(is_x64):
            try:
                _train_on(device, job)
            except BaseException:
                job.stop.set()
                raise

    with ThreadPoolExecutor(len(devices)) as threads:
        try:
            list(threads.map(work, devices))
        finally:
            job.stop.set()
            # or threads that write to the study would outlive the call
            with held_signals():
                threads.shutdown()


def _num_cores() -> int:
    """Cores that this process may use, where the system tells."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def _train_on(device: jax.Device, job: Job) -> None:
    """Trains what waits, chunk by chunk; where memory is short with half as many lanes."""
    while not job.is_stopped():
        with job.lock:
            waiting = [group for group in job.groups if group.waiting]
            if not waiting:
                return
            ready = (group for group in waiting if group.is_new or group.is_compiled.is_set())
            group = next(ready, waiting[0])
            (fold, *_), together = next(
                itertools.groupby(group.waiting, lambda lane: _in_common(job, lane))
            )
            lanes = list(itertools.islice(together, group.chunk))
            group.waiting = group.waiting[len(lanes) :]
            chunk, is_first, group.is_new = group.chunk, group.is_new, False
            if is_first:
                started = sum(not group.is_new for group in job.groups)
                job.show(f"compiling {started} of {len(job.groups)}")
            data = job.data_on(device, group.planned.inputs, fold)
        while not is_first and not group.is_compiled.wait(0.1):
            if job.stop.is_set():
                return
        try:
            _train_chunk(device, job, group, data, lanes, chunk, is_first)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            with job.lock:
                _make_do_with_less(job, group, lanes, chunk)
        finally:
            group.is_compiled.set()


def _make_do_with_less(job: Job, group: Group, lanes: list[Lane], chunk: int) -> None:
    job.training.difference_update(lanes)
    for lane in lanes:
        # from where its state is, should memory have been short in the middle
        job.study.epochs_done[lane] = job.states[lane].epoch if lane in job.states else 0
        job.study.diverged[lane] = -1
    if chunk == 1:
        count = len(lanes) + len(group.waiting)
        note = f"Memory is too short for one lane of a structure: {count} networks not trained."
        group.waiting = []
    else:
        group.chunk, group.waiting = min(group.chunk, chunk // 2), lanes + group.waiting
        note = f"Memory was short: went on with {group.chunk} lanes at a time."
    job.note(note)
    job.warnings.append(note)


def _train_chunk(
    device: jax.Device,
    job: Job,
    group: Group,
    data: tuple[Dataset, Dataset | None],
    lanes: list[Lane],
    chunk: int,
    is_first: bool,
) -> None:
    """Trains some lanes up to `job.until`, and writes what comes of them into the study."""
    study, began, until = job.study, datetime.now(), job.until
    # a program has one shape: what is missing is filled up with copies of the first lane
    filled = lanes + lanes[:1] * (chunk - len(lanes))
    owns = [lane_numbers(group.program, job.recipe(lane)) for lane in filled]
    numbers = {name: np.stack([own[name] for own in owns]) for name in owns[0]}
    numbers = jax.device_put(numbers, device)
    train, _ = job.folds[job.fold_of(lanes[0])]
    schedule = group.program.schedule(train, job.order_seed_of(lanes[0]))
    number, repeat = np.array(lanes).T
    done = start_epoch = int(study.epochs_done[number[0], repeat[0]])
    if done == 0:
        seeds = np.array([job.seed_of(lane) for lane in filled], np.uint32)
        states = init_lanes(initial(group.program), jax.device_put(seeds, device), numbers)
    else:
        states = _on_device([job.states[lane] for lane in filled], device)
    num_epochs, seconds_per_epoch = 1, []
    while done == start_epoch or (done < until and not job.is_stopped()):
        start = time.perf_counter()
        batches = jax.device_put(schedule.batches(done, num_epochs), device)
        states, new = train_lanes(group.program, states, numbers, *data, batches)
        with job.lock:
            job.training.update(lanes)
        # on the host: slicing there compiles nothing
        new, diverged = jax.device_get((new, states.diverged))
        diverged = diverged[: len(lanes)]
        for name, values in new.items():
            known = values[: len(lanes), :num_epochs]
            new[name] = without_unfinished(known, diverged, done, schedule.num_steps)
            study.curves[name][number, repeat, done : done + num_epochs] = new[name]
        group.is_compiled.set()
        # frozen lanes need no further epochs
        now_done = until if (diverged >= 0).all() else done + num_epochs
        with job.lock:
            job.epochs_done += len(lanes) * (now_done - done)
            job.num_diverged += int(((diverged >= 0) & (study.diverged[number, repeat] < 0)).sum())
            job.best = _best(study.metric, job.best, new.get(f"valid_{study.metric}"))
            for row, (one, its_repeat) in enumerate(lanes if job.hook.is_on else ()):
                own = {name: values[row] for name, values in new.items()}
                job.hook(one, its_repeat, study.given[one], done, own)
            job.show(job.stage)
        done = now_done
        study.diverged[number, repeat] = diverged
        study.epochs_done[number, repeat] = np.where(diverged >= 0, study.num_epochs, done)
        study.kept_epochs[number, repeat] = np.where(diverged >= 0, until, done) - 1
        # after the first call, which may compile, calls last about a quarter of a second
        seconds_per_epoch.append((time.perf_counter() - start) / num_epochs)
        if done < until:
            _commit_if_due(job, lanes, states)
        per_call = max(1, int(0.25 / seconds_per_epoch[-1]))
        num_epochs = min(until - done, EPOCHS_PER_CALL, schedule.room, per_call)
    kept = states if states.best is None else states.best
    params, state = jax.device_get((kept.params, kept.state))
    if len(lanes) < chunk:
        params, state = jax.tree.map(lambda leaf: leaf[: len(lanes)].copy(), (params, state))
    if states.best is not None:
        study.kept_epochs[number, repeat] = jax.device_get(states.best.epoch)[: len(lanes)]
    goes_on = job.goes_on or (job.commits.is_on and done < until)
    rows = _on_host(states, len(lanes)) if goes_on else []
    with job.lock:
        if is_first:
            later = min(seconds_per_epoch[1:], default=0)
            study.compile_seconds += max(0, seconds_per_epoch[0] - later)
        index = np.full(len(lanes), len(study.chunks))
        study.places[number, repeat] = np.stack([index, np.arange(len(lanes))], axis=1)
        study.chunks.append(Chunk(group.program.networks, params, state, began, datetime.now()))
        for lane in lanes:
            job.states.pop(lane, None)
        job.states.update(zip(lanes, rows, strict=False))
        job.training.difference_update(lanes)
    _commit_if_due(job, lanes)


def _commit_if_due(job: Job, lanes: list[Lane], states: TrainState | None = None) -> None:
    """Where a commit is due, puts down a copy of these lanes; the last to do so writes it.

    Args:
      states: None for lanes that have ended and are in the study.
    """
    with job.lock:
        if job.awaited is None and job.commits.is_due():
            job.awaited = set(job.training)
        if job.awaited is None:
            return
        if states is not None and not job.awaited.isdisjoint(lanes):
            with job.commits.attempt():
                job.states.update(zip(lanes, _on_host(states, len(lanes)), strict=True))
        job.awaited = (job.awaited - set(lanes)) & job.training
        if not job.awaited:
            job.commit()
            job.awaited = None


def _on_host(states: TrainState, num_lanes: int) -> list[TrainState]:
    """The first lanes' states one by one; NumPy has no keys, so those are their numbers."""
    keys = jax.random.key_data(states.dropout_key)
    leaves, tree = jax.tree.flatten(jax.device_get(states._replace(dropout_key=keys)))
    # epoch and step have no axis: the lanes of a chunk have them in common
    return [
        jax.tree.unflatten(tree, [leaf[lane].copy() if leaf.ndim else leaf for leaf in leaves])
        for lane in range(num_lanes)
    ]


def _on_device(lanes: list[TrainState], device: jax.Device) -> TrainState:
    """The inverse of `_on_host`, for some lanes of as many epochs."""
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *lanes)
    stacked = stacked._replace(epoch=lanes[0].epoch, step=lanes[0].step)
    # not an alias of NumPy's memory: training consumes what it is given
    states = jax.device_put(stacked, device, may_alias=False)
    return states._replace(dropout_key=from_words(states.dropout_key))


def lane_numbers(program: Program, recipe: Recipe) -> dict[str, np.ndarray]:
    """All that tells a lane from the others of its program."""
    return recipe.numbers | program.networks.lane_data(recipe.setting)


def _best(metric: str, before: float | None, values: np.ndarray | None) -> float | None:
    last = np.empty(0) if values is None else values[:, -1]
    known = [*last[np.isfinite(last)].tolist(), *([] if before is None else [before])]
    return (max if metric == "accuracy" else min)(known, default=None)
