"""Savers: the states of lanes on the host, and the commits written and read from them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxnn.compiled.measures import Best
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
from jaxnn.functional.objectives import Objective
from jaxnn.results.records import Record
from jaxnn.results.trials import Lane
from jaxnn.system.draws import from_words


@dataclasses.dataclass(kw_only=True)
class Saver:
    """Saves a search while it trains, and restores what earlier processes saved.

    Without a directory nothing is written, and `states` holds only what the next stretch needs. A
    commit needs a recent state of each lane in training. A thread that finds a commit due puts the
    lanes in training into `awaited`. Each chunk stores its lanes' states after its next compiled
    call, and the last chunk to do so writes the commit.

    Attributes:
      record, commits, team, monitor: those of the job.
      identity: the identity of the call, which every commit holds.
      programs: row of a setting -> its program.
      past: earlier commits, until the record has caught up with them.
      states: the last stored states of lanes that may continue.
      training: lanes whose entries in the record may be ahead of their states.
      awaited: lanes whose states a commit still waits for; None if no commit is due.
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
        """Reads earlier commits."""
        self.past = pasts_of(self.commits, self.record.model, self.record)

    def restore(self, lanes: Sequence[Lane], until: int) -> None:
        """Restores some lanes from earlier commits, up to an epoch, to record and states."""
        if not self.past or not lanes:
            return
        own = tuple(np.array(self.team.own(lanes), int).reshape(-1, 2).T)
        before = self.record.epochs_done[own].sum()
        restore(self.past, self.record, self.states, lanes, until)
        self.monitor.epochs_done += int(self.record.epochs_done[own].sum() - before)
        if is_exhausted(self.past, self.record):
            self.past = []

    def keep_only(self, lanes: Sequence[Lane], until: int) -> None:
        """Prepares lanes for a stretch up to an epoch; drops the states of others."""
        done = self.record.epochs_done
        for lane in lanes:
            # after a lack of memory a commit may have a lane's epochs but not its state
            if done[lane] < until and lane not in self.states:
                done[lane] = 0
        self.states = {lane: self.states[lane] for lane in lanes if lane in self.states}

    def on_device(self, lanes: Sequence[Lane], device: jax.Device) -> TrainState:
        """Returns the states of lanes at the same epoch, stacked on a device."""
        states = [self.states[lane] for lane in lanes]
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
        stacked = stacked._replace(epoch=states[0].epoch, step=states[0].step)
        # not an alias of NumPy's memory, since training donates its input
        placed = jax.device_put(stacked, device, may_alias=False)
        return placed._replace(dropout_key=from_words(placed.dropout_key))

    def end(self, lanes: Sequence[Lane], states: Sequence[TrainState]) -> None:
        """Ends the training of lanes that are in the record; `states` are kept to continue."""
        for lane in lanes:
            self.states.pop(lane, None)
        self.states.update(zip(lanes, states, strict=False))
        self.training.difference_update(lanes)

    def inherit(self, parent: Lane, child: Lane, objective: Objective) -> bool:
        """Gives a lane the state of another one; returns whether that is here.

        Of its epochs so far none is its own best one.
        """
        state = self.states.get(parent)
        if state is None:
            return False
        if state.best is not None:
            kept = state.best
            best = Best.first(objective, self.record.metric, kept.params, kept.state)
            state = state._replace(best=jax.device_get(best))
        self.states[child] = state
        return True

    def give_back(self, lanes: Sequence[Lane]) -> None:
        """Resets lanes whose chunk failed to their last states, or to the start."""
        self.training.difference_update(lanes)
        for lane in lanes:
            epoch = self.states[lane].epoch if lane in self.states else 0
            self.record.epochs_done[lane] = epoch
            self.record.diverged[lane] = self.record.stopped[lane] = -1

    def commit_if_due(self, lanes: Sequence[Lane], states: TrainState | None = None) -> None:
        """Stores the states of lanes if a commit is due; the last call to do so writes it.

        Args:
          states: states on a device; None if the lanes have ended and are in the record.
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
        """Writes a commit between two stretches if commits have not taken too much time."""
        if self.commits.is_due(is_rung=True):
            self.commit()

    def commit(self, is_finished: bool = False) -> None:
        """Writes a commit of this process's lanes, unless an older commit knows more."""
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
        """Removes commits of other numbers of processes, once all processes have saved theirs."""
        has_failed = self.team.in_any("the commits", bool(self.commits.failure))
        if is_finished and not has_failed and self.commits.is_first:
            self.commits.remove_others()

    def settled(self) -> Record:
        """Returns the record, in which interrupted lanes are only as far as their states."""
        if not self.training:
            return self.record
        return settled(self.record, self.states, self.training)

    def hint(self) -> str:
        """Returns how to resume an interrupted search, or ""."""
        if not self.commits.is_on or self.commits.failure:
            return ""
        return (
            f"; the same call, or jaxnn.resume({str(self.commits.directory)!r}, train, valid), "
            "goes on from there"
        )


def on_host(states: TrainState, num_lanes: int) -> list[TrainState]:
    """Returns the states of the first lanes on the host, with the words of keys."""
    keys = jax.random.key_data(states.dropout_key)
    leaves, tree = jax.tree.flatten(jax.device_get(states._replace(dropout_key=keys)))
    # epoch and step have no axis, since the lanes of a chunk share them
    return [
        jax.tree.unflatten(tree, [leaf[lane].copy() if leaf.ndim else leaf for leaf in leaves])
        for lane in range(num_lanes)
    ]
