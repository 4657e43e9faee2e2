"""The Pareto front of value and size."""

import jax
import numpy as np
import pytest
from helpers.studies import make_study

import jaxnn
from jaxnn.reporting.pareto import sizes

X = np.random.default_rng(0).normal(size=(40, 2))
DATA = jaxnn.Dataset(X, (X[:, 0] > 0) * 1)
HIDDEN = [(8,), (2,), (), (4, 4), (2,), (16,), (4,)]
VALUES = [0.8, 0.7, 0.7, 0.9, 0.75, 0.9, 0.6]


def study_of(values=VALUES):
    return make_study([{"hidden": one} for one in HIDDEN], values)


def dominated(place, counts, values):
    """Whether another setting is as good in both and better in one."""
    return any(
        (counts[o] <= counts[place] and values[o] >= values[place])
        and (counts[o] < counts[place] or values[o] > values[place])
        for o in range(len(values))
    )


@pytest.mark.parametrize("size", ["parameters", "multiply_adds", "megabytes"])
def test_the_front_is_what_no_other_setting_dominates(size):
    study = study_of()
    counts = sizes(study, size)
    expected = [n for n in range(len(VALUES)) if not dominated(n, counts, VALUES)]
    found = [trial.number for trial in study.pareto(size)]
    assert sorted(found) == expected
    assert [counts[n] for n in found] == sorted(counts[n] for n in found)


def test_parameters_are_those_of_the_networks():
    study = jaxnn.sweep([{"hidden": one} for one in HIDDEN[:4]], DATA, DATA, epochs=1)
    arrays = [jax.tree.leaves(study.fitted(row).params) for row in range(4)]
    assert sizes(study, "parameters").tolist() == [sum(one.size for one in some) for some in arrays]


def test_settings_without_a_value_are_not_on_the_front():
    study = study_of([*VALUES[:3], np.nan, *VALUES[4:]])
    assert 3 not in [trial.number for trial in study.pareto()]


def test_the_picture_shows_all_and_the_front():
    figure = jaxnn.plot_pareto(study_of(), "multiply_adds")
    (axes,) = figure.axes
    every, front = axes.lines
    assert len(every.get_xdata()) == len(VALUES)
    assert len(front.get_xdata()) == len(study_of().pareto("multiply_adds"))
    assert axes.get_xlabel() == "multiplications for a prediction"


def test_what_cannot_be_counted_is_refused(tmp_path):
    with pytest.raises(ValueError, match="size got 'flops'; expected"):
        study_of().pareto("flops")
    own = jaxnn.mlp(2, (3,), 2)
    pair = jaxnn.Model(own.init, own.apply)
    for model in (pair, lambda setting: pair):
        study = jaxnn.sweep([{}], DATA, DATA, epochs=1, model=model)
        assert study.pareto()[0].number == 0
        study.save(tmp_path / "study.h5")
        with pytest.raises(ValueError, match=r"code that the file does not hold; expected load"):
            jaxnn.load(tmp_path / "study.h5").pareto()
        assert jaxnn.load(tmp_path / "study.h5", model).pareto()[0].number == 0


def test_optuna_gets_the_size_as_a_second_value():
    study = study_of()
    trials = jaxnn.to_optuna(study).trials
    counts = sizes(study, "parameters").tolist()
    assert [trial.user_attrs["parameters"] for trial in trials] == counts
