"""Spaces of which one is drawn, and options of a choice that are drawn themselves."""

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import jaxnn
from jaxnn import choice, layers, lograndint, loguniform, randint, sample, uniform
from jaxnn.disk.encoding import decode, encode
from jaxnn.settings.alternatives import Either, axes_in, has, split_by
from jaxnn.settings.domains import Choice
from jaxnn.settings.sampling import checked_space, drawn_setting

ADAM = {
    "optimizer": "adam",
    "learning_rate": loguniform(1e-4, 1e-2),
    "hidden": layers(randint(1, 2), lograndint(2, 8)),
}
MOMENTUM = {
    "optimizer": "momentum",
    "learning_rate": loguniform(1e-2, 1e0),
    "momentum": jaxnn.reverseloguniform(0.9, 0.99),
    "hidden": layers(randint(1, 2), lograndint(2, 8)),
}
BOTH = checked_space([ADAM, MOMENTUM])
DROPOUT = choice([0.0, uniform(0.1, 0.5)])


@pytest.mark.parametrize("method", ["random", "sobol"])
def test_each_setting_is_of_one_space_and_all_are_equally_likely(method):
    settings = sample([ADAM, MOMENTUM], 4096, seed=1, method=method)
    of_each = [[one for one in settings if one["optimizer"] == n] for n in ("adam", "momentum")]
    assert scipy.stats.binomtest(len(of_each[0]), 4096).pvalue > 0.01
    for space, some in zip((ADAM, MOMENTUM), of_each, strict=True):
        assert all(one.keys() == space.keys() for one in some)
        rates = [space["learning_rate"].position(one["learning_rate"]) for one in some]
        assert scipy.stats.kstest(rates, "uniform").pvalue > 0.01
    assert settings.space == BOTH
    assert settings[:100] == sample([ADAM, MOMENTUM], 100, seed=1, method=method)


@pytest.mark.parametrize("method", ["random", "sobol"])
def test_an_option_that_is_a_range_is_drawn_from(method):
    options = [0.0, 0.05, uniform(0.1, 0.5), choice([0.6, 0.7])]
    values = [one["dropout"] for one in sample({"dropout": choice(options)}, 4096, method=method)]
    inside = [value for value in values if 0.1 <= value <= 0.5]
    counts = [values.count(0.0), values.count(0.05), len(inside)]
    counts.append(values.count(0.6) + values.count(0.7))
    assert sum(counts) == 4096
    assert scipy.stats.chisquare(counts).pvalue > 0.01
    assert scipy.stats.kstest(inside, "uniform", (0.1, 0.4)).pvalue > 0.01
    assert scipy.stats.binomtest(values.count(0.6), counts[3]).pvalue > 0.01


def test_axes_that_are_alike_are_one_and_others_are_numbered():
    assert [*axes_in(BOTH)] == [
        *("space", "learning_rate_1", "depth", "units_1", "units_2", "learning_rate_2", "momentum")
    ]
    assert axes_in(BOTH)["space"] == Choice((1, 2))
    assert axes_in({"dropout": DROPOUT}) == {
        "dropout_option": Choice((0.0, "uniform(0.1, 0.5)")),
        "dropout_2": uniform(0.1, 0.5),
    }


def test_a_grid_has_each_range_in_each_space():
    """By hand: 2 combinations with one range, 1 with two, for k values 2 k + k^2 <= 15."""
    spaces = [
        {"optimizer": choice(["adam", "rmsprop"]), "learning_rate": loguniform(1e-4, 1e-2)},
        {"optimizer": "momentum", "learning_rate": loguniform(1e-2, 1e0), "l2": uniform(0, 1)},
    ]
    found = sample(spaces, 15, method="grid")
    adam = [
        {"optimizer": name, "learning_rate": pytest.approx(rate)}
        for name, rate in itertools.product(["adam", "rmsprop"], [1e-4, 1e-3, 1e-2])
    ]
    momentum = [
        {"optimizer": "momentum", "learning_rate": pytest.approx(rate), "l2": l2}
        for rate, l2 in itertools.product([1e-2, 1e-1, 1e0], [0.0, 0.5, 1.0])
    ]
    assert found == adam + momentum
    with pytest.raises(ValueError, match="a grid got n=2; expected 3 at least"):
        sample(spaces, 2, method="grid")


def test_a_grid_has_options_and_values_of_those_that_are_ranges():
    found = sample({"dropout": choice([0.0, uniform(0.1, 0.5)]), "l2": 0.1}, 4, method="grid")
    assert sorted(one["dropout"] for one in found) == pytest.approx([0.0, 0.1, 0.3, 0.5])


@given(st.integers(0, 99))
def test_a_setting_is_what_its_axes_say(seed):
    space = checked_space([{**ADAM, "dropout": DROPOUT}, MOMENTUM])
    for setting in sample(space, 8, seed):
        found = split_by(space, setting)
        assert found.keys() <= axes_in(space).keys()
        assert ("momentum" in found) == (found["space"] == 2) == ("learning_rate_2" in found)
        assert ("dropout_2" in found) == (setting.get("dropout", 0) > 0)
        # those of layers beyond the depth are drawn and not used
        assert drawn_setting(space, lambda axis, _, found=found: found.get(axis, 2)) == setting
        assert has(space, setting)
        assert not has(space, {**setting, "learning_rate": 7.0})
        assert not has(space, {**setting, "epsilon": 1e-8})


