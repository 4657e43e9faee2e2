"""Promise 1 for settings of any structure in one call: each lane is the network trained alone."""

import functools
import itertools
import json

import jax
import numpy as np
import pytest
from helpers.by_hand import trained
from helpers.comparisons import assert_lane_is_solo, assert_same_bits, networks
from helpers.data import curved
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import jaxnn
from jaxnn import Dataset, fit, mlp, sweep
from jaxnn.compiled import lanes
from jaxnn.compiled.mixtures import single
from jaxnn.compiled.networks import NOT_HERE, Foreign
from jaxnn.disk.encoding import decode, encode
from jaxnn.functional.layers import ACTIVATIONS, INITIALIZERS
from jaxnn.functional.objectives import Targets
from jaxnn.functional.optimizers import DECAY_SCHEDULES, OPTIMIZERS
from jaxnn.settings.hyperparameters import complete
from jaxnn.training.recipes import networks_of

MOST = {
    **{"hidden": (9, 8, 7), "dropout": 0.1, "l2": 0.01, "clip_norm": 9.0, "warmup": 1.0},
    "weight_decay": 0.1,
}
TABLES = {
    "optimizer": OPTIMIZERS,
    "activation": ACTIVATIONS,
    "init": INITIALIZERS,
    "decay_schedule": DECAY_SCHEDULES,
}
# together they need all that there is, so that every sweep below runs the same program
ANCHORS = [
    {**{key: [*table][row % len(table)] for key, table in TABLES.items()}, **more}
    for row, more in zip(
        range(max(map(len, TABLES.values()))),
        itertools.cycle(
            [
                {**MOST, "batch_size": 16, "batch_norm": True},
                {**MOST, "batch_size": 5, "hidden": (3, 2)},
                {"batch_size": 16, "hidden": (2,)},
            ]
        ),
        strict=False,
    )
]
SETTING = st.fixed_dictionaries(
    {
        "hidden": st.lists(st.integers(1, 7), min_size=1, max_size=3).map(tuple),
        "batch_size": st.sampled_from([16, 5]),
        **{key: st.sampled_from([*table]) for key, table in TABLES.items()},
        "batch_norm": st.booleans(),
        "dropout": st.sampled_from([0.0, 0.2, 0.6]),
        "l2": st.sampled_from([0.0, 1e-3, 0.3]),
        "weight_decay": st.sampled_from([0.0, 0.1]),
        "clip_norm": st.sampled_from([None, 0.1, 3.0]),
        "warmup": st.sampled_from([0.0, 0.7, 4.0]),
        "decay_rate": st.floats(0.1, 1),
        "decay_every": st.floats(0.5, 5),
        "learning_rate": st.floats(-4, 0).map(lambda r: 10.0**r),
        "momentum": st.floats(0, 0.99, allow_subnormal=False),
        "beta1": st.floats(0, 0.99, allow_subnormal=False),
        "beta2": st.floats(0.5, 0.999),
        "epsilon": st.sampled_from([1e-8, 1e-3]),
        "batch_norm_decay": st.floats(0, 1, allow_subnormal=False),
    }
)


