"""Workers: processes that search one study together; each asks for batches and tells values.

Settings are drawn from a copy of the study in memory, and inserted when they are complete. The
storage is called once per setting, not once per parameter, and never holds an incomplete trial.
"""

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from jaxnn.with_optuna.ledgers import CALL, ENDED, RETRY_OF, TAKER, WORKER, Ledger, owners
from jaxnn.with_optuna.parameters import Parameters
from jaxnn.with_optuna.storages import import_optuna, quiet


class Result(NamedTuple):
    """The result of a trial: its value, or None and {epoch: last finite value} if it diverged."""

    trial: Any
    value: float | None
    reached: Mapping[int, float] = {}

    @property
    def state(self) -> Any:
        states = import_optuna().trial.TrialState
        return states.PRUNED if self.value is None else states.COMPLETE

    @property
    def values(self) -> list[float] | None:
        """The values for Optuna; for a pruned trial its last finite value."""
        known = [*self.reached.values()][-1:]
        return known or None if self.value is None else [self.value]


class Worker:
    """One process of a search; `jaxnn.with_optuna.ledgers` describes its trials in the storage.

    Args:
      study: the study of Optuna.
      parameters: what a trial has, by the space.
      num_settings: settings of the study, over all its workers.
      name: the name of this worker.
      is_dead: tells whether another worker is dead.
      call: SHA-256 of everything but the parameters that values depend on.

    Attributes:
      has_stopped: whether the sampler called `Study.stop` or has no more settings.
    """

    def __init__(
        self,
        study: Any,
        parameters: Parameters,
        num_settings: int,
        *,
        name: str,
        is_dead: Callable[[str], bool],
        call: str = "",
    ):
        optuna = import_optuna()
        self._optuna, self._states = optuna, optuna.trial.TrialState
        self._finished = optuna.exceptions.UpdateFinishedTrialError
        self._study, self._storage = study, study._storage
        self._parameters, self._num_settings = parameters, num_settings
        self.name, self._is_dead, self._call = name, is_dead, call
        self._drawn_before: dict[str, Any] = {}
        self.has_stopped = False
        # Optuna's own `stop` works only inside of `optimize`
        study.stop = self._stop

    def trials(self) -> list[Any]:
        return self._study.get_trials(deepcopy=False)

    def ledger(self, trials: Sequence[Any] | None = None) -> Ledger:
        ledger = Ledger(self.trials() if trials is None else trials, self._num_settings)
        if self.has_stopped:
            ledger.num_missing = 0
        return ledger

    def _stop(self) -> None:
        self.has_stopped = True

    def meets_others(self) -> bool:
        """Whether there are trials of other workers."""
        return any(owners(trial) - {self.name} for trial in self.trials())

    def ask(self, count: int) -> list[Any] | None:
        """Returns about `count` trials to train.

        These are trials that this worker still owns, then trials that no worker owns, then new
        settings.

        Returns:
          trials; [] while others train all that is left, None when all settings have ended.
        """
        trials = self.trials()
        if self._fail_those_of_the_dead(trials):
            trials = self.trials()
        ledger = self.ledger(trials)
        if ledger.is_done:
            return None
        held, _ = ledger.held_by(self.name, trials)
        left = ledger.left[: max(0, count - len(held))]
        num_new = max(0, min(count - len(held) - len(left), ledger.num_missing))
        if left or num_new:
            self._insert(trials, left, num_new)
            trials = self.trials()
            ledger = self.ledger(trials)
        held, superfluous = ledger.held_by(self.name, trials)
        for trial in superfluous:
            self._fail(trial)
        return None if ledger.is_done else held

    def tell(self, results: Sequence[Result]) -> list[bool]:
        """Tells results; returns for each whether this worker still owned the trial."""
        try:
            for one in results:
                # as Study.tell does
                self._study.sampler.after_trial(self._study, one.trial, one.state, one.values)
        finally:
            # values are told even if the sampler raises an error
            were_ours = [self._finish(result) for result in results]
        return were_ours

    def _finish(self, result: Result) -> bool:
        number = result.trial._trial_id
        try:
            for step, reached in result.reached.items():
                self._storage.set_trial_intermediate_value(number, step, reached)
            self._storage.set_trial_state_values(number, result.state, result.values)
        except self._finished:
            # not failed: this worker finished it itself, and the answer to the first try was lost
            return bool(self._storage.get_trial(number).state != self._states.FAIL)
        return True

    def give_up(self, trial: Any, why: str) -> None:
        """Ends a setting that no worker may try again."""
        with contextlib.suppress(self._finished):
            self._storage.set_trial_user_attr(trial._trial_id, ENDED, why)
        self._fail(trial)

    def leave(self) -> None:
        """Fails this worker's running trials, so that others can take them over."""
        # if the storage fails, this worker counts as dead after GRACE seconds
        with contextlib.suppress(Exception):
            for trial in self.trials():
                if trial.state == self._states.RUNNING and self.name in owners(trial):
                    self._fail(trial)

    def _fail(self, trial: Any) -> None:
        # another worker may be first
        with contextlib.suppress(self._finished):
            self._storage.set_trial_state_values(trial._trial_id, self._states.FAIL)

    def _fail_those_of_the_dead(self, trials: Sequence[Any]) -> bool:
        dead = [
            trial
            for trial in trials
            if trial.state == self._states.RUNNING
            and owners(trial)
            and all(owner != self.name and self._is_dead(owner) for owner in owners(trial))
        ]
        for trial in dead:
            self._fail(trial)
        return bool(dead)

    def _insert(self, trials: Sequence[Any], left: Sequence[Any], num_new: int) -> None:
        fixed = [{**one.system_attrs.get("fixed_params", {}), **one.params} for one in left]
        is_whole = [not self._parameters.missing(trial.params) for trial in left]
        drawn = self._draw(
            trials,
            [one for one, whole in zip(fixed, is_whole, strict=True) if not whole] + [{}] * num_new,
        )
        added = []
        for old, whole in zip(left, is_whole, strict=True):
            new = old if whole else next(drawn)
            if old.state == self._states.WAITING:
                self._take(old, new.params)
            else:
                added.append(self._as_ours(new, {RETRY_OF: old.number}))
        added += [self._as_ours(new, {}) for new in drawn]
        for trial in added:
            self._storage.create_new_trial(self._study._study_id, template_trial=trial)

    def _as_ours(self, drawn: Any, attrs: Mapping[str, Any]) -> Any:
        return self._optuna.trial.create_trial(
            state=self._states.RUNNING,
            params=drawn.params,
            distributions=drawn.distributions,
            user_attrs={WORKER: self.name, CALL: self._call, **attrs},
            system_attrs=drawn.system_attrs,
        )

    def _take(self, trial: Any, params: Mapping[str, Any]) -> None:
        """Takes a trial that a user enqueued, unless another worker is first."""
        number, storage = trial._trial_id, self._storage
        with contextlib.suppress(self._finished):
            storage.set_trial_user_attr(number, TAKER + self.name, True)
            if not storage.set_trial_state_values(number, self._states.RUNNING):
                storage.set_trial_user_attr(number, TAKER + self.name, False)
                return
            storage.set_trial_user_attr(number, WORKER, self.name)
            storage.set_trial_user_attr(number, CALL, self._call)
            for name, distribution in self._parameters.used(params).items():
                value = distribution.to_internal_repr(params[name])
                storage.set_trial_param(number, name, value, distribution)

    def _draw(self, trials: Sequence[Any], fixed: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
        """Draws complete trials from the sampler; `fixed` holds each one's fixed parameters."""
        if not fixed:
            return iter(())
        memory = self._optuna.storages.InMemoryStorage()
        with quiet():
            mirror = self._optuna.create_study(
                storage=memory, sampler=self._study.sampler, direction=self._study.direction
            )
        mirror.stop = self._stop
        shared = self._storage.get_study_system_attrs(self._study._study_id)
        known = {**self._drawn_before, **_common(shared)}
        for key, value in known.items():
            memory.set_study_system_attr(mirror._study_id, key, value)
        for trial in trials:
            memory.create_new_trial(mirror._study_id, template_trial=self._as_running(trial))
        drawn = []
        for some in fixed:
            if some:
                mirror.enqueue_trial(dict(some))
            elif self.has_stopped:
                break
            asked = mirror.ask()
            self._parameters.suggest(asked)
            trial = memory.get_trial(asked._trial_id)
            if not some and self._is_repeated(trial, mirror.get_trials(deepcopy=False)):
                break
            drawn.append(trial)
        self._drawn_before = memory.get_study_system_attrs(mirror._study_id)
        for key, value in _common(self._drawn_before).items():
            if shared.get(key) != value:
                self._storage.set_study_system_attr(self._study._study_id, key, value)
        return iter(drawn)

    def _is_repeated(self, drawn: Any, trials: Sequence[Any]) -> bool:
        """Whether an exhaustive sampler has drawn a setting again.

        It then has no other setting, or none until running trials have ended.
        """
        samplers = self._optuna.samplers
        exhaustive = (samplers.BruteForceSampler, samplers.GridSampler)
        if not any(isinstance(one, exhaustive) for one in samplers_in(self._study.sampler)):
            return False
        others = [trial for trial in trials if trial.number != drawn.number]
        # two points of a grid may have equal values
        place = lambda trial: trial.system_attrs.get("grid_id", trial.params)
        if not any(place(trial) == place(drawn) for trial in others):
            return False
        if not any(trial.state == self._states.RUNNING for trial in others):
            self._stop()
        return True

    def _as_running(self, trial: Any) -> Any:
        """Returns an enqueued trial as a running one, so that the copy does not hand it out."""
        if trial.state == self._states.WAITING:
            trial = copy.copy(trial)
            trial.state, trial.datetime_start = self._states.RUNNING, datetime.now()
        return trial


def samplers_in(sampler: Any) -> Iterator[Any]:
    """Yields a sampler and the samplers that it uses for some parameters."""
    yield sampler
    for name in ("_base_sampler", "_independent_sampler"):
        inner = getattr(sampler, name, None)
        if inner is not None:
            yield from samplers_in(inner)


def _common(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the samplers of all workers share, such as the position in a sequence.

    Lists are left out: they hold identifiers of trials, which differ in the copy.
    """
    return {key: value for key, value in attrs.items() if isinstance(value, int)}
