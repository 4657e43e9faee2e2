"""The arena of a search method: settings are added, trained to an epoch, kept or dropped."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnn.engine.devices import train_up_to
from jaxnn.engine.jobs import Job
from jaxnn.engine.options import Options
from jaxnn.engine.team import of_first, plan_of_first
from jaxnn.planning.plans import Plan, PlannedProgram
from jaxnn.results.records import Record
from jaxnn.results.trials import Rung
from jaxnn.searching.budgets import Budget
from jaxnn.settings.hyperparameters import Setting
from jaxnn.settings.sampling import Settings, Space
from jaxnn.training.recipes import Recipe, recipes


class Drawn(NamedTuple):
    """Settings that were drawn before the search began, and the plan for them."""

    settings: Settings
    recipes: list[Recipe]
    plan: Plan


class Arena:
    """What a search method can do; settings are known by their row in the record.

    Attributes:
      record: all that was trained so far.
      job: that trains; a method of one's own needs it for nothing but messages.
      space: that settings are drawn from.
      budget: how much is to be trained.
      begun: what the method made of the call before training, see `Method.begin`.
    """

    def __init__(
        self, job: Job, options: Options, *, space: Space, budget: Budget, drawn: Drawn, begun: Any
    ):
        self.job, self.space, self.budget, self.begun = job, space, budget, begun
        self._options, self._drawn = options, drawn
        self._known: list[PlannedProgram] = [*drawn.plan.programs]
        self._done: dict[int, int] = {}

    @property
    def record(self) -> Record:
        return self.job.record

    def is_called_off(self) -> bool:
        """Whether the search, or what is being trained, ends here: by an interrupt, say."""
        return self.job.is_called_off()

    def add_drawn(self) -> list[int]:
        """Adds the settings that were drawn before the search began; returns their rows."""
        settings, prepared, plan = self._drawn
        return self.job.add(settings, prepared, plan)

    def add(self, settings: Sequence[Setting]) -> list[int]:
        """Adds further settings, to programs that are there where they fit; returns their rows."""
        job, train, hosts = self.job, self.job.feed.train, self.job.team.hosts
        # a sampler without a seed draws other settings in each process
        settings = of_first(hosts, "the settings", [dict(one) for one in settings])
        new = recipes(settings, train, self._options.model)
        plan = self._options.plan(
            [*job.recipes, *new], train, self.record.num_epochs, known=self._known
        )
        plan = plan_of_first(hosts, plan, self._options.model)
        known = {one.key for one in self._known}
        self._known += [one for one in plan.programs if one.key not in known]
        return job.add(settings, new, plan)

    def train(self, rows: Sequence[int], until: int, stage: str = "training") -> None:
        """Trains all repetitions of some settings from where they are to an epoch.

        What has diverged, or stopped since it became no better (`patience`), stays as it is.
        """
        record, patience = self.record, self.budget.patience
        done = min(self._done.get(row, 0) for row in rows)
        while done < until and not self.is_called_off():
            # stopped lanes free their places in the chunk
            lanes = [
                lane
                for lane in self.job.lanes(rows)
                if record.diverged[lane] < 0 and record.ends[lane] > done
            ]
            done = until if patience is None else min(until, done + max(1, patience // 2))
            if lanes:
                goes_on = done < record.num_epochs
                train_up_to(self.job, lanes, done, goes_on=goes_on, stage=stage)
            if patience is not None:
                _stop(record, lanes, done, patience)
        self._done |= dict.fromkeys(rows, done)

    def keep(self, rows: Sequence[int], count: int) -> list[int]:
        """The best of some settings that were trained equally far; drops the others.

        Ranked by the last third of their epochs: a single one is so noisy that late in a search,
        where the settings left are alike, it would drop them nearly by chance.
        """
        record, done = self.record, self._done[rows[0]]
        first, second = record.losses(slice(done - max(1, done // 3), done))
        # a setting that has no value any more is dropped even where there is room
        fine = [row for row in rows if np.isfinite(first[row])] or [*rows]
        kept = sorted(sorted(fine, key=lambda row: (first[row], second[row], row))[:count])
        is_complete = np.all(record.is_complete, axis=1)
        record.dropped[[row for row in rows if row not in kept and not is_complete[row]]] = done
        record.rungs.append(Rung(done, tuple(rows), tuple(kept)))
        return kept


def _stop(record: Record, lanes: list[tuple[int, int]], done: int, patience: int) -> None:
    """Ends networks whose best epoch is `patience` epochs ago."""
    curve = record.curves[record.ranked_by[0].valid]
    for lane in lanes:
        values = curve[lane][:done]
        if np.isfinite(values).all():
            best = record.ranked_by[0].best(range(done), key=values.__getitem__)
            if done - 1 - best >= patience:
                record.ends[lane] = done
