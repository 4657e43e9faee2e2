"""Candidates x folds as lanes, trained before scikit-learn's own loop asks for them.

scikit-learn fits and scores each candidate on each fold by itself. `trained_ahead` trains them all
at once, and keeps each network under a key of everything that it depends on. `fit` of an estimator
looks there before it trains. What is not found is trained by itself, with the same result, since a
lane is what it is alone: nothing but time depends on what is kept.
"""

import contextlib
import contextvars
import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.engine.devices import train_to_ends
from jaxnn.engine.feeds import Feed, empty_record
from jaxnn.engine.jobs import open_job
from jaxnn.engine.options import Options
from jaxnn.estimators.learning import Arrays, Key, Learned, Order, digest, kept_of
from jaxnn.estimators.options import seed_of
from jaxnn.planning.plans import Plan, PlannedProgram
from jaxnn.results.predictions import outputs
from jaxnn.searching.studies import Study
from jaxnn.training.ensembles import Ensemble
from jaxnn.training.fitted import Fitted
from jaxnn.training.recipes import recipes

_AHEAD: contextvars.ContextVar[Mapping[Key, "Foreseen"] | None] = contextvars.ContextVar("ahead")


def found_ahead(order: Order) -> "Foreseen | None":
    """Returns the network that was trained ahead by an order, if there is one."""
    known = _AHEAD.get(None)
    return known.get(order.key) if known else None


@contextlib.contextmanager
def ahead(networks: Mapping[Key, "Foreseen"]) -> Iterator[None]:
    """Keeps networks that were trained ahead while scikit-learn asks for them."""
    token = _AHEAD.set(networks)
    try:
        yield
    finally:
        _AHEAD.reset(token)


@dataclasses.dataclass(frozen=True, eq=False)
class Foreseen(Fitted):
    """A network that was trained ahead.

    Attributes:
      known: digest of inputs -> its outputs for them.
      is_stopped: whether it no longer improved.
    """

    known: Mapping[Key, np.ndarray] = dataclasses.field(default_factory=dict)
    is_stopped: bool = False

    @property
    def learned(self) -> Learned:
        """What training would have made."""
        return Learned(self, self.curves, kept_of(self), self.is_stopped)

    def outputs(self, x: Any) -> np.ndarray:
        """Returns known outputs, or computes them."""
        found = self.known.get(digest(np.asarray(x)))
        if found is None or not np.isfinite(found).all():
            return super().outputs(x)
        return found.copy()


def train_together(
    orders: Sequence[Sequence[Order]],
    valid: Sequence[Arrays] | None,
    inputs: Sequence[Sequence[np.ndarray]],
    known: Sequence[PlannedProgram],
) -> tuple[Study, dict[Key, Foreseen]]:
    """Trains candidates on folds, as lanes.

    Args:
      orders: for each candidate, its order on each fold. The candidates of a fold have the same
        data, keep and metric, and all folds have the same targets.
      valid: for each fold, the examples for validation curves, if orders have none themselves.
      inputs: for each fold, inputs (N, F) for which outputs will be asked.
      known: programs that are compiled.

    Returns:
      the study, and the network of each order by its key.
    """
    first, num_folds = orders[0][0], len(orders[0])
    trains = of_one_size([one.parts[0] for one in orders[0]], first.data[0].num_classes)
    if len(first.parts) > 1:
        valid = [one.parts[1] for one in orders[0]]
    held_out: Sequence[Dataset | None] = [None] * num_folds
    if valid is not None:
        held_out = of_one_size(valid, first.data[0].num_classes)
    folds = list(zip(trains, held_out, strict=True))
    # of candidates that any seed will do for
    shared = seed_of(None)
    options = Options(folds=num_folds, keep=first.keep, metric=first.metric, progress=False)
    ends = [one[0].epochs for one in orders]
    # mini-batch sizes, and numbers that depend on them, follow the size of each fold
    prepared = []
    for fold in range(num_folds):
        own = [one[fold] for one in orders]
        made = recipes([one.setting for one in own], own[0].data[0], None, max(ends))
        seeds = [shared if one.seed is None else one.seed for one in own]
        pairs = zip(made, seeds, ends, strict=True)
        prepared.append([one._replace(seed=seed, epochs=end) for one, seed, end in pairs])
    largest = int(np.argmax([len(one.data[0]) for one in orders[0]]))
    plan = options.plan(prepared[largest], folds[largest][0], max(ends), known=known)
    plan = _for_seeds(plan, [one.seed or 0 for one in prepared[largest]])
    study = empty_record(Study, options, folds, plan, epochs=max(ends))
    with open_job(study, options, Feed(record=study, folds=folds), sum(ends) * num_folds) as job:
        given = [one[largest].setting for one in orders]
        rows = job.add(given, prepared[largest], plan, fold_recipes=prepared, ends=ends)
        train_to_ends(job, rows)
    return study, _by_key(study, orders, inputs)


