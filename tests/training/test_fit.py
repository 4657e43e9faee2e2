import itertools
import os
import signal
import threading
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.by_hand import NUMBERS, order_of, softmax_gradients, steps_by_hand
from helpers.comparisons import leaves_equal
from helpers.data import curved
from helpers.models import counting

import jaxnn
from jaxnn import Dataset, Model, fit, mlp
from jaxnn.data.batches import EPOCHS_PER_CALL

pytestmark = pytest.mark.numbers


@pytest.fixture
def data():
    return curved(50)


@pytest.mark.parametrize("optimizer", ["gd", "momentum", "rmsprop", "adam"])
@pytest.mark.parametrize("hidden", [pytest.param((), marks=pytest.mark.slow), (6, 5)])
def test_fit_matches_numpy_in_float64(data, optimizer, hidden):
    """Three epochs of 50 = 3 x 16 + 2 examples with l2 and decay, against formulas by hand."""
    with jax.enable_x64(True):
        data = Dataset(data.x, data.y)
        setting = {"optimizer": optimizer, "hidden": hidden, "batch_size": 16, "l2": 0.02}
        setting |= {"learning_rate": 0.05, "decay_schedule": "inverse", **NUMBERS}
        fitted = fit(setting, data, epochs=3, seed=4, order_seed=7)

        start, _ = mlp(4, hidden, 3).init(jax.random.key(4))
        params = jax.tree.map(np.asarray, list(start))
        x, y = np.asarray(data.x), np.asarray(data.y)
        # one optimizer by hand for each leaf: its gradients and rates so far
        history = jax.tree.map(lambda leaf: [], params)
        first = params
        costs = []
        for epoch in range(3):
            total = 0
            for rows in np.split(order_of(7, epoch, 50), [16, 32, 48]):
                grads, cost = softmax_gradients(params, x[rows], y[rows], 0.02)
                total += cost
                alpha = 0.05 / (1 + epoch)
                for layer, layer_grads in zip(history, grads, strict=True):
                    for name, grad in layer_grads.items():
                        layer[name].append((grad, alpha))
                params = [
                    {
                        name: replay(optimizer, first[i][name], history[i][name])
                        for name in ("kernel", "bias")
                    }
                    for i in range(len(first))
                ]
            costs.append(total / 50)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12),
            list(fitted.params),
            params,
        )
        np.testing.assert_allclose(fitted.curves["cost"], costs, rtol=1e-10)


def replay(optimizer, w, steps):
    """`steps_by_hand` where the learning rate differs by step: differences, rescaled."""
    if not steps:
        return w
    grads = [grad for grad, _ in steps]
    path = [
        steps_by_hand(optimizer, np.zeros_like(w), grads[: n + 1], 1.0) for n in range(len(grads))
    ]
    moves = np.diff([np.zeros_like(w), *path], axis=0)
    return w + sum(alpha * move for (_, alpha), move in zip(steps, moves, strict=True))


def test_a_new_number_compiles_nothing(data):
    model, traces = counting(mlp(4, (5,), 3, batch_norm=True))
    setting = {"dropout": 0.1, "l2": 0.01, "decay_schedule": "exponential"}
    fit(setting, data, epochs=3, model=model)
    # one program: a step of 32 and one of the 18 examples left; 50 = 32 + 18
    first = list(traces)
    assert set(first) == {(32, 4), (18, 4)}
    for changed in (
        {"learning_rate": 0.3, "l2": 0.1, "dropout": 0.4},
        {"beta1": 0.5, "beta2": 0.9, "epsilon": 1e-4, "momentum": 0.1},
        {"batch_norm_decay": 0.5, "decay_rate": 0.5, "decay_every": 3},
    ):
        fit({**setting, **changed}, data, epochs=3, model=model)
    fit(setting, data, epochs=EPOCHS_PER_CALL + 9, seed=5, order_seed=3, model=model)
    assert traces == first
    fit({**setting, "batch_size": 25}, data, epochs=1, model=model)
    assert len(traces) > len(first)


def test_another_number_of_epochs_or_seed_traces_nothing_at_all(data):
    fit({"hidden": (5,)}, data, epochs=2)
    with jax.no_tracing():
        for epochs in (1, 3, EPOCHS_PER_CALL + 5):
            fit({"hidden": (5,), "learning_rate": 0.1}, data, epochs=epochs, seed=2, order_seed=1)


def test_a_new_number_changes_the_result(data):
    """Every number of a setting reaches the program."""
    base = {"hidden": (5,), "batch_norm": True, "dropout": 0.1, "decay_schedule": "exponential"}

    def result(**changed):
        fitted = fit({**base, **changed}, data, epochs=4)
        return np.concatenate([np.ravel(x) for x in jax.tree.leaves((fitted.params, fitted.state))])

    adam = result()
    for name, value in {
        "learning_rate": 0.01,
        "beta1": 0.5,
        "beta2": 0.9,
        "epsilon": 0.1,
        "l2": 0.1,
        "dropout": 0.5,
        "batch_norm_decay": 0.5,
        "decay_rate": 0.5,
        "decay_every": 3.0,
    }.items():
        assert not np.allclose(result(**{name: value}), adam, atol=1e-6), name
    momentum = result(optimizer="momentum")
    assert not np.allclose(result(optimizer="momentum", momentum=0.1), momentum, atol=1e-6)


