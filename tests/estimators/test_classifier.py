"""`JaxMLPClassifier`: its options, and agreement with `fit`."""

import copy

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import jaxnn
from jaxnn.estimators import JaxMLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore:.*Maximum iterations")

FAST = JaxMLPClassifier((8,), max_iter=40, learning_rate_init=0.02, random_state=0)


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
    setting = {"hidden": (6, 5), "optimizer": "nesterov", "momentum": 0.8, "l2": 0.1 / 20,
               "learning_rate": 1e-3 / 0.2, "batch_size": 20, "dropout": 0.2, "batch_norm": True,
               "inputs": "standardised", "activation": "sigmoid"}  # fmt: skip
    fitted = jaxnn.fit(setting, jaxnn.Dataset(x, labels), epochs=7, seed=3, order_seed=3)
    np.testing.assert_allclose(estimator.predict_proba(x), fitted.predict_proba(x), rtol=1e-5)
    np.testing.assert_allclose(estimator.loss_curve_, fitted.curves["cost"], rtol=1e-5)
    assert estimator.classes_.tolist() == ["high", "low", "middle"]
    assert set(estimator.predict(x)) <= set(y)


def test_defaults_are_scikit_learns():
    ours, theirs = JaxMLPClassifier().get_params(), MLPClassifier().get_params()
    assert {name: ours[name] for name in theirs} == theirs


def test_two_classes_have_one_output_and_labels_one_each(data):
    x, y = data
    options = {"max_iter": 2, "random_state": 0}
    for targets, num_outputs, activation in (
        (y, 3, "softmax"),
        (y == "low", 1, "logistic"),
        (np.stack([y == "low", y == "high"], axis=1), 2, "logistic"),
    ):
        estimator = JaxMLPClassifier((4,), **options).fit(x, targets)
        assert estimator.n_outputs_ == num_outputs
        assert estimator.out_activation_ == activation
        assert estimator.n_layers_ == 3
        assert estimator.intercepts_[-1].shape == (num_outputs,)
        theirs = MLPClassifier((4,), **options).fit(x, targets)
        for name in ("n_outputs_", "out_activation_", "n_layers_", "n_iter_", "t_"):
            assert getattr(estimator, name) == getattr(theirs, name)
        assert [one.shape for one in estimator.coefs_] == [one.shape for one in theirs.coefs_]
        np.testing.assert_array_equal(estimator.classes_, theirs.classes_)


def test_coefs_and_intercepts_predict_by_hand(data):
    x, y = data
    estimator = JaxMLPClassifier((6, 5), activation="tanh", max_iter=9, random_state=0).fit(x, y)
    values = x
    for coefs, intercepts in zip(estimator.coefs_[:-1], estimator.intercepts_[:-1], strict=True):
        values = np.tanh(values @ coefs + intercepts)
    logits = values @ estimator.coefs_[-1] + estimator.intercepts_[-1]
    by_hand = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(estimator.predict_proba(x), by_hand, rtol=1e-4)
    np.testing.assert_allclose(estimator.predict_log_proba(x), np.log(by_hand), rtol=1e-3)


