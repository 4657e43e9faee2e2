"""`sweep`: trains many settings at once, as lanes of a few compiled programs ("Caviar")."""

from collections.abc import Sequence
from dataclasses import replace

from jaxnn.data.datasets import Dataset
from jaxnn.disk.directories import commits_in
from jaxnn.disk.writing import StrPath
from jaxnn.engine.devices import train_up_to
from jaxnn.engine.feeds import Feed, empty_record
from jaxnn.engine.identities import checked_identity
from jaxnn.engine.jobs import open_job
from jaxnn.engine.options import Call, entry, hold_out_note
from jaxnn.engine.team import Team, plan_of_first
from jaxnn.formats.layout import whole_record
from jaxnn.functional.types import Model, ModelFn
from jaxnn.planning.plans import Plan, check_plan, functions_of
from jaxnn.searching.studies import Study
from jaxnn.settings.hyperparameters import Setting
from jaxnn.settings.sampling import Settings, checked_space
from jaxnn.system.checks import check_fork, whole_number
from jaxnn.system.processes import all_hosts
from jaxnn.training.hooks import OnEpoch
from jaxnn.training.recipes import recipes


@entry
def sweep(
    call: Call,
    settings: Sequence[Setting],
    train: Dataset,
    valid: Dataset | float,
    *,
    epochs: int,
    seeds: int = 1,
    seed: int = 0,
    order_seed: int = 0,
    model: Model | ModelFn | None = None,
    keep: str = "last",
    metric: str | None = None,
    row_space: bool = False,
    plan: Plan | None = None,
    chunk: int | None = None,
    directory: StrPath | None = None,
    commit_interval: float = 60.0,
    progress: bool | None = None,
    on_epoch: OnEpoch | None = None,
) -> Study:
    """Trains all settings at once, each network as `fit` would train it alone.

    A lane is one network: setting x repetition. Lanes share compiled programs. In a program every
    number (`learning_rate`, `momentum`, `l2`, `dropout`, ...) may differ by lane, and so may the
    structure (`hidden`, `activation`, `batch_norm`, `optimizer`, ...): the plan decides which
    settings are padded and trained together, see `plan`. Each local device trains one chunk of a
    program's lanes after another. In a job of several processes, see `connect`, all processes make
    the call together, and each trains a share of the chunks.

    Repetition k of setting i equals `fit(settings[i], train, valid, epochs=epochs, seed=seed + k,
    order_seed=order_seed)` up to rounding. A lane's bits depend on its program and its chunk's
    size, which the plan decides. They do not depend on the other lanes, their number or order, or
    the number of devices. For settings of one structure, the plan does not depend on their number;
    for mixed settings it may, so pass `plan` to keep it.

    Args:
      settings: dicts, as from `sample`.
      train: the training set.
      valid: a Dataset to evaluate on after every epoch, or a fraction of `train` to hold out for it
        (stratified, drawn from `order_seed`).
      epochs: passes over the training set, at least 1.
      seeds: K, repetitions of each setting.
      seed: the seed of weights and dropout of the first repetition; repetition k has seed + k.
      order_seed: the seed of the mini-batches, which all lanes share.
      model: a pair of pure functions in place of `mlp`, or a function that makes one, see `fit`.
      keep: "last" keeps each network of the last epoch; "best" keeps it and takes its value from
        its best validation epoch.
      metric: the metric of the validation set by which settings are ranked: "accuracy" or "cost";
        for real targets "rmse", "mae", "r2" or "cost". None is "accuracy" or "rmse".
      row_space: if there are fewer examples than features, train in the row space of the training
        inputs and convert the weights back at the end, see `fit`.
      plan: a plan that `plan` made for the same settings; None makes it.
      chunk: lanes that a device trains at a time; None leaves it to the plan.
      directory: where the state of every network is saved while it trains. After a kill, the same
        call or `resume` continues and ends with the same bits; a finished study is only loaded. A
        directory belongs to one search, and to one process or job at a time; all processes of a job
        must see it. See `jaxnn.disk.directories`.
      commit_interval: least seconds between two commits; it grows if a commit takes more than 3 %
        of it.
      progress: False shows nothing; otherwise a live line on a terminal or in a notebook, and
        elsewhere a line every ten seconds.
      on_epoch: a function that is called with an `EpochInfo` for every epoch of every network, on
        the host after a compiled call of several epochs. If it raises, it is not called again, and
        a warning at the end says so. KeyboardInterrupt or SystemExit ends training as Ctrl-C does:
        it becomes the cause of a TrainingInterrupted.

    Returns:
      a `Study`. A network whose cost stops being finite is no longer trained, is marked with the
      step, and is ranked last.

    Raises:
      ValueError: bad input, before anything is compiled; or a directory that holds another search
        or only damaged commits, or that another process uses.
      TrainingInterrupted: on Ctrl-C or SIGTERM; its `study` holds what was trained.

    >>> import numpy as np
    >>> from jaxnn import loguniform, sample
    >>> x = np.random.default_rng(0).normal(size=(80, 2))
    >>> data = Dataset(x, (x[:, 0] > 0).astype(int))
    >>> settings = sample({"learning_rate": loguniform(1e-4, 1e0)}, 8)
    >>> study = sweep(settings, data, 0.25, epochs=10)
    >>> study.curves["valid_cost"].shape, study.best_params["learning_rate"] > 1e-2
    ((8, 1, 10), True)
    """
    check_fork("sweep")
    hosts = all_hosts()
    with hosts.raised_together("the arguments of sweep"):
        text, options = call.text(), call.options
        epochs = whole_number("epochs", epochs, 1)
        if plan is not None and not isinstance(plan, Plan):
            raise ValueError(f"plan got {plan!r}; expected one made by jaxnn.plan")
        parts = options.parts(train, valid)
        prepared = recipes(settings, parts[0][0], options.model, epochs)
        options = options.ranked(prepared)
        plan = options.plan(prepared, parts[0][0], epochs) if plan is None else plan
        check_plan(plan, prepared, row_space)
        if options.chunk:
            programs = (replace(one, chunk=options.chunk) for one in plan.programs)
            plan = replace(plan, programs=tuple(programs))
    plan = plan_of_first(hosts, plan, options.model)
    total = len(prepared) * seeds * epochs
    with commits_in(directory, commit_interval, hosts) as commits:
        own = checked_identity(commits, call, plan, hosts)
        if commits.finished:
            functions = functions_of(plan)
            return Study.of(whole_record(commits.finished, options.model, functions), parts)
        space = checked_space(settings.space) if isinstance(settings, Settings) else None
        study = empty_record(Study, options, parts, plan, epochs=epochs, space=space, call=text)
        feed, team = Feed(record=study, folds=parts, row_space=row_space), Team(hosts=hosts)
        with open_job(study, options, feed, total, commits=commits, identity=own, team=team) as job:
            rows = job.add(settings, prepared, plan)
            job.note(hold_out_note(valid, parts))
            train_up_to(job, job.lanes(rows), epochs)
    return study
