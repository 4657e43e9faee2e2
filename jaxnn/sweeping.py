"""Caviar: many settings trained at once, as lanes of a few compiled programs."""

import dataclasses
import os
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.checks import whole_number
from jaxnn.datasets import Dataset, input_statistics
from jaxnn.fitting import TrainingInterrupted
from jaxnn.lanes import default_chunk, init_lanes, train_lanes
from jaxnn.preparing import Recipe, checked_data, recipe, warn_of_scales
from jaxnn.progress import SweepDisplay, deferred_interrupt, sweep_display
from jaxnn.settings import Setting
from jaxnn.studies import Chunk, Study
from jaxnn.training import EPOCHS_PER_CALL, Program, curve_names, initial
from jaxnn.types import Model, as_model

Lane = tuple[int, int]
"""Number of the setting, number of the repetition."""


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
    chunk: int | None = None,
    progress: bool | None = None,
) -> Study:
    """Trains all settings at once, and each network as `fit` would train it alone.

    A network, setting x repetition, is a lane. Lanes of equal structure share a compiled program,
    in which every number (`learning_rate`, `momentum`, `l2`, `dropout`, ...) differs by lane; each
    structure among the settings compiles a program of its own. Lanes are trained in chunks of a
    fixed size, and each local device takes chunk after chunk.

    Repetition k of setting i equals `fit(settings[i], train, valid, epochs=epochs, seed=seed + k,
    order_seed=order_seed)` up to rounding. A lane's bits depend on its program and the size of the
    chunk; not on the other lanes, their number or order, or the number of devices.

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
      chunk: lanes that a device trains at a time; None chooses, see `default_chunk`.
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
    if valid is None:
        raise ValueError("valid got None; expected a Dataset, or a fraction of train such as 0.2")
    train, held_out = checked_data(train, valid, order_seed)
    assert held_out is not None
    recipes = _recipes(settings, train, model, metric if keep == "best" else None)
    settings_in_full = [recipe.setting for recipe in recipes]
    if is_mlp and any(s["inputs"] == "raw" and not s["batch_norm"] for s in settings_in_full):
        warn_of_scales(train)

    groups: dict[tuple[Program, str], list[int]] = {}
    for number, (setting, program, _) in enumerate(recipes):
        groups.setdefault((program, setting["inputs"]), []).append(number)
    shape = (len(recipes), seeds)
    study = Study(
        given=settings,
        settings=settings_in_full,
        models=[recipe.program.model for recipe in recipes],
        metric=metric,
        is_mlp=is_mlp,
        inputs={inputs: input_statistics(inputs, train) for _, inputs in groups},
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
    if not isinstance(valid, Dataset):
        share = f"{len(held_out)} of {len(held_out) + len(train)}"
        study.notes.append(f"Validation: {share} examples of the training set, stratified.")
    with (
        sweep_display(study.diverged.size, epochs, progress) as display,
        deferred_interrupt() as is_interrupted,
    ):
        waiting, device = [], jax.local_devices()[0]
        for (program, inputs), numbers in groups.items():
            lanes = [(number, repeat) for number in numbers for repeat in range(seeds)]
            waiting.append(_Group(program, inputs, lanes, chunk or default_chunk(program, device)))
        stop = threading.Event()
        is_stopped = lambda: stop.is_set() or is_interrupted()
        shared = (train, held_out, seed, order_seed, display, is_stopped, threading.Lock())
        num_notes = len(study.notes)
        _train_everywhere(_Job(study, recipes, waiting, *shared), stop)
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


def _recipes(
    settings: Sequence[Setting], train: Dataset, model: Model | None, keep_best: str | None
) -> list[Recipe]:
    if isinstance(settings, str | Mapping) or not isinstance(settings, Sequence):
        raise ValueError(f"settings got {settings!r}; expected a list of dicts, as from sample")
    if not settings:
        raise ValueError("settings got an empty list; expected at least one setting")
    recipes = []
    for number, setting in enumerate(settings):
        try:
            one = recipe(setting, train, model)
        except ValueError as error:
            raise ValueError(f"settings[{number}]: {error}") from None
        recipes.append(one._replace(program=one.program._replace(keep_best=keep_best)))
    return recipes


@dataclasses.dataclass
class _Group:
    """Lanes of one program and kind of inputs that wait; `chunk` of them are trained at a time."""

    program: Program
    inputs: str
    waiting: list[Lane]
    chunk: int
    is_new: bool = True
    is_compiled: threading.Event = dataclasses.field(default_factory=threading.Event)


class _Job(NamedTuple):
    """What all chunks of a sweep have in common."""

    study: Study
    recipes: list[Recipe]
    groups: list[_Group]
    train: Dataset
    valid: Dataset
    seed: int
    order_seed: int
    display: SweepDisplay
    is_stopped: Callable[[], bool]
    lock: threading.Lock


def _train_everywhere(job: _Job, stop: threading.Event) -> None:
    """Threads that take chunk after chunk: one a device, on a CPU one a core.

    So no device waits for another, and programs are compiled side by side. XLA runs small
    operations on one core: two chunks at a time take 0.8 of the time of one after the other.
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
                stop.set()
                raise

    with ThreadPoolExecutor(len(devices)) as threads:
        try:
            list(threads.map(work, devices))
        finally:
            stop.set()


