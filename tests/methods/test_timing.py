"""Budgets in seconds: what is chosen, and where a search ends early; no clock decides a test."""

import re

import numpy as np
import optuna
import pytest
from helpers.searches import TRAIN, VALID, curves_of

import jaxnn
from jaxnn import loguniform, randint
from jaxnn.compiled import lanes
from jaxnn.methods import timing
from jaxnn.methods.budgets import Clock
from jaxnn.methods.table import METHODS
from jaxnn.methods.timing import Pace

SPACE = {
    "learning_rate": loguniform(1e-3, 1e0),
    "hidden": jaxnn.layers(randint(1, 2), randint(2, 6)),
    "batch_size": 20,
}


NOTE = r"For 3 seconds: num_settings=(\d+), max_epochs=(\d+), min_epochs=(\d+)\."


@pytest.fixture
def pace(monkeypatch):
    """A machine of a known speed, whose clock stands still, so that no search ends early."""
    known = {"pace": Pace(1.0, 1.0)}

    def measure(trial):
        trial._pace = known["pace"]

    monkeypatch.setattr(timing._Trial, "measure", measure)
    monkeypatch.setattr(Clock, "seconds", lambda clock: 0.0)
    return known


@pytest.fixture
def chosen(pace, monkeypatch):
    """Returns (settings, epochs, epochs of the first rung) that are chosen; nothing is trained."""

    class Chosen(Exception):
        pass

    def begin(*given):
        call, *_ = timing.started(*given)
        raise Chosen([call.arguments[name] for name in timing.Counts._fields])

    def choose(seconds, train=TRAIN, **options):
        monkeypatch.setattr("jaxnn.searching.searches.started", begin)
        with pytest.raises(Chosen) as found:
            jaxnn.search(SPACE, train, 0.25, seconds=seconds, **options)
        return timing.Counts(*found.value.args[0])

    choose.pace = pace
    return choose


def work(counts):
    return counts.num_settings * counts.max_epochs


def test_more_seconds_hold_more_settings_and_epochs(chosen):
    chosen.pace["pace"] = Pace(900.0, 1.0)
    found = [chosen(seconds) for seconds in (3, 6, 20, 60)]
    assert [work(one) for one in found] == sorted(work(one) for one in found)
    assert found[0].num_settings < found[1].num_settings < found[2].num_settings
    assert found[0].max_epochs < found[1].max_epochs < found[2].max_epochs
    assert all(1 <= one.min_epochs <= one.max_epochs for one in found)


def test_a_slower_machine_and_more_examples_train_less(chosen):
    rows = np.resize(np.arange(len(TRAIN)), 4000)
    large, found = jaxnn.Dataset(TRAIN.x[rows], TRAIN.y[rows]), []
    for speed, train in ((30, TRAIN), (3000, TRAIN), (3000, large)):
        chosen.pace["pace"] = Pace(speed, 1.0)
        found.append(work(chosen(20, train)))
    assert found[0] > found[1] > found[2]


def test_there_are_as_many_settings_as_are_known_and_as_rounds(chosen):
    chosen.pace["pace"] = Pace(1e4, 1.0)
    few = chosen(6)
    assert few.num_settings < 9
    known = [{"learning_rate": 0.1, "hidden": (3,)}] * 9
    assert chosen(6, first=known).num_settings == 9
    assert chosen(6, method="coarse_to_fine", rounds=9).num_settings == 9


def test_what_is_expected_to_take_longer_than_the_seconds_is_not_chosen(chosen):
    """Compiling takes about two seconds, at its usual pace."""
    chosen.pace["pace"] = Pace(1e-9, 1.0)
    most = chosen(20)
    chosen.pace["pace"] = Pace(1e-9, 3.0)
    with pytest.raises(ValueError, match="seconds got 4; expected more"):
        jaxnn.search(SPACE, TRAIN, 0.25, seconds=4)
    assert chosen(20) == most


def test_what_is_given_is_kept(chosen):
    assert chosen(20, num_settings=9).num_settings == 9
    assert chosen(20, max_epochs=7).max_epochs == 7
    assert chosen(20, min_epochs=2).min_epochs == 2
    assert chosen(20, num_settings=9, max_epochs=7) == (9, 7, 1)


@pytest.mark.parametrize(
    "method",
    [one if one == "halving" else pytest.param(one, marks=pytest.mark.slow) for one in METHODS],
)
def test_a_call_with_the_chosen_numbers_has_the_same_bits(method, pace):
    options = {"method": method, "progress": False}
    if method == "grid":
        options["num_settings"] = 16
    study = jaxnn.search(SPACE, TRAIN, VALID, seconds=3, **options)
    (note,) = [one for one in study.notes if one.startswith("For 3 seconds: ")]
    count, most, least = map(int, re.fullmatch(NOTE, note).groups())
    assert most == study.num_epochs
    assert count == (study.parent < 0).sum() or method == "grid"
    numbers = {"num_settings": count, "max_epochs": most, "min_epochs": least}
    again = jaxnn.search(SPACE, TRAIN, VALID, **options | numbers)
    assert again.given == study.given
    np.testing.assert_array_equal(curves_of(again), curves_of(study))


@pytest.mark.slow
def test_a_measured_machine_trains_something():
    """The only test in which the true clock chooses, among seconds that any machine has."""
    study = jaxnn.search(SPACE, TRAIN, VALID, seconds=600, num_settings=9, progress=False)
    assert len(study.given) == 9
    assert study.ranked.size
    assert any(one.startswith("For 600 seconds: num_settings=9,") for one in study.notes)


