"""`JaxMLPClassifier`: its options, and agreement with `fit`."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import jaxnn
from jaxnn.estimators import JaxMLPClassifier, SweepSearchCV

FAST = JaxMLPClassifier((8,), max_iter=40, learning_rate_init=0.02, random_state=0)


@pytest.mark.slow
@parametrize_with_checks([FAST])
def test_scikit_learn_accepts_the_classifier(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3)) * [1, 10, 0.1]
    return x, np.array(["low", "middle", "high"])[(x[:, 0] > -0.5).astype(int) + (x[:, 1] > 4)]


def test_it_is_fit_with_other_names(data):
    x, y = data
    options = {"solver": "sgd", "momentum": 0.8, "alpha": 0.1, "batch_size": 20, "dropout": 0.2,
               "batch_norm": True, "inputs": "standardised", "activation": "logistic"}  # fmt: skip
    estimator = JaxMLPClassifier((6, 5), max_iter=7, random_state=3, **options).fit(x, y)
    labels = np.unique(y, return_inverse=True)[1]
    # alpha / 2 times the squares over the mini-batch; v = beta v + gradient, without 1 - beta
    setting = {"hidden": (6, 5), "optimizer": "momentum", "momentum": 0.8, "l2": 0.1 / 20,
               "learning_rate": 1e-3 / 0.2, "batch_size": 20, "dropout": 0.2, "batch_norm": True,
               "inputs": "standardised", "activation": "sigmoid"}  # fmt: skip
    fitted = jaxnn.fit(setting, jaxnn.Dataset(x, labels), epochs=7, seed=3, order_seed=3)
    np.testing.assert_allclose(estimator.predict_proba(x), fitted.predict_proba(x), rtol=1e-5)
    np.testing.assert_allclose(estimator.loss_curve_, fitted.curves["cost"], rtol=1e-5)
    assert estimator.classes_.tolist() == ["high", "low", "middle"]
    assert set(estimator.predict(x)) <= set(y)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (JaxMLPClassifier(solver="lbfgs"), "solver got 'lbfgs'; expected one of"),
        (JaxMLPClassifier(max_iter=0), "max_iter got 0; expected a whole number >= 1"),
        (JaxMLPClassifier(batch_size=0), "batch_size got 0"),
        (SweepSearchCV(FAST, n_iter=0), "n_iter got 0; expected a whole number >= 1"),
        (SweepSearchCV(FAST, {"alpha": [-1.0]}, n_iter=1), "alpha got -1.0; expected a finite"),
        (SweepSearchCV(StandardScaler()), "SweepSearchCV got the estimator StandardScaler"),
        (SweepSearchCV(FAST, n_iter=3, cv=[]), "cv got no splits"),
        (SweepSearchCV(FAST, n_iter=3, cv=[([0, 1], [])]), "number 0, with an empty part"),
        (SweepSearchCV(FAST, n_iter=3, cv=[([0, 900], [1])]), "number 0, whose rows do not fit"),
    ],
)
def test_bad_options(estimator, message, data):
    with pytest.raises(ValueError, match=message):
        estimator.fit(*data)


def test_a_diverged_network_is_told_and_predicts_no_class(data):
    x, y = data
    diverging = clone(FAST).set_params(solver="gd", learning_rate_init=1e30, max_iter=3)
    with pytest.warns(
        ConvergenceWarning, match=r"diverged: .* at step \d, .*learning_rate"
    ) as said:
        diverging.fit(1e3 * x, y)
    # the warning points to the caller
    assert said[0].filename == __file__
    assert np.isnan(diverging.loss_)
    with (
        pytest.warns(UserWarning, match="outputs are not finite"),
        pytest.raises(ValueError, match=r"predict got \d+ inputs, the first in row \d, of which"),
    ):
        diverging.predict(1e3 * x)


def test_masked_inputs_are_refused(data):
    x, y = data
    hidden = np.ma.masked_greater(x, 1)
    estimator = clone(FAST).fit(np.ma.masked_array(x), y)
    for call in (
        lambda: estimator.predict(hidden),
        lambda: estimator.fit(hidden, y),
        lambda: estimator.fit(x, np.ma.masked_array(y, y == "low")),
    ):
        with pytest.raises(ValueError, match=r"(X|y) got \d+ values hidden by a mask"):
            call()


BAD_OPTIONS = {
    "hidden_layer_sizes": [(0,), "abc", [[1], [2, 3]], 3.5, None],
    "activation": ["swish", 3],
    "solver": ["lbfgs", None],
    "alpha": [-2, np.nan, "a", 1e-60],
    "batch_size": [0, "foo", 2.5, np.array([1, 2])],
    "learning_rate_init": [0, "constant", 1e39],
    "max_iter": [0, 2.5, True],
    "random_state": [-1, "x", 2**40, True],
    "momentum": [1.0, -0.1, 1 - 1e-12],
    "beta_1": [1.5],
    "beta_2": [-1, 1 - 1e-12],
    "epsilon": [0],
    "dropout": [1],
    "batch_norm": ["yes"],
    "inputs": ["scaled"],
}


@pytest.mark.parametrize("option", FAST.get_params())
def test_a_bad_option_is_named_as_it_was_given(option, data):
    for value in BAD_OPTIONS[option]:
        estimator = JaxMLPClassifier(**{"solver": "sgd", option: value})
        with pytest.raises(ValueError, match=rf"^{option} got ") as caught:
            estimator.fit(*data)
        assert repr(value) in str(caught.value)


def test_words_are_scikit_learns():
    with pytest.raises(ValueError, match=r"expected one of 'gd', 'sgd', 'nesterov', .*'adam'"):
        JaxMLPClassifier(solver="foo").setting(9)
    with pytest.raises(
        ValueError, match="expected one of 'relu', 'tanh', 'logistic', 'leaky_relu'"
    ):
        JaxMLPClassifier(activation="foo").setting(9)


def test_hidden_layers_in_other_forms():
    for given, hidden in ((7, (7,)), (np.array([5, 4]), (5, 4)), ([], ()), (np.int64(3), (3,))):
        assert JaxMLPClassifier(given).setting(9)["hidden"] == hidden


def test_without_scikit_learn_the_extra_is_named(run_python):
    code = """
import sys
sys.modules["sklearn"] = None
for name in ("classifier", "search_cv"):
    try:
        __import__(f"jaxnn.estimators.{name}")
    except ModuleNotFoundError as error:
        print(error)
"""
    message = "this needs scikit-learn: pip install 'jaxnn-lanes[sklearn]'"
    assert run_python(code).stdout.splitlines() == [message] * 2
