"""The arena of a search method, which adds settings, trains them to an epoch, and drops some."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxnn.engine.devices import train_up_to
from jaxnn.engine.jobs import Job
from jaxnn.engine.options import Options
from jaxnn.engine.team import of_first, plan_of_first
from jaxnn.methods.budgets import Budget, Clock
from jaxnn.methods.drawing import Source
from jaxnn.planning.plans import Plan, PlannedProgram
from jaxnn.results.records import Record
from jaxnn.results.trials import Rung
from jaxnn.settings.hyperparameters import Setting
from jaxnn.settings.sampling import Settings, Space, functions_in
from jaxnn.training.recipes import Recipe, recipes


class Drawn(NamedTuple):
    """Settings drawn before the search began, and the plan for them.

    Attributes:
      settings: the settings, known ones first.
      recipes: their recipes.
      plan: their plan.
      budget: how much to train.
      known: known settings, which every method trains among the first, without `stops`.
      stops: what the patience of the call fixes in all settings.
      source: draws further settings.
    """

    settings: Settings
    recipes: list[Recipe]
    plan: Plan
    budget: Budget
    known: list[dict[str, Any]]
    stops: dict[str, Any]
    source: Source


class Arena:
    """The operations of a search method; a setting is given by its row in the record.

    Attributes:
      record: the table of all settings so far.
      job: the job that trains; a user's method needs it only for messages.
      space: the space that settings are drawn from.
      budget: how much to train.
      known, stops: see `Drawn`.
      begun: what `Method.begin` returned.
    """

    def __init__(
        self,
        job: Job,
        options: Options,
        *,
        drawn: Drawn,
        begun: Any,
        clock: Clock,
    ):
        self.job, self.budget, self.begun = job, drawn.budget, begun
        self.space = drawn.settings.space
        self._clock, self._seconds_each = clock, 0.0
        self._best, self._best_since = (-math.inf, 0.0), (0, 0.0)
        self._options, self._drawn = options, drawn
        self.known, self.stops = drawn.known, drawn.stops
        self._known: list[PlannedProgram] = [*drawn.plan.programs]
        self._done: dict[int, int] = {}

    @property
    def record(self) -> Record:
        return self.job.record

    def is_called_off(self) -> bool:
        """Whether to stop now, for example after an interrupt."""
        return self.job.is_called_off()

    def is_late(self, count: int, epochs: int) -> bool:
        """Whether training so many settings for so many epochs would end after the seconds.

        They are expected to take as long, for each, as the stretch of training before. Something is
        trained in any case.
        """
        if self.budget.seconds is None or not self._done:
            return False
        left = self.budget.seconds - self._clock.seconds()
        return self._seconds_each * count * epochs > left

    def is_over(self, count: int, epochs: int) -> bool:
        """Whether to stop before further settings: it is late, or they no longer pay.

        They no longer pay if `stop_after` so many settings or seconds there was no better one. One
        is better if its value exceeds the best before by more than the noise of that: its standard
        error over repetitions or folds, or without these the deviation of its metric over the last
        third of its epochs.
        """
        if self.budget.stop_after and self.record.ranked.size:
            self._note_best()
            since = {
                "settings": len(self.record.given) - self._best_since[0],
                "seconds": self._clock.seconds() - self._best_since[1],
            }
            for name, most in self.budget.stop_after.items():
                if since[name] >= most:
                    self.job.note(f"The search ended after {most:g} {name} without a better one.")
                    return True
        is_late = self.is_late(count, epochs)
        if is_late:
            self.job.note("The search ended where its seconds would not hold further settings.")
        return is_late

    def _note_best(self) -> None:
        record, number = self.record, int(self.record.ranked[0])
        metric, trial = record.ranked_by[0], record.best_trial
        noise = trial.standard_error
        if not np.isfinite(noise):
            end = int(record.kept_epochs[number].min()) + 1
            last = slice(end - max(1, end // 3), end)
            noise = float(record.curves[metric.valid][number, :, last].std())
        value = trial.value if metric.is_higher_better else -trial.value
        if value > self._best[0] + self._best[1]:
            self._best = value, noise
            self._best_since = len(record.given), self._clock.seconds()

    def finish(self, rows: Sequence[int]) -> None:
        """Ends the training of settings where they are, since the seconds are over."""
        done = self._done[rows[0]]
        self.record.ends[[*rows]] = done
        self.job.note(
            f"The search ended after epoch {done} of {self.budget.max_epochs}: "
            f"its {self.budget.seconds:g} seconds would not hold the next rung."
        )

    def add_drawn(self) -> list[int]:
        """Adds the settings drawn before the search began; returns their rows."""
        return self.job.add(self._drawn.settings, self._drawn.recipes, self._drawn.plan)

    def draw(self, space: Space, count: int, seed: int) -> Settings:
        """Draws settings from a space, within the limit of the search."""
        return self._drawn.source.draw(space, count, seed)

    def allows(self, settings: Sequence[Setting]) -> list[bool]:
        """Returns whether each setting is within the limit of the search."""
        return self._drawn.source.allows(settings)

    def add(self, settings: Sequence[Setting]) -> list[int]:
        """Adds further settings, to existing programs where they fit; returns their rows."""
        job, train, hosts = self.job, self.job.feed.train, self.job.team.hosts
        # a sampler without a seed draws different settings in each process
        given = [dict(one) for one in settings]
        settings = of_first(hosts, "the settings", given, functions_in(self.space))
        new = recipes(settings, train, self._options.model, self.budget.max_epochs)
        plan = self._options.plan(
            [*job.recipes, *new], train, self.record.num_epochs, known=self._known
        )
        plan = plan_of_first(hosts, plan, self._options.model)
        known = {one.key for one in self._known}
        self._known += [one for one in plan.programs if one.key not in known]
        return job.add(settings, new, plan)

    def train(self, rows: Sequence[int], until: int, stage: str = "training") -> None:
        """Trains all repetitions of some settings on, up to the epoch `until`.

        Networks that diverged, or that `patience` stopped, are not trained.
        """
        record, patience = self.record, self.budget.patience
        first = done = min(self._done.get(row, 0) for row in rows)
        start, compiling = self._clock.seconds(), record.compile_seconds
        while done < until and not self.is_called_off():
            # stopped lanes free their places in the chunk
            lanes = [
                lane
                for lane in self.job.lanes(rows)
                if record.diverged[lane] < 0 and record.stopped[lane] < 0
            ]
            done = until if patience is None else min(until, done + max(1, patience // 2))
            if lanes:
                goes_on = done < record.num_epochs
                train_up_to(self.job, lanes, done, goes_on=goes_on, stage=stage)
        self._done |= dict.fromkeys(rows, done)
        seconds = self._clock.seconds() - start - (record.compile_seconds - compiling)
        self._seconds_each = max(seconds, 0.0) / (len(rows) * max(1, until - first))

    def ranked(self, rows: Sequence[int]) -> list[int]:
        """Returns settings that were trained equally long, best first.

        They are ranked by the mean over the last third of their epochs. A single epoch is so noisy
        that late in a search, when the remaining settings are alike, it would choose almost by
        chance. Settings without a finite value are left out, unless none has one.
        """
        done = self._done[rows[0]]
        first, second = self.record.losses(slice(done - max(1, done // 3), done))
        fine = [row for row in rows if np.isfinite(first[row])] or [*rows]
        return sorted(fine, key=lambda row: (first[row], second[row], row))

    def keep(self, rows: Sequence[int], count: int) -> list[int]:
        """Returns the best `count` of settings that were trained equally long; drops the others."""
        record, done = self.record, self._done[rows[0]]
        kept = sorted(self.ranked(rows)[:count])
        is_complete = np.all(record.is_complete, axis=1)
        record.dropped[[row for row in rows if row not in kept and not is_complete[row]]] = done
        record.rungs.append(Rung(done, tuple(rows), tuple(kept)))
        return kept

    def breed(self, parents: Sequence[int], settings: Sequence[Setting]) -> list[int]:
        """Adds settings whose networks go on from those of other settings; returns their rows.

        A child has the program of its parent, with the weights, moments and statistics that the
        parent has now, and other numbers. Its curves begin with the parent's.

        Args:
          parents: the rows of the parents, which were trained equally long.
          settings: a setting for each, of the parent's structure.
        """
        record, job, done = self.record, self.job, self._done[parents[0]]
        new = recipes(settings, job.feed.train, self._options.model, self.budget.max_epochs)
        first = len(record.given)
        of_parent: dict[int, list[int]] = {parent: [] for parent in parents}
        for child, parent in enumerate(parents, first):
            of_parent[parent].append(child)
        programs = [_joined_by(one, of_parent, self._num_repeats) for one in record.plan.programs]
        plan = replace(record.plan, programs=tuple(programs), num_settings=first + len(parents))
        rows = job.add(settings, new, plan)
        record.parent[rows], record.born[rows] = parents, done
        for curve in record.curves.values():
            curve[rows, :, :done] = curve[parents, :, :done]
        for child, parent in zip(rows, parents, strict=True):
            for repeat in range(self._num_repeats):
                # where the parent was restored from a later commit, the child will be as well
                objective = new[child - first].program.objective
                if job.saver.inherit((parent, repeat), (child, repeat), objective):
                    record.epochs_done[child, repeat] = done
                    record.kept_epochs[child, repeat] = done - 1
        self._done |= dict.fromkeys(rows, done)
        return rows

    @property
    def _num_repeats(self) -> int:
        return self.record.diverged.shape[1]


def _joined_by(
    planned: PlannedProgram, children: Mapping[int, Sequence[int]], num_repeats: int
) -> PlannedProgram:
    """Returns a planned program with the children of its settings."""
    own = [child for row in planned.settings for child in children.get(row, ())]
    return replace(
        planned,
        settings=(*planned.settings, *own),
        num_lanes=planned.num_lanes + num_repeats * len(own),
    )
