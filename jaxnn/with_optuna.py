"""Optuna as the brain of a search, and a study of ours written as one of Optuna's."""

import contextlib
import json
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxnn.jobs import Job
from jaxnn.leases import Leases
from jaxnn.ledgers import Ledger, has_ended, owners
from jaxnn.showing import counted
from jaxnn.spaces import Choice, Domain, Space
from jaxnn.storages import import_optuna, open_study
from jaxnn.studies import Study
from jaxnn.trials import Trial
from jaxnn.workers import Result, Worker

if TYPE_CHECKING:
    import optuna

_COMPLETE = "jaxnn: complete"
"""An attribute of a study that `to_optuna` has written to its end."""


POLL = 1.0
"""Seconds between two looks at what others train."""


class Parameter:
    """A domain as a parameter of Optuna's.

    Optuna has no reverse logarithmic scale: momentum from 0.9 to 0.999 is its "1 - momentum", from
    0.001 to 0.1 on a logarithmic one. Units of hidden layers are text, such as "25-12".
    """

    def __init__(self, name: str, domain: Domain):
        distributions = import_optuna().distributions
        self._domain, self.name = domain, name
        self.distribution: Any
        if isinstance(domain, Choice):
            self._labels = [_label(option) for option in domain.options]
            if len({*map(repr, self._labels)}) < len(self._labels):
                self._labels = [f"{i}: {label}" for i, label in enumerate(self._labels)]
            self.distribution = distributions.CategoricalDistribution(self._labels)
        elif domain.scale == "reverse log":
            self.name = f"1 - {name}"
            self.distribution = distributions.FloatDistribution(
                1 - domain.high, 1 - domain.low, log=True
            )
        else:
            kind = "IntDistribution" if domain.is_whole else "FloatDistribution"
            self.distribution = getattr(distributions, kind)(
                domain.low, domain.high, log=domain.scale == "log"
            )

    def from_optuna(self, value: Any) -> Any:
        """The hyperparameter's value."""
        if isinstance(self._domain, Choice):
            return self._domain.options[self._labels.index(value)]
        if self._domain.scale == "reverse log":
            # 1 - (1 - 0.9) is a little more than 0.9
            return min(max(1 - value, self._domain.low), self._domain.high)
        return value

    def to_optuna(self, value: Any) -> Any:
        if isinstance(self._domain, Choice):
            return self._labels[self._domain.options.index(value)]
        if self._domain.scale == "reverse log":
            low, high = self.distribution.low, self.distribution.high
            return min(max(1 - value, low), high)
        return value


def _label(option: Any) -> Any:
    if isinstance(option, tuple):
        return "-".join(map(str, option)) or "none"
    return option if option is None or isinstance(option, bool | int | float | str) else str(option)


def parameters(space: Space) -> dict[str, Parameter]:
    """Of each domain of a space, by the hyperparameter's name."""
    return {n: Parameter(n, domain) for n, domain in space.items() if isinstance(domain, Domain)}


class Brain:
    """A study of Optuna that says what to train; the lanes are its body.

    Raises:
      ValueError: the storage cannot be opened.
    """

    def __init__(
        self, space: Space, metric: str, sampler: Any, storage: Any, name: str | None, seed: int
    ):
        optuna = import_optuna()
        if sampler is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                # a batch's settings are asked before any of it is told: the liar keeps them apart
                sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        self._space, self._parameters = space, parameters(space)
        self._is_shared, self._seed = storage is not None, seed
        direction = "maximize" if metric == "accuracy" else "minimize"
        self._study = open_study(storage, name, sampler, direction)

    def search(
        self,
        job: Job,
        num_settings: int,
        batch: int,
        train_settings: Callable[[Sequence[dict[str, Any]]], list[int]],
    ) -> None:
        """Asks a batch, trains it in one sweep, tells it in one go, until all have ended."""
        storage = self._study._storage
        heeds = storage.is_given_up, storage.say = job.is_interrupted, job.display.say
        with contextlib.ExitStack() as stack:
            leases = Leases(storage.plain, self._study._study_id, *heeds)
            distributions = {one.name: one.distribution for one in self._parameters.values()}
            worker = Worker(self._study, distributions, num_settings, leases.worker, leases.is_dead)
            worker.check_space(self._study.study_name)
            if self._is_shared:
                stack.enter_context(leases)
                job.is_lost = leases.is_lost
                if not leases.is_alone or worker.meets_others():
                    # with one seed they would all draw the same
                    self._study.sampler.reseed_rng()
            stack.callback(worker.leave)
            num_refused = 0
            # alone in a storage a signal counts at once, in a job when all have heard of it
            is_over = job.is_interrupted if self._is_shared else lambda: job.is_over
            while not is_over() and (asked := worker.ask(batch)) is not None:
                if not asked:
                    job.show("waiting for other processes")
                    time.sleep(POLL)
                    continue
                leases.hold(asked)
                numbers = train_settings([self._setting(trial) for trial in asked])
                was_lost = job.is_lost()
                leases.hold(())
                num_refused += self._tell(
                    worker, job, dict(zip(numbers, asked, strict=True)), was_lost
                )
            if num_refused:
                job.note(f"{counted(num_refused, 'setting')} had gone to other processes.")
            if self._is_shared:
                job.note(self._share(worker.ledger(), worker.name, job.study.num_epochs))

    def _setting(self, trial: Any) -> dict[str, Any]:
        chosen = {
            name: one.from_optuna(trial.params[one.name]) for name, one in self._parameters.items()
        }
        return {name: chosen.get(name, fixed) for name, fixed in self._space.items()}

    def _tell(self, worker: Worker, job: Job, asked: dict[int, Any], was_lost: bool) -> int:
        """Tells what came of settings; returns how many had gone to others."""
        study, results = job.study, []
        for number, trial in asked.items():
            value = float(study.values[number].mean())
            if math.isfinite(value):
                results.append(Result(trial, value))
            elif study.is_complete[number].all():
                results.append(Result(trial, None, last_finite(study, number)))
            elif not was_lost and not job.is_over:
                worker.give_up(trial, "memory was short")
            # otherwise it is trained again, by whoever is there
        return worker.tell(results).count(False)

    def _share(self, ledger: Ledger, name: str, epochs: int) -> str:
        """Says what others have trained; or ""."""
        ended = [trial for trial in ledger.lasts if has_ended(trial)]
        others = sum(owners(trial) != {name} for trial in ended)
        if not others:
            return ""
        text = f"Other processes trained {others:,} of the {counted(len(ended), 'setting')}."
        valued = [trial for trial in ended if trial.state.name == "COMPLETE"]
        if valued:
            pick = max if self._study.direction.name == "MAXIMIZE" else min
            best = pick(valued, key=lambda trial: trial.value)
            if owners(best) != {name}:
                text += (
                    f" One of theirs, trial {best.number}, has the best value, {best.value:.4f}: "
                    f"jaxnn.fit({self._setting(best)}, train, valid, epochs={epochs}, "
                    f"seed={self._seed}) trains that network again."
                )
        return text


