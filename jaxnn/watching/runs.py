"""One network watched and corrected by hand; the course calls it the Panda's way."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.disk.writing import StrPath
from jaxnn.engine.options import Call
from jaxnn.functional.types import Model, ModelFn
from jaxnn.searching.studies import Study
from jaxnn.settings.hyperparameters import Setting, plain_setting
from jaxnn.system.checks import check_fork, whole_number
from jaxnn.system.signals import TrainingInterrupted, held_signals, rescued
from jaxnn.training.fitted import Fitted
from jaxnn.training.fitting import diverged_at, fitted_of, interrupted_after
from jaxnn.training.hooks import Hook, OnEpoch
from jaxnn.training.setups import prepared
from jaxnn.training.stretches import Reached, train_stretch
from jaxnn.watching.journals import Clock, Entry, Journal, Moment, may_be_set
from jaxnn.watching.run_results import study_of_run
from jaxnn.watching.sessions import Session, open_session

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Run:
    """A network in training: train for some epochs, look, change a number, go on.

    Without edits, several calls of `train` give the same bits as one `fit`. Between them `set`
    changes numbers (`learning_rate`, `momentum`, `l2`, ...). They are data to the compiled program,
    so nothing is compiled again.

    Args: those of `fit`, without `epochs`, and
      directory: where the run is saved after each `train`, `set` and `undo`, and while it trains,
        see `jaxnn.disk.directories`. A run found there is restored with its journal, so a script
        that was killed should train the missing epochs only: `run.train(200 - run.epoch)`.
      commit_interval: least seconds between two commits while it trains, as for `sweep`.

    Raises:
      ValueError: bad input, before anything is compiled; a directory of something else.

    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> data = Dataset(x, (x[:, 0] > 0).astype(int))
    >>> run = Run({"learning_rate": 30.0, "optimizer": "gd"}, data, 0.25)
    >>> run.train(epochs=5)
    >>> run.undo()
    >>> run.set(learning_rate=1.0)
    >>> run.train(epochs=5)
    >>> run.epoch, [entry.action for entry in run.journal], run.fitted().score(data) > 0.9
    (5, ['train', 'undo', 'set', 'train'], True)
    """

    def __init__(
        self,
        setting: Setting,
        train: Dataset,
        valid: Dataset | float | None = None,
        *,
        seed: int = 0,
        order_seed: int = 0,
        model: Model | ModelFn | None = None,
        row_space: bool = False,
        directory: StrPath | None = None,
        commit_interval: float = 60.0,
        progress: bool | None = None,
        on_epoch: OnEpoch | None = None,
    ):
        call = Call.of(
            Run, setting, train, valid, seed=seed, order_seed=order_seed, model=model,
            row_space=row_space, directory=directory, commit_interval=commit_interval,
            progress=progress, on_epoch=on_epoch,
        )  # fmt: skip
        check_fork("Run")
        hook = Hook(on_epoch)
        self._setup, recipe, seed = prepared(
            setting,
            train,
            valid,
            epochs=None,
            seed=seed,
            order_seed=order_seed,
            model=model,
            row_space=row_space,
        )
        now = Moment(self._setup.first_state(recipe, seed), plain_setting(setting), recipe, 0)
        self._journal = Journal(self._setup.curve_names(recipe), now, Clock(datetime.now()))
        self._session = open_session(
            directory, commit_interval, call, self._journal, self._setup.recipe
        )
        self._hook, self._progress = hook, progress

    @property
    def epoch(self) -> int:
        """Epochs trained."""
        return self._journal.now.epoch

    @property
    def journal(self) -> list[Entry]:
        """All actions, including those that were undone; `print(run)` shows them."""
        return [entry._replace(curves=dict(entry.curves)) for entry in self._journal.entries]

    @property
    def setting(self) -> dict[str, Any]:
        """The current value of every hyperparameter, including defaults."""
        return dict(self._journal.now.recipe.setting)

    @property
    def diverged(self) -> int | None:
        """The step whose cost was not finite, or None."""
        return diverged_at(self._journal.now.train_state)

    @property
    def curves(self) -> dict[str, np.ndarray]:
        """Name -> (epochs trained,): the curves of `fit`, without undone stretches."""
        return self._journal.curves

    def train(self, epochs: int) -> None:
        """Trains for some more epochs.

        Raises:
          ValueError: the network has diverged.
          TrainingInterrupted: on Ctrl-C or SIGTERM; the run keeps what was trained and can go on.
        """
        check_fork("train")
        epochs = whole_number("epochs", epochs, 1)
        if self.diverged is not None:
            raise ValueError(
                f"train got a network whose cost stopped being finite at step {self.diverged}; "
                "expected undo() first, and then set(learning_rate=...) to a lower one"
            )
        before, hook = self._journal.now, self._hook
        with rescued(lambda: None if self._journal.now is before else self._interrupted()):
            is_ended = train_stretch(
                self._setup,
                before.recipe,
                # a copy, since training donates its input; device_put compiles nothing
                lambda: jax.device_put(before.train_state, may_alias=False),
                epochs,
                given=before.given,
                hook=hook,
                progress=self._progress,
                keep=lambda reached: self._keep(before, reached),
                save=lambda *now: self._session.save_if_due(self._journal, *now),
            )
            if is_ended:
                with held_signals():
                    raise self._interrupted() from hook.interrupt

    def _interrupted(self) -> TrainingInterrupted:
        return interrupted_after(self.epoch, self.fitted())

    def _keep(self, before: Moment, reached: Reached) -> None:
        """Stores the result of a stretch of training in the journal and the directory."""
        epoch, detail = before.epoch + reached.epochs, f"{reached.epochs} epochs"
        step = diverged_at(reached.train_state)
        if step is not None:
            detail += f", diverged at step {step}"
        after = before._replace(train_state=reached.train_state, epoch=epoch)
        self._journal.write("train", detail, reached.curves, after)
        self._journal.clock = self._journal.clock.later(reached.seconds, reached.compile_seconds)
        self._session.save(self._journal)

    def set(self, **numbers: Any) -> None:
        """Changes hyperparameters from now on: any number, and `decay_schedule`.

        Nothing is compiled, except when `l2`, `dropout` or another number that costs time is
        switched on or off for the first time, and once for each schedule. Weights, moments and the
        count of epochs, on which a schedule depends, stay.

        Raises:
          ValueError: an unknown name, a value out of range, or a part of the structure.
        """
        if not numbers:
            raise ValueError("set got nothing; expected numbers such as set(learning_rate=3e-4)")
        for name in numbers:
            if not may_be_set(name):
                raise ValueError(
                    f"set got {name}, which shapes the network or its program; expected numbers "
                    "(learning_rate, momentum, l2, dropout, ...) or decay_schedule: "
                    "another structure is another Run"
                )
        before = self._journal.now
        changed = self._setup.recipe({**before.given, **numbers})
        old = before.recipe.setting
        new = {name: changed.setting[name] for name in numbers}
        details = [f"{name} {_shown(old[name])} -> {_shown(new[name])}" for name in numbers]
        after = before._replace(given={**before.given, **new}, recipe=changed)
        # no signal may come between changing the journal and saving it
        with held_signals():
            self._journal.write("set", ", ".join(details), after=after)
            self._session.save(self._journal)

    def undo(self) -> None:
        """Takes back the last `train` or `set`; called again, the one before it.

        Raises:
          ValueError: nothing is left to take back; the last 20 actions are kept.
        """
        with held_signals():
            self._journal.undo()
            self._session.save(self._journal)

    def branch(self) -> "Run":
        """Returns an independent copy of the run; the directory stays with this run."""
        other = object.__new__(type(self))
        # the shared parts do not change, except the hook, which reports to one function
        other._setup, other._hook, other._progress = self._setup, self._hook, self._progress
        other._journal, other._session = self._journal.copy(), Session()
        other._journal.write("branch", f"from a run of {self.epoch} epochs")
        return other

    def close(self) -> None:
        """Releases the directory, as the end of the process does; the run goes on in memory."""
        with held_signals():
            self._session.close()

    def fitted(self) -> Fitted:
        """Returns the network in its current state, as `fit` returns it."""
        now = self._journal.now
        return fitted_of(self._setup, now.recipe, now.train_state, self.curves)

    def study(self, metric: str | None = None) -> Study:
        """Returns the run as a study of one setting, with the table and plots of a sweep.

        Args:
          metric: as for `sweep`.

        Raises:
          ValueError: there is no validation data, or nothing was trained.
        """
        return study_of_run(self._setup, self._journal, metric)

    def plot(self, curve: str | None = None, axes: "Axes | None" = None) -> "Figure":
        """Draws the learning curve, with edits marked and undone stretches dotted.

        Args:
          curve: the name of one of `curves`, such as "valid_cost"; None is both costs.
          axes: where to draw; None makes a figure.

        Needs the extra "plot".
        """
        return self._journal.picture(curve, axes)

    def __str__(self) -> str:
        return str(self._journal)

    def __repr__(self) -> str:
        return f"<Run after {self.epoch:,} epochs; print(run) shows its journal>"

    def _repr_html_(self) -> str:
        return self._journal._repr_html_()


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
