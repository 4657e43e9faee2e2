"""Ledgers: what has become of each setting of a study that several workers share.

A worker is a process that searches. What it does is in the storage as trials alone, one step after
another, and each step leaves something that the others can go on from: so a kill between any two
of them loses nothing.

| step of a worker | what is there then |
| --- | --- |
| inserts a trial with all its parameters and its name | RUNNING: the worker trains it |
| tells its value, or that it has diverged | COMPLETE or PRUNED: the setting has ended |
| fails the trial of a dead worker, or of its own | FAIL: nobody trains it, somebody may repeat it |
| inserts a trial that repeats a failed one, whose number it has | RUNNING, with another worker |
| takes a trial that a user enqueued | WAITING, then RUNNING, then the worker's by its name |

Two workers may do the same at once. Trials are numbered by the storage, so the lower number counts,
and the other trial is superfluous: its worker fails it without training it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

WORKER = "jaxnn: worker"
"""Attribute of a trial: the worker that trains it."""

RETRY_OF = "jaxnn: retry of"
"""Attribute of a trial: the number of the failed one that it repeats."""

ENDED = "jaxnn: ended"
"""Attribute of a failed trial that nobody shall repeat: why."""

CALL = "jaxnn: call"
"""Attribute of a trial: SHA-256 of what its value depends on beside its parameters."""

TAKER = "jaxnn: taken by "
"""Attribute of an enqueued trial, with the worker's name: whether it is about to take it."""


def owners(trial: Any) -> set[str]:
    """The worker that has a trial; while it is being taken, all that may have it."""
    if WORKER in trial.user_attrs:
        return {trial.user_attrs[WORKER]}
    takers = {key: is_set for key, is_set in trial.user_attrs.items() if key.startswith(TAKER)}
    return {key.removeprefix(TAKER) for key, is_set in takers.items() if is_set}


def has_ended(trial: Any) -> bool:
    """Whether the trial's setting needs nothing more."""
    state = trial.state.name
    return state in ("COMPLETE", "PRUNED") or (state == "FAIL" and ENDED in trial.user_attrs)


class Ledger:
    """What has become of the first settings of a study, by nothing but its trials.

    A setting is a trial of ours that repeats none, or one that a user has enqueued; its chain are
    the trials that repeat it one after another. Other trials are only knowledge for the sampler.

    Attributes:
      lasts: the last trial of each chain, in the order of the settings.
      num_missing: how many settings there are still to draw; none once a sampler has ended that.
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
        """Trials that nobody has: failed ones to repeat, and enqueued ones to take."""
        return [
            trial
            for trial in self.lasts
            if trial.state.name in ("FAIL", "WAITING") and not has_ended(trial)
        ]

    def held_by(self, worker: str, trials: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Running trials of a worker: those that it is to train, and the superfluous ones."""
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
