"""Chunks: the lanes that a device trains together, from the first compiled call to the record."""

import dataclasses
import functools
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import jax
import numpy as np

from jaxnn.compiled.lanes import init_and_compile, init_lanes, train_lanes
from jaxnn.compiled.packing import unpack
from jaxnn.compiled.programs import Program, initial
from jaxnn.compiled.steps import TrainState
from jaxnn.data.batches import Examples, Schedule, without_unfinished
from jaxnn.engine.jobs import Group, Job
from jaxnn.engine.savers import on_host
from jaxnn.results import trials
from jaxnn.results.records import Record
from jaxnn.results.trials import Lane
from jaxnn.settings.traced import traced_columns
from jaxnn.training.recipes import Recipe, by_structure, epoch_counts


@dataclasses.dataclass(kw_only=True)
class Stretch:
    """Training of a job's lanes up to an epoch.

    Attributes:
      until: the epoch at which its chunks end.
      goes_on: whether to keep the states of lanes that have not diverged, to train them later.
      stop: set if a thread failed or all threads should end.
    """

    job: Job
    until: int
    goes_on: bool
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)

    def is_stopped(self) -> bool:
        """Whether chunks should stop before their next compiled call."""
        return self.stop.is_set() or self.job.is_interrupted() or self.job.team.is_lost()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunk:
    """Lanes that a device trains together, for which `Job.in_common` is the same.

    Attributes:
      size: the number of lanes that the program runs; copies of the first lane fill it up.
      is_first: whether it is the first chunk of its program, whose first call compiles.
      examples: the examples, on the device.
    """

    device: jax.Device
    group: Group
    lanes: list[Lane]
    size: int
    is_first: bool
    examples: Examples

    @functools.cached_property
    def filled(self) -> list[Lane]:
        return self.lanes + self.lanes[:1] * (self.size - len(self.lanes))

    @functools.cached_property
    def index(self) -> tuple[Any, Any]:
        """The indices of its lanes in the arrays (S, K, ...) of the record."""
        rows, repeats = np.array(self.lanes).T
        if (np.diff(rows) == 1).all() and (repeats == repeats[0]).all():
            # far faster to write to than places here and there
            return slice(rows[0], rows[-1] + 1), repeats[0]
        return rows, repeats


def train_chunk(stretch: Stretch, chunk: Chunk) -> None:
    """Trains the lanes of a chunk and writes their results to the record.

    It ends at the end of the stretch, or earlier if all should stop, but after at least one call.
    """
    job, until, began = stretch.job, stretch.until, datetime.now()
    lane_data, schedule = _lane_data(job, chunk), _schedule(job, chunk)
    first = done = int(job.record.epochs_done[chunk.lanes[0]])
    num_epochs, seconds_per_epoch, start = 1, [], time.perf_counter()
    states = _states(job, chunk, lane_data, schedule, is_new=first == 0)
    while done == first or (done < until and not stretch.is_stopped()):
        batches = jax.device_put(schedule.batches(done, num_epochs), chunk.device)
        states, new = train_lanes(chunk.group.program, states, lane_data, chunk.examples, batches)
        if done == first:
            with job.lock:
                job.saver.training.update(chunk.lanes)
        # fetched first: slicing on the host compiles nothing
        new, ends = jax.device_get((new, states.ends))
        chunk.group.is_compiled.set()
        each = np.broadcast_arrays(*ends)
        diverged, stopped = ends = each[0][: len(chunk.lanes)], each[1][: len(chunk.lanes)]
        new = new[: len(chunk.lanes), :, :num_epochs]
        of_curves = diverged[:, None], stopped[:, None]
        curves = _by_name(job, chunk, without_unfinished(new, of_curves, done, schedule.num_steps))
        # frozen lanes need no further epochs
        now = until if (np.maximum(diverged, stopped) >= 0).all() else done + num_epochs
        num_diverged = _write(job.record, chunk, (done, now, until), curves, ends)
        with job.lock:
            job.monitor.tell(chunk.lanes, (done, now), curves, num_diverged)
        done = now
        # the first states and call may compile; later calls take about a quarter of a second
        seconds_per_epoch.append((time.perf_counter() - start) / num_epochs)
        if done < until:
            with job.lock:
                job.saver.commit_if_due(chunk.lanes, states)
        per_call = max(1, int(0.25 / seconds_per_epoch[-1]))
        num_epochs, start = min(until - done, schedule.room, per_call), time.perf_counter()
    later = min(seconds_per_epoch[1:], default=0)
    _end(stretch, chunk, states, began, max(0, seconds_per_epoch[0] - later))


def _lane_data(job: Job, chunk: Chunk) -> dict[str, jax.Array]:
    """Returns the numbers and structures of a chunk's lanes, stacked on its device."""
    recipes = [job.recipe(lane) for lane in chunk.filled]
    return jax.device_put(lane_data(chunk.group.program, recipes), chunk.device)


