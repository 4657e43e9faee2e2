"""Teams: which process of a job trains which lanes, and how processes share results."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from jaxnn.compiled.programs import Program
from jaxnn.disk.encoding import decode, encode
from jaxnn.disk.hdf5 import packed, unpacked
from jaxnn.formats.layout import NUMBERS, part_in, record_content
from jaxnn.formats.parts import Part, absorb, part_of
from jaxnn.functional.types import Model, ModelFn
from jaxnn.planning.plans import Plan, PlannedProgram, functions_of
from jaxnn.results.records import Record
from jaxnn.results.trials import Lane
from jaxnn.system.functions import Function
from jaxnn.system.processes import ALONE, Hosts

MOST_SHARED = 10**9
"""The most bytes of the best settings' networks that processes share at the end."""


def plan_of_first(hosts: Hosts, plan: Plan, model: Model | ModelFn | None) -> Plan:
    """Returns process 0's plan; with a model, which cannot be sent, the process's own plan."""
    return plan if model is not None else of_first(hosts, "the plan", plan, functions_of(plan))


def of_first(hosts: Hosts, name: str, value: Any, functions: Mapping[str, Function]) -> Any:
    """Returns process 0's value of a plan, settings or such, with this process's functions."""
    if hosts.count == 1:
        return value
    theirs = hosts.from_first(name, json.dumps(encode(value)).encode())
    return decode(json.loads(theirs), functions)


def deal(
    waiting: Iterable[tuple[PlannedProgram, Sequence[Lane]]],
    in_common: Callable[[Lane], Any],
    count: int,
) -> dict[Lane, int]:
    """Deals lanes to processes, chunk by chunk, each to the process that would finish it first.

    The result depends only on the plan, the lanes and the number of processes, so it is the same in
    all processes, and after a kill each process has the same lanes again. All processes are assumed
    to be equally fast.

    Args:
      waiting: programs, longest first, and their lanes.
      in_common: returns what a lane shares with those of its chunk, such as its fold.
      count: the number of processes.

    >>> from jaxnn import Dataset, plan
    >>> import numpy as np
    >>> data = Dataset(np.ones((100, 8)), np.arange(100) % 2)
    >>> (program,) = plan([{"hidden": (5,)}] * 96, data).programs
    >>> owners = deal([(program, [(n, 0) for n in range(96)])], lambda lane: 0, 2)
    >>> program.chunk, [*owners.values()].count(0), [*owners.values()].count(1)
    (32, 64, 32)
    """
    owners: dict[Lane, int] = {}
    busy = [0.0] * count
    for planned, lanes in waiting:
        cost = planned.seconds / planned.num_chunks
        compiles = [planned.compile_seconds] * count
        for _, together in itertools.groupby(sorted(lanes, key=in_common), in_common):
            mine = iter(together)
            while chunk := list(itertools.islice(mine, planned.chunk)):
                ends = [a + b + cost for a, b in zip(busy, compiles, strict=True)]
                process = ends.index(min(ends))
                busy[process], compiles[process] = ends[process], 0.0
                owners.update(dict.fromkeys(chunk, process))
    return owners


@dataclasses.dataclass(kw_only=True)
class Team:
    """The processes that train the lanes of a search, of which this is one.

    Methods that communicate are meetings: all processes call them in the same order.

    Attributes:
      hosts: the processes.
      owners: lane -> the process that trains it.
      is_over: whether any process had been interrupted when they last communicated.
      is_lost: whether a process outside of the team, which shares a study of Optuna, has taken over
        the settings in training.
    """

    hosts: Hosts = ALONE
    owners: dict[Lane, int] = dataclasses.field(default_factory=dict)
    is_over: bool = False
    is_lost: Callable[[], bool] = lambda: False

    @property
    def is_alone(self) -> bool:
        return self.hosts.count == 1

    def own(self, lanes: Iterable[Lane]) -> list[Lane]:
        """Returns the lanes that this process trains."""
        return [lane for lane in lanes if self.owners[lane] == self.hosts.index]

    def deal(
        self,
        lanes: Iterable[Lane],
        programs: Sequence[PlannedProgram],
        in_common: Callable[[Lane], Any],
    ) -> str:
        """Decides which process trains each new lane; a lane stays with its process.

        Returns:
          a note for the user, or "".
        """
        new = [lane for lane in lanes if lane not in self.owners]
        if self.is_alone:
            self.owners |= dict.fromkeys(new, 0)
            return ""
        waiting = []
        for planned in programs:
            rows = {*planned.settings}
            waiting.append((planned, [lane for lane in new if lane[0] in rows]))
        self.owners |= deal(waiting, in_common, self.hosts.count)
        busy = len({*self.owners.values()})
        if busy == self.hosts.count:
            return ""
        return (
            f"There were chunks for {busy} of {self.hosts.count} processes: a smaller chunk= "
            "gives the others lanes, too."
        )

    def in_any(self, meeting: str, is_so: bool) -> bool:
        """Returns whether `is_so` is true in any process."""
        return any(self.hosts.exchange(meeting, b"yes" if is_so else b""))

    def is_same(self, meeting: str, make: Callable[[], bytes]) -> bool:
        """Returns whether all processes make the same bytes; a single process makes none."""
        return self.is_alone or len({*self.hosts.exchange(meeting, make())}) == 1

    def share_curves(self, record: Record, lanes: Iterable[Lane]) -> None:
        """Exchanges the results of some lanes with all processes, without networks."""
        if not self.is_alone:
            part = part_of(record, self.own(lanes), networks=())
            # all processes know the settings, which would be most of the message
            part = part._replace(study=dataclasses.replace(part.study, given=[], settings=[]))
            self._tell("the curves", record, part)

    def share_networks(self, record: Record, programs: Mapping[int, Program]) -> None:
        """Gives all processes the networks of the best settings.

        Args:
          programs: row of a setting -> its program.
        """
        if self.is_alone:
            return
        chosen, room, itemsize = set(), MOST_SHARED, jnp.result_type(float).itemsize
        num_repeats = record.diverged.shape[1]
        for row in map(int, record.ranking):
            room -= programs[row].networks.num_weights * itemsize * num_repeats
            if room < 0:
                break
            chosen |= {(row, repeat) for repeat in range(num_repeats)}
        own = [lane for lane in self.own(self.owners) if lane in chosen]
        self._tell("the networks", record, part_of(record, own))

    def _tell(self, meeting: str, record: Record, part: Part) -> None:
        """Exchanges parts of the record; each process merges the others' parts."""
        arrays, about = record_content(part.study)
        message = packed([(NUMBERS, part.setting_numbers), *arrays], about)
        for process, theirs in enumerate(self.hosts.exchange(meeting, message)):
            if process != self.hosts.index:
                name = f"the message of process {process}"
                part = part_in(name, *unpacked(theirs), record.model, is_message=True)
                absorb(record, part)
