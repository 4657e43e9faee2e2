"""Jobs: the lanes of a sweep or search, which are added, trained, saved and shared."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxnn.compiled.programs import Program
from jaxnn.disk.directories import Commits
from jaxnn.engine.feeds import Feed
from jaxnn.engine.monitors import Monitor, opened_monitor
from jaxnn.engine.options import Folds, Options
from jaxnn.engine.savers import Saver
from jaxnn.engine.team import Team
from jaxnn.planning.plans import Plan, PlannedProgram
from jaxnn.results.records import Record
from jaxnn.results.trials import Lane
from jaxnn.system.checks import either
from jaxnn.system.signals import TrainingInterrupted, ended_by_interrupt, held_signals, rescued
from jaxnn.training.recipes import Recipe, warn_of_scales


@dataclasses.dataclass(kw_only=True)
class Group:
    """Lanes of one program and kind of inputs that wait.

    Attributes:
      program: the planned one, for inputs as they come after their treatment.
      chunk_size: lanes that are trained at a time.
      is_new, is_compiled: whether no chunk of it was begun, and whether one has been through a
        call: until then others wait.
    """

    planned: PlannedProgram
    program: Program
    chunk_size: int
    waiting: list[Lane] = dataclasses.field(default_factory=list)
    is_new: bool = True
    is_compiled: threading.Event = dataclasses.field(default_factory=threading.Event)


@dataclasses.dataclass(kw_only=True)
class Job:
    """A sweep or search while it trains: its lanes, and what all their chunks have in common.

    A lane is the row of a setting in the record, and a repetition.

    Who may write what: settings are added and stretches of training begun by the caller's thread,
    in which no other runs. In a stretch one thread a device takes chunk after chunk. Chunks in
    training have no lane in common, so a thread writes its lanes' entries in the record (`curves`,
    `diverged`, `epochs_done`, `kept_epochs`) without asking. All else that chunks share is read and
    written under `lock`: groups, feed, monitor, saver, and the record's `places`, `chunks`, `notes`
    and times. A commit may come between any two entries of another thread's lanes. So a chunk puts
    its lanes into `saver.training` before it writes the first, and takes them out when their states
    or networks are where the entries say; of lanes in there only their states are saved.

    Attributes:
      is_signalled: whether Ctrl-C or SIGTERM came.
      recipes: by the setting's row, how it is trained.
      fold_recipes: of each fold, where numbers depend on its size; otherwise empty.
      has_trained: whether there is anything that an error would lose.
    """

    record: Record
    options: Options
    feed: Feed
    monitor: Monitor
    saver: Saver
    team: Team
    is_signalled: Callable[[], bool]
    recipes: list[Recipe] = dataclasses.field(default_factory=list)
    fold_recipes: Sequence[Sequence[Recipe]] = ()
    groups: list[Group] = dataclasses.field(default_factory=list)
    has_trained: bool = False
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def add(
        self,
        given: Sequence[Mapping[str, Any]],
        prepared: Sequence[Recipe],
        plan: Plan,
        *,
        fold_recipes: Sequence[Sequence[Recipe]] = (),
        ends: Sequence[int] | None = None,
    ) -> list[int]:
        """Adds settings, of which nothing is trained yet.

        Args:
          given: as they came.
          prepared: their recipes.
          plan: of all settings of the job, from now on.
          fold_recipes: of each fold, where numbers depend on its size.
          ends: epochs after which the training of each ends; None is all epochs.

        Returns:
          their rows in the record.

        Raises:
          ValueError: the machine has no room for their curves, or processes treat inputs to other
            bits.
        """
        first = len(self.record.given)
        self.record.check_room(len(given))
        for objective in {one.program.loss: one.program.objective for one in prepared}.values():
            either("metric", self.record.metric, *objective.measures)
            self.record.add_curves(objective.curves(has_valid=True))
        warn_of_scales(prepared, self.feed.train, is_over=self.has_trained)
        self.recipes += prepared
        self.fold_recipes = fold_recipes
        self.record.grow(given, [one.setting for one in prepared])
        if ends is not None:
            self.record.ends[first:] = np.array(ends)[:, None]
        self.record.plan = plan
        self.note(plan.note)
        self.feed.treat(one.setting["inputs"] for one in prepared)
        # machines of several kinds may round differently
        if not self.team.is_same("the treatment of inputs", self.feed.digest):
            raise ValueError(
                "the processes of the job round the inputs' treatment differently; expected "
                "machines of one kind, with as many threads each"
            )
        self._group(plan)
        return [*range(first, len(self.record.given))]

    def _group(self, plan: Plan) -> None:
        """Has each program of a plan a group, which is kept from plan to plan."""
        keep_best = self.options.metric if self.options.keep == "best" else None
        groups = {group.planned.key: group for group in self.groups}
        for planned in plan.programs:
            group = groups.get(planned.key)
            if group is None:
                treatment = self.record.treatments[planned.inputs, 0]
                program = planned.program.with_features(treatment.num_features)
                program = program._replace(keep_best=keep_best)
                group = Group(planned=planned, program=program, chunk_size=planned.chunk)
                self.groups.append(group)
            group.planned = planned
            self.saver.programs |= dict.fromkeys(planned.settings, group.program)

    def lanes(self, rows: Iterable[int]) -> list[Lane]:
        """All repetitions of some settings."""
        count = self.options.seeds * len(self.feed.folds)
        return [(row, repeat) for row in rows for repeat in range(count)]

    def fold_of(self, lane: Lane) -> int:
        return lane[1] // self.options.seeds

    def recipe(self, lane: Lane) -> Recipe:
        """How a lane is trained."""
        recipes = self.fold_recipes[self.fold_of(lane)] if self.fold_recipes else self.recipes
        return recipes[lane[0]]

    def seed_of(self, lane: Lane) -> int:
        """Of a lane's weights and dropout."""
        own = self.recipes[lane[0]].seed
        return (self.options.seed if own is None else own) + lane[1] % self.options.seeds

    def order_seed_of(self, lane: Lane) -> int:
        """Of a lane's mini-batches."""
        own = self.recipes[lane[0]].seed
        return self.options.order_seed if own is None else own

    def in_common(self, lane: Lane) -> tuple[int, int, int]:
        """What lanes of a chunk must share: their fold, epochs done, and mini-batches."""
        return self.fold_of(lane), int(self.record.epochs_done[lane]), self.order_seed_of(lane)

    @property
    def is_over(self) -> bool:
        """Whether a process had been interrupted when they last met."""
        return self.team.is_over

    def is_interrupted(self) -> bool:
        """Whether a signal came to this process, or its `on_epoch` raised KeyboardInterrupt."""
        return self.is_signalled() or self.monitor.hook.interrupt is not None

    def is_called_off(self) -> bool:
        """Whether no stretch follows on the last one for what is being trained."""
        return self.is_over or self.team.is_lost()

    def lost_if(self, is_lost: Callable[[], bool]) -> None:
        """Has training stop where what is being trained belongs to a process outside of the job."""
        self.team.is_lost = is_lost

    def note(self, text: str) -> None:
        """Has the record say something, once."""
        self.monitor.note(text)

    def interrupted(self, why: str = "training was interrupted") -> TrainingInterrupted:
        """What ends a search before its end: it has the record as far as it was trained."""
        record = self.saver.settled()
        num_complete, num_networks = record.is_complete.sum(), record.diverged.size
        message = f"{why}, with {num_complete:,} of {num_networks:,} networks complete"
        return TrainingInterrupted(message + self.saver.hint(), study=record)

    def wait(self, lanes: Sequence[Lane], until: int) -> bool:
        """Has lanes of this process wait to be trained up to an epoch; whether there are any.

        What earlier commits know of any lanes is taken from them.
        """
        planned = [group.planned for group in self.groups]
        self.note(self.team.deal(lanes, planned, self.fold_of))
        self.saver.restore(lanes, until)
        # a chunk's lanes have their data and their epoch in common, so they wait in that order
        own = self.team.own(lanes)
        self.saver.keep_only(own, until)
        own.sort(key=self.in_common)
        for group in self.groups:
            rows = {*group.planned.settings}
            group.waiting = [
                lane for lane in own if lane[0] in rows and self.record.epochs_done[lane] < until
            ]
        return any(group.waiting for group in self.groups)

    def close(self, is_finished: bool) -> None:
        """Gives all processes the best networks, and removes what is not needed any more."""
        self.team.share_networks(self.record, self.saver.programs)
        self.saver.close(is_finished)


