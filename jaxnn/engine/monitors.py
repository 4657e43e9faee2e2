"""Monitors: display, `on_epoch`, notes and warnings of a search while it trains."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from jaxnn.engine.options import Options
from jaxnn.functional.metrics import Metric
from jaxnn.results.records import Record
from jaxnn.results.trials import Lane
from jaxnn.system.display import SweepDisplay, sweep_display
from jaxnn.system.terminal import warn_caller
from jaxnn.training.hooks import Hook


@dataclasses.dataclass(kw_only=True)
class Monitor:
    """The display, the user's `on_epoch`, and the notes and warnings of a search.

    Attributes:
      stage: the current stage, such as "rung 1 of 3".
      epochs_done: epochs trained by all networks of this process together.
      num_diverged: networks of this process that diverged.
      best: the best validation metric at the end of a compiled call.
      warnings: notes of which the caller is warned at the end.
    """

    record: Record
    display: SweepDisplay
    hook: Hook
    stage: str = "training"
    epochs_done: int = 0
    num_diverged: int = 0
    best: float | None = None
    warnings: list[str] = dataclasses.field(default_factory=list)

    def show(self, stage: str | None = None) -> None:
        """Shows progress, with the current stage or another text."""
        self.display(stage or self.stage, self.epochs_done, self.best, self.num_diverged)

    def tell(
        self,
        lanes: Sequence[Lane],
        epochs: tuple[int, int],
        curves: Mapping[str, np.ndarray],
        num_diverged: int,
    ) -> None:
        """Updates the display after a compiled call, and calls `on_epoch` for each epoch.

        Args:
          lanes: the lanes that the call trained.
          epochs: epochs trained before the call, and epochs trained now.
          curves: name -> (lanes, epochs of the call).
          num_diverged: lanes that diverged in this call.
        """
        before, now = epochs
        self.epochs_done += len(lanes) * (now - before)
        self.num_diverged += num_diverged
        metric, _ = self.record.ranked_by
        self.best = _best(metric, self.best, curves.get(metric.valid))
        if self.hook.is_on:
            for index, (row, repeat) in enumerate(lanes):
                own = {name: values[index] for name, values in curves.items()}
                self.hook(row, repeat, self.record.given[row], before, own)
        self.show()

    def say(self, message: str) -> None:
        """Shows a message at once."""
        self.display.say(message)

    def note(self, text: str) -> None:
        """Adds a note to the record, unless it is empty or there already."""
        if text and text not in self.record.notes:
            self.record.notes.append(text)

    def warn(self, text: str) -> None:
        """Adds a note, of which the caller is warned at the end."""
        self.note(text)
        self.warnings.append(text)

    def warn_caller(self, *failures: str) -> None:
        """Warns the caller of all warnings, of the hook's failure, and of other failures."""
        for text in (*self.warnings, self.hook.failure, *failures):
            if text:
                warn_caller(text, is_over=True)


@contextlib.contextmanager
def opened_monitor(
    record: Record, options: Options, total: float, is_silent: bool
) -> Iterator[Monitor]:
    """Yields a monitor with an open display.

    Args:
      total: epochs of all networks of this process together.
      is_silent: whether to show nothing unless the user asked for it.
    """
    progress = False if options.progress is None and is_silent else options.progress
    with sweep_display(total, record.num_epochs, progress) as display:
        yield Monitor(record=record, display=display, hook=Hook(options.on_epoch))


def _best(metric: Metric, before: float | None, values: np.ndarray | None) -> float | None:
    last = np.empty(0) if values is None else values[:, -1]
    finite = last[np.isfinite(last)]
    known = [] if before is None else [before]
    if finite.size:
        known += [float(finite.min()), float(finite.max())]
    return metric.best(known, default=None)
