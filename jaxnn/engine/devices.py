"""Devices: threads that take waiting lanes, chunk after chunk, and train them."""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.engine.chunks import Chunk, Stretch, train_chunk
from jaxnn.engine.jobs import Group, Job
from jaxnn.results.trials import Lane
from jaxnn.system.signals import held_signals


def train_up_to(
    job: Job, lanes: Iterable[Lane], until: int, *, goes_on: bool = False, stage: str = "training"
) -> None:
    """Trains lanes up to an epoch.

    Each process of a job trains its own lanes and receives the curves of the others at the end.

    Args:
      goes_on: whether to keep the states of lanes that have not diverged, to train them later.
      stage: what the display shows meanwhile.
    """
    if job.has_trained and job.team.is_alone:
        job.saver.commit_between()
    lanes, job.monitor.stage = [*lanes], stage
    is_any = job.wait(lanes, until)
    with _ended_together(job):
        if is_any:
            job.has_trained = True
            _train_everywhere(Stretch(job=job, until=until, goes_on=goes_on))
            job.saver.awaited = None
    job.team.share_curves(job.record, lanes)
    job.team.is_over = job.team.in_any("the interrupts", job.is_interrupted())


def train_to_ends(job: Job, rows: Iterable[int]) -> None:
    """Trains all repetitions of some settings, each setting to its own end."""
    ends = {row: int(job.record.ends[row].max()) for row in rows}
    for until in sorted({*ends.values()}):
        going = [row for row, end in ends.items() if end >= until]
        train_up_to(job, job.lanes(going), until, goes_on=until < max(ends.values()))


@contextlib.contextmanager
def _ended_together(job: Job) -> Iterator[None]:
    """Wraps a stretch of training, which ends in all processes if one raises an error.

    A process saves its results and shows its error before it waits for the others.
    """
    hosts = job.team.hosts
    with hosts.raised_together("the end of a stretch"):
        try:
            yield
        except BaseException as error:
            if not job.team.is_alone:
                job.monitor.say(f"{error!r} in process {hosts.index}; it ends with all")
            raise
        finally:
            if not job.team.is_alone:
                job.saver.commit_between()


def _train_everywhere(stretch: Stretch) -> None:
    """Runs threads that train chunk after chunk: one for each device, on a CPU one for each core.

    Devices do not wait for each other once a program is compiled, and several programs compile at
    the same time. XLA runs small operations on one core: on two cores, two chunks of 32 lanes of
    64-32-16-10 trained at the same time took half as long (8.6 us a step and lane instead of 18).
    Larger chunks do not reach this.
    """
    devices = jax.local_devices()
    if devices[0].platform == "cpu":
        devices = devices * max(1, num_cores() // len(devices))
    is_x64 = jnp.result_type(float) == np.float64

    def work(device: jax.Device) -> None:
        # this setting of JAX belongs to a thread
        with jax.enable_x64(is_x64):
            try:
                _train_on(device, stretch)
            except BaseException:
                stretch.stop.set()
                raise

    with ThreadPoolExecutor(len(devices)) as threads:
        try:
            list(threads.map(work, devices))
        finally:
            stretch.stop.set()
            # otherwise threads that write to the record could outlive the call
            with held_signals():
                threads.shutdown()


def num_cores() -> int:
    """Returns the number of cores that this process may use."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def _train_on(device: jax.Device, stretch: Stretch) -> None:
    """Trains waiting lanes, chunk by chunk; if memory is short, with half as many lanes."""
    job = stretch.job
    while not stretch.is_stopped():
        with job.lock:
            chunk = _take(job, device)
        if chunk is None:
            return
        while not chunk.is_first and not chunk.group.is_compiled.wait(0.1):
            if stretch.stop.is_set():
                return
        try:
            train_chunk(stretch, chunk)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            with job.lock:
                _make_do_with_less(job, chunk)
        finally:
            chunk.group.is_compiled.set()


def _take(job: Job, device: jax.Device) -> Chunk | None:
    """Takes a chunk of waiting lanes, if possible of a compiled or new program; or None."""
    waiting = [group for group in job.groups if group.waiting]
    if not waiting:
        return None
    ready = (group for group in waiting if group.is_new or group.is_compiled.is_set())
    group: Group = next(ready, waiting[0])
    (fold, *_), together = next(itertools.groupby(group.waiting, job.in_common))
    lanes = [*itertools.islice(together, group.chunk_size)]
    group.waiting = group.waiting[len(lanes) :]
    is_first, group.is_new = group.is_new, False
    if is_first:
        started = sum(not one.is_new for one in job.groups)
        job.monitor.show(f"compiling {started} of {len(job.groups)}")
    return Chunk(
        device=device,
        group=group,
        lanes=lanes,
        size=group.chunk_size,
        is_first=is_first,
        examples=job.feed.on(device, group.program, group.planned.inputs, fold),
    )


def _make_do_with_less(job: Job, chunk: Chunk) -> None:
    """Makes the lanes of a chunk that ran out of memory wait for a smaller one, or gives up."""
    group, lanes = chunk.group, chunk.lanes
    job.saver.give_back(lanes)
    if chunk.size == 1:
        count = len(lanes) + len(group.waiting)
        group.waiting = []
        job.monitor.warn(
            f"Memory is too short for one lane of a structure: {count} networks not trained."
        )
    else:
        group.chunk_size = min(group.chunk_size, chunk.size // 2)
        group.waiting = lanes + group.waiting
        job.monitor.warn(f"Memory was short: went on with {group.chunk_size} lanes at a time.")
