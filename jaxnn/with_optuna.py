"""Optuna as the brain of a search, and a study of ours written as one of Optuna's."""

import contextlib
import hashlib
import importlib.util
import inspect
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxnn.datasets import Dataset
from jaxnn.identities import call_of_values, compare_calls
from jaxnn.jobs import Job
from jaxnn.leases import Leases
from jaxnn.ledgers import CALL, Ledger, has_ended, owners
from jaxnn.preparing import recipe
from jaxnn.showing import counted
from jaxnn.spaces import Choice, Domain, Space, plain
from jaxnn.storages import import_optuna, open_study
from jaxnn.studies import Study
from jaxnn.trials import Trial
from jaxnn.workers import Result, Worker, check_parameters, samplers_in

if TYPE_CHECKING:
    import optuna

_COMPLETE = "jaxnn: complete"
"""An attribute of a study that `to_optuna` has written to its end."""

_BEGUN = "jaxnn: begun with"
"""An attribute of a study: the call that its settings are trained by."""

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


_PACKAGES = {"CmaEsSampler": "cmaes", "GPSampler": "torch"}
"""Samplers that import a package when they draw their first settings from what they were told."""


def _check_packages(sampler: Any) -> None:
    for one in samplers_in(sampler):
        for kind in type(one).__mro__:
            package = _PACKAGES.get(kind.__name__)
            if package is not None and importlib.util.find_spec(package) is None:
                raise ModuleNotFoundError(
                    f"sampler got a {kind.__name__}, which needs {package}: pip install {package}"
                )


