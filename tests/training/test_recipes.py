"""Many settings made recipes together: the same as one by one, and the same error for a bad one."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxnn import Dataset, Model, choice, loguniform, sample
from jaxnn.engine.chunks import lane_data
from jaxnn.planning.joining import plan_recipes
from jaxnn.settings.hyperparameters import HYPERPARAMETERS
from jaxnn.settings.traced import alike
from jaxnn.training.recipes import recipe, recipes

DATA = Dataset(np.ones((40, 5), np.float32), np.arange(40) % 3)
NUMBERS = [name for name, rule in HYPERPARAMETERS.items() if rule.is_number]
FINE = st.floats(0.01, 0.99)
ODD = st.one_of(
    st.floats(),
    st.integers(-1, 2),
    # too small or too large for float32, too near to 1, and not a float
    st.sampled_from([1e-50, -0.0, 1e50, 1 - 1e-12, 10**400, Fraction(1, 10**400), Fraction(1, 3)]),
    st.sampled_from([np.float32(0.1), np.float64(0.1), np.int64(1), True, np.True_, "0.1", None]),
)
STRUCTURES = st.fixed_dictionaries(
    {},
    optional={
        "hidden": st.sampled_from([(), (3,), [3], (3.0,), (True,), (3, 2), ([],), 3]),
        "batch_size": st.sampled_from([1, 1.0, True, 8, 41, np.int64(8)]),
        "optimizer": st.sampled_from(["gd", "rmsprop", "adam", "Adam", ["adam"], {}]),
        "decay_schedule": st.sampled_from(["exponential", "inverse"]),
        "batch_norm": st.sampled_from([True, False, np.True_, 1]),
    },
)


@st.composite
def many(draw, numbers):
    """Settings of a few structures that name the same numbers."""
    structures = draw(st.lists(STRUCTURES, min_size=1, max_size=3))
    names = draw(st.sets(st.sampled_from(NUMBERS), max_size=3))
    row = st.fixed_dictionaries(dict.fromkeys(sorted(names), numbers))
    return [
        {**structures[place], **own}
        for place, own in draw(
            st.lists(st.tuples(st.integers(0, len(structures) - 1), row), min_size=1, max_size=9)
        )
    ]


def together(settings, model=None):
    try:
        return recipes(settings, DATA, model)
    except ValueError as error:
        return str(error)


def one_by_one(settings, model=None):
    found = []
    for number, setting in enumerate(settings):
        try:
            found.append(recipe(setting, DATA, model))
        except ValueError as error:
            return f"settings[{number}]: {error}"
    return found


@given(st.one_of(many(FINE), many(st.one_of(FINE, FINE, FINE, ODD)), many(ODD)))
def test_many_settings_are_checked_as_one_by_one(settings):
    # text tells 1 from 1.0, and shows the order of names
    assert repr(together(settings)) == repr(one_by_one(settings))


@pytest.mark.parametrize(
    "bad",
    [
        {"learning_rate": 0.0},
        {"learning_rate": np.inf},
        {"learning_rate": np.nan},
        {"learning_rate": "0.1"},
        {"learning_rate": True},
        {"learning_rate": 10**400},
        {"learning_rate": 1e-50},
        {"learning_rate": 1e-3, "l2": 1e-50},
        {"learning_rate": 1e-3, "l2": -1e-9},
        {"learning_rate": 1e-3, "momentum": 1 - 1e-12},
        {"learning_rate": 1e-3, "decay_schedule": "exponential", "decay_rate": 1.5},
        {"learning_rate": 1e-3, "hidden": (3.0,)},
        {"learning_rate": 1e-3, "hidden": (True,)},
        {"learning_rate": 1e-3, "batch_size": 41},
        {"learning_rate": 1e-3, "learning_rat": 0.1},
        {"learning_rate": 1e-3, "hidden": {3: 3}},
        "learning_rate",
        None,
        [("learning_rate", 0.1)],
    ],
    ids=repr,
)
def test_the_first_bad_setting_among_many_is_named(bad):
    good = {"momentum": 0.5, "l2": 0.1, "decay_schedule": "exponential", "decay_rate": 0.5}
    good |= {"hidden": (3,), "batch_size": 8}
    # of the bad one's structure, as far as it has a good one
    like_it = {name: good[name] for name in bad or () if name in good}
    settings = [{"learning_rate": 0.1 + n / 1000, **like_it} for n in range(20)]
    settings[7] = settings[13] = bad
    message = together(settings)
    assert message.startswith("settings[7]: ")
    assert message == one_by_one(settings)


def test_a_models_own_numbers_are_checked_together():
    init = lambda key: ({"kernel": np.zeros((5, 3))}, ())
    apply = lambda params, state, x, *, slope, **rest: (x @ params["kernel"] * slope, state)
    model = Model(init, apply, ("slope",))
    settings = [{"slope": slope} for slope in (-1e30, -3, 0, 2e-30, 4.0, 5.0)]
    assert repr(together(settings, model)) == repr(one_by_one(settings, model))
    for slope in (-1e-50, 1e-50, 1e39, -1e39, None):
        bad = [*settings, {"slope": slope}, {"slope": slope}]
        assert together(bad, model) == one_by_one(bad, model)
        assert together(bad, model).startswith("settings[6]: slope got ")


def test_settings_that_differ_in_numbers_alone_share_one_program():
    space = {
        "learning_rate": loguniform(1e-4, 1),
        "l2": choice([0, 0.1]),
        "hidden": choice([(3,), (4,)]),
    }
    settings = sample(space, 64)
    assert sorted(map(len, alike(settings))) == [16] * 4
    assert len({id(one.program) for one in recipes(settings, DATA, None)}) == 4


def test_the_numbers_of_lanes_are_stacked_as_each_lane_has_them():
    space = {
        "learning_rate": loguniform(1e-4, 1),
        "hidden": choice([(3,), (4, 2)]),
        "activation": choice(["relu", "tanh"]),
        "optimizer": choice(["gd", "adam"]),
        "decay_schedule": choice(["none", "inverse"]),
        "batch_norm": choice([False, True]),
    }
    mixed = recipes(sample(space, 32), DATA, None)
    (planned,) = plan_recipes(mixed, DATA, 1, 1).programs
    stacked = lane_data(planned.program, mixed)
    assert {len(values) for values in stacked.values()} == {32}
    for row, one in enumerate(mixed):
        own = {**one.numbers, **planned.program.networks.lane_data(one.setting)}
        assert own.keys() == stacked.keys()
        for name, value in own.items():
            np.testing.assert_array_equal(stacked[name][row], value, strict=True)