def make_data():
    data = curved(46)
    # mini-batches of 16 leave one of 4, those of 5 leave a single example
    return data[:36], data[36:]


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@pytest.mark.parametrize("num_draws", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_any_structures_together_are_each_what_numpy_makes_of_them(num_draws):
    """12 or 300 random settings, six at a time beside the anchors, against formulas by hand."""
    with jax.enable_x64(True):
        train, valid = make_data()
        x, y = np.asarray(train.x), np.asarray(train.y)
        lanes.train_lanes.clear_cache()
        tried = []

        @settings(
            max_examples=num_draws,
            deadline=None,
            phases=[Phase.generate],
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(SETTING, min_size=6, max_size=6), st.integers(0, 1000))
        def check(drawn, seed):
            study = sweep([*drawn, *ANCHORS], train, valid, epochs=9, seed=seed, chunk=4)
            assert len(study.plan.programs) == 1
            for number, setting in enumerate(drawn):
                full = complete(setting)
                expected = trained(full, x, y, 3, epochs=9, seed=seed)
                lane = study.fitted(number)
                assert jax.tree.map(np.shape, expected[0]) == jax.tree.map(np.shape, lane.params)
                if lane.diverged is not None:
                    # NumPy's goes on, and away
                    assert not np.abs(flat(expected)).max() < 1e3, setting
                    tried.append("diverged")
                    continue
                error = np.abs(flat((lane.params, lane.state)) - flat(expected)).max()
                scale = max(1.0, np.abs(flat(expected)).max())
                if error <= 1e-9 * scale:
                    tried.append("equal")
                    continue
                # a chaotic setting: of the size that 1e-15 in its first weights makes of it, where
                # every step rounds anew; a mistake would be far beyond
                nudged = trained(full, x, y, 3, epochs=9, seed=seed, nudge=1e-15)
                assert not error > 1000 * np.abs(flat(nudged) - flat(expected)).max(), setting
                tried.append("chaotic")

        check()
        assert tried.count("equal") > 0.9 * len(tried)
        # promise 5: one program in all, whatever the structures and numbers
        assert lanes.train_lanes._cache_size() == 1


MIXED = [
    {"hidden": (6, 5), "batch_norm": True, "dropout": 0.2, "optimizer": "momentum"},
    {"hidden": (3,), "optimizer": "gd", "activation": "tanh", "learning_rate": 0.1},
    {"hidden": (4, 7, 2), "activation": "sigmoid", "optimizer": "rmsprop", "l2": 0.1},
    {"hidden": (8,), "activation": "leaky_relu", "batch_norm": True, "init": "he_normal"},
]


@pytest.mark.slow
def test_a_lane_of_a_mixed_program_is_the_network_that_fit_trains():
    """Over 201 steps, with validation curves, in float64."""
    candidates = [{**one, "batch_size": 16, "decay_schedule": "inverse"} for one in MIXED]
    with jax.enable_x64(True):
        data = make_data()
        study = sweep(candidates, *data, epochs=67, seeds=2, seed=5, chunk=4, order_seed=3)
        assert len(study.plan.programs) == 1
        for number, repeat in ((0, 0), (2, 1)):
            alone = fit(candidates[number], *data, epochs=67, seed=5 + repeat, order_seed=3)
            assert_lane_is_solo(study, number, repeat, alone, 1e-9)


def test_bits_do_not_depend_on_the_order_or_the_companions():
    data = make_data()
    run = lambda some: networks(sweep(some, *data, epochs=5, chunk=2))
    before = run(MIXED)
    order = [2, 0, 3, 1]
    for lane, number in zip(run([MIXED[n] for n in order]), order, strict=True):
        assert_same_bits(lane, before[number])
    poisoned = run([{**MIXED[0], "learning_rate": 1e30}, *MIXED[1:]])
    for number in (1, 2, 3):
        assert_same_bits(poisoned[number], before[number])


def test_padding_is_zero_and_stays_so():
    data = make_data()
    study = sweep(MIXED, *data, epochs=5, chunk=2)
    for number, setting in enumerate(MIXED):
        chunk, lane = study.places[number, 0]
        params = study.chunks[chunk].params
        for layer, one in enumerate(params[:3]):
            units = setting["hidden"][layer] if layer < len(setting["hidden"]) else 0
            below = 4 if layer == 0 else (*setting["hidden"], 0, 0)[layer - 1]
            kernel = one["kernel"][lane]
            assert not kernel[units:].any()
            assert not kernel[:, below:].any()
            assert np.count_nonzero(kernel) == units * below
            assert not one["bias"][lane, units:].any()
        for depth, one in zip((1, 2, 3), params[3:], strict=True):
            own = setting["hidden"][-1] if depth == len(setting["hidden"]) else 0
            assert np.count_nonzero(one["kernel"][lane]) == own * 3
            assert not one["kernel"][lane][:, own:].any()


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param(one, id=str(one["hidden"]), marks=[pytest.mark.slow] if number else [])
        for number, one in enumerate(MIXED)
    ],
)
def test_first_weights_and_dropout_do_not_depend_on_the_padding(setting):
    full = complete(setting)
    own = single((4, *full["hidden"], 3), full["activation"], full["batch_norm"], full["init"])
    wide = own.merged(single((4, 9, 8, 7, 3), "sigmoid", not full["batch_norm"], "he_uniform"))
    plain = mlp(
        4,
        full["hidden"],
        3,
        activation=full["activation"],
        batch_norm=full["batch_norm"],
        init=full["init"],
    )
    padded = wide.model(wide.lane_data(full))
    key, x = jax.random.key(3), make_data()[0].x
    # operation by operation, each would be compiled by itself
    params, state = jax.jit(plain.init)(key)
    padded_params, padded_state = jax.jit(padded.init)(key)
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6)
    jax.tree.map(same, wide.own_part(full, padded_params, padded_state), (params, state))
    options = {"is_training": True, "key": key, "dropout": 0.3}
    outputs = jax.jit(lambda: padded.apply(padded_params, padded_state, x, **options)[0])()
    expected = jax.jit(lambda: plain.apply(params, state, x, **options)[0])()
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


def test_a_mixture_of_equal_structures_is_not_padded():
    one = single((4, 5, 3))
    assert one.merged(one) == one
    assert one.merged(single((4, 5, 3), "tanh")).is_padded is False
    assert one.merged(single((4, 6, 3))).is_padded
    assert one.merged(single((4, 3))) is None
    assert single((4, 5, 6, 3)).merged(single((4, 7, 3))).num_weights == 28 + 42 + 21 + 18


SETTINGS = [
    {"hidden": (5,), "activation": "tanh"},
    {"hidden": (3, 2), "batch_norm": True, "init": "he_normal"},
]


def matrix(key):
    return ({"kernel": jax.random.normal(key, (4, 3))}, ())


def product(params, state, x, **rest):
    return x.reshape(len(x), -1) @ params["kernel"], state


MATRIX = jaxnn.Model(matrix, product, ())


