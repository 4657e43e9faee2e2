"""One network watched and corrected by hand; the course calls it the Panda's way."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxnn.compiled.objectives import ACCURACY
from jaxnn.data.datasets import Dataset
from jaxnn.disk.writing import StrPath
from jaxnn.engine.options import Call
from jaxnn.functional.types import Model, ModelFn
from jaxnn.searching.studies import Study
from jaxnn.settings.hyperparameters import Setting, plain_setting
from jaxnn.system.checks import check_fork, whole_number
from jaxnn.system.signals import TrainingInterrupted, held_signals, rescued
from jaxnn.training.fitted import Fitted
from jaxnn.training.fitting import diverged_at, fitted_of, interrupted_after, prepared
from jaxnn.training.hooks import Hook, OnEpoch
from jaxnn.training.stretches import Reached, train_stretch
from jaxnn.watching.journals import Clock, Entry, Journal, Moment, may_be_set
from jaxnn.watching.run_results import study_of_run
from jaxnn.watching.sessions import Session, open_session

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Run:
    """A network in training: train a stretch, look, change a number, go on.

    Stretches of training are together what `fit` does in one go, to the bit. Between them `set`
    changes numbers (`learning_rate`, `momentum`, `l2`, ...). They are data to the compiled program,
    so nothing is compiled anew.

    Args: those of `fit`, without `epochs`, and
      directory: where the run is saved after each `train`, `set` and `undo`, and while it trains. A
        run that is there comes back as it was, with its journal, so what a script did before it was
        killed is not to be done again: `run.train(200 - run.epoch)`. See `commits`.
      commit_interval: least seconds between two commits while it trains, as for `sweep`.

    Raises:
      ValueError: bad input, before anything is compiled; a directory of something else.

    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> data = Dataset(x, (x[:, 0] > 0).astype(int))
    >>> run = Run({"learning_rate": 30.0, "optimizer": "gd"}, data, 0.25)
    >>> run.train(epochs=5)
    >>> run.undo()
    >>> run.set(learning_rate=0.3)
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
        self._setup, recipe, state = prepared(
            setting,
            train,
            valid,
            seed=seed,
            order_seed=order_seed,
            model=model,
            row_space=row_space,
        )
        now = Moment(state, plain_setting(setting), recipe, 0)
        self._journal = Journal(self._setup.curve_names(recipe), now, Clock(datetime.now()))
        self._session = open_session(
            directory, commit_interval, call, self._journal, self._setup.recipe
        )
        self._hook, self._progress = hook, progress

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self._journal.now.epoch

    @property
    def journal(self) -> list[Entry]:
        """All that was done, what was undone as well; `print(run)` shows it."""
        return [entry._replace(curves=dict(entry.curves)) for entry in self._journal.entries]

    @property
    def setting(self) -> dict[str, Any]:
        """Every hyperparameter as it is now, defaults written out."""
        return dict(self._journal.now.recipe.setting)

    @property
    def diverged(self) -> int | None:
        """The step whose cost was not finite, or None."""
        return diverged_at(self._journal.now.train_state)

    @property
    def curves(self) -> dict[str, np.ndarray]:
        """Name -> (epochs done,): the curves of `fit`, without what was undone."""
        return self._journal.curves

    def train(self, epochs: int) -> None:
        """Trains on for some epochs.

        Raises:
          ValueError: the network has diverged.
          TrainingInterrupted: on Ctrl-C or SIGTERM; the run keeps what was reached, and can go on.
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
                # a copy, which compiles nothing: what is given is consumed
                jax.device_put(before.train_state, may_alias=False),
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
        """Takes what a stretch has reached, and tells of it."""
        epoch, detail = before.epoch + reached.epochs, f"{reached.epochs} epochs"
        step = diverged_at(reached.train_state)
        if step is not None:
            detail += f", diverged at step {step}"
        after = before._replace(train_state=reached.train_state, epoch=epoch)
        self._journal.write("train", detail, reached.curves, after)
        self._journal.clock = self._journal.clock.later(reached.seconds, reached.compile_seconds)
        self._session.save(self._journal)

    def set(self, **numbers: Any) -> None:
        """Changes hyperparameters from here on: any number, and `decay_schedule`.

        Only an `l2` or `dropout` from 0 to more compiles, once. Weights, moments and the count of
        epochs, which a decay schedule goes by, stay.

        Raises:
          ValueError: an unknown name, a value out of range, or one that belongs to the structure.
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
        # no signal comes between a network and what is known of it
        with held_signals():
            self._journal.write("set", ", ".join(details), after=after)
            self._session.save(self._journal)

    def undo(self) -> None:
        """Takes the last `train` or `set` back, and the one before it if called again.

        Raises:
          ValueError: nothing is left; the last 20 are kept.
        """
        with held_signals():
            self._journal.undo()
            self._session.save(self._journal)

    def branch(self) -> "Run":
        """A run of its own that starts from here; this one stays as it is, with its directory."""
        other = object.__new__(type(self))
        # what is shared does not change, but for the hook: there is one function to tell
        other._setup, other._hook, other._progress = self._setup, self._hook, self._progress
        other._journal, other._session = self._journal.copy(), Session()
        other._journal.write("branch", f"from a run of {self.epoch} epochs")
        return other

    def close(self) -> None:
        """Gives the directory back, as the end of the process does; the run goes on in memory."""
        with held_signals():
            self._session.close()

    def fitted(self) -> Fitted:
        """The network as it is now, as `fit` returns it."""
        now = self._journal.now
        return fitted_of(self._setup, now.recipe, now.train_state, self.curves)

    def study(self, metric: str = ACCURACY.name) -> Study:
        """The run as a study of one setting, with the table, pictures and values of a sweep's.

        Raises:
          ValueError: there is no validation data, or nothing was trained.
        """
        return study_of_run(self._setup, self._journal, metric)

    def plot(self, curve: str | None = None, axes: "Axes | None" = None) -> "Figure":
        """The learning curve with every edit marked, and what was undone dotted.

        Args:
          curve: "cost", "accuracy", "valid_cost" or "valid_accuracy"; None is both costs.
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
    return value if isinstance(value, str) else f"{value:.4g}"
