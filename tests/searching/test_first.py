"""Known settings, and limits of size, in every method."""

import numpy as np
import optuna
import pytest
from helpers.searches import TRAIN, VALID, curves_of

import jaxnn
from jaxnn import choice, layers, lograndint, loguniform, randint
from jaxnn.methods.table import METHODS
from jaxnn.training.recipes import recipe
from jaxnn.training.sizes import SIZES

SPACE = {
    "learning_rate": loguniform(1e-3, 1e0),
    "hidden": layers(randint(0, 2), lograndint(2, 64)),
    "batch_size": 20,
}
KNOWN = [
    {"learning_rate": 0.02, "hidden": (3, 5), "batch_size": 20},
    {"learning_rate": 0.5, "hidden": (6,)},
]
WHOLE = [{**one, "batch_size": 20} for one in KNOWN]
OPTIONS = {"num_settings": 9, "max_epochs": 2, "progress": False}
QUICK = ("halving", "optuna", "grid")
BY_METHOD = [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in METHODS]


def parameters(setting):
    made = recipe(setting, TRAIN, None)
    return SIZES["parameters"].of(made.program.networks, made.setting, TRAIN.x.shape[1:])


@pytest.mark.parametrize("method", BY_METHOD)
def test_every_method_trains_known_settings_among_the_first(method):
    space = SPACE | ({"hidden": choice([(), (3, 5), (6,)])} if method == "grid" else {})
    study = jaxnn.search(space, TRAIN, VALID, method=method, first=KNOWN, **OPTIONS)
    if method == "optuna":
        assert all(one in study.given for one in WHOLE)
    else:
        assert study.given[:2] == WHOLE
    # a grid has them besides its own; copies in a population are further settings
    first = int((study.parent < 0).sum())
    assert first == (2 + 9 if method == "grid" else 9)
    if method in ("halving", "sobol", "hyperband", "population"):
        assert study.given[2:first] == jaxnn.sample(space, 7)
    alone = jaxnn.fit(WHOLE[0], TRAIN, VALID, epochs=2)
    row = study.given.index(WHOLE[0])
    first = study.curves["valid_cost"][row, 0, 0]
    assert first == pytest.approx(alone.curves["valid_cost"][0], rel=1e-3)


def test_all_settings_may_be_known():
    study = jaxnn.search(SPACE, TRAIN, VALID, first=WHOLE, **OPTIONS | {"num_settings": 2})
    assert study.given == WHOLE


@pytest.mark.slow
def test_known_settings_have_the_patience_of_the_call():
    for method in ("random", "coarse_to_fine", "optuna"):
        study = jaxnn.search(SPACE, TRAIN, VALID, method=method, first=KNOWN, patience=2, **OPTIONS)
        assert {one["patience"] for one in study.given} == {2}


@pytest.mark.slow
def test_the_best_of_a_study_that_lie_in_the_space_are_trained_again():
    earlier = jaxnn.search(SPACE, TRAIN, VALID, method="sobol", **OPTIONS)
    narrow = SPACE | {"hidden": layers(randint(1, 2), lograndint(2, 64)), "l2": choice([0.0, 0.1])}
    fits = [row for row in earlier.ranked if earlier.given[row]["hidden"]]
    assert 2 < len(fits) < 9
    study = jaxnn.search(narrow, TRAIN, VALID, first=earlier, **OPTIONS)
    # at most a quarter of nine, with the default of what the study did not have
    assert study.given[:2] == [earlier.given[row] | {"l2": 0.0} for row in fits[:2]]
    assert study.given[2:] == jaxnn.sample(narrow, 7)
    with pytest.raises(ValueError, match="first got a study without a setting that has a value"):
        jaxnn.search(SPACE | {"batch_size": 10}, TRAIN, VALID, first=earlier, **OPTIONS)


@pytest.mark.slow
def test_a_directory_holds_the_settings_of_a_study(tmp_path):
    earlier = jaxnn.search(SPACE, TRAIN, VALID, method="sobol", **OPTIONS)
    there = {**OPTIONS, "directory": tmp_path / "search"}
    study = jaxnn.search(SPACE, TRAIN, VALID, first=earlier, **there)
    again = jaxnn.resume(tmp_path / "search", TRAIN, VALID)
    assert again.given == study.given
    np.testing.assert_array_equal(curves_of(again), curves_of(study))
    with pytest.raises(ValueError, match=r"first\[0\]\.learning_rate is .*, and now it is"):
        jaxnn.search(SPACE, TRAIN, VALID, first=KNOWN, **there)


def test_settings_of_a_study_are_taken_as_they_were_or_not_at_all():
    """A space that lacks a name has its default, which is another network than the study's."""
    earlier = jaxnn.sweep(
        [{"l2": 0.5, "hidden": (3,), "batch_size": 20}] * 2, TRAIN, VALID, epochs=1
    )
    without = {"hidden": (3,), "batch_size": 20, "learning_rate": choice([1e-3, 1e-2])}
    with pytest.raises(ValueError, match="first got a study without a setting that has a value"):
        jaxnn.search(without, TRAIN, VALID, first=earlier, **OPTIONS)
    space = [without, {**without, "l2": choice([0.5, 0.7])}]
    study = jaxnn.search(space, TRAIN, VALID, first=earlier, **OPTIONS)
    whole = {"hidden": (3,), "batch_size": 20, "learning_rate": 1e-3, "l2": 0.5}
    # both settings of the study are the same one
    assert study.given.count(whole) == 1 + jaxnn.sample(space, 8).count(whole)