def test_a_setting_is_of_the_space_that_has_its_names():
    narrow, wide = {"optimizer": "adam"}, {"optimizer": "adam", "l2": uniform(0, 1)}
    for spaces in ([narrow, wide], [wide, narrow]):
        space = checked_space(spaces)
        assert space.spaces[space.place({"optimizer": "adam"})] == narrow
        assert space.spaces[space.place({"optimizer": "adam", "l2": 0.5})] == wide


@pytest.mark.parametrize("space", [[ADAM, MOMENTUM], {"dropout": DROPOUT}, [ADAM, {"l2": DROPOUT}]])
def test_text_and_file_give_a_space_back(space):
    space = checked_space(space)
    assert checked_space(eval(repr(space))) == space
    again = decode(encode(space))
    assert again == space
    assert type(again) is type(space)


def test_a_list_in_a_list_adds_its_spaces():
    third = {"optimizer": "gd"}
    assert checked_space([[ADAM, MOMENTUM], third]) == checked_space([ADAM, MOMENTUM, third])
    names = [one["optimizer"] for one in sample([[ADAM, MOMENTUM], third], 300)]
    assert scipy.stats.chisquare([names.count(n) for n in {*names}]).pvalue > 0.01
    assert len({*names}) == 3


def test_a_list_of_one_space_is_that_space():
    assert checked_space([ADAM]) == checked_space(ADAM)
    assert sample([ADAM], 4) == sample(ADAM, 4)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ([], r"space got \[\]; expected a dict, name -> domain or value, or a list of such"),
        ([ADAM, 3], "space got 3; expected a dict"),
        ([ADAM, {"space": 1}], "space got the name 'space', which tells the spaces of a list"),
        ([ADAM, {"learning_rate": loguniform(1e-4, 1), "l2": -1.0}], "space: l2 got -1.0"),
        ({"dropout": choice([0.0, uniform(0.5, 1.5)])}, r"space: dropout got 1\.5"),
        ({"dropout": choice([uniform(0.1, 0.5), -1.0])}, r"space: dropout got -1\.0"),
    ],
)
def test_bad_spaces_are_refused(space, message):
    with pytest.raises(ValueError, match=message):
        sample(space, 4)


def test_layers_are_no_option():
    with pytest.raises(ValueError, match=r"choice got the option jaxnn\.layers.*a list of spaces"):
        choice([(), layers(2, randint(2, 4))])


class Fake:
    """A study of which only settings and ranking are known."""

    def __init__(self, given, cost):
        self.given, self.settings = given, given
        self.ranked = np.argsort([cost(setting) for setting in given], kind="stable")


def test_zoom_leaves_the_spaces_of_the_best_and_zooms_each():
    settings = sample([ADAM, MOMENTUM], 200)
    far = lambda one, best: abs(np.log10(one["learning_rate"] / best))
    best_of_each = lambda one: min(far(one, 1e-3), far(one, 1e-1))
    finer = jaxnn.zoom([ADAM, MOMENTUM], Fake(settings, best_of_each))
    assert isinstance(finer, list)
    for one, best in zip(finer, (1e-3, 1e-1), strict=True):
        assert best / 2 < one["learning_rate"].low < best < one["learning_rate"].high < 2 * best
    adam_alone = lambda one: (one["optimizer"] != "adam") * 9 + far(one, 1e-3)
    finer = jaxnn.zoom([ADAM, MOMENTUM], Fake(settings, adam_alone))
    assert isinstance(finer, dict)
    assert finer["optimizer"] == "adam"
    assert finer["learning_rate"].high < 2e-3
    with pytest.raises(ValueError, match="best settings are of none of the spaces"):
        jaxnn.zoom([{"l2": 0.1}, {"l2": 0.2}], Fake(settings, best_of_each))


@pytest.mark.parametrize(
    ("best", "expected"),
    [
        (0.0, (0.0, 0.0)),
        (0.3, (0.2, 0.4)),
    ],
)
def test_zoom_leaves_the_options_of_the_best(best, expected):
    space = {"dropout": DROPOUT}
    finer = jaxnn.zoom(space, Fake(sample(space, 100), lambda one: abs(one["dropout"] - best)))
    values = [one["dropout"] for one in sample(finer, 50)]
    assert expected[0] <= min(values) <= max(values) <= expected[1]


def test_zoom_keeps_an_option_beside_a_narrower_range():
    space = {"dropout": DROPOUT}
    cost = lambda one: abs(one["dropout"] - 0.3) if one["dropout"] else 0.01
    finer = jaxnn.zoom(space, Fake(sample(space, 100), cost), top=0.6)["dropout"]
    assert isinstance(finer, Either)
    plain, domain = finer.options
    assert plain == 0.0
    assert 0.1 < domain.low < 0.3 < domain.high < 0.5
