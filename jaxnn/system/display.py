"""Progress of training, shown on the terminal between compiled calls."""

import contextlib
import importlib.util
import os
import sys
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

from jaxnn.system.terminal import console_on_stderr, tell, visible


@contextlib.contextmanager
def progress_line(epochs: int, progress: bool | None) -> Iterator[Callable[[int, str], None]]:
    """Shows a progress line and yields the function `report(epochs_done, text)` that updates it.

    The line says "compiling" until the first report.

    Args:
      epochs: the total number of epochs.
      progress: True shows the line, False does not, None shows it where it can be updated live.
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
    """Shows a live display; what the program prints to the same terminal appears above it.

    Output that is redirected elsewhere, such as to a file, is left alone.
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
                    # rich would lose a line that has no newline yet
                    stream.flush()


def _is_terminal_of_stderr(stream: Any) -> bool:
    try:
        places = [os.fstat(one.fileno()) for one in (stream, sys.stderr)]
        return bool(stream.isatty()) and os.path.samestat(*places)
    except Exception:
        # a closed stream, or an object that a program has put in its place
        return False


def _can_be_live(console: Console) -> bool:
    """Whether a line can be updated: on a terminal, or in a notebook that has ipywidgets."""
    has_widgets = importlib.util.find_spec("ipywidgets") is not None
    return console.is_terminal or (console.is_jupyter and has_widgets)


def _spinner(console: Console) -> SpinnerColumn:
    """Returns a spinner whose characters the terminal can show."""
    return SpinnerColumn("dots" if console.encoding.startswith("utf") else "line")


class SweepDisplay:
    """Progress of a sweep: a live line on a terminal or in a notebook, else a line now and then.

    It is called after each compiled call. `total` is the number of epochs of all networks together.
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
        """Shows a stage ("compiling 1 of 2") and progress.

        Args:
          done: epochs trained so far, summed over networks.
          best: the best value so far, if there is one.
        """
        now, total = time.monotonic(), self._total
        # epochs as networks: one that was dropped early counts for the epochs it trained
        text = f"{done / self._epochs:,.0f}/{total / self._epochs:,.0f} networks"
        left = ""
        if self._first is None and done:
            # speed is measured from here on, since the first call includes compiling
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
        """Shows a message at once, such as that commits cannot be written."""
        if self._display is not None:
            self._display.console.print(
                visible(message), style="bold red", markup=False, emoji=False, highlight=False
            )
        else:
            tell(f"jaxnn: {visible(message)}")


@contextlib.contextmanager
def sweep_display(total: float, epochs: int, progress: bool | None) -> Iterator[SweepDisplay]:
    """Yields the display of a sweep or search; `progress=False` shows nothing."""
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
