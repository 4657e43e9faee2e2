"""Optuna as the sampler of a search: it proposes settings and is told their values."""

import contextlib
import hashlib
import importlib.util
import inspect
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.engine.identities import call_of_values, compare_calls
from jaxnn.engine.jobs import Job
from jaxnn.engine.options import Call
from jaxnn.functional.metrics import METRICS
from jaxnn.results.records import Record
from jaxnn.system.checks import plain
from jaxnn.system.terminal import counted
from jaxnn.training.hooks import said
from jaxnn.training.recipes import recipe
from jaxnn.with_optuna.exporting import to_optuna as to_optuna
from jaxnn.with_optuna.leases import Leases
from jaxnn.with_optuna.ledgers import CALL, Ledger, has_ended, owners
from jaxnn.with_optuna.parameters import Parameter as Parameter
from jaxnn.with_optuna.parameters import Parameters, check_parameters
from jaxnn.with_optuna.storages import import_optuna, open_study, refused_or
from jaxnn.with_optuna.workers import Result, Worker, samplers_in

_BEGUN = "jaxnn: begun with"
"""Attribute of a study: the call that started it."""

_PACKAGES = {"CmaEsSampler": "cmaes", "GPSampler": "torch"}
"""Samplers that need a package only after some values were told, and the package."""


def _check_sampler(sampler: Any) -> None:
    if isinstance(sampler, type) or not hasattr(sampler, "sample_independent"):
        raise ValueError(
            f"sampler got {sampler!r}; expected None, or a sampler of Optuna such as "
            "optuna.samplers.TPESampler(seed=0)"
        )
    for one in samplers_in(sampler):
        for kind in type(one).__mro__:
            package = _PACKAGES.get(kind.__name__)
            if package is not None and importlib.util.find_spec(package) is None:
                raise ModuleNotFoundError(
                    f"sampler got a {kind.__name__}, which needs {package}: pip install {package}"
                )


