"""Transactions: the trials of a batch, written to a storage together.

Optuna writes one trial at a time, and in a database one parameter at a time: fifteen statements for
a trial of three parameters, about 10 ms. A batch of 32 is written here in as many. This knows the
tables of Optuna's schema 12, which it has had since version 3; any other storage, or schema, is
written to trial by trial, as Optuna does. Each trial is whole in either case.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from jaxnn.storages import import_optuna

_SCHEMA = 12


class Result(NamedTuple):
    """What came of a trial: its value, or None if it diverged; epoch -> what it had reached."""

    trial: Any
    value: float | None
    reached: Mapping[int, float] = {}

    @property
    def state(self) -> Any:
        states = import_optuna().trial.TrialState
        return states.PRUNED if self.value is None else states.COMPLETE

    @property
    def values(self) -> list[float] | None:
        """As Optuna keeps them: of a pruned trial what it had reached."""
        known = [*self.reached.values()][-1:]
        return known or None if self.value is None else [self.value]


def insert(storage: Any, study_id: int, trials: Sequence[Any]) -> None:
    """Adds trials that run to a study, numbered in this order."""
    database = _database(storage)
    if database is not None:
        _attempt(storage, lambda: insert_rows(database, study_id, trials))
        return
    for trial in trials:
        storage.create_new_trial(study_id, template_trial=trial)


def finish(storage: Any, results: Sequence[Result]) -> list[bool]:
    """Ends running trials; of each, whether it was still running, or had been ended so before."""
    database = _database(storage)
    if database is not None:
        return _attempt(storage, lambda: finish_rows(database, results))
    return [_finish(storage, result) for result in results]


def _finish(storage: Any, result: Result) -> bool:
    optuna, number = import_optuna(), result.trial._trial_id
    try:
        for step, reached in result.reached.items():
            storage.set_trial_intermediate_value(number, step, reached)
        storage.set_trial_state_values(number, result.state, result.values)
    except optuna.exceptions.UpdateFinishedTrialError:
        # by ourselves, if the answer to the first try was lost
        return bool(storage.get_trial(number).state != optuna.trial.TrialState.FAIL)
    return True


def _attempt(storage: Any, call: Callable[[], Any]) -> Any:
    return storage.attempt(call) if hasattr(storage, "attempt") else call()


def _database(storage: Any) -> Any:
    """Optuna's storage in a database of the known schema; or None."""
    optuna = import_optuna()
    backend = getattr(getattr(storage, "plain", storage), "_backend", None)
    if not isinstance(backend, optuna.storages.RDBStorage):
        return None
    from optuna.storages._rdb import models

    return backend if models.SCHEMA_VERSION == _SCHEMA else None


def insert_rows(database: Any, study_id: int, trials: Sequence[Any]) -> None:
    from optuna.distributions import distribution_to_json
    from optuna.storages._rdb import models, storage

    kinds: dict[str, Any] = {
        "user_attrs": models.TrialUserAttributeModel,
        "system_attrs": models.TrialSystemAttributeModel,
    }
    with storage._create_scoped_session(database.scoped_session) as session:
        # others that insert wait, so that numbers are unique
        models.StudyModel.find_or_raise_by_id(study_id, session, for_update=True)
        rows = [
            models.TrialModel(
                study_id=study_id, state=trial.state, datetime_start=trial.datetime_start
            )
            for trial in trials
        ]
        session.add_all(rows)
        session.flush()
        rows.sort(key=lambda row: row.trial_id)
        in_study = models.TrialModel.study_id == study_id
        first = (
            session.query(models.TrialModel)
            .filter(in_study, models.TrialModel.trial_id < rows[0].trial_id)
            .count()
        )
        for index, (row, trial) in enumerate(zip(rows, trials, strict=True)):
            row.number = first + index
            for name, value in trial.params.items():
                distribution = trial.distributions[name]
                session.add(
                    models.TrialParamModel(
                        trial_id=row.trial_id,
                        param_name=name,
                        param_value=distribution.to_internal_repr(value),
                        distribution_json=distribution_to_json(distribution),
                    )
                )
            for kind, model in kinds.items():
                for key, value in getattr(trial, kind).items():
                    text = json.dumps(value)
                    session.add(model(trial_id=row.trial_id, key=key, value_json=text))


def finish_rows(database: Any, results: Sequence[Result]) -> list[bool]:
    from optuna.storages._rdb import models, storage
    from optuna.trial import TrialState

    ids = [result.trial._trial_id for result in results]
    with storage._create_scoped_session(database.scoped_session) as session:
        found = (
            session.query(models.TrialModel)
            .filter(models.TrialModel.trial_id.in_(ids))
            # in one order, so that two processes never wait for each other
            .order_by(models.TrialModel.trial_id)
            .with_for_update()
            .all()
        )
        rows: dict[Any, Any] = {row.trial_id: row for row in found}
        answers: list[bool] = []
        for result in results:
            row = rows[result.trial._trial_id]
            before: Any = row.state
            answers.append(before != TrialState.FAIL)
            if before.is_finished():
                continue
            row.state, row.datetime_complete = result.state, datetime.now()
            for value in result.values or ():
                stored, kind = models.TrialValueModel.value_to_stored_repr(value)
                session.add(
                    models.TrialValueModel(
                        trial_id=row.trial_id, objective=0, value=stored, value_type=kind
                    )
                )
            for step, reached in result.reached.items():
                one = models.TrialIntermediateValueModel
                number, of = one.intermediate_value_to_stored_repr(reached)
                session.add(
                    one(
                        trial_id=row.trial_id,
                        step=step,
                        intermediate_value=number,
                        intermediate_value_type=of,
                    )
                )
    return answers
