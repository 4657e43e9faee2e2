"""Savers: the states of lanes on the host, and the commits that are made and read of them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxnn.compiled.programs import Program
from jaxnn.compiled.steps import TrainState
from jaxnn.disk.directories import Commits, Content
from jaxnn.engine.monitors import Monitor
from jaxnn.engine.team import Team
from jaxnn.formats.states import (
    Past,
    States,
    is_exhausted,
    pasts_of,
    restore,
    settled,
    snapshot,
)
from jaxnn.results.records import Record
from jaxnn.results.trials import Lane
from jaxnn.system.arrays import from_words


@dataclasses.dataclass(kw_only=True)
class Saver:
    """What of a search is saved while it trains, and what earlier processes have saved of it.

    Without a directory nothing is written, and `states` are those that the next stretch needs.
    A commit needs a state for each lane in training, as old as its entries in the record. A thread
    that finds a commit due notes in `awaited` which lanes are in training; each chunk puts its
    lanes' states down at the end of its next compiled call, and the last to do so writes.

    Attributes:
      identity: of the call, which every commit has.
      programs: by the setting's row.
      past: what earlier commits knew, as long as they know more than the record.
      states: of lanes that may go on, as old as when they were last put down.
      training: lanes whose entries in the record may be ahead of their states.
      awaited: lanes that a commit which is due still waits for; None if none is due.
    """

    record: Record
    commits: Commits
    identity: Mapping[str, Any]
    team: Team
    monitor: Monitor
    programs: dict[int, Program] = dataclasses.field(default_factory=dict)
    past: list[Past] = dataclasses.field(default_factory=list)
    states: States = dataclasses.field(default_factory=dict)
    training: set[Lane] = dataclasses.field(default_factory=set)
    awaited: set[Lane] | None = None

    def open(self) -> None:
        """Reads what earlier commits knew."""
        self.past = pasts_of(self.commits, self.record.model, self.record)

    def restore(self, lanes: Sequence[Lane], until: int) -> None:
        """Takes what earlier commits know of some lanes, up to an epoch, into record and states."""
        if not self.past or not lanes:
            return
        own = tuple(np.array(self.team.own(lanes), int).reshape(-1, 2).T)
        before = self.record.epochs_done[own].sum()
        restore(self.past, self.record, self.states, lanes, until)
        self.monitor.epochs_done += int(self.record.epochs_done[own].sum() - before)
        if is_exhausted(self.past, self.record):
            self.past = []

    def keep_only(self, lanes: Sequence[Lane], until: int) -> None:
        """Prepares lanes for a stretch that ends at an epoch; the states of others may go."""
        done = self.record.epochs_done
        for lane in lanes:
            # a commit may know a lane's epochs but not its state, where memory was short before
            if done[lane] < until and lane not in self.states:
                done[lane] = 0
        self.states = {lane: self.states[lane] for lane in lanes if lane in self.states}

    def on_device(self, lanes: Sequence[Lane], device: jax.Device) -> TrainState:
        """The states of lanes that have done as many epochs, stacked on a device."""
        states = [self.states[lane] for lane in lanes]
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
        stacked = stacked._replace(epoch=states[0].epoch, step=states[0].step)
        # not an alias of NumPy's memory: training consumes what it is given
        placed = jax.device_put(stacked, device, may_alias=False)
        return placed._replace(dropout_key=from_words(placed.dropout_key))

    def end(self, lanes: Sequence[Lane], states: Sequence[TrainState]) -> None:
        """Lanes whose chunk has ended are in the record; `states` of those that may go on."""
        for lane in lanes:
            self.states.pop(lane, None)
        self.states.update(zip(lanes, states, strict=False))
        self.training.difference_update(lanes)

    def give_back(self, lanes: Sequence[Lane]) -> None:
        """Sets lanes whose chunk has failed back to where their states are, or to the start."""
        self.training.difference_update(lanes)
        for lane in lanes:
            epoch = self.states[lane].epoch if lane in self.states else 0
            self.record.epochs_done[lane], self.record.diverged[lane] = epoch, -1

    def commit_if_due(self, lanes: Sequence[Lane], states: TrainState | None = None) -> None:
        """Where a commit is due, puts down the states of lanes; the last to do so writes it.

        Args:
          states: on a device; None for lanes that have ended and are in the record.
        """
        if self.awaited is None and self.commits.is_due():
            self.awaited = {*self.training}
        if self.awaited is None:
            return
        if states is not None and not self.awaited.isdisjoint(lanes):
            with self.commits.attempt():
                self.states.update(zip(lanes, on_host(states, len(lanes)), strict=True))
        self.awaited = (self.awaited - {*lanes}) & self.training
        if not self.awaited:
            self.commit()
            self.awaited = None

    def commit_between(self) -> None:
        """Commits between two stretches if the share of time allows."""
        if self.commits.is_due(is_rung=True):
            self.commit()

    def commit(self, is_finished: bool = False) -> None:
        """Saves all that is known of this process's lanes, unless an older commit knows more."""
        if not self.commits.is_on or (self.past and not is_finished):
            return
        # a finished study needs no training states
        states = {} if is_finished else self.states

        def content() -> Content:
            own = None if self.team.is_alone else self.team.own(self.team.owners)
            arrays, about = snapshot(
                self.record, states, self.training, self.programs, own, self.team.hosts.is_first
            )
            return arrays, {**about, "identity": self.identity, "is_finished": is_finished}

        had_failed = bool(self.commits.failure)
        self.commits.write(content)
        if self.commits.failure and not had_failed:
            self.monitor.say(self.commits.failure)

    def close(self, is_finished: bool) -> None:
        """Removes what other numbers of processes have left, if all could save what they have."""
        has_failed = self.team.in_any("the commits", bool(self.commits.failure))
        if is_finished and not has_failed and self.commits.is_first:
            self.commits.remove_others()

    def settled(self) -> Record:
        """The record; where lanes were broken off in the middle, as old as their states."""
        if not self.training:
            return self.record
        return settled(self.record, self.states, self.training)

    def hint(self) -> str:
        """How an interrupted search is gone on with; or ""."""
        if not self.commits.is_on or self.commits.failure:
            return ""
        return (
            f"; the same call, or jaxnn.resume({str(self.commits.directory)!r}, train, valid), "
            "goes on from there"
        )


def on_host(states: TrainState, num_lanes: int) -> list[TrainState]:
    """The first lanes' states one by one; NumPy has no keys, so those are their numbers."""
    keys = jax.random.key_data(states.dropout_key)
    leaves, tree = jax.tree.flatten(jax.device_get(states._replace(dropout_key=keys)))
    # epoch and step have no axis: the lanes of a chunk have them in common
    return [
        jax.tree.unflatten(tree, [leaf[lane].copy() if leaf.ndim else leaf for leaf in leaves])
        for lane in range(num_lanes)
    ]
