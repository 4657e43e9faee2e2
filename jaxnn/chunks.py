"""Chunks: lanes that wait are taken by the devices, trained to the end and written to the study."""

import dataclasses
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.datasets import Dataset
from jaxnn.lanes import init_lanes, train_lanes
from jaxnn.mixtures import Mixture
from jaxnn.preparing import Recipe
from jaxnn.progress import SweepDisplay
from jaxnn.studies import Chunk, Study
from jaxnn.training import EPOCHS_PER_CALL, Program, initial

Lane = tuple[int, int]
"""Number of the setting, number of the repetition."""


@dataclasses.dataclass
class Group:
    """Lanes of one program and kind of inputs that wait; `chunk` of them are trained at a time."""

    program: Program
    inputs: str
    waiting: list[Lane]
    chunk: int
    is_new: bool = True
    is_compiled: threading.Event = dataclasses.field(default_factory=threading.Event)


@dataclasses.dataclass
class Job:
    """What all chunks of a sweep have in common."""

    study: Study
    recipes: list[Recipe]
    groups: list[Group]
    train: Dataset
    valid: Dataset
    seed: int
    order_seed: int
    display: SweepDisplay
    is_interrupted: Callable[[], bool]
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    treated: dict[str, tuple[Dataset, Dataset]] = dataclasses.field(default_factory=dict)
    data: dict[tuple[jax.Device, str], tuple[Dataset, Dataset]] = dataclasses.field(
        default_factory=dict
    )
    epochs_done: int = 0
    num_diverged: int = 0
    best: float | None = None

    def is_stopped(self) -> bool:
        return self.stop.is_set() or self.is_interrupted()

    def data_on(self, device: jax.Device, inputs: str) -> tuple[Dataset, Dataset]:
        """Training and validation set, treated and put on a device once."""
        if inputs not in self.treated:
            by = self.study.treatments[inputs]
            self.treated[inputs] = (by.treated(self.train), by.treated(self.valid))
        if (device, inputs) not in self.data:
            self.data[device, inputs] = jax.device_put(self.treated[inputs], device)
        return self.data[device, inputs]

    def show(self, stage: str) -> None:
        self.display(stage, self.epochs_done, self.best, self.num_diverged)


def train_everywhere(job: Job) -> None:
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
            lanes, group.waiting = group.waiting[: group.chunk], group.waiting[group.chunk :]
            chunk, is_first, group.is_new = group.chunk, group.is_new, False
            if is_first:
                started = sum(not group.is_new for group in job.groups)
                job.show(f"compiling {started} of {len(job.groups)}")
            data = job.data_on(device, group.inputs)
        while not is_first and not group.is_compiled.wait(0.1):
            if job.stop.is_set():
                return
        try:
            _train_chunk(device, job, group, data, lanes, chunk, is_first)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            with job.lock:
                _make_do_with_less(job.study, group, lanes, chunk)
        finally:
            group.is_compiled.set()


def _make_do_with_less(study: Study, group: Group, lanes: list[Lane], chunk: int) -> None:
    if chunk == 1:
        count = len(lanes) + len(group.waiting)
        note = f"Memory is too short for one lane of a structure: {count} networks not trained."
        group.waiting = []
    else:
        group.chunk, group.waiting = min(group.chunk, chunk // 2), lanes + group.waiting
        note = f"Memory was short: went on with {group.chunk} lanes at a time."
    study.notes.append(note)


def _train_chunk(
    device: jax.Device,
    job: Job,
    group: Group,
    data: tuple[Dataset, Dataset],
    lanes: list[Lane],
    chunk: int,
    is_first: bool,
) -> None:
    """Trains some lanes to the end, and writes what comes of them into the study."""
    study, began = job.study, datetime.now()
    # a program has one shape: what is missing is filled up with copies of the first lane
    filled = lanes + lanes[:1] * (chunk - len(lanes))
    owns = [lane_numbers(group.program, job.recipes[number]) for number, _ in filled]
    numbers = {name: np.stack([own[name] for own in owns]) for name in owns[0]}
    seeds = np.array([job.seed + repeat for _, repeat in filled], np.uint32)
    order_key = jax.random.key(job.order_seed)
    numbers, seeds, order_key = jax.device_put((numbers, seeds, order_key), device)
    number, repeat = np.array(lanes).T
    epochs = study.curves["cost"].shape[2]
    done, num_epochs, seconds_per_epoch = 0, 1, []
    states = init_lanes(initial(group.program), seeds, numbers)
    while done == 0 or (done < epochs and not job.is_stopped()):
        start = time.perf_counter()
        states, new = train_lanes(group.program, states, numbers, *data, order_key, num_epochs)
        for name, values in new.items():
            # on the host: slicing there compiles nothing
            new[name] = np.asarray(values)[: len(lanes), :num_epochs]
            study.curves[name][number, repeat, done : done + num_epochs] = new[name]
        group.is_compiled.set()
        diverged = np.asarray(states.diverged)[: len(lanes)]
        # frozen lanes need no further epochs
        now_done = epochs if (diverged >= 0).all() else done + num_epochs
        with job.lock:
            job.epochs_done += len(lanes) * (now_done - done)
            job.num_diverged += int(((diverged >= 0) & (study.diverged[number, repeat] < 0)).sum())
            job.best = _best(study.metric, job.best, new[f"valid_{study.metric}"][:, -1])
            job.show("training")
        done = now_done
        study.diverged[number, repeat], study.epochs_done[number, repeat] = diverged, done
        # after the first call, which may compile, calls last about a quarter of a second
        seconds_per_epoch.append((time.perf_counter() - start) / num_epochs)
        num_epochs = min(epochs - done, EPOCHS_PER_CALL, max(1, int(0.25 / seconds_per_epoch[-1])))
    kept = states if states.best is None else states.best
    params, state = jax.device_get((kept.params, kept.state))
    if len(lanes) < chunk:
        params, state = jax.tree.map(lambda leaf: leaf[: len(lanes)].copy(), (params, state))
    if states.best is not None:
        study.kept_epochs[number, repeat] = np.asarray(states.best.epoch)[: len(lanes)]
    with job.lock:
        if is_first:
            later = min(seconds_per_epoch[1:], default=0)
            study.compile_seconds += max(0, seconds_per_epoch[0] - later)
        index = np.full(len(lanes), len(study.chunks))
        study.places[number, repeat] = np.stack([index, np.arange(len(lanes))], axis=1)
        study.chunks.append(Chunk(group.program.model, params, state, began, datetime.now()))


def lane_numbers(program: Program, recipe: Recipe) -> dict[str, np.ndarray]:
    """All that tells a lane from the others of its program."""
    if not isinstance(program.model, Mixture):
        return recipe.numbers
    return recipe.numbers | program.model.structure(recipe.setting)


def _best(metric: str, before: float | None, values: np.ndarray) -> float | None:
    known = [*values[np.isfinite(values)].tolist(), *([] if before is None else [before])]
    return (max if metric == "accuracy" else min)(known, default=None)