def test_the_same_call_gives_the_same_bits_and_seeds_matter(data):
    setting = {"hidden": (5,), "dropout": 0.2}
    first = fit(setting, data, epochs=5)
    leaves_equal(first.params, fit(setting, data, epochs=5).params)
    for seeds in ({"seed": 1}, {"order_seed": 1}):
        other = fit(setting, data, epochs=5, **seeds)
        assert not np.allclose(first.params[0]["kernel"], other.params[0]["kernel"])


def test_the_first_weights_are_the_models_own(data):
    """`seed` is the key of `init`: a learning rate of almost 0 leaves those weights."""
    fitted = fit({"hidden": (5,), "learning_rate": 1e-30}, data, epochs=1, seed=9)
    kernels = lambda params: [layer["kernel"] for layer in params]
    first, _ = jax.jit(mlp(4, (5,), 3).init)(jax.random.key(9))
    leaves_equal(kernels(fitted.params), kernels(first))


def test_curves_do_not_depend_on_how_epochs_are_grouped(data):
    long = fit({"hidden": (5,)}, data, data, epochs=EPOCHS_PER_CALL + 6)
    short = fit({"hidden": (5,)}, data, data, epochs=3)
    for name in ("cost", "accuracy", "valid_cost", "valid_accuracy"):
        assert long.curves[name].shape == (EPOCHS_PER_CALL + 6,)
        np.testing.assert_array_equal(long.curves[name][:3], short.curves[name])


def test_validation_curve_ends_at_the_score(data):
    train, valid = data[:40], data[40:]
    fitted = fit({"hidden": (5,), "batch_norm": True}, train, valid, epochs=6)
    assert fitted.curves["valid_accuracy"][-1] == pytest.approx(fitted.score(valid))
    probabilities = fitted.predict_proba(valid.x)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    cost = -np.log(probabilities[np.arange(10), np.asarray(valid.y)]).mean()
    np.testing.assert_allclose(fitted.curves["valid_cost"][-1], cost, rtol=1e-4)


def test_a_fraction_is_held_out(data):
    by_fraction = fit({"hidden": (5,)}, data, np.float64(0.2), epochs=2, order_seed=3)
    train, valid = jaxnn.hold_out(data, 0.2, seed=3)
    by_hand = fit({"hidden": (5,)}, train, valid, epochs=2, order_seed=3)
    for name, curve in by_hand.curves.items():
        np.testing.assert_array_equal(by_fraction.curves[name], curve)


def test_weights_of_whole_numbers_repeat_examples(data):
    """With one mini-batch a epoch, weight 2 is an example that stands there twice."""
    weights = np.ones(50)
    weights[:10] = 2
    setting = {"hidden": (5,), "batch_norm": True}
    weighted = fit({**setting, "batch_size": 50}, Dataset(data.x, data.y, 3, weights), epochs=5)
    repeated = data + data[:10]
    repeated = fit({**setting, "batch_size": 60}, repeated, epochs=5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-5),
        weighted.params,
        repeated.params,
    )


@pytest.mark.parametrize("inputs", ["centred", "standardised"])
def test_inputs_are_normalised_by_the_training_part_alone(data, inputs):
    train, valid = data[:40], data[40:]
    fitted = fit({"hidden": (5,), "inputs": inputs}, train, valid, epochs=5)
    x = np.asarray(train.x, np.float64)
    mean, deviation = x.mean(0), x.std(0) if inputs == "standardised" else np.ones(4)
    treat = lambda data: Dataset((np.asarray(data.x) - mean) / deviation, data.y, 3)
    by_hand = fit({"hidden": (5,)}, treat(train), treat(valid), epochs=5)
    for name, curve in by_hand.curves.items():
        np.testing.assert_allclose(fitted.curves[name], curve, rtol=1e-4)
    np.testing.assert_allclose(
        fitted.predict_proba(valid.x), by_hand.predict_proba(treat(valid).x), rtol=1e-3
    )


QUICK = (("gd", False), ("adam", True))


@pytest.mark.parametrize(
    ("optimizer", "batch_norm"),
    [
        pytest.param(*pair, marks=[] if pair in QUICK else pytest.mark.slow)
        for pair in itertools.product(("gd", "momentum", "rmsprop", "adam"), (False, True))
    ],
)
def test_a_diverged_network_stops_and_stays_finite(data, optimizer, batch_norm):
    setting = {"optimizer": optimizer, "hidden": (5,), "learning_rate": 1e30}
    fitted = fit({**setting, "batch_norm": batch_norm}, data, data, epochs=5)
    assert fitted.diverged == 1  # the first step's cost is finite, its update is not survived
    assert all(np.isnan(curve).all() for curve in fitted.curves.values())
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((fitted.params, fitted.state)))


