"""Studies of Optuna that are gone on with: by the call that began them, and by no other."""

import re

import numpy as np
import optuna
import pytest
from helpers.searches import TRAIN, VALID

import jaxnn
from jaxnn import search

optuna.logging.set_verbosity(optuna.logging.ERROR)
STATE = optuna.trial.TrialState
SPACE = {
    "learning_rate": jaxnn.loguniform(1e-2, 1e0),
    "momentum": jaxnn.reverseloguniform(0.5, 0.99),
    "hidden": (3,),
    "batch_size": jaxnn.choice([16, 20]),
}
OPTIONS = {"method": "optuna", "num_settings": 2, "batch": 2, "max_epochs": 2, "progress": False}


@pytest.fixture(scope="module")
def begun():
    storage = optuna.storages.InMemoryStorage()
    search(SPACE, TRAIN, VALID, storage=storage, name="ours", **OPTIONS)
    return {"storage": storage, "name": "ours", **OPTIONS}


OTHERS = {
    "a fixed value": (SPACE | {"hidden": (4,)}, {}, r"space\.hidden\[0\] is 3, and now it is 4"),
    "a default": (SPACE | {"l2": 0.1}, {}, r"space\.l2 is None, and now it is 0\.1"),
    "fixed now": (
        SPACE | {"batch_size": 16},
        {},
        r"is jaxnn\.choice\(\[16, 20\]\), and now it is 16",
    ),
    "one more": (SPACE | {"l2": jaxnn.loguniform(1e-6, 1e-3)}, {}, r"space\.l2 is None, and now"),
    "one less": (
        {name: SPACE[name] for name in ("momentum", "hidden", "batch_size")},
        {},
        r"space\.learning_rate is jaxnn\.loguniform\(0\.01, 1\.0\), and now it is None",
    ),
    "other bounds": (
        SPACE | {"momentum": jaxnn.reverseloguniform(0.5, 0.9)},
        {},
        r"space\.momentum\.high is 0\.99, and now it is 0\.9;",
    ),
    "another order": (
        SPACE | {"batch_size": jaxnn.choice([20, 16])},
        {},
        r"space\.batch_size\.options\[0\] is 16, and now it is 20",
    ),
    "epochs": (SPACE, {"max_epochs": 3}, "max_epochs is 2, and now it is 3"),
    "repetitions": (SPACE, {"seeds": 2}, "seeds is 1, and now it is 2"),
    "folds": (SPACE, {"folds": 2, "valid": None}, "valid is '40 examples .*, and now it is None"),
    "a hold-out": (SPACE, {"valid": 0.25}, "valid is '40 examples .*, and now it is 0.25"),
    "data": (SPACE, {"train": TRAIN[:32]}, "train is '40 examples .*, and now it is '32 examples"),
    "patience": (SPACE, {"patience": 1}, "patience is None, and now it is 1"),
    "weights": (SPACE, {"seed": 1}, "seed is 0, and now it is 1"),
    "mini-batches": (SPACE, {"order_seed": 1}, "order_seed is 0, and now it is 1"),
    "networks kept": (SPACE, {"keep": "best"}, "keep is 'last', and now it is 'best'"),
    "row space": (SPACE, {"row_space": True}, "row_space is False, and now it is True"),
    "a model": (SPACE, {"model": jaxnn.mlp(4, (3,), 3)}, "has_model is False, and now it is True"),
    "a metric": (SPACE, {"metric": "cost"}, "of the direction 'maximize'"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_call_is_refused_before_work_starts(begun, what):
    space, changes, message = OTHERS[what]
    before = len(optuna.load_study(study_name="ours", storage=begun["storage"]).trials)
    told = []
    options = {"train": TRAIN, "valid": VALID, **begun, "num_settings": 4, **changes}
    with pytest.raises(ValueError, match=f"name got 'ours', a study .*{message}"):
        search(space, on_epoch=told.append, **options)
    trials = optuna.load_study(study_name="ours", storage=begun["storage"]).trials
    assert (len(trials), told) == (before, [])


def test_what_changes_no_value_may_change(begun):
    order = {name: SPACE[name] for name in sorted(SPACE)} | {
        "hidden": [np.int64(3)],
        "learning_rate": jaxnn.loguniform(np.float64(1e-2), 1),
    }
    options = begun | {"num_settings": 3, "batch": 1, "chunk": 4}
    sampler = optuna.samplers.RandomSampler()
    assert len(search(order, TRAIN, VALID, sampler=sampler, **options).given) == 1


CALLS = {
    "one network": {"valid": VALID, "seed": 3, "order_seed": 2},
    "a hold-out": {"valid": 0.25, "order_seed": np.int64(5)},
    "kept": {"valid": VALID, "keep": "best", "seeds": 2, "metric": "cost", "max_epochs": 4},
    "folds": {"folds": 2, "patience": 1, "max_epochs": 4},
}


@pytest.mark.parametrize("what", CALLS)
def test_the_call_in_the_note_trains_that_network(what):
    space = SPACE | {"learning_rate": np.float64(0.3), "hidden": (np.int64(3),), "batch_size": 16}
    options = {**OPTIONS, "storage": optuna.storages.InMemoryStorage(), "name": "a", **CALLS[what]}
    first = search(space, TRAIN, **options)
    (note,) = (
        one for one in search(space, TRAIN, **options).notes if "trains that network again" in one
    )
    call = re.search(r"jaxnn\..*\)(?= trains that)", note)[0]
    # no name but those of the user's own variables
    names = {"jaxnn": jaxnn, "train": TRAIN, "valid": CALLS[what].get("valid")}
    again = eval(call, {"__builtins__": {}}, names)
    best = first.best_trial
    if what in ("one network", "a hold-out"):
        assert call.startswith("jaxnn.fit(")
        assert again.curves["valid_accuracy"][-1] == pytest.approx(best.value)
        cost = again.curves["valid_cost"][-1]
    else:
        assert again.best_trial.values == pytest.approx(best.values)
        cost = again.best_trial.cost
    assert cost == pytest.approx(best.cost, rel=1e-4)


def earlier(params, value=0.9):
    """A study as another version, which recorded no call, has left it."""
    storage = optuna.storages.InMemoryStorage()
    there = optuna.create_study(study_name="old", storage=storage, direction="maximize")
    names = {"learning_rate": (1e-2, 1.0, True), "l2": (1e-6, 1e-3, True)}
    there.add_trial(
        optuna.trial.create_trial(
            value=value,
            params=params,
            distributions={
                name: optuna.distributions.FloatDistribution(low, high, log=log)
                for name, (low, high, log) in names.items()
                if name in params
            },
            user_attrs={"jaxnn: worker": "another"},
        )
    )
    return {**OPTIONS, "storage": storage, "name": "old", "num_settings": 1}


def test_a_study_without_a_recorded_call_is_gone_on_with():
    space = {"learning_rate": SPACE["learning_rate"], "hidden": (3,)}
    study = search(space, TRAIN, VALID, **earlier({"learning_rate": 0.1}))
    assert not study.given
    assert "0.9000, with {'learning_rate': 0.1}; how it was trained is not recorded" in str(
        study.notes
    )
    with pytest.raises(ValueError, match=r"lack \['l2'\]: trial 0 has \['learning_rate'\]"):
        search(space | {"l2": jaxnn.loguniform(1e-6, 1e-3)}, TRAIN, VALID,
               **earlier({"learning_rate": 0.1}))  # fmt: skip
    with pytest.raises(ValueError, match=r"have \['l2'\], too: trial 0 has"):
        search(space, TRAIN, VALID, **earlier({"learning_rate": 0.1, "l2": 1e-4}))
