"""`JaxMLPRegressor`: its options and losses, against `fit` and NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPRegressor

import jaxnn
from jaxnn.estimators import JaxMLPRegressor

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*Maximum iterations")]

RNG = np.random.default_rng(3)
X = RNG.normal(size=(80, 3))
Y = 2 * X[:, 0] - X[:, 1] + RNG.normal(size=80) / 3
TWO = np.stack([Y, 10 * X[:, 2] ** 2], axis=1)
FAST = JaxMLPRegressor(
    hidden_layer_sizes=(8,), max_iter=40, learning_rate_init=0.03, random_state=0, batch_size=20
)


def test_defaults_are_scikit_learns():
    ours, theirs = JaxMLPRegressor().get_params(), MLPRegressor().get_params()
    assert {name: ours[name] for name in theirs} == theirs


def test_it_is_fit_with_other_names():
    options = {"solver": "rmsprop", "beta_2": 0.8, "alpha": 0.1, "learning_rate": "cosine",
               "loss": "huber", "huber_delta": 2.0, "targets": "standardised", "warmup": 1.0,
               "clip_norm": 0.5, "tol": 1e-3, "n_iter_no_change": 3}  # fmt: skip
    estimator = clone(FAST).set_params(**options).fit(X, Y)
    setting = {"optimizer": "rmsprop", "beta2": 0.8, "l2": 0.1 / 20, "decay_schedule": "cosine",
               "loss": "huber", "huber_delta": 2.0, "targets": "standardised", "warmup": 1.0,
               "clip_norm": 0.5, "min_delta": 1e-3, "patience": 4, "hidden": (8,),
               "learning_rate": 0.03, "batch_size": 20}  # fmt: skip
    fitted = jaxnn.fit(setting, jaxnn.Dataset(X, Y), epochs=40, order_seed=0)
    np.testing.assert_allclose(estimator.predict(X), fitted.predict(X), rtol=1e-5)
    np.testing.assert_allclose(estimator.loss_curve_, fitted.curves["cost"], rtol=1e-5)


@pytest.mark.parametrize("y", [Y, TWO], ids=["one", "two"])
def test_predictions_by_hand(y):
    estimator = clone(FAST).fit(X, y)
    (first, second), (below, above) = estimator.coefs_, estimator.intercepts_
    by_hand = (np.maximum(X @ first + below, 0) @ second + above).reshape(y.shape)
    np.testing.assert_allclose(estimator.predict(X), by_hand, rtol=1e-4, atol=1e-5)
    assert estimator.score(X, y) == pytest.approx(r2_score(y, by_hand), rel=1e-4)
    assert estimator.out_activation_ == "identity"
    assert estimator.n_outputs_ == by_hand[:1].size


def test_it_learns_and_standardised_targets_of_any_size():
    assert clone(FAST).set_params(max_iter=200).fit(X, Y).score(X, Y) > 0.95
    far = 1e6 + 1e3 * TWO
    standardised = clone(FAST).set_params(max_iter=200, targets="standardised")
    assert standardised.fit(X, far).score(X, far) > 0.9
    # in float64, whatever the inputs are
    assert standardised.predict(X.astype(np.float32)).dtype == np.float64
    assert clone(FAST).fit(X, Y).predict(X.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize(
    ("options", "shifted", "value"),
    [
        ({"loss": "squared_error"}, np.mean, 1e-2),
        ({"loss": "absolute_error"}, np.median, 5e-2),
        ({"loss": "quantile", "quantile": 0.8}, lambda y: np.quantile(y, 0.8), 5e-2),
        ({"loss": "poisson"}, np.mean, 5e-2),
    ],
)
def test_a_loss_predicts_its_statistic(options, shifted, value):
    """Of inputs that tell nothing: a mean, a median or a quantile."""
    y = RNG.exponential(size=400)
    options |= {"hidden_layer_sizes": (), "alpha": 0, "solver": "gd", "batch_size": 400}
    estimator = JaxMLPRegressor(**options, learning_rate_init=0.1, max_iter=500, tol=0)
    found = estimator.fit(np.zeros((400, 1)), y).predict(np.zeros((1, 1)))
    assert found == pytest.approx(shifted(y), abs=value)


def own_loss(outputs, y):
    return (outputs - y) ** 2 / 2


def test_a_loss_may_be_a_function():
    own = clone(FAST).set_params(loss=own_loss).fit(X, Y)
    np.testing.assert_allclose(own.loss_curve_, clone(FAST).fit(X, Y).loss_curve_, rtol=1e-4)
    assert jnp.isfinite(own.predict(X)).all()


def test_several_networks_average_their_predictions():
    both = clone(FAST).set_params(n_networks=2).fit(X, TWO)
    parts = [one.predict(X) for one in both.fitted_.members]
    np.testing.assert_allclose(both.predict(X), np.mean(parts, axis=0), rtol=1e-6)
    np.testing.assert_allclose(parts[0], clone(FAST).fit(X, TWO).predict(X), rtol=1e-3, atol=1e-4)
    assert abs(parts[0] - parts[1]).max() > 0.01


def test_targets_with_a_single_one_in_each_row_are_numbers():
    rows = np.eye(2)[(Y > 0).astype(int)]
    estimator = clone(FAST).fit(X, rows)
    assert estimator.predict(X).shape == rows.shape
    assert estimator.score(X, rows) > 0.5


def test_a_constant_target_is_learned():
    estimator = clone(FAST).set_params(max_iter=300, tol=0).fit(X, np.full(80, 2.0))
    np.testing.assert_allclose(estimator.predict(X), 2, atol=0.1)


BAD_OPTIONS = {
    "loss": ["log_loss", "sigmoid", "softmax", "abs", None],
    "targets": ["scaled", 3],
    "huber_delta": [0, -1],
    "quantile": [0, 1],
    "solver": ["lbfgs"],
    "alpha": [-1],
    "n_networks": [0],
    "learning_rate": ["slow"],
}


@pytest.mark.parametrize("option", BAD_OPTIONS)
def test_a_bad_option_is_named_as_it_was_given(option):
    for value in BAD_OPTIONS[option]:
        with pytest.raises(ValueError, match=rf"^{option} got ") as caught:
            JaxMLPRegressor(**{option: value}).fit(X, Y)
        assert repr(value) in str(caught.value)


def test_words_are_scikit_learns():
    with pytest.raises(ValueError, match="expected one of 'squared_error', 'absolute_error', 'hub"):
        JaxMLPRegressor(loss="log_loss").setting(9)


def test_targets_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"loss got 'poisson' for train, .* expected real targets"):
        JaxMLPRegressor(loss="poisson").fit(X, Y)
    with pytest.raises(ValueError, match="targets got 'standardised' with the loss 'poisson'"):
        JaxMLPRegressor(loss="poisson", targets="standardised").fit(X, Y**2)
    with pytest.raises(ValueError, match="do not vary, 2 in all 80"):
        JaxMLPRegressor(targets="standardised").fit(X, np.full(80, 2.0))