def test_divergence_later_keeps_the_curve_before_it():
    """A label's cost turns infinite once an example of another scale comes up in epoch 3."""

    def apply(params, state, x, *, is_training=False, key=None, weights=None, dropout=0.0):
        count = state + 1 if is_training else state
        return params * x * jnp.where(state < 5, 1, jnp.inf), count

    model = Model(lambda key: (jnp.ones(2), jnp.zeros(())), apply)
    data = Dataset(np.eye(2), [0, 1])
    with jax.numpy_rank_promotion("allow"):
        fitted = fit({"batch_size": 1}, data, epochs=6, model=model)
    assert fitted.diverged == 5
    np.testing.assert_array_equal(np.isfinite(fitted.curves["cost"]), [True] * 2 + [False] * 4)
    assert fitted.state == 5


def test_training_learns(data):
    fitted = fit({"hidden": (16,), "learning_rate": 0.02}, data, epochs=200)
    assert fitted.score(data) > 0.97
    assert fitted.curves["cost"][-1] < 0.2 < fitted.curves["cost"][0]


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_with_what_was_reached(data):
    """A signal that arrives while a compiled call runs is answered after that call."""
    plain = mlp(4, (5,), 3)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))

    def apply(params, state, x, *, is_training=False, **rest):
        if is_training and timer.ident is None:  # traced for the first time
            timer.start()
        return plain.apply(params, state, x, is_training=is_training, **rest)

    model = Model(plain.init, apply, plain.numbers)
    with pytest.raises(jaxnn.TrainingInterrupted, match="training was interrupted after") as caught:
        fit({"hidden": (5,)}, data, epochs=10**7, model=model)
    fitted = caught.value.fitted
    done = len(fitted.curves["cost"])
    assert 0 < done < 10**7
    assert np.isfinite(fitted.curves["cost"]).all()
    again = fit({"hidden": (5,)}, data, epochs=done, model=model)
    leaves_equal(fitted.params, again.params)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_in_the_only_call_is_not_swallowed(data):
    def apply(params, state, x, *, is_training=False, **rest):
        if is_training:  # while the first and only call is being traced
            os.kill(os.getpid(), signal.SIGINT)
        return plain.apply(params, state, x, is_training=is_training, **rest)

    plain = mlp(4, (), 3)
    with pytest.raises(jaxnn.TrainingInterrupted) as caught:
        fit({"batch_size": 50}, data, epochs=1, model=Model(plain.init, apply, plain.numbers))
    assert caught.value.fitted.curves["cost"].shape == (1,)


def test_fit_works_outside_the_main_thread(data):
    results = []
    train = lambda: fit({"hidden": (5,)}, data, epochs=2)
    thread = threading.Thread(target=lambda: results.append(train()))
    thread.start()
    thread.join()
    leaves_equal(results[0].params, train().params)


def test_progress_is_silent_unless_asked_for(data, capfd):
    fit({"hidden": (5,)}, data, epochs=2)
    assert capfd.readouterr() == ("", "")
    fit({"hidden": (5,)}, data, epochs=2, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "epoch 2/2" in err
    assert "cost" in err


def test_features_of_wildly_different_scales_are_said_once():
    rng = np.random.default_rng(0)
    data = Dataset(rng.normal(size=(40, 2)) * [1, 1e5], rng.integers(0, 2, 40))
    with pytest.warns(UserWarning, match="differ by a factor of .*standardised"):
        fit({}, data, epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit({"inputs": "standardised"}, data, epochs=1)
        fit({"batch_norm": True, "hidden": (3,)}, data, epochs=1)


def test_a_foreign_model_names_its_own_numbers(data):
    def apply(params, state, x, *, temperature, is_training=False, key=None, weights=None):
        return x @ params["kernel"] / temperature, state

    init = lambda key: ({"kernel": jax.random.normal(key, (4, 3))}, ())
    model = Model(init, apply, ("temperature",))
    fitted = fit({"temperature": 2.0}, data, epochs=3, model=model)
    assert fitted.curves["cost"][-1] < fitted.curves["cost"][0]
    # its numbers reach evaluation and prediction as well
    held_out = fit({"temperature": 2.0}, data, data, epochs=3, model=model)
    kernel = np.asarray(fitted.params["kernel"], np.float64)
    logits = np.asarray(data.x) @ kernel / 2
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(fitted.predict_proba(data.x), expected, rtol=1e-4)
    cost = -np.log(expected[np.arange(50), np.asarray(data.y)]).mean()
    np.testing.assert_allclose(held_out.curves["valid_cost"][-1], cost, rtol=1e-4)
    with pytest.raises(ValueError, match="setting lacks 'temperature'"):
        fit({}, data, epochs=1, model=model)
