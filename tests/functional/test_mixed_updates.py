"""Optimizers x schedules x clipping x warm-up x weight decay: a mixed lane is its setting alone.

The full product in one sweep, and every activation among it. Two lanes of each pair of optimizer
and schedule, between them with all that is switched on and off, are compared in float64 to 1e-9
over 200 steps with the formulas in NumPy, which are not compiled; a lane of each optimizer, of each
schedule and of each way to switch is compared with `fit` as well. Rates are small, so that no
setting is chaotic.
"""

import itertools

import jax
import numpy as np
import pytest
from helpers.by_hand import plateaus, trained
from helpers.comparisons import assert_lane_is_solo

import jaxnn
from jaxnn.functional.layers import ACTIVATIONS
from jaxnn.functional.optimizers import DECAY_SCHEDULES, OPTIMIZERS
from jaxnn.settings.hyperparameters import complete

pytestmark = pytest.mark.slow

PAIRS = [*itertools.product(OPTIMIZERS, DECAY_SCHEDULES)]
SWITCHES = [*itertools.product((None, 0.5), (0.0, 2.5), (0.0, 0.1))]
"""clip_norm, warmup and weight_decay of each pair."""

SHAPES = [(4,), (3, 2), (2, 3), (5,), (2, 2)]
EPOCHS, BATCH = 40, 10
RATES = {"gd": 0.1, "momentum": 0.1, "nesterov": 0.1}


def settings_of(number):
    """The settings of a pair, of one structure but for what is switched on."""
    optimizer, schedule = PAIRS[number]
    common = {
        "optimizer": optimizer,
        "decay_schedule": schedule,
        "decay_every": 10,
        "learning_rate": RATES.get(optimizer, 0.003),
        "hidden": SHAPES[number % len(SHAPES)],
        "activation": [*ACTIVATIONS][number % len(ACTIVATIONS)],
        "batch_size": BATCH,
    }
    return [
        {**common, "clip_norm": clip_norm, "warmup": warmup, "weight_decay": weight_decay}
        for clip_norm, warmup, weight_decay in SWITCHES
    ]


@pytest.fixture(scope="module", autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def data(in_float64):
    x = np.random.default_rng(0).normal(size=(70, 3))
    every = jaxnn.Dataset(x, (x[:, 0] > 0) * 1 + (x[:, 1] > 0.5))
    return every[:50], every[50:]


@pytest.fixture(scope="module")
def study(data):
    settings = [one for number in range(len(PAIRS)) for one in settings_of(number)]
    return jaxnn.sweep(settings, *data, epochs=EPOCHS, progress=False)


@pytest.mark.parametrize("number", range(len(PAIRS)), ids=map("-".join, PAIRS))
def test_a_lane_among_all_updates_is_what_numpy_makes_of_it(study, data, number):
    settings, first = settings_of(number), number % len(SWITCHES)
    x, y = np.asarray(data[0].x), np.asarray(data[0].y)
    # the second is the first with all switches turned
    for place in (first, len(SWITCHES) - 1 - first):
        row, setting = len(SWITCHES) * number + place, settings[place]
        assert study.given[row] == setting
        full, lane = complete(setting), study.fitted(row)
        if setting["decay_schedule"] == "plateau":
            full["plateaus"] = plateaus(lane.curves["valid_cost"], full["patience"])
        params, _ = trained(full, x, y, 3, epochs=EPOCHS, seed=0)
        close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
        jax.tree.map(close, list(lane.params), list(params))


@pytest.mark.parametrize("place", range(len(DECAY_SCHEDULES)), ids=DECAY_SCHEDULES)
def test_a_lane_among_all_updates_equals_its_setting_alone(study, data, place):
    """The schedules one by one, and beside them optimizers and switches."""
    number = place % len(OPTIMIZERS) * len(DECAY_SCHEDULES) + place
    setting = settings_of(number)[place % len(SWITCHES)]
    alone = jaxnn.fit(setting, *data, epochs=EPOCHS)
    assert len(alone.curves["cost"]) * len(data[0]) // BATCH == 200
    assert_lane_is_solo(study, len(SWITCHES) * number + place % len(SWITCHES), 0, alone, 1e-9)


def test_all_are_compared_with_their_setting_alone():
    assert len(DECAY_SCHEDULES) >= max(len(OPTIMIZERS), len(SWITCHES))


def test_the_lanes_share_programs_and_learn(study):
    """Else the comparison would say little."""
    assert len(study.plan.programs) <= 12
    assert all(one.program.is_mixed for one in study.plan.programs)
    kinds = [{*one.program.optimizers} for one in study.plan.programs]
    assert max(map(len, kinds)) == len(OPTIMIZERS)
    assert (study.diverged < 0).all()
    costs = study.curves["cost"][:, 0]
    assert (costs[:, -1] < costs[:, 0]).all()
    assert {one["activation"] for one in study.settings} == {*ACTIVATIONS}
    # what is switched on makes a difference
    rows = np.arange(len(PAIRS) * len(SWITCHES)).reshape(-1, 2, 2, 2)
    warm = costs[rows[:, :, 1]] != costs[rows[:, :, 0]]
    clipped = costs[rows[:, 1]] != costs[rows[:, 0]]
    decayed = (costs[rows[..., 1]] != costs[rows[..., 0]]).any(axis=(1, 2, 3))
    assert warm.any(axis=-1).all()
    assert clipped.any(axis=-1).all()
    assert decayed.tolist() == [name in ("adamw", "lion") for name, _ in PAIRS]
