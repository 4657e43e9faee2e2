"""Mini-batches: each example that counts once an epoch, and nothing of those that do not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.by_hand import order_of

import jaxnn
from jaxnn import Dataset
from jaxnn.data.batches import EPOCHS_PER_CALL, Schedule, without_unfinished
from jaxnn.data.splits import of_one_size

pytestmark = pytest.mark.numbers

X = np.random.default_rng(0).normal(size=(60, 4))
LABELS = (X[:, 0] > 0) * 1
REAL = np.arange(60) % 3 != 1
DATA = Dataset(X, LABELS, 2)
WITH_ZEROS = Dataset(X, LABELS, 2, weights=REAL)
WITHOUT = DATA[REAL]
SETTINGS = [
    {"hidden": (5,), "batch_size": 16, "learning_rate": 0.05},
    {"hidden": (5,), "batch_size": 16, "batch_norm": True, "dropout": 0.2},
    {"batch_size": 7, "optimizer": "momentum", "l2": 0.1, "inputs": "standardised"},
]


def linear():
    """A network of the user's that knows nothing of weights."""

    def apply(params, state, x, *, is_training=False, key=None, weights=None):
        # a mean over the mini-batch, which an example too many would change
        mean = jnp.mean(x, axis=0, keepdims=True) if is_training else 0.0
        return (x - mean) @ params["kernel"], state

    return jaxnn.Model(lambda key: ({"kernel": jax.random.normal(key, (4, 2))}, ()), apply, ())


LINEAR = linear()


