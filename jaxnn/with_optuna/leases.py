"""Leases: which workers of a shared study are alive, and whether a worker still owns its trials.

Every few seconds each worker increases a count in an attribute of the study, its heartbeat. Workers
whose count stays the same for GRACE seconds count as dead, and others take over their trials. Each
worker measures this by its own clock, and only while it reaches the storage itself. So the clocks
of different machines need not agree, and a server that is away for a minute kills no worker.

A worker that counted as dead may wake up again, such as a suspended laptop or virtual machine. At
every heartbeat a worker checks whether it still owns its trials; it also does so before it goes on
training after a long silence.
"""

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from jaxnn.with_optuna import storages

BEAT = 5.0
"""Seconds between two heartbeats."""

GRACE = 30.0
"""Seconds without a heartbeat after which a worker counts as dead."""

POLL = 1.0
"""Seconds between two looks of one that waits."""

_PREFIX = "jaxnn: beat of "

_GONE = "gone"


class Leases:
    """Sends heartbeats in a thread while it is open, as a context manager.

    Args:
      storage: the storage of Optuna.
      study_id: the study that the workers share.
      is_interrupted: tells whether the user wants to stop.
      say: shows a message to the user.

    Attributes:
      worker: the random name of this worker.
      is_alone: whether no other worker was alive at the start.
    """

    def __init__(
        self,
        storage: Any,
        study_id: int,
        is_interrupted: Callable[[], bool],
        say: Callable[[str], None],
    ):
        self.worker, self.is_alone = uuid.uuid4().hex, True
        self._storage, self._study_id = storage, study_id
        self._is_interrupted, self._say_to_user, self._has_told = is_interrupted, say, False
        self._heard: dict[str, tuple[Any, float]] = {}
        self._held: Any = None
        self._is_lost = False
        self._count, self._tried = 0, 0.0
        self._contact = self._heard_at = time.monotonic()
        self._lock, self._stop = threading.Lock(), threading.Event()
        # a daemon: a storage that hangs must not keep the process from ending
        self._thread = threading.Thread(target=self._beat_on, name="jaxnn leases", daemon=True)

    def __enter__(self) -> "Leases":
        # write first, then read: of two workers that start together at least one sees the other
        self._say(self._count)
        self._hear()
        counts = {worker: count for worker, (count, _) in self._heard.items()}
        self.is_alone = all(count == _GONE for name, count in counts.items() if name != self.worker)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(GRACE)
        # if this cannot be written, the worker counts as dead after GRACE seconds
        with contextlib.suppress(Exception):
            self._say(_GONE)

    def hold(self, trials: Sequence[Any]) -> None:
        """Sets the trials that are in training from now on."""
        with self._lock:
            # others take trials over in the order of their numbers: checking the first is enough
            self._held = min(trials, key=lambda trial: trial.number, default=None)
            self._is_lost = False

    def is_dead(self, worker: str) -> bool:
        count, silent = self._heard.get(worker, (None, 0.0))
        return count == _GONE or silent >= GRACE

    def is_lost(self) -> bool:
        """Whether other workers have taken over the trials in training.

        It waits while the storage cannot be reached, since they may have been taken over.
        """
        while not self._is_lost and self._silence() > GRACE / 2:
            self.beat(POLL)
            if self._silence() <= GRACE:
                break
            if self._is_interrupted() or self._silence() > storages.PATIENCE:
                return True
            if not self._has_told:
                self._has_told = True
                self._say_to_user("The storage is out of reach: training waits for it.")
            self.pause()
        return self._is_lost

    def pause(self) -> None:
        """Waits before another look: for the storage, or for what others train."""
        time.sleep(POLL)

    def beat(self, at_least: float = 0.0) -> None:
        """Sends a heartbeat, reads those of others and checks the held trial; raises nothing.

        Args:
          at_least: seconds since the last try; if fewer have passed, nothing is done.
        """
        with self._lock:
            start = time.monotonic()
            if start - self._tried < at_least:
                return
            self._tried = start
            # after an error the next beat tries again; `is_lost` measures the silence
            with contextlib.suppress(Exception):
                self._say(self._count + 1)
                self._count += 1
                self._hear()
                if self._held is not None:
                    held = self._storage.get_trial(self._held._trial_id)
                    self._is_lost |= held.state.is_finished()
                # the contact counts from the start: the answers may be as old as that
                self._contact, self._has_told = start, False

    def _beat_on(self) -> None:
        while not self._stop.wait(BEAT):
            self.beat()

    def _silence(self) -> float:
        return time.monotonic() - self._contact

    def _say(self, count: Any) -> None:
        self._storage.set_study_user_attr(self._study_id, _PREFIX + self.worker, count)

    def _hear(self) -> None:
        attrs = self._storage.get_study_user_attrs(self._study_id)
        # time without contact to the storage does not count as silence of the others
        now = time.monotonic()
        passed, self._heard_at = min(now - self._heard_at, 2 * BEAT), now
        for key, count in attrs.items():
            if key.startswith(_PREFIX):
                worker = key.removeprefix(_PREFIX)
                before, silent = self._heard.get(worker, (None, 0.0))
                self._heard[worker] = count, silent + passed if count == before else 0.0
