"""The row space: the same training for gd and momentum, whatever the data; lifted networks."""

import jax
import numpy as np
import pytest
from helpers.comparisons import assert_lane_is_solo

import jaxnn
from jaxnn import Dataset, Model, fit, mlp, sweep
from jaxnn.data.inputs import row_space, treatment

pytestmark = pytest.mark.numbers


def make_data(num_examples=30, num_features=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_examples + 10, num_features)) + 2
    data = Dataset(x, (x[:, 0] > 2).astype(int) + (x[:, 1] > 2))
    return data[:num_examples], data[num_examples:]


@pytest.mark.parametrize(
    ("setting", "inputs"),
    [
        pytest.param({"optimizer": "gd", "learning_rate": 0.1}, "centred", marks=pytest.mark.slow),
        ({"optimizer": "momentum", "learning_rate": 0.1, "l2": 0.01, "batch_norm": True}, "raw"),
        pytest.param(
            {"optimizer": "gd", "learning_rate": 0.05, "hidden": (), "l2": 0.1},
            "standardised",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["gd", "momentum", "softmax"],
)
def test_gd_and_momentum_take_the_same_path_as_in_pixels(setting, inputs):
    """Against a run in pixels from the lifted first weights, in float64."""
    with jax.enable_x64(True):
        train, valid = make_data()
        setting = {"hidden": (6, 5), "batch_size": 7, "inputs": inputs, **setting}
        rotated = fit(setting, train, valid, epochs=40, seed=4, row_space=True)
        space = treatment(inputs, train, True).space
        plain = mlp(60, setting["hidden"], 3, batch_norm=setting.get("batch_norm", False))

        # a learning rate that moves nothing leaves the first weights
        still = {**setting, "learning_rate": 1e-300}
        start = fit(still, train, epochs=1, seed=4, row_space=True).params
        # the first weights lie in the row space
        inside = np.asarray(start[0]["kernel"]) @ space.basis @ space.basis.T
        np.testing.assert_allclose(inside, start[0]["kernel"], atol=1e-12)
        model = Model(lambda key: (start, plain.init(key)[1]), plain.apply, plain.numbers)
        pixels = fit(setting, train, valid, epochs=40, seed=4, model=model)
        for name in pixels.curves:
            np.testing.assert_allclose(rotated.curves[name], pixels.curves[name], rtol=1e-9)
        for data in (train, valid):
            np.testing.assert_allclose(
                rotated.predict_proba(data.x), pixels.predict_proba(data.x), rtol=1e-9, atol=1e-9
            )
        same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
        jax.tree.map(same, rotated.params, pixels.params)


def test_the_network_is_an_ordinary_one(tmp_path):
    train, valid = make_data()
    fitted = fit({"hidden": (5,), "batch_size": 16}, train, valid, epochs=5, row_space=True)
    assert fitted.params[0]["kernel"].shape == (5, 60)
    assert fitted.score(valid) == pytest.approx(fitted.curves["valid_accuracy"][-1])
    fitted.save(tmp_path / "lifted.h5")
    loaded = jaxnn.load(tmp_path / "lifted.h5")
    np.testing.assert_array_equal(loaded.predict_proba(valid.x), fitted.predict_proba(valid.x))


def test_first_weights_have_the_deviation_that_the_initialiser_gives_in_pixels():
    x = np.random.default_rng(0).normal(size=(200, 3000))
    train = Dataset(x, np.arange(200) % 2)
    setting = {"hidden": (300,), "learning_rate": 1e-30, "batch_size": 200}
    kernel = fit(setting, train, epochs=1, row_space=True).params[0]["kernel"]
    rotated = np.asarray(kernel) @ row_space(train).basis
    assert rotated.shape == (300, 200)
    assert rotated.std() == pytest.approx((2 / (3000 + 300)) ** 0.5, rel=0.02)
    # what a picture meets is as large as in pixels
    z = np.asarray(kernel) @ x.T
    assert z.std() == pytest.approx((2 * 3000 / (3000 + 300)) ** 0.5, rel=0.05)


@pytest.mark.parametrize("inputs", ["raw", pytest.param("centred", marks=pytest.mark.slow)])
def test_a_lane_is_the_network_trained_alone_in_the_row_space(inputs):
    with jax.enable_x64(True):
        train, valid = make_data()
        shared = {"inputs": inputs, "batch_size": 16}
        candidates = [
            {**shared, "hidden": (6, 5), "optimizer": "adam"},
            {**shared, "hidden": (4,), "optimizer": "gd", "batch_norm": True},
            {**shared, "hidden": (3, 4), "optimizer": "rmsprop", "activation": "tanh"},
        ]
        study = sweep(candidates, train, valid, epochs=20, seeds=2, seed=1, row_space=True)
        for number in (1, 2):
            alone = fit(candidates[number], train, valid, epochs=20, seed=2, row_space=True)
            assert_lane_is_solo(study, number, 1, alone, 1e-9)
            np.testing.assert_array_equal(
                study.fitted(number, 1).predict(valid.x), alone.predict(valid.x)
            )


def test_duplicate_and_constant_features_and_examples_are_left_out():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(12, 40)).astype(np.float32)
    x = np.hstack([x, x[:, :5], np.full((12, 3), 2.0, np.float32), np.zeros((12, 2), np.float32)])
    # a copy and a sum of other examples add no direction, but for rounding
    x = np.vstack([x, x[:1], x[1:2] + x[2:3]])
    train = Dataset(x, np.arange(14) % 2)
    space = row_space(train)
    assert space.basis.shape == (50, 12)
    np.testing.assert_allclose(space.basis.T @ space.basis, np.eye(12), atol=1e-12)
    np.testing.assert_allclose(space.project(train).x @ space.basis.T, x, atol=1e-5)
    # centred in float32: what rounding leaves of the lost dimension is no direction either
    centred = treatment("centred", train, True)
    assert centred.num_features == 12
    assert treatment("standardised", train, True).num_features == 12
    fitted = fit(
        {"hidden": (4,), "inputs": "centred", "batch_size": 5}, train, epochs=20, row_space=True
    )
    assert np.isfinite(fitted.curves["cost"]).all()


def test_single_precision_finds_the_directions_of_a_decomposition_in_double():
    """Singular values from 1 to 1e-3: their squares keep ten digits of the smallest."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(n, 20)))[0] for n in (25, 300))
    x = ((left * np.geomspace(1, 1e-3, 20)) @ right.T).astype(np.float32)
    single = row_space(Dataset(x, np.arange(25) % 2)).basis
    with jax.enable_x64(True):
        double = row_space(Dataset(x.astype(float), np.arange(25) % 2)).basis[:, :20]
    assert single.shape == (300, 20)
    np.testing.assert_allclose(single.T @ single, np.eye(20), atol=1e-9)
    np.testing.assert_allclose(single, double, atol=1e-9)


def test_only_examples_that_count_span_it():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 20))
    train = Dataset(x, np.arange(6) % 2, weights=[1, 1, 0, 1, 0, 1])
    assert row_space(train).basis.shape == (20, 4)
    np.testing.assert_allclose(
        abs(row_space(train).basis), abs(row_space(train[np.array([0, 1, 3, 5])]).basis), atol=1e-9
    )


def test_a_hold_out_is_no_part_of_it():
    data, _ = make_data()
    study = sweep(
        [{"hidden": (4,), "batch_size": 9}], data, 0.2, epochs=3, row_space=True, order_seed=2
    )
    train, valid = jaxnn.hold_out(data, 0.2, 2)
    assert study.treatments["raw", 0].num_features == len(train)
    alone = fit(
        {"hidden": (4,), "batch_size": 9}, train, valid, epochs=3, row_space=True, order_seed=2
    )
    assert_lane_is_solo(study, 0, 0, alone, 1e-4)


@pytest.mark.parametrize("num_features", [30, pytest.param(29, marks=pytest.mark.slow)])
def test_as_many_examples_as_features_leave_everything_as_it_was(num_features):
    train, valid = make_data(30, num_features)
    assert row_space(train) is None
    plain, asked = (
        fit({"hidden": (5,), "batch_size": 16}, train, valid, epochs=3, row_space=row_space)
        for row_space in (False, True)
    )
    jax.tree.map(np.testing.assert_array_equal, plain.params, asked.params)
    studies = [
        sweep([{"hidden": (5,), "batch_size": 16}], train, valid, epochs=3, row_space=row_space)
        for row_space in (False, True)
    ]
    params = [study.fitted().params for study in studies]
    jax.tree.map(np.testing.assert_array_equal, *params)


def test_data_of_zeros_have_no_row_space():
    assert row_space(Dataset(np.zeros((3, 5)), [0, 1, 1])) is None


@pytest.mark.parametrize("train_with", [fit, sweep])
def test_bad_input_is_refused(train_with):
    train, valid = make_data()
    settings = {"batch_size": 9} if train_with is fit else [{"batch_size": 9}]
    for change, message in (
        ({"row_space": "yes"}, "row_space got 'yes'; expected True or False"),
        ({"row_space": True, "model": mlp(60, (), 3)}, "row_space=True came with a model"),
    ):
        with jax.no_tracing(), pytest.raises(ValueError, match=message):
            train_with(settings, train, valid, epochs=1, **change)