def _schedule(job: Job, chunk: Chunk) -> Schedule:
    """Returns the mini-batches of a chunk, which all its lanes share."""
    lane = chunk.lanes[0]
    train, _ = job.feed.folds[job.fold_of(lane)]
    batch_size = job.recipe(lane).program.batch_size
    order_seed, num_rows = job.order_seed_of(lane), job.feed.num_rows
    return chunk.group.program.schedule(train, order_seed, batch_size, num_rows)


def _states(
    job: Job, chunk: Chunk, lane_data: dict[str, jax.Array], schedule: Schedule, is_new: bool
) -> TrainState:
    """Returns the initial or the current states of a chunk's lanes, on its device.

    The training program of a first chunk compiles meanwhile.
    """
    program, device = chunk.group.program, chunk.device
    if not is_new:
        return job.saver.on_device(chunk.filled, device)
    seeds = np.array([job.seed_of(lane) for lane in chunk.filled], np.uint32)
    seeds = jax.device_put(seeds, device)
    if not chunk.is_first:
        return init_lanes(initial(program), seeds, lane_data)
    no_batches = jax.device_put(schedule.batches(0, 0), device)
    return init_and_compile(program, seeds, lane_data, chunk.examples, no_batches)


def _by_name(job: Job, chunk: Chunk, curves: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the curves (lanes, M, epochs) of a chunk as name -> (lanes, epochs)."""
    names = chunk.group.program.objective.curves(job.feed.has_valid)
    return {name: curves[:, index] for index, name in enumerate(names)}


def _write(
    record: Record,
    chunk: Chunk,
    epochs: tuple[int, int, int],
    curves: dict[str, np.ndarray],
    ends: tuple[np.ndarray, np.ndarray],
) -> int:
    """Writes the results of a compiled call to the record; returns how many lanes diverged.

    Args:
      epochs: epochs trained before the call, epochs trained now, and the end of the stretch.
      curves: name -> (lanes, epochs of the call).
      ends: (lanes,) each, the step of divergence, and the epoch of being stopped, or -1.
    """
    (before, now, until), index, (diverged, stopped) = epochs, chunk.index, ends
    has_diverged, is_stopped = diverged >= 0, stopped >= 0
    for name, values in curves.items():
        record.curves[name][(*index, slice(before, before + values.shape[1]))] = values
    num_diverged = int((has_diverged & (record.diverged[index] < 0)).sum())
    record.diverged[index], record.stopped[index] = diverged, stopped
    record.epochs_done[index] = np.where(has_diverged | is_stopped, record.num_epochs, now)
    last = np.where(is_stopped, stopped, now)
    record.kept_epochs[index] = np.where(has_diverged, until, last) - 1
    return num_diverged


def _end(
    stretch: Stretch, chunk: Chunk, states: TrainState, began: datetime, compile_seconds: float
) -> None:
    """Puts a chunk's networks into the record, and keeps the states of lanes that may continue."""
    job, index, num_lanes = stretch.job, chunk.index, len(chunk.lanes)
    record, saver = job.record, job.saver
    kept = states if states.best is None else states.best
    params, state = map(unpack, jax.device_get((kept.params, kept.state)))
    if num_lanes < chunk.size:
        params, state = jax.tree.map(lambda leaf: leaf[:num_lanes].copy(), (params, state))
    if states.best is not None:
        record.kept_epochs[index] = jax.device_get(states.best.epoch)[:num_lanes]
    is_cut_short = record.epochs_done[index].min() < stretch.until
    goes_on = stretch.goes_on or (saver.commits.is_on and is_cut_short)
    own_states = on_host(states, num_lanes) if goes_on else []
    with job.lock:
        if chunk.is_first:
            record.compile_seconds += compile_seconds
        place = np.full(num_lanes, len(record.chunks))
        record.places[index] = np.stack([place, np.arange(num_lanes)], axis=1)
        networks, now = chunk.group.program.networks, datetime.now()
        record.chunks.append(trials.Chunk(networks, params, state, start=began, end=now))
        saver.end(chunk.lanes, own_states)
        saver.commit_if_due(chunk.lanes)


def lane_data(program: Program, recipes: Sequence[Recipe]) -> dict[str, np.ndarray]:
    """Returns what distinguishes the lanes of a program, stacked: their numbers and structures."""
    owns, place = [], np.empty(len(recipes), int)
    for index, (one, rows) in enumerate(by_structure(recipes)):
        owns.append(program.networks.lane_data(one.setting))
        place[rows] = index
    structures = {name: np.stack([own[name] for own in owns])[place] for name in owns[0]}
    return traced_columns([one.setting for one in recipes]) | epoch_counts(recipes) | structures
