"""Ctrl-C and SIGTERM: held off while something must not be left half done."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM while training; what was reached is in `fitted` or `study`."""

    def __init__(self, message: str, *, fitted: Any = None, study: Any = None):
        super().__init__(message)
        self.fitted = fitted
        self.study = study

    @property
    def has_result(self) -> bool:
        return self.fitted is not None or self.study is not None


ENDS = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What ends training when a signal handler, a hook or a sampler raises it: as Ctrl-C does."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""Ctrl-C is given back last: once it is, it may raise in the middle of giving back."""


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Makes the yielded function answer True after Ctrl-C or SIGTERM; a second one acts at once.

    A compiled call that donates its buffers must not be cut off between its return and the
    assignment of its result: the training state would be lost. Python handles signals in the main
    thread alone; elsewhere nothing changes.
    """
    # an Event has a lock, for which a second signal in the middle of the first would wait for ever
    is_interrupted = False

    def on_signal(number: int, give_back: Callable[[], None]) -> None:
        nonlocal is_interrupted
        is_interrupted = True
        give_back()

    # None is a handler that Python did not set and could not give back
    with _handled_by(on_signal, lambda old: old not in (None, signal.SIG_IGN)):
        yield lambda: is_interrupted


@contextlib.contextmanager
def ended_by_interrupt() -> Iterator[Callable[[], bool]]:
    """The same for a block that a second Ctrl-C ends quietly; the caller asks afterwards.

    With the KeyboardInterrupt itself what was trained would be lost.
    """
    is_ended = False
    try:
        with deferred_interrupt() as is_interrupted:
            yield lambda: is_ended or is_interrupted()
    except TrainingInterrupted:
        # which says already what was reached
        raise
    except ENDS:
        is_ended = True


@contextlib.contextmanager
def rescued(made: Callable[[], TrainingInterrupted | None]) -> Iterator[None]:
    """Has an interrupt of a block bring what was trained, which `made` makes; None leaves it."""
    try:
        yield
    except ENDS as error:
        if isinstance(error, TrainingInterrupted) and error.has_result:
            raise
        with held_signals():
            interrupted = made()
            if interrupted is None:
                raise
            raise interrupted from error


@contextlib.contextmanager
def held_signals() -> Iterator[None]:
    """Has signals wait for the end of what must not be left half done.

    A signal that no function handles, such as a second SIGTERM, ends the process all the same.
    """
    held: list[int] = []
    try:
        with _handled_by(lambda number, give_back: held.append(number), callable):
            yield
    except TrainingInterrupted:
        # which is what they ask for
        held.clear()
        raise
    finally:
        for number in dict.fromkeys(held):
            signal.raise_signal(number)


@contextlib.contextmanager
def _handled_by(
    handler: Callable[[int, Callable[[], None]], Any], is_taken: Callable[[Any], bool]
) -> Iterator[None]:
    """Has a function handle signals whose handlers are to be taken; the end gives them back.

    The function is given the signal's number, and what gives the handlers back at once. In the main
    thread alone, elsewhere it does nothing.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in SIGNALS if is_main}
    before = {number: old for number, old in before.items() if is_taken(old)}

    def give_back() -> None:
        for number, old in before.items():
            signal.signal(number, old)

    try:
        for number in before:
            signal.signal(number, lambda number, frame: handler(number, give_back))
        yield
    finally:
        give_back()