def learn_several(order: Order, seed: int, count: int) -> Learned:
    """Trains networks that differ in their seeds, as lanes; the first is the one of `learn`."""
    folds = [(order.data[0], order.data[1] if len(order.data) > 1 else None)]
    options = Options(
        seeds=count,
        seed=seed,
        order_seed=seed,
        keep=order.keep,
        metric=order.metric,
        progress=False,
    )
    prepared = recipes([order.setting], order.data[0], None, order.epochs)
    plan = options.plan(prepared, order.data[0], order.epochs)
    study = empty_record(Study, options, folds, plan, epochs=order.epochs)
    feed = Feed(record=study, folds=folds)
    with open_job(study, options, feed, count * order.epochs) as job:
        train_to_ends(job, job.add([order.setting], prepared, plan))
    networks = [study.fitted(0, repeat) for repeat in range(count)]
    is_stopped = bool((study.stopped >= 0).all())
    return Learned(Ensemble(networks), networks[0].curves, {}, is_stopped)


def _by_key(
    study: Study, orders: Sequence[Sequence[Order]], inputs: Sequence[Sequence[np.ndarray]]
) -> dict[Key, Foreseen]:
    """Returns the networks of a study, with their outputs for some inputs, by their orders."""
    known: dict[tuple[int, int], dict[Key, np.ndarray]] = {}
    for fold, asked in enumerate(inputs):
        for x in asked:
            name, data = digest(x), Dataset(x, np.zeros(len(x), int), 2)
            for lane, found in outputs(study, data, fold):
                known.setdefault(lane, {})[name] = found
    networks: dict[Key, Foreseen] = {}
    for (row, fold), own in known.items():
        fitted = study.fitted(row, fold)
        fields = {one.name: getattr(fitted, one.name) for one in dataclasses.fields(fitted)}
        is_stopped = bool(study.stopped[row, fold] >= 0)
        made = Foreseen(**fields, known=own, is_stopped=is_stopped)
        networks[orders[row][fold].key] = made
    return networks


def of_one_size(parts: Sequence[Arrays], num_classes: int | None) -> list[Dataset]:
    """Returns data sets of one shape, so that one compiled program trains on all.

    Shorter ones end with copies of weight 0.
    """
    longest = max(len(x) for x, _, _ in parts)
    is_even = all(len(x) == longest for x, _, _ in parts)
    made = []
    for x, targets, weights in parts:
        rows = np.arange(longest) % len(x)
        if weights is not None or not is_even:
            own = np.ones(len(x)) if weights is None else weights
            weights = own[rows] * (np.arange(longest) < len(x))
        made.append(Dataset(x[rows], targets[rows], num_classes, weights))
    return made


def _for_seeds(plan: Plan, seeds: Sequence[int]) -> Plan:
    """Returns the plan with chunks no larger than the number of lanes that share a seed."""
    if len({*seeds}) == 1:
        return plan
    programs = []
    for one in plan.programs:
        most = max(Counter(seeds[number] for number in one.settings).values())
        programs.append(
            dataclasses.replace(one, chunk=min(one.chunk, 1 << (most - 1).bit_length()))
        )
    return dataclasses.replace(plan, programs=tuple(programs))
