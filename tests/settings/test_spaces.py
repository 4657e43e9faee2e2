"""The course's space and those of publications: what they draw, and that it trains."""

import math

import jax
import numpy as np
import optax
import pytest
import scipy.stats
from helpers.data import corners

import jaxnn
from jaxnn import sample, spaces
from jaxnn.settings.alternatives import axes_in, has
from jaxnn.settings.domains import Choice, Domain, Range
from jaxnn.settings.hyperparameters import complete

PUBLISHED = {
    "lcbench": lambda: spaces.lcbench(outputs=3),
    "hpobench_mlp": spaces.hpobench_mlp,
    "fcnet": spaces.fcnet,
}
ALL = PUBLISHED | {f"course {tier}": lambda t=tier: spaces.course_space(t) for tier in (1, 2, 3)}
RANGES = {
    "lcbench": {
        "learning_rate": (1e-4, 1e-1, "log"),
        "momentum": (0.1, 0.99, "linear"),
        "depth": (0, 4, "linear"),
        "units": (64, 1024, "log"),
        "batch_size": (16, 512, "log"),
        "l2": (1e-5, 1e-1, "linear"),
        "dropout": (0, 0.99, "linear"),
    },
    "hpobench_mlp": {
        "learning_rate": (1e-5, 1, "log"),
        "depth": (1, 3, "linear"),
        "units": (16, 1024, "log"),
        "batch_size": (4, 256, "log"),
        "l2": (1e-8, 1, "log"),
    },
    "fcnet": {
        "learning_rate": (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1),
        "units_1": (16, 32, 64, 128, 256, 512),
        "units_2": (16, 32, 64, 128, 256, 512),
        "batch_size": (8, 16, 32, 64),
        "activation": ("tanh", "relu"),
        "dropout": (0.0, 0.3, 0.6),
        "decay_schedule": ("cosine", "none"),
    },
}
"""As they were published; layers without the output."""