@pytest.mark.parametrize("more", [{"patience": 2}, {"decay_schedule": "cosine"}])
def test_a_limit_knows_when_training_ends(more):
    options = dict(OPTIONS)
    options |= {"patience": 2} if "patience" in more else {}
    space = SPACE | ({} if "patience" in more else more)
    study = jaxnn.search(space, TRAIN, VALID, limit={"parameters": 150}, **options)
    assert len(study.given) == 9


def test_optuna_gets_known_settings_as_enqueued_trials_once():
    storage = optuna.storages.InMemoryStorage()
    where = {"method": "optuna", "storage": storage, "name": "study", "first": KNOWN}
    jaxnn.search(SPACE, TRAIN, VALID, **where, **OPTIONS)
    jaxnn.search(SPACE, TRAIN, VALID, **where, **OPTIONS | {"num_settings": 11})
    there = optuna.load_study(study_name="study", storage=storage)
    assert len(there.trials) == 11
    fixed = [trial.system_attrs.get("fixed_params") for trial in there.trials]
    assert fixed[:2] == [
        {"learning_rate": 0.02, "depth": 2, "units_1": 3, "units_2": 5},
        {"learning_rate": 0.5, "depth": 1, "units_1": 6},
    ]
    assert fixed[2:] == [None] * 9


@pytest.mark.slow
def test_a_stored_study_may_be_enlarged_with_the_same_first_study():
    """More settings take more of the best of the study, which are enqueued as well."""
    earlier = jaxnn.search(SPACE, TRAIN, VALID, method="sobol", **OPTIONS)
    storage = optuna.storages.InMemoryStorage()
    where = {"method": "optuna", "storage": storage, "name": "study", "first": earlier}
    jaxnn.search(SPACE, TRAIN, VALID, **where, **OPTIONS | {"num_settings": 4})
    more = jaxnn.search(SPACE, TRAIN, VALID, **where, **OPTIONS | {"num_settings": 9})
    assert len(more.given) == 5
    assert earlier.given[earlier.ranked[1]] in more.given


@pytest.mark.parametrize("method", BY_METHOD)
def test_no_network_exceeds_the_limit(method):
    limit = {"parameters": 150, "megabytes": 1}
    space = SPACE | ({"hidden": choice([(), (4,), (64,)])} if method == "grid" else {})
    study = jaxnn.search(space, TRAIN, VALID, method=method, limit=limit, **OPTIONS)
    assert max(map(parameters, study.given)) <= 150
    assert max(map(parameters, jaxnn.sample(SPACE, 9))) > 150
    if method in ("halving", "sobol", "hyperband", "population"):
        drawn, first = jaxnn.sample(space, 64), int((study.parent < 0).sum())
        assert study.given[:first] == [one for one in drawn if parameters(one) <= 150][:9]
    if method == "grid":
        assert len(study.given) == 6


def test_optunas_proposals_over_the_limit_are_pruned():
    storage = optuna.storages.InMemoryStorage()
    where = {"method": "optuna", "storage": storage, "name": "study"}
    study = jaxnn.search(SPACE, TRAIN, VALID, limit={"parameters": 150}, **where, **OPTIONS)
    there = optuna.load_study(study_name="study", storage=storage)
    assert f"Over the limit, and not trained: {9 - len(study.given)} setting" in "".join(
        study.notes
    )
    states = [trial.state.name for trial in there.trials]
    assert states.count("COMPLETE") == len(study.given) > 0
    assert states.count("PRUNED") == 9 - len(study.given) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"first": 3}, "first got 3; expected a list of settings, or a study"),
        ({"first": {"hidden": (3,)}}, "first got .*; expected a list of settings, or a study"),
        ({"first": [3]}, r"first\[0\] got 3; expected a value that the space has for each name"),
        ({"first": [{"hidden": (3,), "l2": 0.1}]}, r"first\[0\] got \{'hidden': \(3,\), 'l2'"),
        ({"first": [{"learning_rate": 2.0}]}, r"first\[0\] got \{'learning_rate': 2\.0\}"),
        ({"first": [{"batch_size": 10}]}, r"first\[0\] got \{'batch_size': 10\}"),
        ({"first": WHOLE * 5}, "first got 10 settings; expected at most 9"),
        ({"first": WHOLE, "limit": {"parameters": 9}}, r"first\[0\] got .* within the limit"),
        ({"limit": {"parameters": 9}}, r"limit got \{'parameters': 9\}, which 0 of 2304 settings"),
        ({"limit": {"parameters": 0}}, "limit got .*; expected a dict, one of parameters, multipl"),
        (
            {"limit": {"flops": 9}},
            "limit got .*; expected a dict, one of parameters, multiply_adds",
        ),
        ({"limit": 9}, "limit got 9; expected a dict"),
    ],
)
def test_bad_settings_and_limits_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        jaxnn.search(SPACE, TRAIN, VALID, **options, **OPTIONS)
