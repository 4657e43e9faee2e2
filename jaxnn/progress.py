"""What the host does between compiled calls: show how far training is, and listen for Ctrl-C."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn


@contextlib.contextmanager
def progress_line(epochs: int, progress: bool | None) -> Iterator[Callable[[int, str], None]]:
    """A line that starts as "compiling" and then follows `report(epochs_done, text)`.

    Args:
      epochs: how many there are in all.
      progress: True shows the line, False does not, None shows it on a terminal or in a notebook.
    """
    console = Console(stderr=True)
    if progress is None:
        progress = console.is_terminal or console.is_jupyter
    if not progress:
        yield lambda done, text: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("epoch {task.completed:.0f}/{task.total:.0f}"),
        TextColumn("{task.fields[text]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as display:
        task = display.add_task("compiling", total=epochs, text="")
        yield lambda done, text: display.update(
            task, description="training", completed=done, text=text
        )


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Makes the yielded function answer True after a first Ctrl-C; a second one acts at once.

    A compiled call that donates its buffers must not be cut off between its return and the
    assignment of its result: the training state would be lost. Python handles signals in the main
    thread alone; elsewhere nothing changes.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def on_interrupt(signum: int, frame: object) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, before)

    # None: a handler that Python did not set and could not restore
    if before is None or before is signal.SIG_IGN:
        yield interrupted.is_set
        return
    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield interrupted.is_set
    finally:
        signal.signal(signal.SIGINT, before)