class OptunaSearch:
    """A study of Optuna, whose sampler proposes the settings that are trained.

    Args:
      call: the call of `search`.

    Raises:
      ModuleNotFoundError: the sampler needs a package that is missing.
      ValueError: the storage cannot be opened, or has a study that another call started.
    """

    def __init__(self, call: Call):
        optuna, arguments = import_optuna(), call.arguments
        self._begun, self._arguments = call, arguments
        space, name, sampler = (arguments[one] for one in ("space", "name", "sampler"))
        if sampler is not None:
            _check_sampler(sampler)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                # a batch is asked before any value is told: the liar makes its settings differ
                sampler = optuna.samplers.TPESampler(seed=arguments["seed"], constant_liar=True)
        self._parameters, self._num_over = Parameters(space), 0
        self._is_shared, self._call = arguments["storage"] is not None, ""
        direction = METRICS[arguments["metric"]].direction
        self._study = open_study(arguments["storage"], name, sampler, direction)
        if self._is_shared:
            self._check_call()

    def _check_call(self) -> None:
        """Raises ValueError if the study was started by another call."""
        name, now = self._study.study_name, call_of_values(self._begun)
        self._call = hashlib.sha256(json.dumps(now, sort_keys=True).encode()).hexdigest()
        asked = lambda call: refused_or(self._arguments["storage"], call)
        then = asked(lambda: self._study.user_attrs.get(_BEGUN))
        if then is not None:
            compare_calls(name, then, now)
        trials = asked(lambda: self._study.get_trials(deepcopy=False))
        check_parameters(trials, self._parameters, name)
        if then is None:
            asked(lambda: self._study.set_user_attr(_BEGUN, now))

    def search(
        self,
        job: Job,
        num_settings: int,
        batch: int,
        train_settings: Callable[[Sequence[dict[str, Any]]], list[int]],
        *,
        known: Sequence[Mapping[str, Any]],
        allows: Callable[[Sequence[dict[str, Any]]], list[bool]],
        is_done: Callable[[], bool],
    ) -> None:
        """Asks for a batch, trains it in one sweep and tells its values, until all settings ended.

        Args:
          known: settings to train first.
          allows: tells which settings may be trained; others are pruned at once.
          is_done: tells whether another batch takes too long or no longer pays.

        Raises:
          TrainingInterrupted: the sampler or the storage failed; `study` holds what was trained.
          ValueError: the same, before anything was trained.
        """
        storage = self._study._storage
        heeds = storage.is_given_up, storage.say = job.is_interrupted, job.monitor.say
        with contextlib.ExitStack() as stack:
            leases = Leases(storage.plain, self._study._study_id, *heeds)
            worker = Worker(
                self._study,
                self._parameters,
                num_settings,
                name=leases.worker,
                is_dead=leases.is_dead,
                call=self._call,
            )
            with self._rescued(job):
                if self._is_shared:
                    storage.attempt(lambda: stack.enter_context(leases))
                    job.lost_if(leases.is_lost)
                    if not leases.is_alone or worker.meets_others():
                        # workers with the same seed would draw the same settings
                        self._study.sampler.reseed_rng()
            stack.callback(worker.leave)
            with self._rescued(job):
                for setting in known:
                    self._study.enqueue_trial(self._parameters.of(setting), skip_if_exists=True)
            num_refused = 0
            # with a storage a signal counts at once; in a job, when all processes know of it
            is_over = job.is_interrupted if self._is_shared else lambda: job.is_over
            while not is_over() and not is_done():
                with self._rescued(job):
                    asked = worker.ask(batch)
                if asked is None:
                    break
                if not asked:
                    job.monitor.show("waiting for other processes")
                    leases.pause()
                    continue
                with self._rescued(job):
                    asked, settings = self._allowed(worker, job, asked, allows)
                    leases.hold(asked)
                if not asked:
                    continue
                numbers = train_settings(settings)
                with self._rescued(job):
                    was_lost = job.team.is_lost()
                    leases.hold(())
                    num_refused += self._tell(
                        worker, job, dict(zip(numbers, asked, strict=True)), was_lost
                    )
            if num_refused:
                job.note(f"{counted(num_refused, 'setting')} had gone to other processes.")
            with self._rescued(job):
                self._tell_end(worker, job, num_settings)

    def _tell_end(self, worker: Worker, job: Job, num_settings: int) -> None:
        """Notes what was not trained, a search ended by the sampler, and what others trained."""
        if self._num_over:
            job.note(f"Over the limit, and not trained: {counted(self._num_over, 'setting')}.")
        ledger = worker.ledger()
        if len(ledger.lasts) < num_settings and worker.has_stopped:
            ended = counted(len(ledger.lasts), "setting")
            job.note(
                f"The sampler ended the search after {ended}; num_settings was {num_settings:,}."
            )
        if self._is_shared:
            job.note(self._share(ledger, worker.name))

    @contextlib.contextmanager
    def _rescued(self, job: Job) -> Iterator[None]:
        """Raises an error of the sampler or the storage so that what was trained is kept."""
        try:
            # in a job all processes ask, and it may fail in one of them
            with job.team.hosts.raised_together("what Optuna does"):
                yield
        except Exception as error:
            kind = type(self._study.sampler).__name__
            text = f"Optuna, with the sampler {kind}, raised {said(error)}"
            if job.record.epochs_done.any():
                raise job.interrupted(text) from error
            if isinstance(error, ImportError):
                raise
            raise ValueError(
                f"{text}; nothing was trained. Expected a sampler that suits the space, and a "
                "storage that works"
            ) from error

    def _allowed(
        self,
        worker: Worker,
        job: Job,
        asked: Sequence[Any],
        allows: Callable[[Sequence[dict[str, Any]]], list[bool]],
    ) -> tuple[list[Any], list[dict[str, Any]]]:
        """Returns the trials to train, with their settings; those that are not allowed are pruned.

        Raises:
          ValueError: a setting cannot be trained; it is given up.
        """
        settings = [self._parameters.setting(trial.params) for trial in asked]
        for trial, setting in zip(asked, settings, strict=True):
            try:
                recipe(setting, job.feed.train, job.record.model, job.record.num_epochs)
            except ValueError as error:
                worker.give_up(trial, f"{error}")
                raise ValueError(f"trial {trial.number} cannot be trained: {error}") from None
        triples = [*zip(asked, settings, allows(settings), strict=True)]
        worker.tell([Result(trial, None) for trial, _, is_fine in triples if not is_fine])
        fine = [(trial, setting) for trial, setting, is_fine in triples if is_fine]
        self._num_over += len(asked) - len(fine)
        return [trial for trial, _ in fine], [setting for _, setting in fine]

    def _tell(self, worker: Worker, job: Job, asked: dict[int, Any], was_lost: bool) -> int:
        """Tells the results of settings; returns how many other workers had taken over."""
        study, results = job.record, []
        for number, trial in asked.items():
            value = float(study.values[number].mean())
            if math.isfinite(value):
                results.append(Result(trial, value))
            elif study.is_complete[number].all():
                results.append(Result(trial, None, last_finite(study, number)))
            elif not was_lost and not job.is_over:
                worker.give_up(trial, "memory was short")
            # otherwise some worker trains it again
        return worker.tell(results).count(False)

    def _share(self, ledger: Ledger, name: str) -> str:
        """Returns a note on what other processes have trained, or ""."""
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
                    again = self._again(self._parameters.setting(best.params))
                    return f"{text}: {again} trains that network again."
                # such as a trial of an earlier version
                text += f", with {best.params}; how it was trained is not recorded."
        return text

    def _again(self, setting: Mapping[str, Any]) -> str:
        """Returns, as text, the call that trains a setting again to the same network."""
        given = self._arguments
        is_one = given["seeds"] == given["folds"] == 1
        # `fit` trains one network to its last epoch; otherwise search for a single setting
        is_fit = is_one and given["keep"] == "last" and given["patience"] is None
        name, options = "fit", {"epochs": given["max_epochs"], "seed": given["seed"]}
        if not is_fit:
            name = "search"
            options = {"method": "random", "num_settings": 1, "max_epochs": given["max_epochs"]}
        kept = _OF_ALL if is_fit else (*_OF_ALL, *_OF_SEARCH)
        for parameter in inspect.signature(self._begun.function).parameters.values():
            value = given[parameter.name]
            if parameter.name in kept and value != parameter.default:
                options[parameter.name] = value
        valid = "valid"
        if not isinstance(given["valid"], Dataset):
            valid = repr(plain(valid, given["valid"]))
        setting = {key: plain(key, value) for key, value in setting.items()}
        texts = [repr(setting), "train", *([valid] if given["folds"] == 1 else [])]
        texts += [f"{key}={plain(key, value)!r}" for key, value in options.items()]
        texts += ["model=model"] if given["model"] is not None else []
        return f"jaxnn.{name}({', '.join(texts)})"


_OF_ALL = ("order_seed", "row_space")

_OF_SEARCH = ("folds", "seeds", "patience", "seed", "select", "keep", "metric")
"""Arguments of a search that change its networks or their values."""


def last_finite(study: Record, number: int) -> dict[int, float]:
    """Returns {epoch: mean validation metric} of the last epoch that all repetitions reached."""
    values = study.curves[study.ranked_by[0].valid][number].mean(axis=0)
    known = np.flatnonzero(np.isfinite(values))
    return {int(known[-1]) + 1: float(values[known[-1]])} if known.size else {}
