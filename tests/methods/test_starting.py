"""A search without a space: the default one, with its setting among the first."""

import numpy as np
import optuna
import pytest
from helpers.data import corners, curved
from helpers.searches import TRAIN, VALID, curves_of

import jaxnn
from jaxnn.methods import timing
from jaxnn.methods.table import METHODS
from jaxnn.searching.resuming import resume
from jaxnn.settings.sampling import checked_space

OPTIONS = {"num_settings": 5, "max_epochs": 2, "progress": False}


@pytest.mark.parametrize(
    "method",
    [one if one == "halving" else pytest.param(one, marks=pytest.mark.slow) for one in METHODS],
)
def test_it_is_a_search_of_the_default_space(method):
    found = jaxnn.search(None, TRAIN, VALID, method=method, **OPTIONS)
    space, setting = jaxnn.default_space(TRAIN), jaxnn.default_setting(TRAIN)
    known = jaxnn.search(space, TRAIN, VALID, method=method, first=[setting], **OPTIONS)
    assert setting in found.given
    assert found.given == known.given
    assert found.space == checked_space(space)
    np.testing.assert_array_equal(curves_of(found), curves_of(known))


def test_the_space_is_that_of_the_training_part():
    """Of which a quarter has smaller mini-batches than the whole."""
    data = corners(80)
    part, _ = jaxnn.hold_out(data, 0.75)
    study = jaxnn.search(None, data, 0.75, num_settings=4, max_epochs=1, progress=False)
    assert study.space == checked_space(jaxnn.default_space(part))
    assert study.space != checked_space(jaxnn.default_space(data))


def test_folds_and_seconds_and_patience(monkeypatch):
    monkeypatch.setattr(timing._Trial, "measure", lambda trial: None)
    options = {"folds": 2, "seconds": 9, "num_settings": 4, "patience": 3}
    study = jaxnn.search(None, TRAIN, progress=False, **options)
    default = jaxnn.default_setting(TRAIN[: len(TRAIN) // 2])
    assert study.given[0] == default | {"patience": 3, "monitor": "valid_accuracy"}
    assert study.ensemble(method="greedy").chosen.num_candidates == 4


def test_a_storage_is_continued_without_a_space():
    storage = optuna.storages.InMemoryStorage()
    for count in (3, 5):
        jaxnn.search(
            None, TRAIN, VALID, method="optuna", storage=storage, name="default",
            num_settings=count, max_epochs=2, progress=False,
        )  # fmt: skip
    trials = optuna.load_study(study_name="default", storage=storage).trials
    rate = jaxnn.default_setting(TRAIN)["learning_rate"]
    assert [one.params["learning_rate"] == rate for one in trials] == [True] + 4 * [False]


def test_settings_and_limits_of_the_caller_come_before_the_default_setting():
    own = jaxnn.default_setting(TRAIN) | {"learning_rate": 2e-3}
    study = jaxnn.search(None, TRAIN, VALID, first=[own], **OPTIONS)
    assert study.given[0] == own
    assert jaxnn.default_setting(TRAIN) not in study.given
    study = jaxnn.search(None, TRAIN, VALID, limit={"parameters": 20_000}, **OPTIONS)
    assert jaxnn.default_setting(TRAIN) not in study.given
    again = jaxnn.search(None, TRAIN, VALID, first=study, **OPTIONS)
    assert again.given[0] == study.best_params


def test_real_targets_and_labels_have_a_space():
    for data in (curved(44), corners(44)):
        study = jaxnn.search(None, data, 0.25, **OPTIONS)
        assert study.best_trial.state == "COMPLETE"
    labels = (np.random.default_rng(0).normal(size=(44, 3)) > 0).astype(int)
    study = jaxnn.search(None, jaxnn.Dataset(corners(44).x, labels), 0.25, **OPTIONS)
    assert study.best_trial.state == "COMPLETE"


def test_a_resume_has_the_space_of_the_search(tmp_path):
    found = jaxnn.search(None, TRAIN, VALID, directory=tmp_path / "a", **OPTIONS)
    again = resume(tmp_path / "a", TRAIN, VALID, progress=False)
    np.testing.assert_array_equal(curves_of(found), curves_of(again))
    called_again = jaxnn.search(None, TRAIN, VALID, directory=tmp_path / "a", **OPTIONS)
    np.testing.assert_array_equal(curves_of(found), curves_of(called_again))


def test_a_model_of_ones_own_needs_a_space():
    with pytest.raises(ValueError, match="space got None with a model; expected a dict"):
        jaxnn.search(None, TRAIN, VALID, model=jaxnn.mlp(4, (3,), 2), **OPTIONS)
