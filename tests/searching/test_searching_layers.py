"""Searches of a space with `layers`: every method, commits, files."""

import itertools

import numpy as np
import pytest
from helpers.searches import TRAIN, VALID, curves_of

import jaxnn
from jaxnn import choice, layers, lograndint, loguniform, randint
from jaxnn.settings.layers import Layers

SPACE = {
    "learning_rate": loguniform(1e-3, 1e0),
    "hidden": layers(randint(0, 2), lograndint(2, 6)),
    "batch_size": 20,
}
OPTIONS = {"num_settings": 8, "max_epochs": 2, "progress": False}


def hidden_of(study):
    return [one["hidden"] for one in study.given]


@pytest.fixture(scope="module")
def halved():
    return jaxnn.search(SPACE, TRAIN, VALID, method="halving", **OPTIONS)


def test_settings_are_plain_and_train_as_by_themselves(halved):
    assert hidden_of(halved) == [one["hidden"] for one in jaxnn.sample(SPACE, 8)]
    assert {len(one) for one in hidden_of(halved)} == {0, 1, 2}
    best = halved.best_trial
    alone = jaxnn.fit(best.params, TRAIN, VALID, epochs=2)
    assert alone.curves["valid_cost"][-1] == pytest.approx(best.cost, rel=1e-3)
    assert [layer["kernel"].shape[0] for layer in halved.fitted().params[:-1]] == [
        *best.params["hidden"]
    ]


def test_a_study_comes_back_from_a_file(halved, tmp_path):
    halved.save(tmp_path / "study.h5")
    again = jaxnn.load(tmp_path / "study.h5")
    assert again.space == halved.space
    assert repr(again.space) == repr(halved.space)
    assert isinstance(again.space["hidden"], Layers)
    assert again.call == halved.call
    assert "'hidden': jaxnn.layers(depth=jaxnn.randint(0, 2), units=" in again.call
    assert repr(again.to_dicts()) == repr(halved.to_dicts())


def test_coarse_to_fine_draws_from_the_zoomed_axes():
    options = {**OPTIONS, "num_settings": 15, "rounds": 3}
    study = jaxnn.search(SPACE, TRAIN, VALID, method="coarse_to_fine", **options)
    assert len(study.given) == 15
    domain = SPACE["hidden"]
    assert domain.holds("hidden", hidden_of(study))
    assert study.space == SPACE
    finer = jaxnn.zoom(SPACE, study, 0.2)["hidden"]
    assert isinstance(finer, Layers)
    assert finer.holds("hidden", [study.settings[row]["hidden"] for row in study.ranked[:3]])


def test_a_grid_trains_each_network_once():
    space = {**SPACE, "learning_rate": 0.1, "hidden": layers(choice([0, 1, 2]), choice([2, 4]))}
    study = jaxnn.search(space, TRAIN, VALID, method="grid", **{**OPTIONS, "num_settings": 12})
    expected = [(), (2,), (4,), *itertools.product([2, 4], [2, 4])]
    assert sorted(hidden_of(study)) == sorted(expected)


def test_a_search_in_a_directory_is_gone_on_with(halved, tmp_path):
    there = {**OPTIONS, "directory": tmp_path / "search"}
    first = jaxnn.search(SPACE, TRAIN, VALID, method="halving", **there)
    for again in (
        jaxnn.search(SPACE, TRAIN, VALID, method="halving", **there),
        jaxnn.resume(tmp_path / "search", TRAIN, VALID),
    ):
        assert again.given == first.given == halved.given
        assert again.space == SPACE
        np.testing.assert_array_equal(curves_of(again), curves_of(halved))
    # 2.0 is the same domain as 2, and 7 another
    same = layers(randint(0.0, 2), lograndint(2.0, 6))
    jaxnn.search({**SPACE, "hidden": same}, TRAIN, VALID, method="halving", **there)
    other = layers(randint(0, 2), lograndint(2, 7))
    with pytest.raises(ValueError, match=r"whose space\.hidden\.units\.high is 6, and now it is 7"):
        jaxnn.search({**SPACE, "hidden": other}, TRAIN, VALID, method="halving", **there)


def test_a_plan_of_drawn_layers_has_few_programs():
    wide = {**SPACE, "hidden": layers(randint(1, 3), lograndint(2, 64))}
    settings = jaxnn.sample(wide, 64)
    plan = jaxnn.plan(settings, TRAIN, epochs=2)
    assert len({one["hidden"] for one in settings}) > 50
    assert 1 <= len(plan.programs) <= 12
    assert sum(len(one.settings) for one in plan.programs) == 64


@pytest.mark.parametrize("method", ["halving", "optuna", "coarse_to_fine"])
def test_a_clash_of_names_is_refused_before_anything_happens(method):
    model = jaxnn.Model(lambda key: 1 / 0, lambda *arguments, **options: 1 / 0, ("depth",))
    with pytest.raises(ValueError, match="space has 'depth', and so are called the axes of hidden"):
        jaxnn.search({**SPACE, "depth": 0.5}, TRAIN, VALID, method=method, model=model, **OPTIONS)
