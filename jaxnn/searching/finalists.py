"""The finalists of a study: its best networks put together, or their settings trained anew."""

from collections.abc import Sequence

from jaxnn.data.datasets import Dataset
from jaxnn.data.splits import checked_data
from jaxnn.engine.devices import train_to_ends
from jaxnn.engine.feeds import Feed, empty_record
from jaxnn.engine.jobs import open_job
from jaxnn.engine.options import Folds, Options
from jaxnn.results.predictions import network_of
from jaxnn.results.records import Record
from jaxnn.system.checks import whole_number
from jaxnn.training.ensembles import Chosen, Ensemble
from jaxnn.training.fitted import Fitted
from jaxnn.training.recipes import recipes, without_stops


def best_rows(study: Record, top: int) -> list[int]:
    """Returns the rows of the best settings; raises ValueError if none has a value."""
    best = study.ranked[: whole_number("top", top, 1)]
    return best.tolist() or [study.best_trial.number]


def greedy_ensemble(study: Record, chosen: Chosen) -> Ensemble:
    """Returns the networks of a greedy choice; with folds, one for each fold."""
    num_repeats = study.diverged.shape[1] // study.folds
    columns = zip(*chosen[:3], strict=True)
    places = [(*one, fold) for one in columns for fold in range(study.folds)]
    members = [network_of(study, row, fold * num_repeats + k) for row, k, _, fold in places]
    return Ensemble(members, [count for _, _, count, _ in places], chosen)


def trained_anew(
    study: Record,
    rows: Sequence[int],
    data: Dataset,
    *,
    seed: int,
    order_seed: int,
    progress: bool | None,
) -> list[Fitted]:
    """Trains some settings of a study again, each for as long as its networks were, as lanes."""
    options = Options(
        model=study.model,
        metric=study.metric,
        seed=seed,
        order_seed=order_seed,
        row_space=study.plan.row_space,
        progress=progress,
    )
    parts: Folds = [checked_data(data, None, order_seed)]
    train, _ = parts[0]
    given = [without_stops(study.given[row]) for row in rows]
    # the mean number of epochs of the networks that were kept
    kept = [study.kept_epochs[row][study.diverged[row] < 0] for row in rows]
    ends = [round(float(epochs.mean())) + 1 for epochs in kept]
    # schedules are those of the search, wherever training ends
    prepared = recipes(given, train, options.model, study.num_epochs)
    plan = options.plan_again(study.plan, prepared, train, max(ends))
    again = empty_record(type(study), options, parts, plan, epochs=max(ends))
    # programs that keep room for as many validation rows as the search's are the search's
    num_unused = max(0, len(train) - study.plan.num_examples)
    feed = Feed(record=again, folds=parts, row_space=options.row_space, num_unused=num_unused)
    with open_job(again, options, feed, sum(ends)) as job:
        train_to_ends(job, job.add(given, prepared, plan, ends=ends))
    return [network_of(again, index, 0) for index in range(len(rows))]
