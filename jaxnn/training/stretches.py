"""Stretches of training: one network trained for some epochs, in several compiled calls."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.compiled.steps import TrainState, train_epochs
from jaxnn.data.batches import without_unfinished
from jaxnn.functional.metrics import COST
from jaxnn.system.checks import check_fits
from jaxnn.system.display import progress_line
from jaxnn.system.signals import ENDS, deferred_interrupt, held_signals
from jaxnn.training.hooks import Hook
from jaxnn.training.recipes import Recipe
from jaxnn.training.setups import Setup


class Reached(NamedTuple):
    """The result of a stretch of training.

    Attributes:
      train_state: the state at its end.
      epochs: epochs trained. A network that diverged counts as trained to the end, one that was
        stopped does not.
      curves: name -> (epochs,).
      seconds: wall time.
      compile_seconds: the time of the first call minus that of later ones.
    """

    train_state: TrainState
    epochs: int
    curves: dict[str, np.ndarray]
    seconds: float
    compile_seconds: float


def train_stretch(
    setup: Setup,
    recipe: Recipe,
    begin: Callable[[], TrainState],
    epochs: int,
    *,
    given: Mapping[str, Any],
    hook: Hook,
    progress: bool | None,
    keep: Callable[[Reached], None],
    save: Callable[[TrainState, dict[str, np.ndarray]], None] | None = None,
) -> bool:
    """Trains a network for some epochs, until it diverges, is stopped, or a signal comes.

    Args:
      begin: makes the state from which training begins; its arrays are donated.
      epochs: the number of epochs; at least one compiled call is made.
      given: the setting as it is passed to the hook.
      hook: is called for every epoch, and may end the stretch.
      progress: as in `fit`.
      keep: is called with the result before any signal can lose it.
      save: is called with the state and the curves of the stretch after each compiled call.

    Returns:
      whether Ctrl-C, SIGTERM or the hook ended the stretch.

    Raises:
      ValueError: the curves do not fit in memory.
    """
    check_fits(32 * epochs, f"epochs got {epochs:,}: their curves")
    curves = {name: np.full(epochs, np.nan) for name in setup.curve_names(recipe)}
    done, num_epochs, ends, seconds, seconds_per_epoch = 0, 1, (-1, -1), 0.0, list[float]()
    numbers: dict[str, jax.Array] = jax.device_put(recipe.numbers)
    train_state: Any = None
    hook.interrupt, is_ended = None, False
    with deferred_interrupt() as is_stopped:
        try:
            with progress_line(epochs, progress) as report:
                start = time.perf_counter()
                # at least one call, so that an interrupted network has a curve
                while done == 0 or (
                    done < epochs and max(ends) < 0 and not (is_ended or is_stopped())
                ):
                    # no second signal may come between updating the state and its curves
                    with held_signals():
                        train_state, new, ends = _one_call(
                            setup, recipe, train_state or begin(), numbers, num_epochs
                        )
                        for name, values in new.items():
                            curves[name][done : done + num_epochs] = values
                        done += num_epochs
                        # `begin` and the first call may compile
                        seconds_per_epoch.append((time.perf_counter() - start) / num_epochs)
                    hook(0, 0, given, int(jax.device_get(train_state.epoch)) - num_epochs, new)
                    is_ended = hook.interrupt is not None
                    if save is not None:
                        save(train_state, {name: values[:done] for name, values in curves.items()})
                    report(done, f"{COST.name} {_latest(curves[COST.name]):.4f}")
                    seconds, start = seconds + time.perf_counter() - start, time.perf_counter()
                    # later calls take about a quarter of a second
                    per_call = max(1, int(0.25 / seconds_per_epoch[-1]))
                    num_epochs = min(epochs - done, setup.schedule.room, per_call)
        except ENDS:
            # a second signal acts at once
            if not done:
                raise
            is_ended = True
        with held_signals():
            diverged, stopped = ends
            done = epochs if diverged >= 0 else stopped if stopped >= 0 else done
            later = min(seconds_per_epoch[1:], default=seconds_per_epoch[0])
            keep(
                Reached(
                    train_state=train_state,
                    epochs=done,
                    curves={name: values[:done] for name, values in curves.items()},
                    seconds=seconds,
                    compile_seconds=max(0.0, seconds_per_epoch[0] - later),
                )
            )
            hook.warn()
    return is_ended or is_stopped()


def _latest(curve: np.ndarray) -> float:
    """Returns the last value that is known, or NaN."""
    known = curve[np.isfinite(curve)]
    return float(known[-1]) if known.size else np.nan


def _one_call(
    setup: Setup,
    recipe: Recipe,
    train_state: TrainState,
    numbers: dict[str, jax.Array],
    num_epochs: int,
) -> tuple[TrainState, dict[str, np.ndarray], tuple[int, int]]:
    """Trains some epochs; returns the state and the curves, and where training ended.

    That is the step of divergence, and the epoch in which the network was stopped, or -1.
    """
    schedule, epoch = setup.schedule, int(jax.device_get(train_state.epoch))
    batches = jax.device_put(schedule.batches(epoch, num_epochs))
    train_state, new = train_epochs(
        setup.program(recipe), train_state, numbers, setup.examples, batches
    )
    # fetched first: slicing on the host compiles nothing
    new, ends = jax.device_get((new, train_state.ends))
    new = without_unfinished(new[:, :num_epochs], ends, epoch, schedule.num_steps)
    diverged, stopped = map(int, ends)
    curves = dict(zip(setup.curve_names(recipe), new, strict=True))
    return train_state, curves, (diverged, stopped)
