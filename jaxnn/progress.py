"""What the host does between compiled calls: show how far training is, and listen for signals."""

import contextlib
import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.file_proxy import FileProxy
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from jaxnn.showing import visible
from jaxnn.streams import console_on_stderr, tell


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


@contextlib.contextmanager
def progress_line(epochs: int, progress: bool | None) -> Iterator[Callable[[int, str], None]]:
    """A line that starts as "compiling" and then follows `report(epochs_done, text)`.

    Args:
      epochs: how many there are in all.
      progress: True shows the line, False does not, None shows it where it can be live.
    """
    console = console_on_stderr()
    if progress is None:
        progress = _can_be_live(console)
    if not progress:
        yield lambda done, text: None
        return
    columns = (
        _spinner(console),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("epoch {task.completed:.0f}/{task.total:.0f}"),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
    )
    with _shown_live(console, *columns) as display:
        task = display.add_task("compiling", total=epochs, text="")
        yield lambda done, text: display.update(
            task, description="training", completed=done, text=text
        )


@contextlib.contextmanager
def _shown_live(console: Console, *columns: ProgressColumn) -> Iterator[Progress]:
    """A display, above which comes what the program prints to the same terminal.

    What goes elsewhere, such as to a file, goes there as it is.
    """
    with Progress(
        *columns,
        console=console,
        redirect_stdout=_is_terminal_of_stderr(sys.stdout),
        redirect_stderr=_is_terminal_of_stderr(sys.stderr),
    ) as display:
        try:
            yield display
        finally:
            for stream in (sys.stdout, sys.stderr):
                if isinstance(stream, FileProxy):
                    # which would lose a line that has no end yet
                    stream.flush()


def _is_terminal_of_stderr(stream: Any) -> bool:
    try:
        places = [os.fstat(one.fileno()) for one in (stream, sys.stderr)]
        return bool(stream.isatty()) and os.path.samestat(*places)
    except Exception:
        # closed, or something else that a program has put there
        return False


def _can_be_live(console: Console) -> bool:
    """On a terminal, and in a notebook where rich finds the widgets that it needs there."""
    has_widgets = importlib.util.find_spec("ipywidgets") is not None
    return console.is_terminal or (console.is_jupyter and has_widgets)


def _spinner(console: Console) -> SpinnerColumn:
    """Of signs that the terminal has."""
    return SpinnerColumn("dots" if console.encoding.startswith("utf") else "line")


class SweepDisplay:
    """How far a sweep is: one live line on a terminal or in a notebook, else a line now and then.

    Call it with what is known after each compiled call. `total` are the epochs of all networks.
    """

    SECONDS_BETWEEN_LINES = 10.0

    def __init__(self, total: float, epochs: int, display: Progress | None, is_shown: bool):
        self._total, self._epochs = total, epochs
        self._display, self._is_shown = display, is_shown
        self._last_line = time.monotonic()
        self._first: tuple[float, int] | None = None
        if display is not None:
            self._task = display.add_task("compiling", total=total, text="")

    def __call__(self, stage: str, done: int, best: float | None, num_diverged: int) -> None:
        """Shows a stage ("compiling 1 of 2") and `done`, the epochs of all networks so far."""
        now, total = time.monotonic(), self._total
        # whole ones: what was dropped on the way counts by its epochs
        text = f"{done / self._epochs:,.0f}/{total / self._epochs:,.0f} networks"
        left = ""
        if self._first is None and done:
            # speed counts from here: the first call has compiled
            self._first = now, done
        elif self._first and done > self._first[1]:
            speed = (done - self._first[1]) / (now - self._first[0])
            text += f", {speed / self._epochs:,.3g} a second"
            left = f", {(total - done) / speed:,.0f} s left"
        if best is not None:
            text += f", best so far {best:.4f}"
        if num_diverged:
            text += f", {num_diverged:,} diverged"
        if self._display is not None:
            self._display.update(self._task, description=stage, completed=done, text=text)
        elif self._is_shown and now - self._last_line > self.SECONDS_BETWEEN_LINES:
            self._last_line = now
            tell(f"jaxnn {stage}: {text}{left}")

    def say(self, message: str) -> None:
        """What cannot wait for the end."""
        if self._display is not None:
            self._display.console.print(
                visible(message), style="bold red", markup=False, emoji=False, highlight=False
            )
        else:
            tell(f"jaxnn: {visible(message)}")


@contextlib.contextmanager
def sweep_display(total: float, epochs: int, progress: bool | None) -> Iterator[SweepDisplay]:
    """The display of a sweep or search; `progress=False` shows nothing."""
    console = console_on_stderr()
    is_shown = progress is not False
    if not is_shown or not _can_be_live(console):
        yield SweepDisplay(total, epochs, None, is_shown)
        return
    columns = (
        _spinner(console),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
    )
    with _shown_live(console, *columns) as display:
        yield SweepDisplay(total, epochs, display, is_shown)


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