class Brain:
    """A study of Optuna that says what to train; the lanes are its body.

    Args:
      function, arguments: `search`, and all its arguments by name.

    Raises:
      ModuleNotFoundError: the sampler needs a package that is missing.
      ValueError: the storage cannot be opened, or has a study that another call has begun.
    """

    def __init__(self, function: Callable[..., Any], arguments: Mapping[str, Any]):
        optuna = import_optuna()
        self._function, self._arguments = function, arguments
        space, name, sampler = (arguments[one] for one in ("space", "name", "sampler"))
        _check_packages(sampler)
        if sampler is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                # a batch's settings are asked before any of it is told: the liar keeps them apart
                sampler = optuna.samplers.TPESampler(seed=arguments["seed"], constant_liar=True)
        self._space, self._parameters = space, parameters(space)
        self._distributions = {one.name: one.distribution for one in self._parameters.values()}
        self._is_shared, self._call = arguments["storage"] is not None, ""
        direction = "maximize" if arguments["metric"] == "accuracy" else "minimize"
        self._study = open_study(arguments["storage"], name, sampler, direction)
        if self._is_shared:
            self._check_call()

    def _check_call(self) -> None:
        """ValueError unless the study was begun with this call, as far as that is known."""
        name, now = self._study.study_name, call_of_values(self._function, self._arguments)
        self._call = hashlib.sha256(json.dumps(now, sort_keys=True).encode()).hexdigest()
        then = self._study.user_attrs.get(_BEGUN)
        if then is not None:
            compare_calls(name, then, now)
        check_parameters(self._study.get_trials(deepcopy=False), self._distributions, name)
        if then is None:
            self._study.set_user_attr(_BEGUN, now)

    def search(
        self,
        job: Job,
        num_settings: int,
        batch: int,
        train_settings: Callable[[Sequence[dict[str, Any]]], list[int]],
    ) -> None:
        """Asks a batch, trains it in one sweep, tells it in one go, until all have ended.

        Raises:
          TrainingInterrupted: the sampler or the storage has failed; its study has what was
            trained before.
          ValueError: the same before anything was trained.
        """
        storage = self._study._storage
        heeds = storage.is_given_up, storage.say = job.is_interrupted, job.display.say
        with contextlib.ExitStack() as stack:
            leases = Leases(storage.plain, self._study._study_id, *heeds)
            worker = Worker(
                self._study, self._distributions, num_settings, leases.worker, leases.is_dead,
                self._call,
            )  # fmt: skip
            with self._rescued(job):
                if self._is_shared:
                    storage.attempt(lambda: stack.enter_context(leases))
                    job.is_lost = leases.is_lost
                    if not leases.is_alone or worker.meets_others():
                        # with one seed they would all draw the same
                        self._study.sampler.reseed_rng()
            stack.callback(worker.leave)
            num_refused = 0
            # alone in a storage a signal counts at once, in a job when all have heard of it
            is_over = job.is_interrupted if self._is_shared else lambda: job.is_over
            while not is_over():
                with self._rescued(job):
                    asked = worker.ask(batch)
                if asked is None:
                    break
                if not asked:
                    job.show("waiting for other processes")
                    time.sleep(POLL)
                    continue
                settings = [self._setting(trial) for trial in asked]
                with self._rescued(job):
                    self._check_settings(worker, job, asked, settings)
                    leases.hold(asked)
                numbers = train_settings(settings)
                with self._rescued(job):
                    was_lost = job.is_lost()
                    leases.hold(())
                    num_refused += self._tell(
                        worker, job, dict(zip(numbers, asked, strict=True)), was_lost
                    )
            if num_refused:
                job.note(f"{counted(num_refused, 'setting')} had gone to other processes.")
            with self._rescued(job):
                ledger = worker.ledger()
                if len(ledger.lasts) < num_settings and worker.has_stopped:
                    ended = counted(len(ledger.lasts), "setting")
                    job.note(
                        f"The sampler ended the search after {ended}; num_settings was "
                        f"{num_settings:,}."
                    )
                if self._is_shared:
                    job.note(self._share(ledger, worker.name))

    @contextlib.contextmanager
    def _rescued(self, job: Job) -> Iterator[None]:
        """What was trained outlives an error of the sampler or the storage."""
        try:
            # in a job of several processes all ask, and one alone may fail
            with job.hosts.raised_together("what Optuna does"):
                yield
        except Exception as error:
            kind = type(self._study.sampler).__name__
            text = f"Optuna, with the sampler {kind}, raised {type(error).__name__}: {error}"
            if job.study.epochs_done.any():
                raise job.interrupted(text) from error
            if isinstance(error, ImportError):
                raise
            raise ValueError(
                f"{text}; nothing was trained. Expected a sampler that suits the space, and a "
                "storage that works"
            ) from error

    def _check_settings(
        self, worker: Worker, job: Job, asked: Sequence[Any], settings: Sequence[dict[str, Any]]
    ) -> None:
        """ValueError if a setting cannot be trained; nobody shall try it again."""
        for trial, setting in zip(asked, settings, strict=True):
            try:
                recipe(setting, job.folds[0][0], job.model)
            except ValueError as error:
                worker.give_up(trial, f"{error}")
                raise ValueError(f"trial {trial.number} cannot be trained: {error}") from None

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

    def _share(self, ledger: Ledger, name: str) -> str:
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
                text += f" One of theirs, trial {best.number}, has the best value, {best.value:.4f}"
                if best.user_attrs.get(CALL) == self._call:
                    return f"{text}: {self._again(self._setting(best))} trains that network again."
                # such as one of an earlier version
                text += f", with {best.params}; how it was trained is not recorded."
        return text

    def _again(self, setting: Mapping[str, Any]) -> str:
        """The call that trains a setting again just as here, as text."""
        given = self._arguments
        is_one = given["seeds"] == given["folds"] == 1
        # `fit` trains one network to its last epoch; else it is a search of a single setting
        is_fit = is_one and given["keep"] == "last" and given["patience"] is None
        name, options = "fit", {"epochs": given["max_epochs"], "seed": given["seed"]}
        if not is_fit:
            name = "search"
            options = {"method": "random", "num_settings": 1, "max_epochs": given["max_epochs"]}
        kept = _OF_ALL if is_fit else (*_OF_ALL, *_OF_SEARCH)
        for parameter in inspect.signature(self._function).parameters.values():
            value = given[parameter.name]
            if parameter.name in kept and value != parameter.default:
                options[parameter.name] = value
        valid = "valid" if isinstance(given["valid"], Dataset) else repr(plain(given["valid"]))
        texts = [repr(plain(setting)), "train", *([valid] if given["folds"] == 1 else [])]
        texts += [f"{key}={plain(value)!r}" for key, value in options.items()]
        texts += ["model=model"] if given["model"] is not None else []
        return f"jaxnn.{name}({', '.join(texts)})"


_OF_ALL = ("order_seed", "row_space")
_OF_SEARCH = ("folds", "seeds", "patience", "seed", "select", "keep", "metric")
"""Arguments of a search that change its networks, or how they are valued."""


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
