"""Zooming into a space."""

import numpy as np
import pytest

import jaxnn
from jaxnn import (
    choice,
    layers,
    lograndint,
    loguniform,
    randint,
    reverseloguniform,
    sample,
    uniform,
    zoom,
)


class Fake:
    """A study of which only settings and ranking are known."""

    def __init__(self, settings, cost):
        self.settings = settings
        self.ranked = np.argsort([cost(setting) for setting in settings], kind="stable")


SPACE = {
    "learning_rate": loguniform(1e-6, 1e0),
    "momentum": reverseloguniform(0.9, 0.9999),
    "l2": uniform(0.0, 1.0),
    "batch_size": randint(1, 64),
    "hidden": choice([(1,), (2,), (4,)]),
    "optimizer": "momentum",
}


def distance(setting):
    """From learning_rate 1e-3, momentum 0.999 and l2 0.5."""
    return (
        (2 * np.log10(setting["learning_rate"]) + 6) ** 2
        + (4 * np.log10(1 - setting["momentum"]) + 12) ** 2
        + (10 * (setting["l2"] - 0.5)) ** 2
        + (setting["hidden"] == (1,)) * 1000
    )


@pytest.mark.parametrize("seed", range(5))
def test_what_is_best_stays_and_the_rest_goes(seed):
    settings = sample(SPACE, 200, seed=seed)
    finer = zoom(SPACE, Fake(settings, distance))
    assert list(finer) == list(SPACE)
    for name, best, scale in (
        ("learning_rate", 1e-3, "log"),
        ("momentum", 0.999, "reverse log"),
        ("l2", 0.5, "linear"),
    ):
        assert finer[name].scale == scale
        low, high = (SPACE[name].position(end) for end in (finer[name].low, finer[name].high))
        assert 0 <= low < SPACE[name].position(best) < high <= 1
        assert high - low < 0.8
    assert finer["hidden"] == choice([(2,), (4,)])
    assert finer["optimizer"] == "momentum"
    assert finer["batch_size"].is_whole
    again = sample(finer, 50, seed=seed)
    assert np.mean([distance(s) for s in again]) < np.mean([distance(s) for s in settings]) / 2


def test_the_margin_is_what_even_draws_leave():
    """Best at positions 0.2, 0.3, 0.4 of a scale: from 0.1 to 0.5."""
    space = {"p": loguniform(1e-10, 1e0)}
    values = [1e-8, 1e-7, 1e-6, *[1e-2] * 27]
    finer = zoom(space, Fake([{"p": value} for value in values], lambda s: s["p"] == 1e-2))
    assert finer["p"].low == pytest.approx(1e-9)
    assert finer["p"].high == pytest.approx(1e-5)


def test_a_zoom_stays_inside_and_leaves_whole_numbers_whole():
    space = {"p": uniform(0.0, 1.0), "n": randint(1, 3)}
    settings = [{"p": 0.0, "n": 3}, {"p": 0.01, "n": 3}] + [{"p": 0.9, "n": 1}] * 18
    finer = zoom(space, Fake(settings, lambda setting: setting["p"]))
    assert (finer["p"].low, finer["n"]) == (0.0, 3)
    assert finer["p"].high == pytest.approx(0.035)
    assert sample(finer, 2)[0]["n"] == 3


def hidden(*values):
    return [{"hidden": value} for value in values]


def zoomed(domain, best, others=18):
    """The domain after a study whose best these are; with 18 others, two are its best tenth."""
    settings = hidden(*best, *[()] * others)
    return zoom({"hidden": domain}, Fake(settings, lambda one: one["hidden"] == ()))["hidden"]