LABELS = {
    "floats": [1.0, 3.0],
    "strings": ["no", "yes"],
    "objects": np.array(["no", "yes"], dtype=object),
    "booleans": [False, True],
    "far numbers": [-7, 2**40],
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_kind_are_learned_alike(data, kind):
    x, y = data
    labels, is_high = np.array(LABELS[kind]), (y == "high").astype(int)
    estimator = clone(FAST).fit(x, labels[is_high])
    numbers = clone(FAST).fit(x, is_high)
    np.testing.assert_array_equal(estimator.predict(x), labels[numbers.predict(x)])
    np.testing.assert_array_equal(estimator.predict_proba(x), numbers.predict_proba(x))
    assert estimator.predict(x).dtype == labels.dtype
    assert estimator.score(x, labels[is_high]) > 0.8


def test_labels_of_which_each_example_has_one_are_no_classes(data):
    x, y = data
    labels = np.stack([y == "low", y != "low"], axis=1).astype(int)
    estimator = clone(FAST).fit(x, labels)
    assert estimator.out_activation_ == "logistic"
    assert set(estimator.predict(x).ravel()) == {0, 1}
    assert estimator.predict(x).shape == labels.shape
    # each label by itself: their probabilities need not add up to 1
    assert abs(estimator.predict_proba(x).sum(axis=1) - 1).max() > 1e-4


def test_class_weights_are_weights_of_examples(data):
    x, y = data
    weights = {"low": 1.0, "middle": 4.0, "high": 0.5}
    by_example = np.array([weights[one] for one in y])
    mine = clone(FAST).set_params(class_weight=weights).fit(x, y, sample_weight=np.arange(90) + 1)
    other = clone(FAST).fit(x, y, sample_weight=by_example * (np.arange(90) + 1))
    np.testing.assert_allclose(mine.predict_proba(x), other.predict_proba(x), rtol=1e-5)
    balanced = clone(FAST).set_params(class_weight="balanced").fit(x, y)
    classes, counts = np.unique(y, return_counts=True)
    share = dict(zip(classes, 30 / counts, strict=True))
    other = clone(FAST).set_params(class_weight=share).fit(x, y)
    np.testing.assert_allclose(balanced.predict_proba(x), other.predict_proba(x), rtol=1e-5)
    plain = clone(FAST).fit(x, y)
    assert abs(balanced.predict_proba(x) - plain.predict_proba(x)).max() > 0.01


def test_several_networks_average_their_probabilities(data):
    x, y = data
    both = clone(FAST).set_params(n_networks=2).fit(x, y)
    first, second = both.fitted_.members
    mean = (first.predict_proba(x) + second.predict_proba(x)) / 2
    np.testing.assert_allclose(both.predict_proba(x), mean, rtol=1e-6)
    np.testing.assert_array_equal(both.predict(x), both.classes_[mean.argmax(axis=1)])
    assert abs(first.predict_proba(x) - second.predict_proba(x)).max() > 0.01
    alone = clone(FAST).fit(x, y)
    np.testing.assert_allclose(first.predict_proba(x), alone.predict_proba(x), rtol=1e-4)
    np.testing.assert_allclose(both.loss_curve_, alone.loss_curve_, rtol=1e-4)
    assert not hasattr(both, "coefs_")
    assert not hasattr(both, "partial_fit")


def own_loss(logits, labels):
    """Cross-entropy, written out."""
    return jnp.log(jnp.exp(logits).sum(axis=1)) - logits[jnp.arange(len(labels)), labels]


def own_solver(learning_rate):
    return optax.sgd(learning_rate)


def test_loss_and_solver_may_be_functions(data):
    x, y = data
    options = {"solver": own_solver, "loss": own_loss, "inputs": "standardised"}
    own = JaxMLPClassifier((4,), random_state=0, max_iter=20, **options).fit(x, y)
    like_it = clone(own).set_params(solver="gd", loss="log_loss").fit(x, y)
    np.testing.assert_allclose(own.loss_curve_, like_it.loss_curve_, rtol=1e-4)
    np.testing.assert_array_equal(own.predict(x), like_it.predict(x))
    again = copy.deepcopy(own)
    np.testing.assert_array_equal(again.predict(x), own.predict(x))


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
    "learning_rate": ["slow", None],
    "learning_rate_init": [0, "constant", 1e39],
    "power_t": [-1, "a"],
    "max_iter": [0, 2.5, True],
    "shuffle": ["yes", 1],
    "random_state": [-1, "x", 2**40, True],
    "tol": [-1, np.inf, "a"],
    "verbose": [-1, "loud", 0.5],
    "warm_start": [None],
    "momentum": [1.0, -0.1, 1 - 1e-12],
    "nesterovs_momentum": ["no"],
    "early_stopping": [1.0],
    "validation_fraction": [0, 1, "half"],
    "beta_1": [1.5],
    "beta_2": [-1, 1 - 1e-12],
    "epsilon": [0],
    "n_iter_no_change": [0, -np.inf, 2.5],
    "max_fun": [0, 2.5],
    "class_weight": ["even", 3],
    "loss": ["squared", "log", 3],
    "n_networks": [0, 1.5],
    "dropout": [1],
    "batch_norm": ["yes"],
    "inputs": ["scaled"],
    "init": ["zeros"],
    "weight_decay": [-1],
    "clip_norm": [0],
    "label_smoothing": [1],
    "decay_rate": [-1],
    "decay_every": [0],
    "warmup": [-1],
}


@pytest.mark.parametrize("option", FAST.get_params())
def test_a_bad_option_is_named_as_it_was_given(option, data):
    for value in BAD_OPTIONS[option]:
        estimator = JaxMLPClassifier(**{"solver": "sgd", option: value})
        with pytest.raises(ValueError, match=rf"^{option} got ") as caught:
            estimator.fit(*data)
        assert repr(value) in str(caught.value)
        assert not hasattr(estimator, "fitted_")


def test_options_that_do_not_go_together_are_refused(data):
    x, y = data
    for options, message in (
        ({"n_networks": 2, "warm_start": True}, "n_networks got 2; expected 1 with warm_start"),
        ({"n_networks": 2, "shuffle": False}, "n_networks got 2; expected 1 .* without shuffle"),
        ({"warmup": 300.0}, "warmup got 300 epochs; expected fewer than the 200"),
    ):
        with pytest.raises(ValueError, match=message):
            JaxMLPClassifier(**options).fit(x, y)
    with pytest.raises(ValueError, match=r"solver got 'lbfgs'; expected .* 'adam' with a higher"):
        JaxMLPClassifier(solver="lbfgs").fit(x, y)


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
