"""Leases: which of the workers that share a study are alive, and whether ours are still our trials.

Every worker counts, in an attribute of the study, every few seconds. One whose count stands still
for longer than the grace is dead to the others, which take its trials. They measure that by their
own clocks, and only while they reach the storage themselves, so clocks of different machines need
not agree, and a server that is away for a minute kills nobody.

A worker may be dead to others and wake again, such as a laptop or a virtual machine that was
suspended. It looks whether its trials are still its own, at every beat, and before it trains on
when its last beat is too long ago.
"""

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from jaxnn.with_optuna import storages

BEAT = 5.0
"""Seconds between two counts."""

GRACE = 30.0
"""Seconds of silence after which a worker is dead."""

POLL = 1.0
"""Seconds between two looks of one that waits."""

_PREFIX = "jaxnn: beat of "

_GONE = "gone"


class Leases:
    """Beats in a thread of its own while it is open.

    Attributes:
      worker: the name of this one, by chance.
      is_alone: whether no other was heard of at the start.
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
        # a storage that hangs must not keep the process from its end
        self._thread = threading.Thread(target=self._beat_on, name="jaxnn leases", daemon=True)

    def __enter__(self) -> "Leases":
        # first said, then heard: of two that start together one at least hears the other
        self._say(self._count)
        self._hear()
        counts = {worker: count for worker, (count, _) in self._heard.items()}
        self.is_alone = all(count == _GONE for name, count in counts.items() if name != self.worker)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(GRACE)
        # who cannot say so is dead after the grace
        with contextlib.suppress(Exception):
            self._say(_GONE)

    def hold(self, trials: Sequence[Any]) -> None:
        """Says which trials are in training from now on."""
        with self._lock:
            # others take them in the order of their numbers: one tells of all
            self._held = min(trials, key=lambda trial: trial.number, default=None)
            self._is_lost = False

    def is_dead(self, worker: str) -> bool:
        count, silent = self._heard.get(worker, (None, 0.0))
        return count == _GONE or silent >= GRACE

    def is_lost(self) -> bool:
        """Whether the trials that are held are not ours any more.

        It waits while that cannot be known: others may have taken them.
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
        """Counts, hears the others and looks at what is held; no error leaves it.

        Args:
          at_least: seconds since the last try, without which there is none.
        """
        with self._lock:
            start = time.monotonic()
            if start - self._tried < at_least:
                return
            self._tried = start
            # the next beat tries again, and `is_lost` knows how long there was none
            with contextlib.suppress(Exception):
                self._say(self._count + 1)
                self._count += 1
                self._hear()
                if self._held is not None:
                    held = self._storage.get_trial(self._held._trial_id)
                    self._is_lost |= held.state.is_finished()
                # what is true now was so when it was begun to be asked
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
        # what went by without a word from the storage says nothing of the others
        now = time.monotonic()
        passed, self._heard_at = min(now - self._heard_at, 2 * BEAT), now
        for key, count in attrs.items():
            if key.startswith(_PREFIX):
                worker = key.removeprefix(_PREFIX)
                before, silent = self._heard.get(worker, (None, 0.0))
                self._heard[worker] = count, silent + passed if count == before else 0.0
