"""Ledgers: the state of each setting of a study that several workers share.

A worker is a process that searches. All that workers know of each other is in the storage's trials.
After each step of a worker, others can go on from these, so a kill between any two steps loses
nothing.

| step of a worker | state of the trial |
| --- | --- |
| inserts a trial with all its parameters and the worker's name | RUNNING: the worker trains it |
| tells its value, or that it diverged | COMPLETE or PRUNED: the setting has ended |
| fails the trial of a dead worker, or its own | FAIL: nobody trains it, any worker may retry it |
| inserts a retry, which holds the failed trial's number | RUNNING: the retrying worker trains it |
| takes a trial that a user enqueued | WAITING, then RUNNING, then with the worker's name |

Two workers may take the same step at the same time. The storage numbers trials, so the trial with
the lower number counts. The other is superfluous: its worker fails it without training it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

WORKER = "jaxnn: worker"
"""Attribute of a trial: the worker that trains it."""

RETRY_OF = "jaxnn: retry of"
"""Attribute of a trial: the number of the failed trial that it repeats."""

ENDED = "jaxnn: ended"
"""Attribute of a failed trial that must not be repeated: the reason."""

CALL = "jaxnn: call"
"""Attribute of a trial: SHA-256 of everything but its parameters that its value depends on."""

TAKER = "jaxnn: taken by "
"""Prefix of an attribute of an enqueued trial: whether the worker of that name is taking it."""


def owners(trial: Any) -> set[str]:
    """Returns the worker that owns a trial, or all workers that are about to take it."""
    if WORKER in trial.user_attrs:
        return {trial.user_attrs[WORKER]}
    takers = {key: is_set for key, is_set in trial.user_attrs.items() if key.startswith(TAKER)}
    return {key.removeprefix(TAKER) for key, is_set in takers.items() if is_set}


def has_ended(trial: Any) -> bool:
    """Whether the trial's setting needs no more training."""
    state = trial.state.name
    return state in ("COMPLETE", "PRUNED") or (state == "FAIL" and ENDED in trial.user_attrs)


class Ledger:
    """The state of the first `num_settings` settings of a study, derived from its trials alone.

    A setting is a worker's trial that repeats no other, or a trial that a user enqueued. The trials
    that repeat it one after another form its chain. Other trials only inform the sampler.

    Attributes:
      lasts: the last trial of each chain, in the order of the settings.
      num_missing: settings still to draw; 0 once the sampler has ended the study.
    """

    def __init__(self, trials: Iterable[Any], num_settings: int):
        ours = sorted(
            (trial for trial in trials if owners(trial) or trial.state.name == "WAITING"),
            key=lambda trial: trial.number,
        )
        first_retries: dict[int, Any] = {}
        for trial in ours:
            if RETRY_OF in trial.user_attrs:
                first_retries.setdefault(trial.user_attrs[RETRY_OF], trial)
        settings = [trial for trial in ours if RETRY_OF not in trial.user_attrs][:num_settings]
        self.num_missing = num_settings - len(settings)
        self.lasts = [_last(trial, first_retries) for trial in settings]

    @property
    def is_done(self) -> bool:
        return not self.num_missing and all(map(has_ended, self.lasts))

    @property
    def left(self) -> list[Any]:
        """Trials that no worker owns: failed ones to repeat, and enqueued ones to take."""
        return [
            trial
            for trial in self.lasts
            if trial.state.name in ("FAIL", "WAITING") and not has_ended(trial)
        ]

    def held_by(self, worker: str, trials: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Returns a worker's running trials: (those to train, superfluous ones)."""
        counted = {trial.number for trial in self.lasts}
        running = [
            trial
            for trial in trials
            if trial.state.name == "RUNNING" and trial.user_attrs.get(WORKER) == worker
        ]
        return (
            [trial for trial in running if trial.number in counted],
            [trial for trial in running if trial.number not in counted],
        )


def _last(trial: Any, first_retries: dict[int, Any]) -> Any:
    while not has_ended(trial) and trial.number in first_retries:
        trial = first_retries[trial.number]
    return trial
