"""`search`: looks for the best setting of a space by one of several methods."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxnn.data.datasets import Dataset
from jaxnn.disk.directories import commits_in
from jaxnn.disk.writing import StrPath
from jaxnn.engine.feeds import Feed, empty_record
from jaxnn.engine.identities import checked_identity
from jaxnn.engine.jobs import open_job
from jaxnn.engine.options import Call, entry, hold_out_note
from jaxnn.engine.team import Team, plan_of_first
from jaxnn.formats.layout import whole_record
from jaxnn.functional.types import Model, ModelFn
from jaxnn.methods.arena import Arena
from jaxnn.methods.budgets import Clock
from jaxnn.methods.table import METHODS, Method
from jaxnn.methods.timing import started
from jaxnn.planning.plans import functions_of
from jaxnn.results.records import Record
from jaxnn.searching.studies import Study
from jaxnn.settings.hyperparameters import Setting
from jaxnn.settings.sampling import Space, functions_in
from jaxnn.system.checks import check_fork, one_of
from jaxnn.system.processes import Hosts, all_hosts
from jaxnn.training.hooks import OnEpoch
from jaxnn.with_optuna.urls import shown


@entry
def search(
    call: Call,
    space: Space | None,
    train: Dataset,
    valid: Dataset | float | None = None,
    *,
    method: str = "halving",
    num_settings: int | None = None,
    max_epochs: int | None = None,
    min_epochs: int | None = None,
    seconds: float | None = None,
    factor: float = 3,
    rounds: int = 3,
    batch: int = 32,
    sampler: Any = None,
    storage: Any = None,
    name: str | None = None,
    first: Sequence[Setting] | Record = (),
    limit: Mapping[str, float] | None = None,
    stop_after: Mapping[str, float] | None = None,
    folds: int = 1,
    seeds: int = 1,
    patience: int | None = None,
    seed: int = 0,
    order_seed: int = 0,
    select: str = "mean",
    keep: str = "last",
    metric: str | None = None,
    model: Model | ModelFn | None = None,
    row_space: bool = False,
    chunk: int | None = None,
    directory: StrPath | None = None,
    commit_interval: float = 60.0,
    progress: bool | None = None,
    on_epoch: OnEpoch | None = None,
) -> Study:
    """Searches a space for the best setting; all networks are lanes of a few compiled programs.

    | method | what is trained |
    | --- | --- |
    | "random", "sobol" | num_settings, drawn at random or more evenly; all to max_epochs |
    | "grid" | evenly spaced values of every range with every option. Of n settings of d \
      hyperparameters it tries only n^(1/d) values of the one that matters; "sobol" tries n |
    | "coarse_to_fine" | `rounds` of equally many settings, together num_settings; each round \
      draws from the part of the space that `zoom` finds around the best so far |
    | "halving" | num_settings for min_epochs. The best 1 / factor of them, by the mean over the \
      last third of these epochs, continue to factor x as many epochs, and so on; the last ones \
      train to max_epochs |
    | "hyperband" | several halvings, the first of which begins with the fewest epochs, the last \
      with all: one halving drops settings that learn slowly at first |
    | "population" | num_settings in at most ten generations of at least min_epochs; after each, \
      the worst quarter gives way to copies of networks of the best, which go on as further \
      settings of the same structure with other numbers. For one process, without patience |
    | "optuna" | `batch` settings at a time, which a sampler of Optuna proposes and whose values \
      it is told, until there are num_settings; needs the extra "optuna" |

    Later rungs compile nothing: the remaining settings use fewer chunks of the same programs. Later
    rounds and batches compile only for a structure that fits into no existing program. The same
    call gives the same study, to the bit, unless other processes work on it through a storage. In a
    job of several processes, see `connect`, all processes make the call together.

    Args:
      space: name -> domain or fixed value, or a list of such spaces, as for `sample`. None is
        `default_space` of the part that trains, whose `default_setting` is trained among the first
        unless there are `first` ones or a `limit`.
      train, valid: as for `sweep`; with folds, valid is None.
      method: see the table.
      num_settings: the number of settings, by default 64; in a storage, over all processes and
        calls of that name.
      max_epochs: epochs of a setting that is trained to the end; needed without `seconds`.
      min_epochs: epochs of the first rung of a halving, or least epochs of a generation; by default
        1.
      seconds: the time that the call may take, with compiling. Of the three numbers above, those
        that are None are chosen so that the plan is expected to fit: first by its rates, then by a
        program that is compiled and trained for some epochs. A note of the study says what was
        chosen. At the end of a rung, round or batch the search ends early, with a note, if the next
        one is expected to take too long; otherwise a call with the chosen numbers gives the same
        bits. Not for a storage or a job of several processes.
      factor: ratio of the epochs of two rungs of a halving.
      rounds: rounds of coarse_to_fine.
      batch: settings that Optuna's sampler proposes at a time.
      sampler: a sampler of Optuna; None is its TPE sampler with this seed and the constant liar.
      storage: a URL or a storage of Optuna, which any number of processes may search at once (see
        `jaxnn.with_optuna.ledgers`); their samplers get new seeds. None keeps the study in memory.
      name: the name of Optuna's study. An existing one is continued, with the arguments that it was
        started with: only num_settings, batch, sampler and chunk may differ. A sampler that ends
        the study, such as Optuna's grid sampler, ends the search.
      first: known settings, which every method trains among the first (Optuna as enqueued trials);
        they count among num_settings, but beside a grid. Names that one lacks have the value that
        the space fixes, or their default. Or a study, of which the best settings that lie in the
        space are taken, at most a quarter of num_settings.
      limit: the most that a network may have of "parameters", "multiply_adds" (of a prediction for
        one example) or "megabytes" (of parameters). Settings over it are drawn again; those that
        Optuna proposes are pruned untrained.
      stop_after: ends the search after so many "settings" or "seconds" without a better one, such
        as {"settings": 64}: better by more than the noise of the best one, its standard error or,
        without repetitions, the deviation of its metric over its last epochs. It is looked at after
        each round, batch and bracket of this call; other methods train all.
      folds: folds of a stratified cross-validation: each setting is trained `folds` times, and each
        training example is held out once.
      seeds: repetitions of each setting, on each fold.
      patience: stops a network after so many epochs without a better validation metric: the
        hyperparameters "patience" and "monitor" of all settings. Every patience / 2 epochs, the
        networks that are left are put together anew. None trains all to the end.
      seed: the seed of settings, weights and dropout.
      order_seed: the seed of mini-batches, folds and a hold-out.
      select: "mean" ranks settings by their mean value, "lower_bound" by the worse end of its 95 %
        interval over repetitions or folds.
      keep, metric, model, row_space, chunk, directory, commit_interval, progress, on_epoch: as for
        `sweep`.

    Returns:
      a `Study`. Dropped settings keep their last value, have the state "PRUNED" and are ranked
      after those that were trained to the end.

    Raises:
      ValueError: bad input, or a study of that name that was started by another call; before
        anything is compiled.
      TrainingInterrupted: on Ctrl-C or SIGTERM, or if Optuna's sampler or storage fails after some
        training; its `study` holds what was trained.

    Sources: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012;
    Jamieson and Talwalkar, Non-stochastic Best Arm Identification, AISTATS 2016 (halving); Li et
    al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization, JMLR 18, 2018;
    Jaderberg et al., Population Based Training of Neural Networks, 2017, arXiv 1711.09846.

    >>> import numpy as np
    >>> from jaxnn import loguniform
    >>> x = np.random.default_rng(0).normal(size=(80, 2))
    >>> data, space = Dataset(x, (x[:, 0] > 0) * 1), {"learning_rate": loguniform(1e-4, 1e0)}
    >>> study = search(space, data, 0.25, num_settings=9, max_epochs=9)
    >>> [(rung.epochs, len(rung.entered)) for rung in study.rungs], len(study.ranked)
    ([(1, 9), (3, 3), (9, 1)], 1)
    """
    check_fork("search")
    hosts, clock = all_hosts(), Clock()
    with hosts.raised_together("the arguments of search"):
        options, how = call.options, _method(call, hosts)
        parts = options.parts(train, valid)
        call, drawn, work = started(call, how, parts, clock)
        options = options.ranked(drawn.recipes)
    drawn = drawn._replace(plan=plan_of_first(hosts, drawn.plan, options.model))
    with commits_in(directory, commit_interval, hosts) as commits:
        own = checked_identity(commits, call, drawn.plan, hosts)
        if commits.finished:
            functions = functions_in(drawn.settings.space) | functions_of(drawn.plan)
            return Study.of(whole_record(commits.finished, options.model, functions), parts)
        begun = how.begin(call.replaced(metric=options.metric))
        study = empty_record(
            Study, options, parts, drawn.plan, epochs=drawn.budget.max_epochs,
            space=drawn.settings.space, call=call.text(storage=shown(storage)),
        )  # fmt: skip
        feed, team = Feed(record=study, folds=parts, row_space=row_space), Team(hosts=hosts)
        with open_job(study, options, feed, work, commits=commits, identity=own, team=team) as job:
            job.note(hold_out_note(valid, parts))
            job.note(drawn.budget.note)
            how.run(Arena(job, options, drawn=drawn, begun=begun, clock=clock))
    return study


def _method(call: Call, hosts: Hosts) -> Method:
    """Returns the method of a call; raises ValueError if it is unknown, or not for a storage."""
    method, storage, directory = (call.arguments[n] for n in ("method", "storage", "directory"))
    one_of("method", method, METHODS)
    if storage is not None and method != "optuna":
        raise ValueError(f"storage came with method={method!r}; expected method='optuna'")
    if storage is not None and directory is not None:
        raise ValueError(
            "directory came with a storage, in which Optuna keeps the study; expected one of them"
        )
    if call.arguments["seconds"] is not None and (storage is not None or hosts.count > 1):
        raise ValueError(
            "seconds came with a storage or in a job of several processes, each with a clock of "
            "its own; expected num_settings and max_epochs"
        )
    if method == "population" and hosts.count > 1:
        raise ValueError(
            f"method got 'population' in a job of {hosts.count} processes, which do not share the "
            "states of networks; expected another method, or one process"
        )
    if storage is not None and hosts.count > 1:
        raise ValueError(
            f"storage came in a job of {hosts.count} processes of JAX, which train the lanes of "
            "one search together; expected None, or processes that are independent"
        )
    return METHODS[method]
