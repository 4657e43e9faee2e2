"""A batch written at once is what Optuna would have written trial by trial."""

import optuna
import pytest

from jaxnn import transactions
from jaxnn.transactions import Result, finish, insert

optuna.logging.set_verbosity(optuna.logging.ERROR)
STATE = optuna.trial.TrialState
SPACE = {
    "rate": optuna.distributions.FloatDistribution(1e-3, 1.0, log=True),
    "units": optuna.distributions.IntDistribution(1, 9),
    "hidden": optuna.distributions.CategoricalDistribution(["5", "4-3"]),
}


def trial(number):
    return optuna.trial.create_trial(
        state=STATE.RUNNING,
        params={"rate": 0.1 * (number + 1), "units": number + 1, "hidden": "4-3"},
        distributions=SPACE,
        user_attrs={"worker": f"w{number}"},
        system_attrs={"fixed_params": {"rate": number}},
    )


def written(url, is_at_once, monkeypatch):
    """A study that others write to as well, and what each end of a trial was answered."""
    monkeypatch.setattr(transactions, "_SCHEMA", 12 if is_at_once else 0)
    study = optuna.create_study(storage=url)
    storage = study._storage
    assert (transactions._database(storage) is not None) == is_at_once
    # trials of another study have numbers of their own
    optuna.create_study(storage=url).ask()
    study.add_trial(trial(0))
    insert(storage, study._study_id, [trial(1), trial(2), trial(3)])
    insert(storage, study._study_id, [trial(4)])
    trials = study.trials
    study.tell(4, state=STATE.FAIL)
    results = [
        Result(trials[1], 0.5),
        Result(trials[2], None, {3: 0.25}),
        Result(trials[3], None),
        Result(trials[4], 0.7),
    ]
    answers = finish(storage, results)
    # the answer to the first was lost
    return study.trials, [*answers, *finish(storage, results[:2]), *finish(storage, [])]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_batch_is_what_optuna_would_have_written(tmp_path, monkeypatch):
    at_once, answers = written(f"sqlite:///{tmp_path}/a.db", True, monkeypatch)
    one_by_one, expected = written(f"sqlite:///{tmp_path}/b.db", False, monkeypatch)
    assert answers == expected == [True, True, True, False, True, True]
    assert [one.number for one in at_once] == [0, 1, 2, 3, 4]
    names = ("state", "values", "params", "distributions", "user_attrs", "system_attrs")
    for one, other in zip(at_once, one_by_one, strict=True):
        for name in (*names, "number", "intermediate_values"):
            assert getattr(one, name) == getattr(other, name), name
        assert (one.duration is None) == (other.duration is None)
        assert abs((one.datetime_start - other.datetime_start).total_seconds()) < 60
    assert [one.state.name for one in at_once] == [
        "RUNNING",
        "COMPLETE",
        "PRUNED",
        "PRUNED",
        "FAIL",
    ]
    assert [one.value for one in at_once] == [None, 0.5, 0.25, None, None]
