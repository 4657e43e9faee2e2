"""A stretch of training: one network, compiled call after compiled call."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.compiled.objectives import COST
from jaxnn.compiled.programs import Program, initial
from jaxnn.compiled.steps import TrainState, init_train_state, train_epochs
from jaxnn.data.batches import Schedule, without_unfinished
from jaxnn.data.datasets import Dataset
from jaxnn.data.inputs import Treatment
from jaxnn.functional.types import Model, ModelFn
from jaxnn.system.arrays import new_key
from jaxnn.system.checks import check_fits
from jaxnn.system.display import progress_line
from jaxnn.system.signals import ENDS, deferred_interrupt, held_signals
from jaxnn.training.hooks import Hook
from jaxnn.training.recipes import Recipe, recipe


class Setup(NamedTuple):
    """What stays as it is while one network is trained.

    Attributes:
      given: the training set before its treatment.
      train, valid: after it.
      schedule: the mini-batches of `train`.
    """

    given: Dataset
    train: Dataset
    valid: Dataset | None
    treatment: Treatment
    model: Model | ModelFn | None
    in_row_space: bool
    schedule: Schedule

    def curve_names(self, recipe: Recipe) -> tuple[str, ...]:
        return recipe.program.objective.curves(self.valid is not None)

    def recipe(self, setting: Mapping[str, Any]) -> Recipe:
        return recipe(setting, self.given, self.model)

    def program(self, recipe: Recipe) -> Program:
        return recipe.program.with_features(self.treatment.num_features)

    def first_state(self, recipe: Recipe, seed: int) -> TrainState:
        """The state before the first step."""
        program = initial(self.program(recipe))
        return init_train_state(program, new_key(seed), jax.device_put(recipe.numbers))


class Reached(NamedTuple):
    """What a stretch of training came to.

    Attributes:
      epochs: that were done; all of them if the network diverged: nothing would change any more.
      curves: name -> (epochs done,).
      seconds, compile_seconds: wall time; what the first call took beyond later ones.
    """

    train_state: TrainState
    epochs: int
    curves: dict[str, np.ndarray]
    seconds: float
    compile_seconds: float


def train_stretch(
    setup: Setup,
    recipe: Recipe,
    train_state: TrainState,
    epochs: int,
    *,
    given: Mapping[str, Any],
    hook: Hook,
    progress: bool | None,
    keep: Callable[[Reached], None],
    save: Callable[[TrainState, dict[str, np.ndarray]], None] | None = None,
) -> bool:
    """Trains a network on, until it diverges or a signal comes; one call at least.

    Args:
      train_state: is consumed.
      given: the setting as the hook is told it.
      hook: is told of every epoch, and may end the stretch.
      progress: as in `fit`.
      keep: is given what was reached, before any signal can lose it.
      save: is given the state and the curves of the stretch after each call.

    Returns:
      whether Ctrl-C or SIGTERM came, or the hook has ended the stretch.

    Raises:
      ValueError: the machine has no room for the curves.
    """
    check_fits(32 * epochs, f"epochs got {epochs:,}: their curves")
    curves = {name: np.full(epochs, np.nan) for name in setup.curve_names(recipe)}
    done, num_epochs, diverged, seconds, seconds_per_epoch = 0, 1, -1, 0.0, []
    first_epoch = int(jax.device_get(train_state.epoch))
    numbers = jax.device_put(recipe.numbers)
    hook.interrupt, is_ended = None, False
    with deferred_interrupt() as is_stopped:
        try:
            with progress_line(epochs, progress) as report:
                # one call at least, so that what an interrupt leaves is a network with a curve
                while done == 0 or (
                    done < epochs and diverged < 0 and not (is_ended or is_stopped())
                ):
                    start, epoch = time.perf_counter(), first_epoch + done
                    # a state and its curves are of one epoch, whenever a second signal comes
                    with held_signals():
                        train_state, new, diverged = _one_call(
                            setup, recipe, train_state, numbers, epoch, num_epochs
                        )
                        for name, values in new.items():
                            curves[name][done : done + num_epochs] = values
                        done += num_epochs
                        # the first call may compile
                        seconds_per_epoch.append((time.perf_counter() - start) / num_epochs)
                    hook(0, 0, given, epoch, new)
                    is_ended = hook.interrupt is not None
                    if save is not None:
                        save(train_state, {name: values[:done] for name, values in curves.items()})
                    report(done, f"{COST.name} {curves[COST.name][done - 1]:.4f}")
                    seconds += time.perf_counter() - start
                    # after the first one calls last about a quarter of a second
                    per_call = max(1, int(0.25 / seconds_per_epoch[-1]))
                    num_epochs = min(epochs - done, setup.schedule.room, per_call)
        except ENDS:
            # a second signal, which acts at once
            if not done:
                raise
            is_ended = True
        with held_signals():
            done = done if diverged < 0 else epochs
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


def _one_call(
    setup: Setup,
    recipe: Recipe,
    train_state: TrainState,
    numbers: dict[str, jax.Array],
    epoch: int,
    num_epochs: int,
) -> tuple[TrainState, dict[str, np.ndarray], int]:
    """Trains from `epoch` on; the new state, the epochs' curves, and where it diverged or -1."""
    schedule = setup.schedule
    batches = jax.device_put(schedule.batches(epoch, num_epochs))
    train_state, new = train_epochs(
        setup.program(recipe), train_state, numbers, setup.train, setup.valid, batches
    )
    # on the host: slicing there compiles nothing
    new, diverged = jax.device_get((new, train_state.diverged))
    curves = {
        name: without_unfinished(values[:num_epochs], diverged, epoch, schedule.num_steps)
        for name, values in new.items()
    }
    return train_state, curves, int(diverged)
