"""A study exported to Optuna, for its dashboard, plots and importances."""

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxnn.reporting.pareto import sizes
from jaxnn.results.axes import StudyAxis
from jaxnn.results.records import Record
from jaxnn.results.trials import Trial
from jaxnn.system.functions import short_name
from jaxnn.with_optuna.parameters import Parameter
from jaxnn.with_optuna.storages import import_optuna, open_storage

if TYPE_CHECKING:
    import optuna


_COMPLETE = "jaxnn: complete"
"""Attribute of a study: whether `to_optuna` wrote it completely."""

_DROPPED = "dropped at epoch"


def to_optuna(study: Record, storage: Any = None, name: str | None = None) -> "optuna.study.Study":
    """Returns a study as a study of Optuna, for its dashboard, plots and importances.

    Every setting becomes a trial with its value, its learning curve as intermediate values, and the
    values of its repetitions, their standard error and the "parameters" of its network, a second
    value to plot, as user attributes. A setting that diverged is a pruned trial, one whose training
    was interrupted a failed trial. Of `layers`, a trial has a parameter for each axis that its
    setting uses: two layers have no "units_3". Needs the extra "optuna".

    Optuna's plots and importances use complete trials only. A setting that a search dropped is
    therefore a complete trial with its last value. It has the attribute "dropped at epoch" and
    violates a constraint by the number of epochs that it was not trained. Plots of slices, contours
    and the history show it as infeasible, parallel coordinates since Optuna 5, and it is never the
    best trial. Importances, ranks and the empirical distribution do not make this difference: they
    compare values after different numbers of epochs.

    Optuna's best trial is `study.best_trial`: where other settings have the same value, theirs is
    written one bit worse. With `select="lower_bound"`, which Optuna lacks, it is the trial of the
    best mean.

    Args:
      study: a study of `sweep` or `search`.
      storage: None for memory, or a URL or a storage of Optuna.
      name: the name of the study in the storage; None lets Optuna choose one.

    Returns:
      Optuna's study. It is written completely or not at all: an incomplete one is deleted at once,
      or after a kill by the next call with that name.

    Raises:
      ValueError: the storage cannot be opened, or has a study of that name already.

    >>> from jaxnn import Dataset, loguniform, sample, sweep
    >>> x = np.random.default_rng(0).normal(size=(80, 2))
    >>> settings = sample({"learning_rate": loguniform(1e-4, 1e0)}, 4)
    >>> study = sweep(settings, Dataset(x, (x[:, 0] > 0) * 1), 0.25, epochs=3)
    >>> there = to_optuna(study)
    >>> len(there.trials), there.best_trial.number == study.best_trial.number
    (4, True)
    """
    optuna = import_optuna()
    ours = [(one, Parameter(one.name, one.axis(study.settings, study.space))) for one in study.axes]
    values, counts = _values(study), _counts(study)
    trials = [
        _frozen(optuna, study, trial, value, ours, counts)
        for trial, value in zip(study.trials, values, strict=True)
    ]
    opened: Any = open_storage(storage)
    if name is not None and name in optuna.get_all_study_names(opened):
        there = optuna.load_study(study_name=name, storage=opened)
        if there.user_attrs.get(_COMPLETE, True):
            raise ValueError(
                f"to_optuna got the name {name!r}, which the storage has; give another"
            )
        optuna.delete_study(study_name=name, storage=opened)
    direction = study.ranked_by[0].direction
    there = optuna.create_study(storage=opened, study_name=name, direction=direction)
    try:
        there.set_user_attr(_COMPLETE, False)
        there.set_user_attr("fixed", _fixed(study))
        there.add_trials(trials)
        there.set_user_attr(_COMPLETE, True)
    except BaseException:
        optuna.delete_study(study_name=there.study_name, storage=opened)
        raise
    # the user gets a plain study, without the wrapper of its storage
    return optuna.load_study(study_name=there.study_name, storage=opened.plain)


def _values(study: Record) -> np.ndarray:
    """Returns the trials' values (S,); others equal to the best are made worse by one bit.

    Optuna chooses any of equal values, whereas a study then compares the other metric.
    """
    values = np.array([trial.value for trial in study.trials])
    if study.ranked.size:
        best, *others = study.ranked
        equal = [number for number in others if values[number] == values[best]]
        values[equal] = np.nextafter(values[equal], study.ranked_by[0].worst)
    return values


def _counts(study: Record) -> np.ndarray | None:
    """Returns the parameters (S,) of each network; None without the code of the model."""
    with contextlib.suppress(ValueError):
        return sizes(study, "parameters")
    return None


def _fixed(study: Record) -> Mapping[str, Any]:
    first, varied = study.settings[0], study.varied
    return {
        name: short_name(value) if callable(value) else json.loads(json.dumps(value))
        for name, value in first.items()
        if name not in varied
    }


def _frozen(
    optuna: Any,
    study: Record,
    trial: Trial,
    value: float,
    ours: Sequence[tuple[StudyAxis, Parameter]],
    counts: np.ndarray | None,
) -> Any:
    setting, states = study.settings[trial.number], optuna.trial.TrialState
    used = [(one.value(setting), parameter) for one, parameter in ours if one.has(setting)]
    curve = study.curves[study.ranked_by[0].valid][trial.number].mean(axis=0)
    is_finite, dropped = math.isfinite(value), int(study.dropped[trial.number])
    if trial.state == "RUNNING":
        state = states.FAIL
    else:
        state = states.COMPLETE if is_finite else states.PRUNED
    # Optuna counts a trial without constraints as infeasible if other trials have some
    constraints = [float(study.num_epochs - dropped if dropped else 0)]
    frozen = optuna.trial.create_trial(
        state=state,
        value=value if is_finite else None,
        params={one.name: one.to_optuna(number) for number, one in used},
        distributions={one.name: one.distribution for _, one in used},
        intermediate_values={
            epoch: float(value) for epoch, value in enumerate(curve, 1) if np.isfinite(value)
        },
        user_attrs={
            "epochs": trial.epochs,
            **({} if counts is None else {"parameters": int(counts[trial.number])}),
            "standard_error": trial.standard_error if math.isfinite(trial.standard_error) else None,
            "values": [value if math.isfinite(value) else None for value in trial.values],
            **({_DROPPED: dropped} if dropped else {}),
        },
        system_attrs={"constraints": constraints} if study.dropped.any() else {},
    )
    if trial.datetime_start is not None:
        frozen.datetime_start, frozen.datetime_complete = (
            trial.datetime_start,
            trial.datetime_complete,
        )
    return frozen
