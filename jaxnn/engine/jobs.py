"""Jobs: the lanes of a sweep or search, of which chunks are taken, saved and shared."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.disk.directories import Commits, Content
from jaxnn.engine.options import Folds
from jaxnn.engine.team import deal, share_curves, share_networks
from jaxnn.formats.states import Past, States, is_exhausted, restore, settled, snapshot
from jaxnn.functional.types import Model, ModelFn
from jaxnn.planning.plans import PlannedProgram
from jaxnn.results.records import Record
from jaxnn.results.trials import Lane
from jaxnn.system.display import SweepDisplay
from jaxnn.system.processes import ALONE, Hosts
from jaxnn.system.signals import TrainingInterrupted
from jaxnn.training.hooks import Hook
from jaxnn.training.programs import Program
from jaxnn.training.recipes import Recipe


@dataclasses.dataclass
class Group:
    """Lanes of one program and kind of inputs that wait; `chunk` of them are trained at a time."""

    planned: PlannedProgram
    program: Program
    chunk: int
    waiting: list[Lane] = dataclasses.field(default_factory=list)
    is_new: bool = True
    is_compiled: threading.Event = dataclasses.field(default_factory=threading.Event)


@dataclasses.dataclass
class Job:
    """What all chunks of a search have in common.

    Attributes:
      recipes, groups: by number of the setting: how it is trained, and with whom.
      fold_recipes: of each fold, where numbers depend on its size; otherwise empty.
      folds: training and validation set of each; one pair without cross-validation.
      seeds: repetitions on each fold.
      until: epochs after which a chunk ends; `states` then holds its lanes, if they may go on.
      training: lanes whose entries in the study may be ahead of their states.
      awaited: those that a commit which is due still waits for; None if none is due.
      owners: which process trains a lane.
      is_over: whether this process, or another of the job, had been interrupted when they last met.
      hosts: the processes that share the lanes.
      is_lost: whether what is being trained belongs to another process by now.
      past: what the commits of earlier processes knew, as long as they know more than the study.
      epochs_done, num_diverged, best: what the display shows.
    """

    study: Record
    folds: Folds
    seeds: int
    seed: int
    order_seed: int
    display: SweepDisplay
    is_interrupted: Callable[[], bool]
    hook: Hook
    commits: Commits
    identity: Mapping[str, Any]
    model: Model | ModelFn | None = None
    hosts: Hosts = ALONE
    past: list[Past] = dataclasses.field(default_factory=list)
    recipes: list[Recipe] = dataclasses.field(default_factory=list)
    fold_recipes: list[list[Recipe]] = dataclasses.field(default_factory=list)
    groups: list[Group] = dataclasses.field(default_factory=list)
    owners: dict[Lane, int] = dataclasses.field(default_factory=dict)
    until: int = 0
    goes_on: bool = False
    states: States = dataclasses.field(default_factory=dict)
    training: set[Lane] = dataclasses.field(default_factory=set)
    awaited: set[Lane] | None = None
    stage: str = "training"
    warnings: list[str] = dataclasses.field(default_factory=list)
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    treated: dict[tuple[str, int], Any] = dataclasses.field(default_factory=dict)
    data: dict[tuple[jax.Device, str, int], Any] = dataclasses.field(default_factory=dict)
    has_trained: bool = False
    is_over: bool = False
    is_lost: Callable[[], bool] = lambda: False
    epochs_done: int = 0
    num_diverged: int = 0
    best: float | None = None

    def is_called_off(self) -> bool:
        """Whether a stretch of training is the last one of what is being trained."""
        return self.is_over or self.is_lost()

    def is_stopped(self) -> bool:
        """Whether what is being trained is to stop at the next compiled call."""
        return self.stop.is_set() or self.is_interrupted() or self.is_lost()

    def interrupted(self, why: str = "training was interrupted") -> TrainingInterrupted:
        """What ends a search before its end: it has the study as far as it was trained."""
        study = self.study
        if self.training:
            # broken off in the middle, where entries are ahead of networks
            study = settled(study, self.states, self.training)
        message = (
            f"{why}, with {study.is_complete.sum():,} of {study.diverged.size:,} networks complete"
        )
        if self.commits.is_on and not self.commits.failure:
            message += (
                f"; the same call, or jaxnn.resume({str(self.commits.directory)!r}, train, valid), "
                "goes on from there"
            )
        return TrainingInterrupted(message, study=study)

    def lanes(self, numbers: Iterable[int]) -> list[Lane]:
        """All repetitions of some settings."""
        count = self.seeds * len(self.folds)
        return [(number, repeat) for number in numbers for repeat in range(count)]

    def fold_of(self, lane: Lane) -> int:
        return lane[1] // self.seeds

    def recipe(self, lane: Lane) -> Recipe:
        """How a lane is trained."""
        recipes = self.fold_recipes[self.fold_of(lane)] if self.fold_recipes else self.recipes
        return recipes[lane[0]]

    def seed_of(self, lane: Lane) -> int:
        """Of a lane's weights and dropout."""
        own = self.recipes[lane[0]].seed
        return (self.seed if own is None else own) + lane[1] % self.seeds

    def order_seed_of(self, lane: Lane) -> int:
        """Of a lane's mini-batches."""
        own = self.recipes[lane[0]].seed
        return self.order_seed if own is None else own

    def data_on(self, device: jax.Device, inputs: str, fold: int) -> tuple[Dataset, Dataset | None]:
        """Training and validation set, treated and put on a device once."""
        if (inputs, fold) not in self.treated:
            by = self.study.treatments[inputs, fold]
            self.treated[inputs, fold] = tuple(
                data and by.treated(data) for data in self.folds[fold]
            )
        place = (device, inputs, fold)
        if place not in self.data:
            self.data[place] = jax.device_put(self.treated[inputs, fold], device)
        return self.data[place]

    def show(self, stage: str) -> None:
        self.display(stage, self.epochs_done, self.best, self.num_diverged)

    def note(self, text: str) -> None:
        """Has the study say something, once."""
        if text and text not in self.study.notes:
            self.study.notes.append(text)

    def deal(self, lanes: Iterable[Lane]) -> None:
        """Decides which process trains each of some lanes; it keeps them to their end."""
        new = [lane for lane in lanes if lane not in self.owners]
        if self.hosts.count == 1:
            self.owners |= dict.fromkeys(new, 0)
            return
        waiting = []
        for group in self.groups:
            mine = set(group.planned.settings)
            waiting.append((group.planned, [lane for lane in new if lane[0] in mine]))
        self.owners |= deal(waiting, self.fold_of, self.hosts.count)
        busy = len({*self.owners.values()})
        if busy < self.hosts.count:
            self.note(
                f"There were chunks for {busy} of {self.hosts.count} processes: a smaller chunk= "
                "gives the others lanes, too."
            )

    @property
    def own(self) -> list[Lane]:
        """The lanes of this process."""
        return [lane for lane, owner in self.owners.items() if owner == self.hosts.index]

    @property
    def programs(self) -> dict[int, Program]:
        """By the setting's number."""
        return {n: group.program for group in self.groups for n in group.planned.settings}

    @contextlib.contextmanager
    def stretch(self) -> Iterator[None]:
        """Training in it ends for all processes together, by an error of one as well.

        Before it waits for the others, a process saves what it has and says what went wrong.
        """
        with self.hosts.raised_together("the end of a stretch"):
            try:
                yield
            except BaseException as error:
                if self.hosts.count > 1:
                    self.display.say(f"{error!r} in process {self.hosts.index}; it ends with all")
                raise
            finally:
                if self.hosts.count > 1 and self.commits.is_due(is_rung=True):
                    self.commit()
        self.is_over = self.is_interrupted()

    def share(self, lanes: Iterable[Lane]) -> None:
        """Tells the other processes of this one's lanes among some, and hears of theirs."""
        if self.hosts.count > 1:
            own = {*self.own}
            mine = [lane for lane in lanes if lane in own]
            self.is_over = share_curves(self.hosts, self.study, mine, self.model, self.is_over)

    def restore(self, lanes: list[Lane], until: int) -> None:
        """Takes what earlier processes have trained of some lanes, up to an epoch."""
        if not self.past or not lanes:
            return
        own = [lane for lane in lanes if self.owners[lane] == self.hosts.index]
        rows = tuple(np.array(own, int).reshape(-1, 2).T)
        before = self.study.epochs_done[rows].sum()
        restore(self.past, self.study, self.states, lanes, until)
        self.epochs_done += int(self.study.epochs_done[rows].sum() - before)
        if is_exhausted(self.past, self.study):
            self.past = []

    def commit(self, is_finished: bool = False) -> None:
        """Saves all that is known of own lanes, unless an older commit knows more."""
        if not self.commits.is_on or (self.past and not is_finished):
            return
        # what is finished goes nowhere from its states
        states = {} if is_finished else self.states

        def content() -> Content:
            own = self.own if self.hosts.count > 1 else None
            arrays, about = snapshot(
                self.study, states, self.training, self.programs, own, self.hosts.is_first
            )
            return arrays, {**about, "identity": self.identity, "is_finished": is_finished}

        had_failed = bool(self.commits.failure)
        self.commits.write(content)
        if self.commits.failure and not had_failed:
            self.display.say(self.commits.failure)

    def close(self, is_finished: bool) -> None:
        """Gives all processes the best networks, and removes what is not needed any more."""
        has_failed = bool(self.commits.failure)
        if self.hosts.count > 1:
            has_failed = share_networks(
                self.hosts, self.study, self.own, self.programs, self.model, has_failed
            )
        if is_finished and not has_failed and self.commits.is_first:
            self.commits.remove_others()
