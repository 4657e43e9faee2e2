"""The networks of a study: one of them, several as one, and the best trained anew."""

import copy

import jax

from jaxnn.data.datasets import Dataset
from jaxnn.data.splits import checked_data
from jaxnn.engine.chunks import train_up_to
from jaxnn.engine.opening import add, open_job
from jaxnn.engine.options import Folds, Options
from jaxnn.functional.mixtures import own_part
from jaxnn.results.studies import Study
from jaxnn.system.arrays import own
from jaxnn.system.checks import whole_number
from jaxnn.training.fitted import Ensemble, Fitted
from jaxnn.training.programs import FOREIGN
from jaxnn.training.recipes import mlp_of_setting, recipes


def network(study: Study, number: int | None = None, repeat: int = 0) -> Fitted:
    """A network of the study, see `Study.fitted`."""
    number = study.best_trial.number if number is None else whole_number("number", number)
    repeat = whole_number("repeat", repeat)
    num_settings, num_repeats = study.diverged.shape
    if number >= num_settings or repeat >= num_repeats:
        raise ValueError(
            f"fitted got setting {number}, repetition {repeat}; expected below {num_settings} "
            f"and {num_repeats}"
        )
    chunk, lane = study.places[number, repeat]
    if chunk < 0:
        raise ValueError(
            f"setting {number} has no network here: it was not trained to an end (an interrupt, "
            "short memory), or another process of the job has it, which shares the best alone"
        )
    if study.model is FOREIGN:
        raise ValueError(
            "the study was loaded without its model, which is code that the file does not hold; "
            "expected load(path, model)"
        )
    setting = study.settings[number]
    params, state = jax.tree.map(
        lambda leaf: leaf[lane], (study.chunks[chunk].params, study.chunks[chunk].state)
    )
    fold = repeat // (num_repeats // study.folds)
    model, inputs = study.chunks[chunk].model, study.treatments[setting["inputs"], fold]
    if study.model is None:
        model = mlp_of_setting(setting, study.input_shape, study.num_classes)
        params, state = own_part(study.chunks[chunk].model, setting, params, state)
    step = int(study.diverged[number, repeat])
    done = int(study.epochs_done[number, repeat])
    return Fitted(
        model=model,
        # copies: what is written to a network's arrays does not change the study
        params=jax.tree.map(own, inputs.lifted(params)),
        state=jax.tree.map(own, state),
        inputs=copy.deepcopy(inputs.statistics),
        setting=dict(setting),
        curves={name: curve[number, repeat, :done].copy() for name, curve in study.curves.items()},
        diverged=None if step < 0 else step,
        input_shape=study.input_shape,
        num_classes=study.num_classes,
        is_mlp=study.model is None,
    )


def ensemble(study: Study, top: int) -> Ensemble:
    """The networks of the best settings as one, see `Study.ensemble`."""
    return Ensemble([network(study, number) for number in _best(study, top)])


def refitted(
    study: Study,
    data: Dataset,
    top: int | None,
    seed: int,
    order_seed: int,
    progress: bool | None,
) -> Fitted | Ensemble:
    """The best settings trained anew, see `Study.refit`."""
    numbers = _best(study, 1 if top is None else top)
    options = Options(
        study.model,
        seed=seed,
        order_seed=order_seed,
        row_space=study.plan.row_space,
        progress=progress,
    )
    parts: Folds = [checked_data(data, None, order_seed)]
    train, _ = parts[0]
    given = [study.given[number] for number in numbers]
    # for as long as what was kept was trained, on the mean
    ends = [round(float(study.kept_epochs[number].mean())) + 1 for number in numbers]
    prepared = recipes(given, train, options.model)
    plan = options.plan(prepared, train, max(ends))
    with open_job(options, parts, plan, max(ends), sum(ends)) as job:
        add(job, options, given, prepared, plan)
        job.study.ends[:, 0] = ends
        for until in sorted({*ends}):
            lanes = [(index, 0) for index, end in enumerate(ends) if end >= until]
            train_up_to(job, lanes, until, goes_on=until < max(ends))
    members = [network(job.study, index) for index in range(len(numbers))]
    return members[0] if top is None else Ensemble(members)


def _best(study: Study, top: int) -> list[int]:
    """Numbers of the best settings; ValueError if none has a value."""
    best = study.ranked[: whole_number("top", top, 1)]
    return best.tolist() or [study.best_trial.number]