@pytest.mark.parametrize(("size", "num_steps"), [(8, 5), (40, 1), (13, 4), (50, 1)])
@pytest.mark.parametrize("may_pad", [True, False])
def test_each_example_that_counts_is_met_once_an_epoch(size, num_steps, may_pad):
    schedule = Schedule(REAL * 2.0, size, 3, may_pad)
    batches = schedule.batches(5, 4)
    assert schedule.num_steps == num_steps
    assert batches.rows.shape == (EPOCHS_PER_CALL, -(-60 // size), size)
    for epoch in range(4):
        rows = batches.rows[epoch, : batches.num_steps]
        met = rows[rows >= 0]
        if batches.rest is not None:
            met = np.concatenate([met, batches.rest[epoch]])
        expected = np.flatnonzero(REAL)[order_of(3, 5 + epoch, 40)]
        np.testing.assert_array_equal(met, expected)
    assert (batches.rows[4:] == -1).all()
    assert may_pad == (batches.rest is None) or 40 % size == 0


def test_what_a_call_is_given_stays_small():
    schedule = Schedule(np.ones(300_000), 32, 0, may_pad=True)
    assert schedule.room == 3
    assert schedule.batches(0, 3).rows.nbytes <= 4 * 2**20
    assert Schedule(np.ones(3_000_000), 32, 0, may_pad=True).room == 1


def test_curves_end_with_the_epoch_of_the_step_that_diverged():
    curves = np.ones((3, 4))
    at = lambda diverged, stopped: (np.array(diverged), np.array(stopped))
    of = {"first_epoch": 2, "num_steps": 5}
    ends = without_unfinished(curves, at([-1, 10, 14], [-1, -1, -1]), **of)
    np.testing.assert_array_equal(np.isnan(ends).sum(1), [0, 4, 4])
    ends = without_unfinished(curves, at([-1, 15, 24], [-1, -1, -1]), **of)
    np.testing.assert_array_equal(np.isnan(ends).sum(1), [0, 3, 2])
    # after two, three and five of the epochs 2 to 5
    ends = without_unfinished(curves, at([-1, -1, -1], [2, 3, 5]), **of)
    np.testing.assert_array_equal(np.isnan(ends).sum(1), [4, 3, 1])


@pytest.mark.parametrize("setting", SETTINGS)
def test_training_with_examples_of_weight_0_is_training_without_them(setting):
    one, other = (jaxnn.fit(setting, data, 0.25, epochs=4) for data in (WITH_ZEROS, WITHOUT))
    for name in other.curves:
        np.testing.assert_array_equal(one.curves[name], other.curves[name])
    jax.tree.map(np.testing.assert_array_equal, one.params, other.params)
    jax.tree.map(np.testing.assert_array_equal, one.state, other.state)


@pytest.mark.parametrize("setting", SETTINGS)
def test_what_overflows_in_validation_changes_nothing_in_training(setting):
    """A mini-batch that is filled up must not meet it, not even with weight 0."""
    huge = np.where(np.arange(60)[:, None] == 59, np.float32(3e38), X)
    one, other = (
        jaxnn.fit(setting, DATA, Dataset(x, LABELS, 2), epochs=3) for x in (X.astype("f4"), huge)
    )
    for name in ("cost", "accuracy"):
        np.testing.assert_array_equal(one.curves[name], other.curves[name])
    jax.tree.map(np.testing.assert_array_equal, one.params, other.params)


def test_so_it_is_for_networks_of_ones_own_and_in_every_kind_of_search():
    kind = {"progress": False, "seeds": 2}
    space = {"learning_rate": jaxnn.loguniform(1e-3, 1), "batch_size": 16}
    calls = (
        lambda data: jaxnn.sweep([{"batch_size": 16}], data, 0.25, epochs=3, model=LINEAR, **kind),
        lambda data: jaxnn.search(space, data, folds=3, num_settings=2, max_epochs=2, **kind),
    )
    for call in calls:
        one, other = call(WITH_ZEROS), call(WITHOUT)
        for name in other.curves:
            np.testing.assert_array_equal(one.curves[name], other.curves[name])
    with pytest.raises(ValueError, match="batch_size got 50; expected at most the 40"):
        jaxnn.fit({"batch_size": 50}, WITH_ZEROS, epochs=1)
    planned = jaxnn.plan([{}], WITH_ZEROS)
    assert planned.num_examples == 40


@pytest.mark.parametrize("model", [None, pytest.param(LINEAR, marks=pytest.mark.slow)])
def test_each_fold_is_trained_as_its_own_examples_alone(model):
    """Folds of 61 examples differ by one, and 16 fit into neither."""
    data = DATA + DATA[:1]
    kind = {"seeds": 1, "progress": False, "model": model}
    study = jaxnn.search({"batch_size": 16}, data, folds=3, num_settings=1, max_epochs=3, **kind)
    for fold, (train, held_out) in enumerate(jaxnn.stratified_folds(data, 3)):
        alone = jaxnn.fit(
            {"batch_size": 16}, train[np.asarray(train.weights_or_ones()) > 0], held_out,
            epochs=3, model=model,
        )  # fmt: skip
        for name, curve in alone.curves.items():
            np.testing.assert_allclose(study.curves[name][0, fold], curve, rtol=1e-5)


def test_a_fold_smaller_than_a_mini_batch_is_one_mini_batch():
    small, large = of_one_size(DATA, [np.arange(10), np.arange(10, 60)])
    assert len(small) == len(large) == 50
    schedule = Schedule(small.host_weights(), 16, 0, may_pad=True)
    assert schedule.num_steps == 1
    assert (schedule.batches(0, 1).rows[0, 0] >= 0).sum() == 10


@pytest.mark.parametrize("size", [1e38, 1e-30])
def test_only_the_ratios_of_weights_matter_to_training(size):
    weights = 1.0 + np.arange(60) % 2
    setting = {"hidden": (5,), "batch_norm": True, "inputs": "standardised"}
    plain, scaled = (
        jaxnn.fit(setting, Dataset(X, LABELS, 2, weights=one), DATA, epochs=3)
        for one in (weights, size * weights)
    )
    for name, curve in plain.curves.items():
        np.testing.assert_allclose(scaled.curves[name], curve, rtol=1e-5)
    states = [
        network.with_population_statistics(Dataset(X, LABELS, 2, weights=one)).state
        for network, one in ((plain, weights), (plain, size * weights))
    ]
    np.testing.assert_allclose(states[1][0]["mean"], states[0][0]["mean"], rtol=1e-5, atol=1e-6)


def test_a_model_without_a_logit_for_each_class_is_refused():
    few = LINEAR._replace(init=lambda key: ({"kernel": jnp.zeros((4, 1))}, ()))
    for call in (jaxnn.fit, jaxnn.Run):
        more = {"epochs": 1} if call is jaxnn.fit else {}
        with pytest.raises(ValueError, match=r"\(32, 1\); expected logits \(32, 2\)"):
            call({}, DATA, model=few, **more)
    with pytest.raises(ValueError, match=r"settings\[0\]: model got one whose outputs"):
        jaxnn.sweep([{}], DATA, 0.25, epochs=1, model=few)
    flat = LINEAR._replace(apply=lambda params, state, x, **_: (x[:, 0], state))
    with pytest.raises(ValueError, match=r"\(32,\); expected logits"):
        jaxnn.fit({}, DATA, epochs=1, model=flat)


def test_outputs_that_are_infinite_are_no_class_to_a_network_or_an_ensemble():
    def apply(params, state, x, **rest):
        return jnp.where(
            jnp.abs(x[:, :1]) < 50, x @ params["kernel"], jnp.array([[0, jnp.inf]])
        ), state

    network = jaxnn.fit({}, DATA, epochs=1, model=LINEAR._replace(apply=apply))
    far = Dataset(np.full((3, 4), 1e4), [1, 1, 1], 2)
    for one in (network, jaxnn.Ensemble([network])):
        with pytest.warns(UserWarning, match="outputs are not finite for 3 of 3 inputs"):
            assert one.score(far) == 0
        with pytest.warns(UserWarning, match="outputs are not finite"):
            assert one.predict(far.x).tolist() == [0, 0, 0]
        with pytest.warns(UserWarning, match="outputs are not finite"):
            assert np.isnan(one.predict_proba(far.x)).all()


def test_other_digits_and_another_model_are_another_search(tmp_path):
    times = 1.7e9 + 10.0 * LABELS[:, None]
    kind, setting = {"epochs": 1, "progress": False}, {"inputs": "standardised"}
    jaxnn.sweep([setting], Dataset(times, LABELS), 0.25, directory=tmp_path / "a", **kind)
    other = Dataset(2 * 1.7e9 + 10 - times, LABELS)
    np.testing.assert_array_equal(other.x, 1.7e9)
    with pytest.raises(ValueError, match="holds a search whose train is 60 examples"):
        jaxnn.sweep([setting], other, 0.25, directory=tmp_path / "a", **kind)
    jaxnn.sweep([{}], DATA, 0.25, directory=tmp_path / "b", model=LINEAR, **kind)
    wider = LINEAR._replace(init=lambda key: ({"kernel": jnp.zeros((4, 3))}, ()))
    with pytest.raises(ValueError, match="whose model is 1 arrays of 8 numbers"):
        jaxnn.sweep([{}], DATA, 0.25, directory=tmp_path / "b", model=wider, **kind)
