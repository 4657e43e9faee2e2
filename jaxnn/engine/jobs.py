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
from jaxnn.engine.options import Options
from jaxnn.engine.savers import Saver
from jaxnn.engine.team import Team
from jaxnn.planning.plans import Plan, PlannedProgram
from jaxnn.results.records import Record
from jaxnn.results.trials import Lane
from jaxnn.system.signals import TrainingInterrupted, ended_by_interrupt, held_signals, rescued
from jaxnn.training.recipes import Recipe, check_valid, warn_of_scales


@dataclasses.dataclass(kw_only=True)
class Group:
    """A program with its kind of inputs, and the lanes that wait to be trained by it.

    Attributes:
      planned: the program as planned.
      program: the same program for treated inputs.
      chunk_size: lanes trained at a time.
      waiting: the lanes that wait.
      is_new: whether no chunk of it has started.
      is_compiled: set once its first chunk has finished a call; other chunks wait for this.
    """

    planned: PlannedProgram
    program: Program
    chunk_size: int
    waiting: list[Lane] = dataclasses.field(default_factory=list)
    is_new: bool = True
    is_compiled: threading.Event = dataclasses.field(default_factory=threading.Event)


@dataclasses.dataclass(kw_only=True)
class Job:
    """A sweep or search while it trains: its lanes, and what their chunks share.

    A lane is (row of a setting in the record, repetition). Threads: the caller's thread adds
    settings and starts stretches of training, while no other thread runs. In a stretch, one thread
    for each device trains chunk after chunk. Chunks in training share no lane, so a thread writes
    its lanes' entries in the record (`curves`, `diverged`, `epochs_done`, `kept_epochs`) without a
    lock. Everything else that chunks share is read and written under `lock`: groups, feed, monitor,
    saver, and the record's `places`, `chunks`, `notes` and times. A commit may be made while
    another thread writes its lanes' entries. Therefore a chunk adds its lanes to `saver.training`
    before it writes, and removes them when their states or networks agree with the entries; of
    these lanes, commits save the states.

    Attributes:
      record, options, feed, monitor, saver, team: see their classes.
      is_signalled: whether Ctrl-C or SIGTERM came.
      recipes: the recipe of each row.
      fold_recipes: the recipes of each fold, if numbers depend on its size; otherwise empty.
      groups: the programs and their waiting lanes.
      has_trained: whether something was trained that an error would lose.
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
        """Adds settings to the record; nothing is trained yet.

        Args:
          given: the settings as the user gave them.
          prepared: their recipes.
          plan: the new plan of all settings of the job.
          fold_recipes: the recipes of each fold, if numbers depend on its size.
          ends: the last epoch of each setting; None is the record's last epoch.

        Returns:
          their rows in the record.

        Raises:
          ValueError: their curves do not fit in memory, or the processes' treatments of inputs
            differ in bits.
        """
        first = len(self.record.given)
        self.record.check_room(len(given))
        self.options.check_metric(prepared)
        check_valid(prepared, [valid for _, valid in self.feed.folds if valid])
        for objective in {one.program.loss: one.program.objective for one in prepared}.values():
            self.record.add_curves(objective.curves(self.feed.has_valid))
        warn_of_scales(prepared, self.feed.train, is_over=self.has_trained)
        self.recipes += prepared
        self.fold_recipes = fold_recipes
        self.record.grow(given, [one.setting for one in prepared])
        if ends is not None:
            self.record.ends[first:] = np.array(ends)[:, None]
        self.record.plan = plan
        self.note(plan.note)
        self.feed.treat(one.setting["inputs"] for one in prepared)
        # different machines may round differently
        if not self.team.is_same("the treatment of inputs", self.feed.digest):
            raise ValueError(
                "the processes of the job round the inputs' treatment differently; expected "
                "machines of one kind, with as many threads each"
            )
        self._group(plan)
        return [*range(first, len(self.record.given))]

    def _group(self, plan: Plan) -> None:
        """Makes a group for each new program of a plan; existing groups are kept."""
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
        """Returns the lanes of some settings: all their repetitions."""
        count = self.options.seeds * len(self.feed.folds)
        return [(row, repeat) for row in rows for repeat in range(count)]

    def fold_of(self, lane: Lane) -> int:
        return lane[1] // self.options.seeds

    def recipe(self, lane: Lane) -> Recipe:
        """Returns the recipe of a lane."""
        recipes = self.fold_recipes[self.fold_of(lane)] if self.fold_recipes else self.recipes
        return recipes[lane[0]]

    def seed_of(self, lane: Lane) -> int:
        """Returns the seed of a lane's weights and dropout."""
        own = self.recipes[lane[0]].seed
        return (self.options.seed if own is None else own) + lane[1] % self.options.seeds

    def order_seed_of(self, lane: Lane) -> int:
        """Returns the seed of a lane's mini-batches."""
        own = self.recipes[lane[0]].seed
        return self.options.order_seed if own is None else own

    def in_common(self, lane: Lane) -> tuple[int, int, int, int]:
        """Returns what lanes of a chunk must share: fold, epochs trained, and mini-batches."""
        done, size = int(self.record.epochs_done[lane]), self.recipe(lane).program.batch_size
        return self.fold_of(lane), done, self.order_seed_of(lane), size

    @property
    def is_over(self) -> bool:
        """Whether a process had been interrupted when the processes last communicated."""
        return self.team.is_over

    def is_interrupted(self) -> bool:
        """Whether a signal came to this process, or its `on_epoch` raised KeyboardInterrupt."""
        return self.is_signalled() or self.monitor.hook.interrupt is not None

    def is_called_off(self) -> bool:
        """Whether no further stretch of training should start."""
        return self.is_over or self.team.is_lost()

    def lost_if(self, is_lost: Callable[[], bool]) -> None:
        """Stops training when `is_lost` tells that another search has taken over its settings."""
        self.team.is_lost = is_lost

    def note(self, text: str) -> None:
        """Adds a note to the record, once."""
        self.monitor.note(text)

    def interrupted(self, why: str = "training was interrupted") -> TrainingInterrupted:
        """Returns the exception that ends a search early, with the record so far."""
        record = self.saver.settled()
        num_complete, num_networks = record.is_complete.sum(), record.diverged.size
        message = f"{why}, with {num_complete:,} of {num_networks:,} networks complete"
        return TrainingInterrupted(message + self.saver.hint(), study=record)

    def wait(self, lanes: Sequence[Lane], until: int) -> bool:
        """Queues this process's lanes for training up to an epoch; returns whether there are any.

        Results of earlier commits are restored first.
        """
        planned = [group.planned for group in self.groups]
        self.note(self.team.deal(lanes, planned, self.in_common))
        self.saver.restore(lanes, until)
        # sorted, since the lanes of a chunk must share data and epoch
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
        """Shares the best networks with all processes, and removes commits that are not needed."""
        self.team.share_networks(self.record, self.saver.programs)
        self.saver.close(is_finished)