def test_each_axis_of_layers_is_zoomed_by_itself():
    """By hand, on scales of ten depths and of 100 numbers of units."""
    units = randint(1, 100)
    domain = layers(randint(1, 10), units)
    finer = zoomed(domain, [(55, 10, 90), (65, 20)])
    # depths 3 and 2: positions 0.25 and 0.15 and a margin of 0.1, from 0.05 to 0.35
    assert finer.depth == randint(1, 4)
    assert (finer.shape, len(finer.units)) == ("free", 4)
    # from 55 - 10 to 65 + 10, and from 10 - 10 to 20 + 10
    for axis, low, high in ((0, 45, 75), (1, 1, 30)):
        assert (finer.units[axis].low, finer.units[axis].high) == pytest.approx((low, high), abs=1)
    # one of the best alone has a third layer, and none a fourth
    assert finer.units[2:] == (units, units)
    assert [*finer.axes("hidden")] == ["depth", "units_1", "units_2", "units_3", "units_4"]
    # what is left can be zoomed again, and drawn
    again = zoomed(finer, [(60, 10), (61, 11)])
    assert again.depth == 2
    assert [*again.axes("hidden")] == ["units_1", "units_2"]
    assert all(len(one["hidden"]) == 2 for one in sample({"hidden": again}, 9))


@pytest.mark.parametrize("shape", ["brick", "funnel"])
def test_layers_of_one_shape_keep_it(shape):
    domain = layers(choice([1, 2, 4]), lograndint(4, 1024), shape, outputs=3)
    deep = {"brick": (60, 60, 60, 60), "funnel": (60, 46, 32, 18)}
    best = [deep[shape], (64,)]
    finer = zoomed(domain, best)
    assert finer.depth == choice([1, 4])
    assert (finer.shape, finer.outputs) == (shape, 3)
    assert 50 < finer.units.low <= 60 <= 64 <= finer.units.high < 76
    assert (finer.units.scale, finer.units.is_whole) == ("log", True)


def test_layers_that_nobody_uses_stay():
    domain = layers(randint(0, 3), lograndint(4, 64), "brick")
    finer = zoomed(domain, [], others=20)
    assert finer.depth == 0
    assert finer.units == lograndint(4, 64)
    assert finer.axes("hidden") == {}
    assert sample({"hidden": finer}, 2) == [{"hidden": ()}] * 2
    fixed = layers(2, (8, 4))
    assert zoomed(fixed, [(8, 4), (8, 4)]) == fixed


@pytest.mark.parametrize("seed", range(3))
def test_layers_are_zoomed_to_what_is_best(seed):
    """Best: two layers, of 100 and 20 units."""
    space = {"hidden": layers(randint(1, 4), lograndint(4, 512))}

    def far(setting):
        units = setting["hidden"]
        logs = np.log2([*units, 20][:2]) - np.log2([100, 20])
        return 4 * abs(len(units) - 2) + np.sum(logs**2)

    settings = sample(space, 200, seed=seed)
    finer = zoom(space, Fake(settings, far))
    first, second = finer["hidden"].units[:2]
    assert first.low < 100 < first.high
    assert second.low < 20 < second.high
    assert first.low > 16
    assert second.high < 256
    again = sample(finer, 50, seed=seed)
    assert np.mean([*map(far, again)]) < np.mean([*map(far, settings)]) / 2


def test_bad_input():
    settings = [{"p": 0.5}, {"p": 0.6}]
    study = Fake(settings, lambda setting: 0)
    for top in (0, 1.5, "all", np.nan):
        with pytest.raises(ValueError, match=r"top got .*; expected a share in \(0, 1\]"):
            zoom({"p": uniform(0.0, 1.0)}, study, top)
    with pytest.raises(ValueError, match="zoom got a study without 'q'"):
        zoom({"q": uniform(0.0, 1.0)}, study)
    with pytest.raises(ValueError, match="have none of the options of 'p'"):
        zoom({"p": choice([1, 2])}, study)
    study.ranked = study.ranked[:1]
    with pytest.raises(ValueError, match="1 of 2 settings have a value; expected two at least"):
        zoom({"p": uniform(0.0, 1.0)}, study)


def test_zoom_on_a_sweep():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2))
    data = jaxnn.Dataset(x, (x[:, 0] > 0).astype(int))
    space = {"learning_rate": loguniform(1e-6, 1e0), "optimizer": "gd"}
    finer = space
    lows = []
    for round_number in range(3):
        study = jaxnn.sweep(sample(finer, 16, seed=round_number), data, 0.25, epochs=3,
                            metric="cost", progress=False)  # fmt: skip
        finer = zoom(finer, study, top=0.25)
        lows.append(finer["learning_rate"].low)
    # the largest rates win here
    assert lows == sorted(lows)
    assert lows[-1] > 0.1