def drawn(name, n=4000):
    """Axis -> its values in settings that are drawn at random."""
    space = PUBLISHED[name]()
    settings = sample(space, n, seed=3, method="random")
    parts = {key: one for key, one in space.items() if isinstance(one, Domain)}
    rows = [
        {axis: v for key, one in parts.items() for axis, v in one.split(key, setting[key]).items()}
        for setting in settings
    ]
    return {axis: [row[axis] for row in rows if axis in row] for axis in axes_in(space)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_ranges_are_the_published_ones(name):
    axes = axes_in(PUBLISHED[name]())
    assert axes.keys() == RANGES[name].keys()
    for axis, expected in RANGES[name].items():
        if isinstance(axes[axis], Choice):
            assert axes[axis].options == expected
        else:
            is_whole = axis in ("depth", "units", "batch_size")
            assert axes[axis] == Range(*expected, is_whole)


def axes_by_kind(is_range):
    """Of depths each number is counted, like an option."""
    return [
        pytest.param(name, axis, id=f"{name}-{axis}")
        for name, axes in RANGES.items()
        for axis, ends in axes.items()
        if is_range == (ends[-1] in ("log", "linear") and axis != "depth")
    ]


@pytest.mark.parametrize(("name", "axis"), axes_by_kind(is_range=True))
def test_quantiles_lie_evenly_on_the_scale(name, axis):
    low, high, scale = RANGES[name][axis]
    values, step = drawn(name)[axis], 0
    assert low <= min(values) <= max(values) <= high
    along = np.log if scale == "log" else np.asarray
    if isinstance(values[0], int):
        # before it is rounded, a number lies half a step beyond the ends
        step, low, high = 0.5 / low, low - 0.5, high + 0.5
    levels = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
    low, high = along(low), along(high)
    # four standard errors of the median
    near = 4 * 0.5 / math.sqrt(len(values)) * (high - low)
    found = along(np.quantile(values, levels))
    np.testing.assert_allclose(found, low + levels * (high - low), atol=near + step)


@pytest.mark.parametrize(("name", "axis"), axes_by_kind(is_range=False))
def test_depths_and_options_are_drawn_equally_often(name, axis):
    options = RANGES[name][axis]
    options = [*range(options[0], options[1] + 1)] if axis == "depth" else options
    values = drawn(name)[axis]
    assert {*values} == {*options}
    counts = [values.count(option) for option in options]
    assert scipy.stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("name", ALL)
def test_all_that_is_drawn_is_a_setting(name):
    space = ALL[name]()
    for method in ("sobol", "random"):
        for setting in sample(space, 200, seed=1, method=method):
            full = complete(setting)
            assert {key: full[key] for key in setting} == setting
            if name in PUBLISHED:
                assert full["inputs"] == "standardised"
    # a dict of the caller's own
    space["learning_rate"] = 1.0
    assert ALL[name]()["learning_rate"] != 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_space_trains(name):
    # as many examples as the largest mini-batch
    data = corners(700)
    settings = sample(PUBLISHED[name](), 4, seed=2)
    study = jaxnn.sweep(settings, data, 0.25, epochs=2, progress=False)
    assert study.is_complete.all()
    assert np.isfinite(study.curves["valid_cost"][study.diverged < 0]).all()


def test_the_funnel_of_lcbench():
    """Four layers of weights from 100 units to 10 classes: 100, 70, 40 and 10."""
    domain = spaces.lcbench(outputs=10)["hidden"]
    for num_layers, hidden in {1: (), 2: (100,), 4: (100, 70, 40), 5: (100, 78, 56, 34)}.items():
        found = {"depth": num_layers - 1, "units": 100}
        assert domain.drawn("hidden", lambda axis, _, found=found: found[axis]) == hidden
    assert spaces.lcbench()["hidden"].outputs == 1
    with pytest.raises(ValueError, match="outputs got 0; expected a whole number >= 1"):
        spaces.lcbench(0)


def test_the_layers_of_the_others():
    assert {len({*one["hidden"]}) for one in sample(spaces.hpobench_mlp(), 64)} == {1}
    assert {len(one["hidden"]) for one in sample(spaces.fcnet(), 64)} == {2}


def test_fc_net_as_a_grid_has_all_whose_layers_are_alike():
    options = [len(axis.options) for axis in axes_in(spaces.fcnet()).values()]
    assert math.prod(options) == 10_368 == 62_208 // 2 // 3


def test_a_learning_rate_of_lcbench_is_converted_to_pytorchs_momentum():
    """SGD that sums gradients, with l2 in them: Optax's and PyTorch's form."""

    def summed(learning_rate, beta):
        return optax.sgd(learning_rate, beta)

    with jax.enable_x64(True):
        data = corners(60)
        (setting,) = sample(spaces.lcbench(3), 1, seed=4)
        setting |= {"hidden": (5, 4), "l2": 1e-2, "dropout": 0.0}
        beta = setting["momentum"]
        theirs = setting | {"optimizer": summed, "beta": beta}
        ours = setting | {"learning_rate": setting["learning_rate"] / (1 - beta)}
        params = [jaxnn.fit(one, data, epochs=5).params for one in (theirs, ours)]
        close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
        jax.tree.map(close, *params)


def test_the_spaces_are_public():
    assert jaxnn.course_space is jaxnn.spaces.course_space
    with pytest.raises(ValueError, match="tier got 4; expected 1, 2 or 3"):
        jaxnn.course_space(4)


def test_the_course_tunes_in_three_tiers():
    first, second, third = (jaxnn.course_space(tier) for tier in (1, 2, 3))
    varied = lambda space: {n for n, d in space.items() if not isinstance(d, str | tuple)}
    assert varied(first) == {"learning_rate"}
    assert varied(second) == varied(first) | {"momentum", "hidden", "batch_size", "optimizer"}
    assert varied(third) == varied(second) | {"decay_schedule"}
    assert len({len(hidden) for hidden in third["hidden"].options}) > 1
    for space in (first, second, third):
        assert not {"beta1", "beta2", "epsilon"} & set(space)
        for setting in sample(space, 64):
            full = complete(setting)
            assert (full["beta1"], full["epsilon"]) == (0.9, 1e-8)
            assert 1e-4 <= full["learning_rate"] <= 1


@pytest.mark.parametrize("num_examples", [1, 5, 40, 300, 3000, 5000])
@pytest.mark.parametrize("is_real", [False, True])
def test_the_default_setting_is_one_of_the_default_space(num_examples, is_real):
    y = np.arange(num_examples)
    data = jaxnn.Dataset(
        np.ones((num_examples, 2)), y / 7 if is_real else y % 2, None if is_real else 2
    )
    space, setting = jaxnn.default_space(data), jaxnn.default_setting(data)
    assert space.keys() == setting.keys()
    assert has(space, setting)
    assert 1 <= complete(setting)["batch_size"] <= num_examples
    varied = {name for name, one in space.items() if isinstance(one, Domain)}
    assert varied == {"learning_rate", "dropout"}
    # a plain dict of its own
    space["hidden"] = (3,)
    assert jaxnn.default_space(data)["hidden"] == setting["hidden"]