@contextlib.contextmanager
def open_job(
    record: Record,
    options: Options,
    feed: Feed,
    total: int,
    *,
    commits: Commits | None = None,
    identity: Mapping[str, Any] | None = None,
    team: Team | None = None,
) -> Iterator[Job]:
    """Opens a job, to which settings are added and which trains them until it is closed.

    Args:
      record: an empty record, which the job fills.
      options: how networks are trained.
      feed: the data, whose treatments go into the record.
      total: epochs of all networks together, for the display.
      commits: the commits of the directory, to resume from and to write to.
      identity: the identity of the call, which every commit holds.
      team: the processes that share the lanes.

    Raises:
      TrainingInterrupted: at the end, if Ctrl-C or SIGTERM came.
    """
    start, team, opened = time.perf_counter(), team or Team(), list[Job]()
    with rescued(lambda: opened[0].interrupted() if opened else None):
        # process 0 shows progress for all, which have about the same amount of work
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
                feed=feed,
                monitor=monitor,
                saver=saver,
                team=team,
                is_signalled=is_signalled,
            )
            opened.append(job)
            saver.open()
            is_finished = False
            try:
                # a second Ctrl-C acts at once; a sampler may raise as well
                with rescued(job.interrupted):
                    yield job
                # if memory was too short for some lanes, the next call tries them again
                is_finished = not job.is_over and bool((record.epochs_done > 0).all())
            finally:
                # also after an error, which must not lose what was trained
                record.seconds += time.perf_counter() - start
                if is_finished or job.has_trained:
                    with held_signals():
                        saver.commit(is_finished)
            job.close(is_finished)
        if not opened:
            # two signals came before the job was open
            raise KeyboardInterrupt
        with ended_by_interrupt() as is_late, held_signals():
            job.monitor.warn_caller(job.saver.commits.failure)
        if job.is_over or job.is_interrupted() or is_late():
            with held_signals():
                raise job.interrupted() from job.monitor.hook.interrupt
