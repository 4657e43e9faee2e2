"""Optuna sees depth and units of `layers` as numbers in order, each a parameter of its own."""

import numpy as np
import optuna
import pytest
from helpers.searches import TRAIN, VALID
from helpers.studies import make_study
from optuna.distributions import CategoricalDistribution, IntDistribution

import jaxnn
from jaxnn import choice, layers, lograndint, loguniform, randint, sample, search, to_optuna
from jaxnn.settings.sampling import Settings
from jaxnn.with_optuna.parameters import Parameters

optuna.logging.set_verbosity(optuna.logging.ERROR)
SPACE = {
    "learning_rate": loguniform(1e-2, 1e0),
    "hidden": layers(randint(0, 2), lograndint(2, 6)),
    "batch_size": 20,
}
OPTIONS = {"method": "optuna", "num_settings": 8, "batch": 4, "max_epochs": 2, "progress": False}
UNITS = IntDistribution(2, 6, log=True)
AXES = ["learning_rate", "depth", "units_1", "units_2"]


def test_each_axis_is_a_parameter_in_order():
    found = Parameters(SPACE).distributions
    assert [*found] == AXES
    assert found["depth"] == IntDistribution(0, 2)
    assert found["units_1"] == found["units_2"] == UNITS
    each = {"hidden": layers(choice([1, 2]), (64, choice([8, 16])))}
    assert Parameters(each).distributions == {
        "depth": CategoricalDistribution([1, 2]),
        "units_2": CategoricalDistribution([8, 16]),
    }
    brick = {"hidden": layers(2, lograndint(2, 6), "brick")}
    assert Parameters(brick).distributions == {"units": UNITS}


@pytest.fixture(scope="module")
def begun():
    storage = optuna.storages.InMemoryStorage()
    there = optuna.create_study(study_name="ours", storage=storage, direction="maximize")
    there.enqueue_trial({"depth": 2, "units_2": 3})
    study = search(SPACE, TRAIN, VALID, storage=storage, name="ours", **OPTIONS)
    return study, there, {"storage": storage, "name": "ours"}


def test_a_trial_has_all_axes_and_a_setting_those_of_its_depth(begun):
    study, there, _ = begun
    assert len(study.given) == 8
    for setting, trial in zip(study.given, there.trials, strict=True):
        assert {*trial.params} == {*AXES}
        units = [trial.params["units_1"], trial.params["units_2"]]
        assert setting["hidden"] == (*units[: trial.params["depth"]],)
        assert trial.value == study.values[trial.number].mean()
    assert study.given[0]["hidden"][1:] == (3,)
    assert {len(setting["hidden"]) for setting in study.given} > {2}


def test_the_study_is_gone_on_with_by_the_same_space_alone(begun):
    _, there, where = begun
    again = search(SPACE, TRAIN, VALID, **where, **OPTIONS)
    assert not again.given
    floats = {**SPACE, "hidden": layers(randint(0.0, 2.0), lograndint(2.0, 6))}
    assert not search(floats, TRAIN, VALID, **where, **OPTIONS).given
    for other, message in [
        (
            layers(randint(0, 2), lograndint(2, 7)),
            r"space\.hidden\.units\.high is 6, and now it is",
        ),
        (layers(randint(0, 2), lograndint(2, 6), "brick"), r"space\.hidden\.shape is 'free', and"),
        ((3,), r"space\.hidden is jaxnn\.layers\(.*, and now it is \(3,\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            search({**SPACE, "hidden": other}, TRAIN, VALID, **where, **OPTIONS)
    assert len(there.trials) == 8


def test_parameters_are_compared_where_no_call_is_recorded(begun):
    """As in a study of an earlier version, or of another program."""
    _, there, _ = begun
    storage = optuna.storages.InMemoryStorage()
    other = optuna.create_study(study_name="other", storage=storage, direction="maximize")
    other.add_trials(there.trials)
    space = {**SPACE, "hidden": layers(randint(0, 1), lograndint(2, 6))}
    with pytest.raises(ValueError, match=r"study whose settings have \['units_2'\], too"):
        search(space, TRAIN, VALID, storage=storage, name="other", **OPTIONS)
    space = {**SPACE, "hidden": layers(choice([0, 1, 2]), lograndint(2, 6))}
    with pytest.raises(ValueError, match="whose parameter 'depth' is IntDistribution"):
        search(space, TRAIN, VALID, storage=storage, name="other", **OPTIONS)


def test_an_exported_trial_has_the_axes_that_its_setting_uses():
    given = [{"hidden": one, "batch_size": 20} for one in [(), (4,), (6, 2), (3, 5)]]
    study = make_study(Settings(given, SPACE | {"learning_rate": 0.1}), [0.2, 0.5, 0.7, 0.9])
    there = to_optuna(study)
    assert [trial.params for trial in there.trials] == [
        {"depth": 0},
        {"depth": 1, "units_1": 4},
        {"depth": 2, "units_1": 6, "units_2": 2},
        {"depth": 2, "units_1": 3, "units_2": 5},
    ]
    assert there.trials[3].distributions == {
        "depth": IntDistribution(0, 2),
        "units_1": UNITS,
        "units_2": UNITS,
    }
    assert there.user_attrs["fixed"]["batch_size"] == 20
    assert "hidden" not in there.user_attrs["fixed"]


def test_importances_see_the_units_of_each_layer():
    """Depth and the units of the first layer decide; those of the others do nothing."""
    settings = sample({"hidden": layers(randint(1, 3), lograndint(2, 64))}, 128)
    value = lambda units: 1 - (len(units) - 2) ** 2 - abs(np.log2(units[0] / 8)) / 10
    there = to_optuna(make_study(settings, [value(one["hidden"]) for one in settings]))
    found = optuna.importance.get_param_importances(
        there, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    assert {*[*found][:2]} == {"depth", "units_1"}
    assert {*found} == {"depth", "units_1", "units_2", "units_3"}


def test_a_grid_of_optunas_own_goes_over_the_axes():
    space = {**SPACE, "learning_rate": 0.1, "hidden": layers(randint(1, 2), 4)}
    sampler = optuna.samplers.GridSampler({"depth": [1, 2]})
    study = search(space, TRAIN, VALID, sampler=sampler, **OPTIONS)
    assert sorted(one["hidden"] for one in study.given) == [(4,), (4, 4)]


def test_layers_without_an_axis_need_no_parameter():
    space = {**SPACE, "hidden": layers(1, 3)}
    study = search(space, TRAIN, VALID, **OPTIONS | {"num_settings": 2})
    assert [one["hidden"] for one in study.given] == [(3,)] * 2
    assert [*to_optuna(study).trials[0].params] == ["learning_rate"]
    assert jaxnn.zoom(space, study)["hidden"] == layers(1, 3)
