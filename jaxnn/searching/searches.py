"""`search`: from a space to its best setting, in rounds and rungs of sweeps."""

from typing import Any

from jaxnn.compiled.objectives import ACCURACY
from jaxnn.data.datasets import Dataset
from jaxnn.disk.directories import commits_in
from jaxnn.disk.writing import StrPath
from jaxnn.engine.feeds import empty_record
from jaxnn.engine.identities import checked_identity
from jaxnn.engine.jobs import open_job
from jaxnn.engine.options import Call, entry, hold_out_note
from jaxnn.engine.team import Team, plan_of_first
from jaxnn.formats.layout import whole_record
from jaxnn.functional.types import Model, ModelFn
from jaxnn.searching.arena import Arena, Drawn
from jaxnn.searching.budgets import Budget
from jaxnn.searching.methods import METHODS, PROBES
from jaxnn.searching.studies import Study
from jaxnn.settings.sampling import Space, checked_space, sample
from jaxnn.system.checks import check_fork, one_of
from jaxnn.system.processes import Hosts, all_hosts
from jaxnn.training.hooks import OnEpoch
from jaxnn.training.recipes import recipes
from jaxnn.with_optuna.urls import shown


@entry
def search(
    call: Call,
    space: Space,
    train: Dataset,
    valid: Dataset | float | None = None,
    *,
    method: str = "halving",
    num_settings: int = 64,
    max_epochs: int,
    min_epochs: int = 1,
    factor: float = 3,
    rounds: int = 3,
    batch: int = 32,
    sampler: Any = None,
    storage: Any = None,
    name: str | None = None,
    folds: int = 1,
    seeds: int = 1,
    patience: int | None = None,
    seed: int = 0,
    order_seed: int = 0,
    select: str = "mean",
    keep: str = "last",
    metric: str = ACCURACY.name,
    model: Model | ModelFn | None = None,
    row_space: bool = False,
    chunk: int | None = None,
    directory: StrPath | None = None,
    commit_interval: float = 60.0,
    progress: bool | None = None,
    on_epoch: OnEpoch | None = None,
) -> Study:
    """Looks for the best setting of a space; all networks are lanes of a few compiled programs.

    | method | what is trained |
    | --- | --- |
    | "random", "sobol" | num_settings drawn by chance, or more evenly; all to max_epochs |
    | "grid" | evenly spaced values of every range with every option: people ask for it. Of n \
      settings of d hyperparameters it tries only n^(1/d) values of the one that matters; "sobol" \
      tries n |
    | "coarse_to_fine" | in `rounds`: each draws its share of num_settings from what `zoom` \
      leaves around the best so far |
    | "halving" | num_settings for min_epochs; the best 1 / factor of them, by the mean over the \
      last third of these epochs, go on from where they are to factor x as many, and so on; the \
      last ones to max_epochs |
    | "optuna" | a sampler of Optuna is asked for `batch` settings, which are trained in one sweep \
      and told back, until there are num_settings; needs the extra "optuna" |

    Later rungs compile nothing: survivors are packed into fewer chunks of the programs that are
    there. So do later rounds and batches, unless a structure comes that fits into none. The same
    call gives the same study, to the bit, unless it shares one with other processes in a storage.
    In a job of several processes, see `connect`, all make the call together.

    Args:
      space: name -> domain or fixed value, as for `sample`.
      train, valid: as for `sweep`; with folds valid is None.
      num_settings: how many are tried; in a storage by all processes and calls of that name.
      max_epochs: of a setting that is trained to the end.
      min_epochs, factor: of a halving: the first rung, and the ratio of the rungs.
      rounds: of coarse_to_fine.
      batch, sampler, storage, name: of optuna: settings asked at a time; None is its TPE sampler,
        seeded, with the constant liar; None keeps the study in memory, otherwise a URL or a storage
        of Optuna; the study's name, under which an existing one is gone on with, by any number of
        processes at once (see `ledgers`), whose samplers are seeded anew. It goes on by the call
        that it was begun with: only num_settings, batch, sampler and chunk may differ. A sampler
        that ends the study, such as Optuna's of a grid, ends the search.
      folds: of a stratified cross-validation: each setting is trained `folds` times, and each
        training example is held out once.
      seeds: repetitions of each setting, on each fold.
      patience: a network stops after so many epochs without a better validation metric; looked at
        every patience / 2 epochs. None trains all to the end.
      seed: of the settings that are drawn, weights and dropout.
      order_seed: of mini-batches, folds and a hold-out.
      select: "mean" ranks settings by their mean value, "lower_bound" by the worse end of its 95 %
        interval over repetitions or folds.
      keep, metric, model, row_space, chunk, directory, commit_interval, progress, on_epoch: as for
        `sweep`.

    Returns:
      a `Study`; settings that were dropped on the way have the value that they had reached, the
      state "PRUNED", and come after those that were trained to the end.

    Raises:
      ValueError: bad input, or a study of that name that was begun with another call, before
        anything is compiled.
      TrainingInterrupted: on Ctrl-C or SIGTERM, or where Optuna's sampler or storage fails after
        something was trained, with what was reached in its `study`.

    Sources: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012;
    Jamieson and Talwalkar, Non-stochastic Best Arm Identification, AISTATS 2016 (halving).

    >>> from jaxnn import loguniform
    >>> x = np.random.default_rng(0).normal(size=(80, 2))
    >>> data, space = Dataset(x, (x[:, 0] > 0) * 1), {"learning_rate": loguniform(1e-4, 1e0)}
    >>> study = search(space, data, 0.25, num_settings=9, max_epochs=9)
    >>> [(rung.epochs, len(rung.entered)) for rung in study.rungs], len(study.ranked)
    ([(1, 9), (3, 3), (9, 1)], 1)
    """
    check_fork("search")
    hosts = all_hosts()
    with hosts.raised_together("the arguments of search"):
        text, options = call.text(storage=shown(storage)), call.options
        one_of("method", method, METHODS)
        how = METHODS[method]
        budget = Budget.among(call.arguments)
        _check_storage(storage, directory, hosts)
        parts = options.parts(train, valid)
        training_part, space = parts[0][0], checked_space(space)
        # what is drawn later comes from the same space: enough settings tell its programs
        count = max(budget.num_settings, 0 if how.is_drawn_at_once else PROBES)
        first = sample(space, count, seed, method=how.draw)
        prepared = recipes(first, training_part, options.model)
        # a grid may have fewer
        rungs = [(min(count, len(first)), epochs) for count, epochs in how.rungs(budget)]
        shares = [(count / len(prepared), epochs) for count, epochs in rungs]
        plan = options.plan(prepared, training_part, budget.max_epochs, rungs=shares)
    plan = plan_of_first(hosts, plan, options.model)
    with commits_in(directory, commit_interval, hosts) as commits:
        own = checked_identity(commits, call, plan, hosts)
        if commits.finished:
            return Study.of(whole_record(commits.finished, options.model))
        begun = how.begin(call)
        study = empty_record(
            Study, options, parts, plan, epochs=budget.max_epochs, space=space, call=text
        )
        work = round(sum(count * epochs for count, epochs in rungs)) * seeds * folds
        with open_job(
            study, options, parts, work, commits=commits, identity=own, team=Team(hosts=hosts)
        ) as job:
            job.note(hold_out_note(valid, parts))
            drawn = Drawn(first, prepared, plan)
            how.run(Arena(job, options, space=space, budget=budget, drawn=drawn, begun=begun))
    return study


def _check_storage(storage: Any, directory: StrPath | None, hosts: Hosts) -> None:
    if storage is None:
        return
    if directory is not None:
        raise ValueError(
            "directory came with a storage, in which Optuna keeps the study; expected one of them"
        )
    if hosts.count > 1:
        raise ValueError(
            f"storage came in a job of {hosts.count} processes of JAX, which train the lanes of "
            "one search together; expected None, or processes that are independent"
        )
