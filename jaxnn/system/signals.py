"""Ctrl-C and SIGTERM, deferred while an operation must not be left half done."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """Raised on Ctrl-C or SIGTERM while training; `fitted` or `study` holds what was trained."""

    def __init__(self, message: str, *, fitted: Any = None, study: Any = None):
        super().__init__(message)
        self.fitted = fitted
        self.study = study

    @property
    def has_result(self) -> bool:
        return self.fitted is not None or self.study is not None


ENDS = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""Exceptions that end training as Ctrl-C does, whether a handler, a hook or a sampler raises."""

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""The handler of Ctrl-C is restored last: once restored, it may interrupt the restoring."""


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Yields a function that returns True after Ctrl-C or SIGTERM; a second signal acts at once.

    A compiled call that donates its buffers must not be interrupted between its return and the
    assignment of its result: the training state would be lost. Python handles signals in the main
    thread alone; in other threads nothing changes.
    """
    # not an Event: a second signal during the first would wait for its lock for ever
    is_interrupted = False

    def on_signal(number: int, give_back: Callable[[], None]) -> None:
        nonlocal is_interrupted
        is_interrupted = True
        give_back()

    # None is a handler that Python did not install and could not restore
    with _handled_by(on_signal, lambda old: old not in (None, signal.SIG_IGN)):
        yield lambda: is_interrupted


@contextlib.contextmanager
def ended_by_interrupt() -> Iterator[Callable[[], bool]]:
    """Defers interrupts; a second Ctrl-C ends the block without an exception.

    The yielded function then returns True, and the caller asks it afterwards. A KeyboardInterrupt
    raised here would lose what was trained.
    """
    is_ended = False
    try:
        with deferred_interrupt() as is_interrupted:
            yield lambda: is_ended or is_interrupted()
    except TrainingInterrupted:
        # it already holds what was trained
        raise
    except ENDS:
        is_ended = True


@contextlib.contextmanager
def rescued(made: Callable[[], TrainingInterrupted | None]) -> Iterator[None]:
    """Replaces an interrupt of the block by the TrainingInterrupted that `made` returns.

    Where `made` returns None, the interrupt itself is raised.
    """
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
    """Holds signals until the end of the block.

    A signal without a handler function, such as a second SIGTERM, still ends the process.
    """
    held: list[int] = []
    try:
        with _handled_by(lambda number, give_back: held.append(number), callable):
            yield
    except TrainingInterrupted:
        # training ends already, as the held signals ask
        held.clear()
        raise
    finally:
        for number in dict.fromkeys(held):
            signal.raise_signal(number)


@contextlib.contextmanager
def _handled_by(
    handler: Callable[[int, Callable[[], None]], Any], is_taken: Callable[[Any], bool]
) -> Iterator[None]:
    """Installs a handler for the signals whose current handler `is_taken` accepts.

    The handler gets the signal's number and a function that restores the old handlers at once; the
    end of the block restores them as well. Outside the main thread nothing is installed.
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
