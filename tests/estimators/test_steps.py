"""Training, step by step, against scikit-learn's own networks from the same weights.

Both have trained for an epoch when scikit-learn's network is given our weights; both then go on by
`warm_start`, over mini-batches of one size in the order of the examples.
"""

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor

from jaxnn.estimators import JaxMLPClassifier, JaxMLPRegressor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
NOISE = RNG.normal(size=(60, 3))
WEIGHTS = RNG.uniform(0.5, 3, size=60)
TARGETS = {
    "two classes": np.where(X[:, 0] + NOISE[:, 0] > 0, "yes", "no"),
    "three classes": (X[:, 0] > 0.3).astype(int) + (X[:, 1] > 0),
    "labels": (X + NOISE > 0).astype(int),
    "number": X[:, 0] - X[:, 1] + NOISE[:, 0],
    "numbers": 3 * X + NOISE,
    "counts": RNG.poisson(np.exp(X)),
}
COMMON = {
    "hidden_layer_sizes": (4,), "activation": "tanh", "alpha": 3.0, "batch_size": 20,
    "learning_rate_init": 0.05, "max_iter": 4, "n_iter_no_change": np.inf, "shuffle": False,
    "random_state": 0, "warm_start": True,
}  # fmt: skip


def both(kind, options, weights=None):
    """Our network and scikit-learn's, trained from equal weights."""
    is_classes = kind in ("two classes", "three classes", "labels")
    mine, theirs = (
        (JaxMLPClassifier, MLPClassifier) if is_classes else (JaxMLPRegressor, MLPRegressor)
    )
    mine, theirs = (one(**{**COMMON, **options}) for one in (mine, theirs))
    y = TARGETS[kind]
    for one in (mine, theirs):
        one.set_params(max_iter=1).fit(X, y).set_params(max_iter=options.get("max_iter", 4))
    theirs.coefs_ = [kernel.astype(float) for kernel in mine.coefs_]
    theirs.intercepts_ = [bias.astype(float) for bias in mine.intercepts_]
    theirs.t_, theirs.loss_curve_, theirs.best_loss_ = 0, [], np.inf
    theirs._no_improvement_count = 0
    first = [kernel.copy() for kernel in mine.coefs_]
    for one in (mine, theirs):
        one.fit(X, y, sample_weight=weights)
    assert all(abs(a - b).max() > 1e-3 for a, b in zip(first, mine.coefs_, strict=True))
    return mine, theirs


def assert_equal(mine, theirs, rtol=2e-4):
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(mine, name), getattr(theirs, name), strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol / 10, err_msg=name)
    predict = "predict_proba" if hasattr(mine, "predict_proba") else "predict"
    np.testing.assert_allclose(
        getattr(mine, predict)(X), getattr(theirs, predict)(X), rtol=rtol, atol=1e-5
    )


SGD = {"solver": "sgd"}
CASES = [
    ("two classes", SGD),
    ("two classes", SGD | {"nesterovs_momentum": False, "momentum": 0.6}),
    ("three classes", {"activation": "logistic"}),
    ("three classes", SGD | {"momentum": 0.0, "activation": "relu"}),
    ("labels", SGD),
    ("number", SGD | {"activation": "identity"}),
    ("numbers", SGD),
    ("numbers", {"solver": "adam", "beta_1": 0.7, "beta_2": 0.9}),
    ("numbers", {"solver": "adam", "epsilon": 0.1, "beta_2": 0.0}),
    ("counts", {"loss": "poisson"}),
    ("counts", SGD | {"loss": "poisson", "learning_rate_init": 0.01}),
]


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_four_epochs_are_those_of_scikit_learn(kind, options):
    assert_equal(*both(kind, options))


@pytest.mark.parametrize("kind", ["three classes", "numbers"])
def test_weights_count_as_in_scikit_learn(kind):
    """One mini-batch, whose weights divide the penalty."""
    assert_equal(*both(kind, SGD | {"batch_size": "auto"}, WEIGHTS))


def test_losses_are_those_of_scikit_learn():
    for kind in ("two classes", "labels", "numbers"):
        mine, theirs = both(kind, SGD | {"alpha": 0.0})
        np.testing.assert_allclose(mine.loss_curve_[1:], theirs.loss_curve_, rtol=1e-4)


def test_a_rate_falls_with_the_examples_seen():
    options = SGD | {"learning_rate": "invscaling", "power_t": 0.3, "learning_rate_init": 0.5}
    assert_equal(*both("two classes", options | {"momentum": 0.0, "max_iter": 6}))


def test_a_rate_adapts_and_training_ends_with_it():
    options = SGD | {"learning_rate": "adaptive", "n_iter_no_change": 2, "tol": 0.01}
    options |= {"momentum": 0.0, "max_iter": 200, "alpha": 0.0, "learning_rate_init": 0.5}
    mine, theirs = both("two classes", options)
    assert 20 < mine.n_iter_ == theirs.n_iter_ < 200
    np.testing.assert_allclose(mine.loss_curve_[1:], theirs.loss_curve_, rtol=1e-3)
    assert_equal(mine, theirs)
