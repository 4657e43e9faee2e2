"""Sharing: which process of a job trains which lanes, and what they tell each other of them."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp

from jaxnn.disk.encoding import decode, encode
from jaxnn.disk.hdf5 import packed, unpacked
from jaxnn.formats.layout import NUMBERS, part_in, record_about, record_arrays
from jaxnn.formats.parts import Part, absorb, part_of
from jaxnn.functional.types import Model, ModelFn
from jaxnn.planning.plans import Plan, PlannedProgram
from jaxnn.results.records import Record
from jaxnn.results.trials import Lane
from jaxnn.system.processes import Hosts
from jaxnn.training.programs import Program

MOST_SHARED = 10**9
"""Bytes of the best settings' networks that every process is given at the end."""


def plan_of_first(hosts: Hosts, plan: Plan, model: Model | ModelFn | None) -> Plan:
    """The first process's plan, where it is free of code; the others' must be the same as it."""
    return plan if model is not None else of_first(hosts, "the plan", plan)


def of_first(hosts: Hosts, name: str, value: Any) -> Any:
    """What the first process has in place of a plan, or settings."""
    if hosts.count == 1:
        return value
    return decode(json.loads(hosts.from_first(name, json.dumps(encode(value)).encode())))


def deal(
    waiting: Iterable[tuple[PlannedProgram, Sequence[Lane]]],
    fold_of: Callable[[Lane], int],
    count: int,
) -> dict[Lane, int]:
    """Deals lanes to processes, chunk by chunk, each to the one that would end it first.

    A function of the plan, the lanes and the number of processes alone, and so the same everywhere.
    What is already trained does not matter to it, nor how many devices there are: after a kill
    each process finds its own lanes. It takes the processes for alike.

    Args:
      waiting: programs, longest first, and their lanes.
      count: of processes.

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
        for _, together in itertools.groupby(sorted(lanes, key=fold_of), fold_of):
            mine = iter(together)
            while chunk := list(itertools.islice(mine, planned.chunk)):
                ends = [a + b + cost for a, b in zip(busy, compiles, strict=True)]
                process = ends.index(min(ends))
                busy[process], compiles[process] = ends[process], 0.0
                owners.update(dict.fromkeys(chunk, process))
    return owners


def share_curves(
    hosts: Hosts,
    study: Record,
    lanes: Collection[Lane],
    model: Model | ModelFn | None,
    is_interrupted: bool,
) -> bool:
    """Tells all processes what came of this one's lanes; whether one of them was interrupted."""
    part = part_of(study, lanes, networks=())
    # all know the settings, which would be most of the message
    part = part._replace(study=dataclasses.replace(part.study, given=[], settings=[]))
    return any(_tell(hosts, "the curves", study, part, model, is_interrupted))


def share_networks(
    hosts: Hosts,
    study: Record,
    lanes: Collection[Lane],
    programs: Mapping[int, Program],
    model: Model | ModelFn | None,
    has_failed: bool,
) -> bool:
    """Gives all processes the networks of the best settings; whether one of them has failed.

    Args:
      lanes: of this process.
      programs: by the setting's number.
    """
    chosen, room, itemsize = set(), MOST_SHARED, jnp.result_type(float).itemsize
    num_repeats = study.diverged.shape[1]
    for number in map(int, study.ranking):
        room -= programs[number].networks.num_weights * itemsize * num_repeats
        if room < 0:
            break
        chosen |= {(number, repeat) for repeat in range(num_repeats)}
    mine = [lane for lane in lanes if lane in chosen]
    return any(_tell(hosts, "the networks", study, part_of(study, mine), model, has_failed))


def _tell(
    hosts: Hosts,
    meeting: str,
    study: Record,
    part: Part,
    model: Model | ModelFn | None,
    flag: bool,
) -> list[bool]:
    """Exchanges parts of the study, and a flag of each process."""
    about: dict[str, Any] = {**record_about(part.study), "flag": flag}
    arrays = [(NUMBERS, part.numbers), *record_arrays(part.study)]
    flags = []
    for process, message in enumerate(hosts.exchange(meeting, packed(arrays, about))):
        theirs, of_them = unpacked(message)
        flags.append(bool(of_them["flag"]))
        if process != hosts.index:
            name = f"the message of process {process}"
            absorb(study, part_in(name, theirs, of_them, model, is_message=True))
    return flags
