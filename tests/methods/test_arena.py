"""Searches that end where they no longer pay."""

import pytest
from helpers.searches import TRAIN, VALID

import jaxnn
from jaxnn import loguniform

SPACE = {"learning_rate": loguniform(1e-3, 1e0), "hidden": (4,), "batch_size": 20}
OPTIONS = {"max_epochs": 3, "progress": False}
# all settings are one, so no later one is better
ONE = {"learning_rate": 0.1, "batch_size": 20}


@pytest.mark.parametrize(
    ("method", "options", "trained"),
    [
        ("optuna", {"num_settings": 40, "batch": 4}, 12),
        ("coarse_to_fine", {"num_settings": 40, "rounds": 10}, 12),
    ],
)
def test_a_search_ends_after_settings_without_a_better_one(method, options, trained):
    options = {**OPTIONS, **options, "stop_after": {"settings": 8}}
    study = jaxnn.search(ONE, TRAIN, VALID, method=method, **options)
    # four were the best, and eight more no better
    assert len(study.given) == trained
    assert "The search ended after 8 settings without a better one." in study.notes


def test_later_brackets_are_left_out():
    options = {**OPTIONS, "num_settings": 20, "max_epochs": 9}
    whole = jaxnn.search(SPACE, TRAIN, VALID, method="hyperband", **options)
    study = jaxnn.search(
        SPACE, TRAIN, VALID, method="hyperband", stop_after={"seconds": 1e-9}, **options
    )
    assert len(study.rungs) < len(whole.rungs)
    assert [one.entered for one in study.rungs] == [
        one.entered for one in whole.rungs[: len(study.rungs)]
    ]
    assert study.ranked.size


def test_what_is_better_by_more_than_the_noise_begins_anew():
    """Repetitions of one setting tell the noise; the second half of the space is far better."""
    space = [{"learning_rate": 1e-9, "batch_size": 20}, {"learning_rate": 0.1, "batch_size": 20}]
    options = {**OPTIONS, "num_settings": 24, "rounds": 12, "seeds": 2}
    study = jaxnn.search(
        space, TRAIN, VALID, method="coarse_to_fine", stop_after={"settings": 4}, **options
    )
    rates = [one["learning_rate"] for one in study.given]
    # two settings a round: the first round with the better one counts
    assert len(rates) == 2 * (rates.index(0.1) // 2 + 1) + 4


@pytest.mark.parametrize(
    "bad", [{"epochs": 3}, {"settings": 0}, 8, {"settings": "8"}, {"seconds": float("nan")}]
)
def test_bad_ends_are_refused(bad):
    with pytest.raises(ValueError, match=r"stop_after got .*; expected a dict, one of settings"):
        jaxnn.search(SPACE, TRAIN, VALID, stop_after=bad, **OPTIONS)
