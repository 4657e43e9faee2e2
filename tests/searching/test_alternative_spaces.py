"""Searches of several spaces, and of choices whose options are ranges: every method and Optuna."""

import numpy as np
import optuna
import pytest
from helpers.searches import TRAIN, VALID, curves_of
from optuna.distributions import CategoricalDistribution, FloatDistribution

import jaxnn
from jaxnn import choice, loguniform, reverseloguniform, uniform
from jaxnn.methods.table import METHODS
from jaxnn.settings.alternatives import has
from jaxnn.settings.sampling import checked_space

SPACE = [
    {"optimizer": "adam", "learning_rate": loguniform(1e-4, 1e-2), "batch_size": 20},
    {
        "optimizer": "momentum",
        "learning_rate": loguniform(1e-2, 1e0),
        "momentum": reverseloguniform(0.8, 0.99),
        "dropout": choice([0.0, uniform(0.1, 0.5)]),
        "hidden": (4,),
        "batch_size": 20,
    },
]
OPTIONS = {"num_settings": 12, "max_epochs": 2, "progress": False}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_draws_from_the_spaces_and_the_study_says_so(method, tmp_path):
    study = jaxnn.search(SPACE, TRAIN, VALID, method=method, **OPTIONS)
    assert {one["optimizer"] for one in study.given} == {"adam", "momentum"}
    space = checked_space(SPACE)
    assert all(has(space, one) for one in study.given)
    assert study.space == space
    study.save(tmp_path / "study.h5")
    again = jaxnn.load(tmp_path / "study.h5")
    assert again.space == space
    assert again.given == study.given


def test_patience_is_in_every_space():
    study = jaxnn.search(SPACE, TRAIN, VALID, patience=2, **OPTIONS)
    assert {one["patience"] for one in study.given} == {2}
    assert all("patience" in one for one in study.space.spaces)
    with pytest.raises(ValueError, match="patience came with 'patience' in the space"):
        jaxnn.search([*SPACE, {"patience": 3}], TRAIN, VALID, patience=2, **OPTIONS)


def test_a_search_in_a_directory_is_gone_on_with(tmp_path):
    there = {**OPTIONS, "directory": tmp_path / "search"}
    first = jaxnn.search(SPACE, TRAIN, VALID, **there)
    again = jaxnn.resume(tmp_path / "search", TRAIN, VALID)
    assert again.given == first.given
    np.testing.assert_array_equal(curves_of(again), curves_of(first))
    wider = [SPACE[0], {**SPACE[1], "learning_rate": loguniform(1e-2, 2e0)}]
    with pytest.raises(ValueError, match=r"space\[1\]\.learning_rate\.high is 1\.0, and now it is"):
        jaxnn.search(wider, TRAIN, VALID, **there)


def test_optuna_sees_the_parameters_that_a_setting_uses():
    storage = optuna.storages.InMemoryStorage()
    where = {"method": "optuna", "storage": storage, "name": "study", "batch": 4}
    study = jaxnn.search(SPACE, TRAIN, VALID, **where, **OPTIONS)
    there = optuna.load_study(study_name="study", storage=storage)
    assert len(there.trials) == len(study.given) == 12
    for trial, setting in zip(there.trials, study.given, strict=True):
        if setting["optimizer"] == "adam":
            expected = {"space": 1, "learning_rate_1": setting["learning_rate"]}
            assert trial.params == expected
            continue
        names = ["space", "learning_rate_2", "1 - momentum", "dropout_option"]
        assert [*trial.params] == names + ["dropout_2"] * (setting["dropout"] > 0)
        assert trial.params["learning_rate_2"] == setting["learning_rate"]
        assert trial.params.get("dropout_2", 0.0) == setting["dropout"]
    assert {one["optimizer"] for one in study.given} == {"adam", "momentum"}
    both = {name: one for trial in there.trials for name, one in trial.distributions.items()}
    assert both["space"] == CategoricalDistribution([1, 2])
    assert both["learning_rate_2"] == FloatDistribution(1e-2, 1e0, log=True)
    # other processes and later calls go on with it
    more = jaxnn.search(SPACE, TRAIN, VALID, **where, **{**OPTIONS, "num_settings": 14})
    assert len(more.given) == 2


def test_tpe_finds_the_better_space():
    """Rates of gd are far too low to learn anything in two epochs."""
    slow = {"optimizer": "gd", "learning_rate": loguniform(1e-9, 1e-7), "batch_size": 20}
    fast = {"optimizer": "adam", "learning_rate": loguniform(1e-2, 1e-1), "batch_size": 20}
    options = {**OPTIONS, "num_settings": 40, "batch": 5}
    study = jaxnn.search([slow, fast], TRAIN, VALID, method="optuna", **options)
    late = [one["optimizer"] for one in study.given[20:]]
    assert late.count("adam") > 12


def test_a_trial_that_a_user_enqueued_is_completed():
    storage = optuna.storages.InMemoryStorage()
    there = optuna.create_study(study_name="study", storage=storage, direction="maximize")
    there.enqueue_trial({"space": 2, "learning_rate_2": 0.1})
    where = {"method": "optuna", "storage": storage, "name": "study"}
    study = jaxnn.search(SPACE, TRAIN, VALID, **where, **{**OPTIONS, "num_settings": 2})
    found = [one for one in study.given if one["learning_rate"] == 0.1]
    assert [one["optimizer"] for one in found] == ["momentum"]
