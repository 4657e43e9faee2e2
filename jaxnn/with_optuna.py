"""Optuna as the brain of a search, and a study of ours written as one of Optuna's."""

import json
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxnn.jobs import Job
from jaxnn.spaces import Choice, Domain, Space
from jaxnn.studies import Study
from jaxnn.trials import Trial

if TYPE_CHECKING:
    import optuna

_COMPLETE = "jaxnn: complete"
"""An attribute of a study that `to_optuna` has written to its end."""


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise ModuleNotFoundError("this needs Optuna: pip install 'jaxnn-lanes[optuna]'") from None
    return optuna


class Parameter:
    """A domain as a parameter of Optuna's.

    Optuna has no reverse logarithmic scale: momentum from 0.9 to 0.999 is its "1 - momentum", from
    0.001 to 0.1 on a logarithmic one. Units of hidden layers are text, such as "25-12".
    """

    def __init__(self, name: str, domain: Domain):
        distributions = _optuna().distributions
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
    """A study of Optuna that says what to train; the lanes are its body."""

    def __init__(
        self, space: Space, metric: str, sampler: Any, storage: Any, name: str | None, seed: int
    ):
        optuna = _optuna()
        if sampler is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                # a batch's settings are asked before any of it is told: the liar keeps them apart
                sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        self._space, self._parameters = space, parameters(space)
        self._study = optuna.create_study(
            storage=storage,
            sampler=sampler,
            study_name=name,
            direction="maximize" if metric == "accuracy" else "minimize",
            load_if_exists=name is not None,
        )
        self._states = optuna.trial.TrialState

    def search(
        self,
        job: Job,
        num_settings: int,
        batch: int,
        train_settings: Callable[[Sequence[dict[str, Any]]], list[int]],
    ) -> None:
        """Asks a batch, trains it in one sweep, tells it in one go, until there are enough."""
        while len(job.study.given) < num_settings and not job.is_over:
            asked, settings = self._ask(min(batch, num_settings - len(job.study.given)))
            try:
                numbers = train_settings(settings)
            except BaseException:
                for trial in asked:
                    self._study.tell(trial, state=self._states.FAIL)
                raise
            for trial, number in zip(asked, numbers, strict=True):
                self._tell(trial, job.study, number)

    def _ask(self, count: int) -> tuple[list["optuna.Trial"], list[dict[str, Any]]]:
        distributions = {one.name: one.distribution for one in self._parameters.values()}
        asked = [self._study.ask(distributions) for _ in range(count)]
        settings = []
        for trial in asked:
            chosen = {
                name: one.from_optuna(trial.params[one.name])
                for name, one in self._parameters.items()
            }
            settings.append({name: chosen.get(name, fixed) for name, fixed in self._space.items()})
        return asked, settings

    def _tell(self, trial: "optuna.Trial", study: Study, number: int) -> None:
        value = float(study.values[number].mean())
        if math.isfinite(value):
            self._study.tell(trial, value)
        elif not study.is_complete[number].all():
            # Ctrl-C, SIGTERM, or short memory
            self._study.tell(trial, state=self._states.FAIL)
        else:
            for step, last in last_finite(study, number).items():
                trial.report(last, step)
            self._study.tell(trial, state=self._states.PRUNED)


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
    optuna = _optuna()
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