def last_finite(study: Study, number: int) -> dict[int, float]:
    """Epoch -> mean validation metric, for the last epoch at which all repetitions have one."""
    values = study.curves[f"valid_{study.metric}"][number].mean(axis=0)
    known = np.flatnonzero(np.isfinite(values))
    return {int(known[-1]) + 1: float(values[known[-1]])} if known.size else {}


def to_optuna(study: Study, storage: Any = None, name: str | None = None) -> "optuna.study.Study":
    """A study as one of Optuna's, for its dashboard, plots and importances.

    Every setting is a trial with its value, its learning curve as intermediate values, and in its
    user attributes the values of the repetitions and their standard error. Settings that were
    dropped or diverged are pruned, those that were cut off have failed. Needs the extra "optuna".

    Args:
      study: of `sweep` or `search`.
      storage: None for memory, or a URL or a storage of Optuna.
      name: of the study in the storage; None lets Optuna find one.

    Returns:
      Optuna's study. Either all is written or nothing: what a write left that broke off is deleted,
      at once or, after a kill, by the next call with that name.

    Raises:
      ValueError: the storage has a study of that name already.

    >>> from jaxnn import Dataset, loguniform, sample, sweep
    >>> x = np.random.default_rng(0).normal(size=(80, 2))
    >>> settings = sample({"learning_rate": loguniform(1e-4, 1e0)}, 4)
    >>> study = sweep(settings, Dataset(x, (x[:, 0] > 0) * 1), 0.25, epochs=3)
    >>> there = to_optuna(study)
    >>> len(there.trials), there.best_trial.number == study.best_trial.number
    (4, True)
    """
    optuna = import_optuna()
    ours = parameters({name: study.domain(name) for name in study.varied})
    trials = [_frozen(optuna, study, trial, ours) for trial in study.trials]
    if name is not None and name in optuna.get_all_study_names(storage):
        there = optuna.load_study(study_name=name, storage=storage)
        if there.user_attrs.get(_COMPLETE, True):
            raise ValueError(
                f"to_optuna got the name {name!r}, which the storage has; give another"
            )
        optuna.delete_study(study_name=name, storage=storage)
    direction = "maximize" if study.metric == "accuracy" else "minimize"
    there = optuna.create_study(storage=storage, study_name=name, direction=direction)
    try:
        there.set_user_attr(_COMPLETE, False)
        there.set_user_attr("fixed", _fixed(study))
        there.add_trials(trials)
        there.set_user_attr(_COMPLETE, True)
    except BaseException:
        # a storage in memory is the study's own
        optuna.delete_study(study_name=there.study_name, storage=storage or there._storage)
        raise
    return there


def _fixed(study: Study) -> Mapping[str, Any]:
    first, varied = study.settings[0], study.varied
    return {
        name: json.loads(json.dumps(value)) for name, value in first.items() if name not in varied
    }


def _frozen(optuna: Any, study: Study, trial: Trial, ours: Mapping[str, Parameter]) -> Any:
    setting, states = study.settings[trial.number], optuna.trial.TrialState
    curve = study.curves[f"valid_{study.metric}"][trial.number].mean(axis=0)
    is_finite = math.isfinite(trial.value)
    state = {"COMPLETE": states.COMPLETE, "PRUNED": states.PRUNED, "RUNNING": states.FAIL}
    kind = state[trial.state] if is_finite or trial.state != "COMPLETE" else states.PRUNED
    frozen = optuna.trial.create_trial(
        state=kind,
        value=trial.value if is_finite else None,
        params={one.name: one.to_optuna(setting[name]) for name, one in ours.items()},
        distributions={one.name: one.distribution for one in ours.values()},
        intermediate_values={
            epoch: float(value) for epoch, value in enumerate(curve, 1) if np.isfinite(value)
        },
        user_attrs={
            "epochs": trial.epochs,
            "standard_error": trial.standard_error if math.isfinite(trial.standard_error) else None,
            "values": [value if math.isfinite(value) else None for value in trial.values],
        },
    )
    if trial.datetime_start is not None:
        frozen.datetime_start, frozen.datetime_complete = (
            trial.datetime_start,
            trial.datetime_complete,
        )
    return frozen