def _num_cores() -> int:
    """Cores that this process may use, where the system tells."""
    has_affinity = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1


def _train_on(device: jax.Device, job: _Job) -> None:
    """Trains what waits, chunk by chunk; where memory is short with half as many lanes."""
    data: dict[str, tuple[Dataset, Dataset]] = {}
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
                _report(job, f"compiling {started} of {len(job.groups)}")
        if group.inputs not in data:
            by = job.study.inputs[group.inputs]
            sets = (job.train.normalised(by), job.valid.normalised(by))
            data[group.inputs] = jax.device_put(sets, device)
        if not is_first:
            group.is_compiled.wait()
        try:
            _train_chunk(device, job, group, data[group.inputs], lanes, chunk, is_first)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            with job.lock:
                _make_do_with_less(job.study, group, lanes, chunk)
        finally:
            group.is_compiled.set()


def _make_do_with_less(study: Study, group: _Group, lanes: list[Lane], chunk: int) -> None:
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
    job: _Job,
    group: _Group,
    data: tuple[Dataset, Dataset],
    lanes: list[Lane],
    chunk: int,
    is_first: bool,
) -> None:
    """Trains some lanes to the end, and writes what comes of them into the study."""
    study, began = job.study, datetime.now()
    # a program has one shape: what is missing is filled up with copies of the first lane
    filled = lanes + lanes[:1] * (chunk - len(lanes))
    settings = [job.recipes[number].numbers for number, _ in filled]
    numbers = {name: np.stack([one[name] for one in settings]) for name in settings[0]}
    seeds = np.array([job.seed + repeat for _, repeat in filled], np.uint32)
    order_key = jax.random.key(job.order_seed)
    numbers, seeds, order_key = jax.device_put((numbers, seeds, order_key), device)
    number, repeat = np.array(lanes).T
    epochs = study.curves["cost"].shape[2]
    done, num_epochs, seconds_per_epoch = 0, 1, []
    states = init_lanes(initial(group.program), seeds)
    while done == 0 or (done < epochs and not job.is_stopped()):
        start = time.perf_counter()
        states, new = train_lanes(group.program, states, numbers, *data, order_key, num_epochs)
        for name, values in new.items():
            # on the host: slicing there compiles nothing
            values = np.asarray(values)[: len(lanes), :num_epochs]
            study.curves[name][number, repeat, done : done + num_epochs] = values
        group.is_compiled.set()
        done += num_epochs
        diverged = np.asarray(states.diverged)[: len(lanes)]
        if (diverged >= 0).all():
            done = epochs
        study.diverged[number, repeat], study.epochs_done[number, repeat] = diverged, done
        with job.lock:
            _report(job, "training")
        # after the first call, which may compile, calls last about a quarter of a second
        seconds_per_epoch.append((time.perf_counter() - start) / num_epochs)
        num_epochs = min(epochs - done, EPOCHS_PER_CALL, max(1, int(0.25 / seconds_per_epoch[-1])))
    kept = states if states.best is None else states.best
    params, state = jax.device_get((kept.params, kept.state))
    if states.best is not None:
        study.kept_epochs[number, repeat] = np.asarray(states.best.epoch)[: len(lanes)]
    with job.lock:
        if is_first:
            study.compile_seconds += seconds_per_epoch[0] - min(seconds_per_epoch[1:], default=0)
        index = np.full(len(lanes), len(study.chunks))
        study.places[number, repeat] = np.stack([index, np.arange(len(lanes))], axis=1)
        study.chunks.append(Chunk(params, state, began, datetime.now()))


def _report(job: _Job, stage: str) -> None:
    study, values = job.study, job.study.curves[f"valid_{job.study.metric}"]
    last = np.maximum(study.epochs_done - 1, 0)[..., None]
    values = np.take_along_axis(values, last, axis=2)
    values = values[np.isfinite(values)]
    best = values.max if study.metric == "accuracy" else values.min
    job.display(
        stage,
        int(study.epochs_done.sum()),
        float(best()) if values.size else None,
        int((study.diverged >= 0).sum()),
    )
