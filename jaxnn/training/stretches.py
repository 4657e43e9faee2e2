"""A stretch of training: one network, compiled call after compiled call."""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from jaxnn.data.batches import EPOCHS_PER_CALL, Schedule, without_unfinished
from jaxnn.data.datasets import Dataset
from jaxnn.system.display import progress_line
from jaxnn.system.signals import ENDS, deferred_interrupt, held_signals
from jaxnn.training.programs import Program
from jaxnn.training.steps import TrainState, curve_names, train_epochs


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
    program: Program,
    train_state: TrainState,
    numbers: dict[str, np.ndarray],
    train: Dataset,
    valid: Dataset | None,
    schedule: Schedule,
    epochs: int,
    progress: bool | None,
    tell: Callable[[TrainState, int, dict[str, np.ndarray]], bool],
    keep: Callable[[Reached], None],
) -> bool:
    """Trains a network on, until it diverges or a signal comes; one call at least.

    Args:
      train_state: is consumed.
      schedule: the mini-batches of `train`.
      progress: as in `fit`.
      tell: is given after each call: the state, the epochs of the stretch that were done before the
        call, and the curves of the stretch so far. It says whether to end here.
      keep: is given what was reached, before any signal can lose it.

    Returns:
      whether Ctrl-C or SIGTERM came, or `tell` said to end.
    """
    curves = {name: np.full(epochs, np.nan) for name in curve_names(valid)}
    done, num_epochs, diverged, seconds, seconds_per_epoch = 0, 1, -1, 0.0, []
    first_epoch = int(jax.device_get(train_state.epoch))
    numbers = jax.device_put(numbers)
    is_ended = False
    with deferred_interrupt() as is_stopped:
        try:
            with progress_line(epochs, progress) as report:
                # one call at least, so that what an interrupt leaves is a network with a curve
                while done == 0 or (
                    done < epochs and diverged < 0 and not (is_ended or is_stopped())
                ):
                    start = time.perf_counter()
                    # a state and its curves are of one epoch, whenever a second signal comes
                    with held_signals():
                        batches = jax.device_put(schedule.batches(first_epoch + done, num_epochs))
                        train_state, new = train_epochs(
                            program, train_state, numbers, train, valid, batches
                        )
                        # on the host: slicing there compiles nothing
                        new, diverged = jax.device_get((new, train_state.diverged))
                        for name, values in new.items():
                            curves[name][done : done + num_epochs] = without_unfinished(
                                values[:num_epochs],
                                diverged,
                                first_epoch + done,
                                schedule.num_steps,
                            )
                        done += num_epochs
                        # the first call may compile
                        seconds_per_epoch.append((time.perf_counter() - start) / num_epochs)
                    so_far = {name: values[:done] for name, values in curves.items()}
                    is_ended = tell(train_state, done - num_epochs, so_far)
                    report(done, f"cost {curves['cost'][done - 1]:.4f}")
                    seconds += time.perf_counter() - start
                    # after the first one calls last about a quarter of a second
                    per_call = max(1, int(0.25 / seconds_per_epoch[-1]))
                    num_epochs = min(epochs - done, EPOCHS_PER_CALL, schedule.room, per_call)
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
    return is_ended or is_stopped()