@pytest.fixture
def measured(monkeypatch):
    """Compiles and trains to measure, on a clock that stands still; a known pace is found."""
    measure = timing._Trial.measure

    def found(trial):
        measure(trial)
        trial._pace = Pace(1000.0, 1.0)

    monkeypatch.setattr(timing._Trial, "measure", found)
    monkeypatch.setattr(Clock, "seconds", lambda clock: 0.0)


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    "options",
    [
        {"valid": VALID},
        {"valid": VALID, "keep": "best"},
        {"folds": 2, "select": "lower_bound"},
        {"valid": VALID, "seeds": 2, "chunk": 3},
    ],
    ids=["plain", "keep", "folds", "seeds"],
)
def test_the_program_that_is_measured_is_that_of_the_search(options):
    """Where all settings have one structure: of two sizes of chunks at most."""
    space = {"learning_rate": loguniform(1e-3, 1e0), "hidden": (7, 3), "batch_size": 11}
    before = lanes.train_lanes._cache_size()
    study = jaxnn.search(space, TRAIN, seconds=30, progress=False, **options)
    assert len(study.rungs) > 2
    most = 1 if options.get("chunk") else 2
    assert lanes.train_lanes._cache_size() - before <= most


def test_a_machine_that_cannot_be_measured_is_guessed(monkeypatch):
    """An epoch of a chunk would take too long; then nothing is compiled before the search."""
    monkeypatch.setattr(timing, "MOST_MEASURED", 0.0)
    monkeypatch.setattr(Clock, "seconds", lambda clock: 0.0)
    monkeypatch.setattr(timing, "open_job", None)
    study = jaxnn.search(SPACE, TRAIN, VALID, seconds=9, num_settings=9, progress=False)
    assert len(study.given) == 9


COUNTS = {"num_settings": 12, "max_epochs": 9, "progress": False}


def test_a_halving_that_is_late_ends_after_its_rung(tmp_path):
    study = jaxnn.search(SPACE, TRAIN, VALID, seconds=1e-9, **COUNTS)
    assert [(one.epochs, len(one.entered)) for one in study.rungs] == [(1, 12)]
    assert (study.ends == 1).all()
    assert len(study.ranked) == 12
    assert any("ended after epoch 1 of 9: its 1e-09 seconds would not" in n for n in study.notes)
    alone = jaxnn.fit(study.best_params, TRAIN, VALID, epochs=1)
    assert alone.curves["valid_cost"][-1] == pytest.approx(study.best_trial.cost, rel=1e-3)
    assert len(study.refit(TRAIN).curves["cost"]) == 1
    study.save(tmp_path / "study.h5")
    assert jaxnn.load(tmp_path / "study.h5").best_value == study.best_value


@pytest.mark.parametrize(
    ("method", "options", "trained"),
    [("hyperband", {}, 7), ("coarse_to_fine", {}, 4), ("optuna", {"batch": 3}, 3)],
)
def test_later_brackets_rounds_and_batches_are_left_out(method, options, trained):
    study = jaxnn.search(SPACE, TRAIN, VALID, method=method, seconds=1e-9, **COUNTS, **options)
    assert (study.epochs_done[:, 0] > 0).sum() == trained
    assert study.ranked.size


@pytest.mark.slow
def test_a_directory_that_was_begun_keeps_its_numbers(pace, tmp_path):
    options = {"seconds": 3, "directory": tmp_path / "search", "progress": False}
    study = jaxnn.search(SPACE, TRAIN, VALID, **options)
    pace["pace"] = Pace(1e3, 0.1)
    for again in (
        jaxnn.search(SPACE, TRAIN, VALID, **options),
        jaxnn.resume(tmp_path / "search", TRAIN, VALID),
    ):
        assert again.given == study.given
        np.testing.assert_array_equal(curves_of(again), curves_of(study))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "max_epochs got None; expected a whole number, or seconds such as 60"),
        ({"seconds": 0}, "seconds got 0; expected a number > 0"),
        ({"seconds": "60"}, "seconds got '60'; expected a number > 0"),
        ({"seconds": True}, "seconds got True; expected a number > 0"),
        ({"seconds": float("inf")}, "seconds got inf; expected a number > 0"),
        ({"seconds": 0, "num_settings": 2, "max_epochs": 2}, "seconds got 0; expected a number"),
        ({"seconds": 9, "num_settings": "2"}, "num_settings got '2'; expected a whole number"),
        ({"seconds": 9, "min_epochs": 0}, "min_epochs got 0; expected a whole number"),
        ({"seconds": 9, "factor": 1}, "factor got 1; expected a number > 1"),
        ({"seconds": 9, "method": "grid"}, "seconds came with method='grid' without num_settings"),
        (
            {"seconds": 60, "method": "optuna", "storage": optuna.storages.InMemoryStorage()},
            "seconds came with a storage or in a job of several processes",
        ),
    ],
)
def test_bad_seconds_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        jaxnn.search(SPACE, TRAIN, VALID, **options)


def test_seconds_that_hold_no_program_are_refused(pace):
    with pytest.raises(
        ValueError, match=r"seconds got 0\.1; expected more: 4 settings and 1 epochs"
    ):
        jaxnn.search(SPACE, TRAIN, VALID, seconds=0.1)
