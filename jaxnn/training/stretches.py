"""Stretches of training: one network trained for some epochs, in several compiled calls."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.compiled.compiling import abstract, compiling
from jaxnn.compiled.objectives import COST
from jaxnn.compiled.programs import Program, initial
from jaxnn.compiled.steps import TrainState, init_train_state, train_epochs
from jaxnn.data.batches import HeldOut, Schedule, without_unfinished
from jaxnn.data.datasets import Dataset
from jaxnn.data.inputs import Treatment
from jaxnn.functional.types import Model, ModelFn
from jaxnn.system.checks import check_fits
from jaxnn.system.display import progress_line
from jaxnn.system.draws import new_key
from jaxnn.system.signals import ENDS, deferred_interrupt, held_signals
from jaxnn.training.hooks import Hook
from jaxnn.training.recipes import Recipe, recipe


class Setup(NamedTuple):
    """What does not change while one network is trained.

    Attributes:
      given: the training set before the treatment of inputs.
      data: the training examples, and behind them those to validate, after the treatment.
      held_out: the examples to validate, as rows; or None.
      treatment: the treatment of inputs.
      model: the user's model, or None for `mlp`.
      in_row_space: whether the treatment projects to the row space.
      schedule: the mini-batches of the training examples.
    """

    given: Dataset
    data: Dataset
    held_out: HeldOut | None
    treatment: Treatment
    model: Model | ModelFn | None
    in_row_space: bool
    schedule: Schedule

    def curve_names(self, recipe: Recipe) -> tuple[str, ...]:
        return recipe.program.objective.curves(self.held_out is not None)

    def recipe(self, setting: Mapping[str, Any]) -> Recipe:
        return recipe(setting, self.given, self.model)

    def program(self, recipe: Recipe) -> Program:
        return recipe.program.with_features(self.treatment.num_features)

    def first_state(self, recipe: Recipe, seed: int) -> TrainState:
        """Returns the state before the first step."""
        return init_train_state(*self._first(recipe, seed))

    def compiled_beside_first_state(self, recipe: Recipe, seed: int) -> TrainState:
        """Returns the state before the first step; meanwhile the training program compiles."""
        first = self._first(recipe, seed)
        state, no_batches = abstract(init_train_state, *first), self.schedule.batches(0, 0)
        numbers, data = first[-1], self.data
        arguments = self.program(recipe), state, numbers, data, self.held_out, no_batches
        with compiling(train_epochs, *arguments):
            return init_train_state(*first)

    def _first(self, recipe: Recipe, seed: int) -> tuple[Program, jax.Array, dict[str, jax.Array]]:
        """Returns the arguments of `init_train_state`."""
        return initial(self.program(recipe)), new_key(seed), jax.device_put(recipe.numbers)


class Reached(NamedTuple):
    """The result of a stretch of training.

    Attributes:
      train_state: the state at its end.
      epochs: epochs trained. A network that diverged counts as trained to the end.
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
    """Trains a network for some epochs, until it diverges or a signal comes.

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
    done, num_epochs, diverged, seconds, seconds_per_epoch = 0, 1, -1, 0.0, []
    numbers: dict[str, jax.Array] = jax.device_put(recipe.numbers)
    train_state: Any = None
    hook.interrupt, is_ended = None, False
    with deferred_interrupt() as is_stopped:
        try:
            with progress_line(epochs, progress) as report:
                start = time.perf_counter()
                # at least one call, so that an interrupted network has a curve
                while done == 0 or (
                    done < epochs and diverged < 0 and not (is_ended or is_stopped())
                ):
                    # no second signal may come between updating the state and its curves
                    with held_signals():
                        train_state, new, diverged = _one_call(
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
                    report(done, f"{COST.name} {curves[COST.name][done - 1]:.4f}")
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
    num_epochs: int,
) -> tuple[TrainState, dict[str, np.ndarray], int]:
    """Trains some epochs; returns the state, the curves, and the step of divergence or -1."""
    schedule, epoch = setup.schedule, int(jax.device_get(train_state.epoch))
    batches = jax.device_put(schedule.batches(epoch, num_epochs))
    train_state, new = train_epochs(
        setup.program(recipe), train_state, numbers, setup.data, setup.held_out, batches
    )
    # fetched first: slicing on the host compiles nothing
    new, diverged = jax.device_get((new, train_state.diverged))
    new = without_unfinished(new[:, :num_epochs], diverged, epoch, schedule.num_steps)
    return train_state, dict(zip(setup.curve_names(recipe), new, strict=True)), int(diverged)
