"""One network watched and corrected by hand; the course calls it the Panda's way."""

import contextlib
import copy
import weakref
from datetime import datetime
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.data.inputs import check_row_space, treatment
from jaxnn.data.splits import checked_data
from jaxnn.disk.directories import Commits, commits_in
from jaxnn.disk.writing import StrPath
from jaxnn.engine.calls import Call
from jaxnn.engine.identities import checked_identity
from jaxnn.functional.types import Model, ModelFn, as_model
from jaxnn.searching.studies import Study
from jaxnn.settings.hyperparameters import HYPERPARAMETERS, Setting, plain_setting
from jaxnn.system.checks import one_of_two, whole_number
from jaxnn.system.keys import new_key
from jaxnn.system.memory import check_fits
from jaxnn.system.processes import check_fork
from jaxnn.system.signals import TrainingInterrupted, held_signals, rescued
from jaxnn.system.terminal import as_html, as_text, warn_caller
from jaxnn.training.fitted import Fitted
from jaxnn.training.hooks import Hook, OnEpoch
from jaxnn.training.programs import initial
from jaxnn.training.recipes import Recipe, recipe, warn_of_scales
from jaxnn.training.steps import TrainState, curve_names, init_train_state
from jaxnn.training.stretches import Reached, train_stretch
from jaxnn.watching.journals import Entry, Journal, Moment
from jaxnn.watching.run_files import restored, save_run
from jaxnn.watching.run_results import Clock, Setup, diverged_at, fitted_of_run, study_of_run

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
        own = None if model is None else as_model(model)
        check_row_space(row_space, own)
        seed, order_seed = whole_number("seed", seed), whole_number("order_seed", order_seed)
        given, valid = checked_data(train, valid, order_seed)
        first = recipe(setting, given, own)
        warn_of_scales([first], given)
        by = treatment(first.setting["inputs"], given, row_space)
        self._setup = Setup(
            given=given,
            train=by.treated(given),
            valid=None if valid is None else by.treated(valid),
            treatment=by,
            model=own,
            in_row_space=row_space,
            schedule=first.program.schedule(given, order_seed),
        )
        program = initial(self._setup.program(first))
        state = init_train_state(program, new_key(seed), jax.device_put(first.numbers))
        self._now = Moment(state, plain_setting(setting), first, 0)
        self._progress, self._hook, self._clock = progress, Hook(on_epoch), Clock(datetime.now())
        self._journal = Journal(curve_names(self._setup.valid))
        with contextlib.ExitStack() as opened:
            self._commits = opened.enter_context(commits_in(directory, commit_interval))
            self._identity = checked_identity(self._commits, call)
            last, self._commits.last = self._commits.last, []
            for commit in last:
                self._now = restored(commit, self._now, self._journal, self._recipe_of)
                self._clock = Clock(self._clock.began, *commit.about["seconds"])
            # the directory is this run's until there is no run any more
            self._give_back = weakref.finalize(self, opened.pop_all().close)

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self._now.epoch

    @property
    def journal(self) -> list[Entry]:
        """All that was done, what was undone as well; `print(run)` shows it."""
        return [entry._replace(curves=dict(entry.curves)) for entry in self._journal.entries]

    @property
    def setting(self) -> dict[str, Any]:
        """Every hyperparameter as it is now, defaults written out."""
        return dict(self._now.recipe.setting)

    @property
    def diverged(self) -> int | None:
        """The step whose cost was not finite, or None."""
        return diverged_at(self._now)

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
        check_fits(32 * epochs, f"epochs got {epochs:,}: their curves")
        if self.diverged is not None:
            raise ValueError(
                f"train got a network whose cost stopped being finite at step {self.diverged}; "
                "expected undo() first, and then set(learning_rate=...) to a lower one"
            )
        setup, before = self._setup, self._now
        self._hook.interrupt = None
        with rescued(lambda: None if self._now is before else self._interrupted()):
            is_interrupted = train_stretch(
                setup.program(before.recipe),
                # a copy, which compiles nothing: what is given is consumed
                jax.device_put(before.train_state, may_alias=False),
                before.recipe.numbers,
                setup.train,
                setup.valid,
                setup.schedule,
                epochs,
                self._progress,
                self._tell,
                lambda reached: self._keep(before, reached),
            )
            if is_interrupted:
                with held_signals():
                    raise self._interrupted() from self._hook.interrupt

    def _interrupted(self) -> TrainingInterrupted:
        return TrainingInterrupted(
            f"training was interrupted after {self.epoch} epochs", fitted=self.fitted()
        )

    def _keep(self, before: Moment, reached: Reached) -> None:
        """Takes what a stretch has reached, and tells of it."""
        if self._hook.failure:
            warn_caller(self._hook.failure, is_over=True)
            self._hook = Hook(None)
        self._now = before._replace(
            train_state=reached.train_state, epoch=before.epoch + reached.epochs
        )
        self._clock = Clock(
            self._clock.began,
            self._clock.seconds + reached.seconds,
            self._clock.compile_seconds + reached.compile_seconds,
        )
        detail = f"{reached.epochs} epochs"
        if self.diverged is not None:
            detail += f", diverged at step {self.diverged}"
        self._journal.write(self.epoch, "train", detail, reached.curves, before)
        self._commit()

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
            rule = HYPERPARAMETERS.get(name)
            if rule is not None and not rule.is_number and name != "decay_schedule":
                raise ValueError(
                    f"set got {name}, which shapes the network or its program; expected numbers "
                    "(learning_rate, momentum, l2, dropout, ...) or decay_schedule: "
                    "another structure is another Run"
                )
        before = self._now
        changed = self._recipe_of({**before.given, **numbers})
        old = before.recipe.setting
        new = {name: changed.setting[name] for name in numbers}
        details = [f"{name} {_shown(old[name])} -> {_shown(new[name])}" for name in numbers]
        # no signal comes between a network and what is known of it
        with held_signals():
            self._now = before._replace(given={**before.given, **new}, recipe=changed)
            self._journal.write(self.epoch, "set", ", ".join(details), before=before)
            self._commit()

    def undo(self) -> None:
        """Takes the last `train` or `set` back, and the one before it if called again.

        Raises:
          ValueError: nothing is left; the last 20 are kept.
        """
        with held_signals():
            undone, before = self._journal.undo()
            self._journal.write(self.epoch, "undo", f"{undone.action}: {undone.detail}")
            self._now = before
            self._commit()

    def branch(self) -> "Run":
        """A run of its own that starts from here; this one stays as it is, with its directory."""
        other = copy.copy(self)
        other._commits = Commits(None, 0.0)
        other._give_back = weakref.finalize(other, lambda: None)
        other._journal = self._journal.copy()
        other._journal.write(self.epoch, "branch", f"from a run of {self.epoch} epochs")
        return other

    def close(self) -> None:
        """Gives the directory back, as the end of the process does; the run goes on in memory."""
        with held_signals():
            self._commits = Commits(None, 0.0)
            self._give_back()

    def fitted(self) -> Fitted:
        """The network as it is now, as `fit` returns it."""
        return fitted_of_run(self._setup, self._now, self.curves)

    def study(self, metric: str = "accuracy") -> Study:
        """The run as a study of one setting, with the table, pictures and values of a sweep's.

        Raises:
          ValueError: there is no validation data, or nothing was trained.
        """
        if self._setup.valid is None:
            raise ValueError("study got a run without validation data; expected Run(..., valid)")
        one_of_two("metric", metric, "accuracy", "cost")
        if self.epoch == 0:
            raise ValueError("study got a run that has not trained yet; expected train(...) first")
        return study_of_run(self._setup, self._now, self._journal, self._clock, metric)

    def plot(self, curve: str | None = None, axes: "Axes | None" = None) -> "Figure":
        """The learning curve with every edit marked, and what was undone dotted.

        Args:
          curve: "cost", "accuracy", "valid_cost" or "valid_accuracy"; None is both costs.
          axes: where to draw; None makes a figure.

        Needs the extra "plot".
        """
        return self._journal.picture(curve, axes)

    def __str__(self) -> str:
        return as_text(self._journal.table())

    def __repr__(self) -> str:
        return f"<Run after {self.epoch:,} epochs; print(run) shows its journal>"

    def _repr_html_(self) -> str:
        return as_html(self._journal.table())

    def _recipe_of(self, given: Setting) -> Recipe:
        return recipe(given, self._setup.given, self._setup.model)

    def _tell(self, state: TrainState, done: int, curves: dict[str, np.ndarray]) -> bool:
        """Called between compiled calls of a stretch; says whether the hook has ended it."""
        new = {name: values[done:] for name, values in curves.items()}
        self._hook(0, 0, self._now.given, self.epoch + done, new)
        if self._commits.is_due():
            epochs = len(curves["cost"])
            now = self._now._replace(train_state=state, epoch=self.epoch + epochs)
            journal = self._journal.copy()
            journal.write(now.epoch, "train", f"{epochs} epochs, broken off", curves, self._now)
            self._commit(now, journal)
        return self._hook.interrupt is not None

    def _commit(self, now: Moment | None = None, journal: Journal | None = None) -> None:
        had_failed = bool(self._commits.failure)
        about = {"identity": self._identity, "seconds": self._clock[1:]}
        save_run(self._commits, now or self._now, journal or self._journal, about)
        if self._commits.failure and not had_failed:
            warn_caller(self._commits.failure, is_over=True)


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