@pytest.mark.parametrize("model", [None, MATRIX], ids=["ours", "foreign"])
@pytest.mark.parametrize("chosen", [[0], [1], [0, 1]], ids=str)
def test_all_networks_keep_to_the_protocol(model, chosen):
    """What the engine relies on, of each implementation, alone and merged."""
    full = [complete(SETTINGS[index]) for index in chosen]
    owns = [networks_of(one, model, (2, 2), Targets(3)) for one in full]
    together = functools.reduce(lambda one, other: one.merged(other), owns)
    for own in owns:
        assert own.merged(own) == own
        assert hash(own.merged(own)) == hash(own)
        assert own.merged(together) == together.merged(own) == together
        assert decode(json.loads(json.dumps(encode(own)))) == (own if own.is_mlp else UNKNOWN)
    assert together.is_mixed == (len({*owns}) > 1)
    assert together.with_features(7).num_features in (7, None)
    assert together.with_features(7).with_features(4) == together
    step = together.step(8, 2, (2, 2))
    assert step.products > 0
    assert len(together.words) == 4
    x = np.ones((6, 2, 2), np.float32)
    for setting, own in zip(full, owns, strict=True):
        lane_data = together.lane_data(setting)
        params, state = together.model(lane_data).init(jax.random.key(0))
        # a vector is no kernel
        assert together.num_weights == sum(p.size for p in jax.tree.leaves(params) if p.ndim == 2)
        cut_params, cut_state = together.own_part(setting, params, state)
        network = together.own_model(setting)
        assert network is own.model({}) is own.own_model(setting)
        same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        jax.tree.map(same, (cut_params, cut_state), network.init(jax.random.key(0)))
        outputs, _ = together.model(lane_data).apply(params, state, x)
        assert outputs.shape == (6, 3)
        same(outputs, network.apply(cut_params, cut_state, x)[0])


UNKNOWN = Foreign(NOT_HERE)


def test_networks_of_different_kinds_are_not_merged():
    ours, theirs = single((4, 5, 3)), Foreign(MATRIX)
    for one in (theirs, UNKNOWN):
        assert ours.merged(one) is None
        assert one.merged(ours) is None
    assert theirs.merged(Foreign(mlp(4, (), 3))) is None


def test_what_a_file_does_not_hold_is_what_is_given_in_its_place():
    theirs = Foreign(MATRIX)
    assert theirs.is_here
    assert not UNKNOWN.is_here
    assert UNKNOWN.merged(theirs) == theirs
    assert theirs.merged(UNKNOWN) is None
    with pytest.raises(ValueError, match="code that the file does not hold"):
        UNKNOWN.model({}).init(jax.random.key(0))


@pytest.mark.parametrize("hidden", [(), (5, 4)])
def test_an_unmixed_program_runs_the_plain_mlp(hidden):
    full = complete({"hidden": hidden, "activation": "tanh", "batch_norm": True})
    own = networks_of(full, None, (4,), Targets(3))
    assert own.model({}) is mlp(4, hidden, 3, activation="tanh", batch_norm=True)
    rotated = own.with_features(2)
    kernel = lambda model: model.init(jax.random.key(1))[0][0]["kernel"]
    # the first weights are as large as those of all features
    np.testing.assert_allclose(kernel(rotated.model({})), kernel(own.model({}))[:, :2], rtol=1e-6)


def test_a_foreign_model_mixes_what_is_not_its_own():
    """Optimizers, l2 and schedules differ by lane in one program of somebody's model."""
    init = lambda key: ({"kernel": jax.random.normal(key, (4, 3))}, ())
    apply = lambda params, state, x, **rest: (x @ params["kernel"], state)
    model = jaxnn.Model(init, apply, ())
    candidates = [
        {"optimizer": name, "l2": l2, "decay_schedule": schedule, "learning_rate": 0.05}
        for name, l2, schedule in (
            ("gd", 0.0, "none"),
            ("adam", 0.1, "inverse"),
            ("rmsprop", 0.0, "staircase"),
        )
    ]
    data = make_data()
    study = sweep(candidates, *data, epochs=5, model=model)
    assert len(study.plan.programs) == 1
    for number in (1, 2):
        alone = fit(candidates[number], *data, epochs=5, model=model)
        assert_lane_is_solo(study, number, 0, alone, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["last", "best"])
def test_weights_of_examples_count_in_a_mixed_program_too(keep):
    """With batch norm, a last mini-batch that is filled up, and the best epoch's network."""
    train, valid = make_data()
    weights = np.random.default_rng(1).integers(0, 3, 36)
    train = Dataset(train.x, train.y, 3, weights)
    candidates = [{**one, "batch_size": 16, "learning_rate": 0.05} for one in MIXED]
    study = sweep(candidates, train, valid, epochs=8, keep=keep)
    assert len(study.plan.programs) == 1
    # both have batch norm
    for number in (0, 3):
        done = int(study.kept_epochs[number, 0]) + 1
        alone = fit(candidates[number], train, valid, epochs=done)
        lane = study.fitted(number)
        same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
        jax.tree.map(same, (lane.params, lane.state), (alone.params, alone.state))
        same(study.values[number, 0], alone.curves["valid_accuracy"][-1])
    assert keep == "last" or (study.kept_epochs < 7).any()