@contextlib.contextmanager
def open_job(
    record: Record,
    options: Options,
    folds: Folds,
    total: int,
    *,
    commits: Commits | None = None,
    identity: Mapping[str, Any] | None = None,
    team: Team | None = None,
) -> Iterator[Job]:
    """A job that settings are added to, and trained, while it is open.

    Args:
      record: an empty one, which it fills.
      folds: training and validation sets.
      total: epochs that all its networks train for together, for the display.
      commits: where what is reached is saved, and what was reached before is found.
      identity: of the call, which every commit has.
      team: the processes that share its lanes.

    Raises:
      TrainingInterrupted: at its end, if Ctrl-C or SIGTERM came.
    """
    start, team, opened = time.perf_counter(), team or Team(), list[Job]()
    with rescued(lambda: opened[0].interrupted() if opened else None):
        # one process speaks for all, which have about as much to do
        share, is_silent = total / team.hosts.count, not team.hosts.is_first
        with (
            ended_by_interrupt() as is_signalled,
            opened_monitor(record, options, share, is_silent) as monitor,
        ):
            saver = Saver(
                record=record,
                commits=commits or Commits(None, 0.0),
                identity=identity or {},
                team=team,
                monitor=monitor,
            )
            job = Job(
                record=record,
                options=options,
                feed=Feed(record=record, folds=folds, row_space=options.row_space),
                monitor=monitor,
                saver=saver,
                team=team,
                is_signalled=is_signalled,
            )
            opened.append(job)
            saver.open()
            is_finished = False
            try:
                # a second Ctrl-C, which acts at once, or a sampler's
                with rescued(job.interrupted):
                    yield job
                # what memory was too short for is tried again by the next call
                is_finished = not job.is_over and bool((record.epochs_done > 0).all())
            finally:
                # also after an error: what was trained is not lost by it
                record.seconds += time.perf_counter() - start
                if is_finished or job.has_trained:
                    with held_signals():
                        saver.commit(is_finished)
            job.close(is_finished)
        if not opened:
            # two signals came before there was anything to end
            raise KeyboardInterrupt
        with ended_by_interrupt() as is_late, held_signals():
            job.monitor.warn_caller(job.saver.commits.failure)
        if job.is_over or job.is_interrupted() or is_late():
            with held_signals():
                raise job.interrupted() from job.monitor.hook.interrupt
