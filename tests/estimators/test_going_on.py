"""Training that goes on: `warm_start`, `partial_fit`, and both after a copy or a file."""

import copy
import io

import jax
import joblib
import numpy as np
import pytest
from sklearn.base import clone

from jaxnn.estimators import JaxMLPClassifier, JaxMLPRegressor

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

RNG = np.random.default_rng(2)
X = RNG.normal(size=(60, 3))
LABELS = np.array(["a", "b", "c"])[(X[:, 0] > 0.3).astype(int) + (X[:, 1] > 0)]
REAL = X[:, 0] - 2 * X[:, 1]
COMMON = {
    "hidden_layer_sizes": (5,), "batch_size": 20, "random_state": 0, "learning_rate_init": 0.02,
    "n_iter_no_change": np.inf,
}  # fmt: skip
BOTH = [(JaxMLPClassifier(**COMMON), LABELS), (JaxMLPRegressor(**COMMON), REAL)]


def assert_same(one, other, rtol=1e-5):
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=rtol)


def partly(estimator, y, calls):
    options = {"classes": np.unique(y)} if isinstance(estimator, JaxMLPClassifier) else {}
    for _ in range(calls):
        estimator.partial_fit(X, y, **options)
    return estimator


@pytest.mark.parametrize("options", [{}, {"solver": "sgd", "dropout": 0.3, "shuffle": False}])
@pytest.mark.parametrize(("estimator", "y"), BOTH)
def test_three_partial_fits_are_three_epochs(estimator, y, options):
    """With momenta, dropout and the order of examples; scikit-learn's begins each order anew."""
    estimator = clone(estimator).set_params(**options)
    at_once = clone(estimator).set_params(max_iter=3).fit(X, y)
    parts = partly(clone(estimator), y, 3)
    assert_same(parts, at_once)
    assert (parts.n_iter_, parts.t_) == (1, 180)
    assert partly(at_once, y, 1).t_ == 240
    assert_same(at_once, clone(estimator).set_params(max_iter=4).fit(X, y))


def test_going_on_changes_no_other_estimator():
    """Training donates the memory of its input; layers of this size are aligned."""
    options = COMMON | {"hidden_layer_sizes": (64, 64), "max_iter": 1}
    first = JaxMLPClassifier(**options).fit(X, LABELS)
    before, other = first.predict_proba(X), copy.copy(first)
    following = copy.deepcopy(first).partial_fit(X, LABELS).predict_proba(X)
    np.testing.assert_array_equal(first.partial_fit(X, LABELS).predict_proba(X), following)
    np.testing.assert_array_equal(other.predict_proba(X), before)
    np.testing.assert_array_equal(other.partial_fit(X, LABELS).predict_proba(X), following)


def test_a_network_goes_on_in_another_float_type():
    with jax.enable_x64(True):
        first = JaxMLPClassifier(**COMMON, max_iter=1).fit(X, LABELS)
        state = first.__getstate__()
        exact = first.partial_fit(X, LABELS).predict_proba(X)
    other = JaxMLPClassifier()
    other.__setstate__(state)
    rounded = other.partial_fit(X, LABELS).predict_proba(X)
    assert rounded.dtype == np.float32
    np.testing.assert_allclose(rounded, exact, rtol=1e-4)


def test_partial_fit_lowers_the_rate_as_fit_does():
    options = {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5}
    estimator = JaxMLPClassifier(**COMMON | options)
    at_once = clone(estimator).set_params(max_iter=3).fit(X, LABELS)
    assert_same(partly(clone(estimator), LABELS, 3), at_once)


def test_partial_fit_takes_parts_of_any_size_and_all_their_classes():
    estimator = JaxMLPClassifier(**COMMON)
    is_a = LABELS == "a"
    estimator.partial_fit(X[is_a], LABELS[is_a], classes=["a", "b", "c"])
    for rows in (slice(3), slice(3, 60)):
        estimator.partial_fit(X[rows], LABELS[rows])
    assert estimator.t_ == is_a.sum() + 60
    with pytest.raises(ValueError, match=r"`y` has classes not in .*\['d'\]"):
        estimator.partial_fit(X[:2], ["d", "a"])
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        JaxMLPClassifier().partial_fit(X, LABELS)
    with pytest.raises(ValueError, match="is not the same as on last call"):
        estimator.partial_fit(X, LABELS, classes=["a", "b"])


def test_partial_fit_learns_labels():
    labels = np.stack([LABELS == "a", LABELS == "b"], axis=1).astype(int)
    at_once = JaxMLPClassifier(**COMMON, max_iter=2).fit(X, labels)
    parts = JaxMLPClassifier(**COMMON).partial_fit(X, labels, classes=[0, 1])
    assert_same(parts.partial_fit(X, labels), at_once)
    np.testing.assert_array_equal(parts.predict(X), at_once.predict(X))


@pytest.mark.parametrize(("estimator", "y"), BOTH)
def test_a_warm_start_goes_on_from_the_weights(estimator, y):
    """Plain descent has no momenta, so two calls are the epochs of one."""
    plain = {"solver": "gd", "shuffle": False, "learning_rate_init": 0.1}
    estimator = clone(estimator).set_params(**plain, max_iter=3, warm_start=True)
    twice = clone(estimator).fit(X, y).fit(X, y)
    assert_same(twice, clone(estimator).set_params(max_iter=6).fit(X, y))
    assert (twice.n_iter_, len(twice.loss_curve_), twice.t_) == (3, 6, 360)
    cold = clone(estimator).set_params(warm_start=False).fit(X, y)
    first = cold.loss_curve_
    assert cold.fit(X, y).loss_curve_ == first
    # momenta are forgotten, as in scikit-learn
    estimator.set_params(solver="adam")
    twice = clone(estimator).fit(X, y).fit(X, y)
    at_once = clone(estimator).set_params(max_iter=6).fit(X, y)
    assert abs(twice.coefs_[0] - at_once.coefs_[0]).max() > 1e-3


def test_a_warm_start_goes_on_from_the_best_epoch():
    options = {"early_stopping": True, "warm_start": True, "max_iter": 9, "shuffle": False}
    estimator = JaxMLPClassifier(**COMMON | options | {"learning_rate_init": 0.3}).fit(X, LABELS)
    kept, scores = copy.deepcopy(estimator), estimator.validation_scores_
    estimator.set_params(learning_rate_init=1e-12, max_iter=1).fit(X, LABELS)
    np.testing.assert_allclose(estimator.coefs_[0], kept.coefs_[0], rtol=1e-6)
    assert estimator.validation_scores_[:-1] == scores
    assert estimator.validation_scores_[-1] == pytest.approx(max(scores))
    assert scores[-1] < max(scores)


def test_what_cannot_go_on_is_refused():
    estimator = JaxMLPClassifier(**COMMON, max_iter=1, warm_start=True).fit(X, LABELS)
    for change, message in (
        ({"hidden_layer_sizes": (6,)}, "params of shapes .*: options of structure must not"),
        ({"hidden_layer_sizes": (5, 5)}, "params of shapes .*: options of structure must not"),
    ):
        with pytest.raises(ValueError, match=message):
            copy.deepcopy(estimator).set_params(**change).fit(X, LABELS)
    with pytest.raises(ValueError, match="same classes as in the previous call"):
        estimator.fit(X, LABELS == "a")
    with pytest.raises(ValueError, match="opt_state of shapes"):
        copy.deepcopy(estimator).set_params(solver="sgd").partial_fit(X, LABELS)
    several = JaxMLPClassifier(**COMMON, max_iter=1, n_networks=2).fit(X, LABELS)
    several.set_params(n_networks=1)
    for call in (several.partial_fit, several.set_params(warm_start=True).fit):
        with pytest.raises(ValueError, match="cannot go on from several networks"):
            call(X, LABELS)
    with pytest.raises(ValueError, match="partial_fit came with inputs or targets that are not"):
        JaxMLPRegressor(targets="standardised").partial_fit(X, REAL)
    with pytest.raises(ValueError, match=r"targets \(2,\); expected \(\), as before"):
        JaxMLPRegressor(**COMMON, max_iter=1, warm_start=True).fit(X, REAL).fit(X, X[:, :2])


def through_joblib(estimator):
    """As scikit-learn's users keep estimators; a test reads what it wrote itself."""
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


COPIES = {
    "deepcopy": copy.deepcopy,
    "joblib": through_joblib,
}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize(("estimator", "y"), BOTH)
def test_a_copy_is_the_estimator_and_goes_on_alike(estimator, y, way):
    estimator = partly(clone(estimator).set_params(dropout=0.2), y, 2)
    again = COPIES[way](estimator)
    np.testing.assert_array_equal(again.predict(X), estimator.predict(X))
    assert_same(again, estimator, rtol=0)
    assert {*vars(again)} == {*vars(estimator)}
    assert_same(partly(again, y, 1), partly(estimator, y, 1), rtol=0)
    assert not hasattr(clone(estimator), "fitted_")


@pytest.mark.parametrize(
    "options", [{"n_networks": 2}, {"batch_norm": True}, {"inputs": "centred"}]
)
def test_copies_of_other_networks_predict_alike(options):
    estimator = JaxMLPClassifier(**COMMON, max_iter=2, **options).fit(X, LABELS)
    again = through_joblib(estimator)
    np.testing.assert_array_equal(again.predict_proba(X), estimator.predict_proba(X))


def types_in(value):
    """The types of a value and of what lies in it."""
    inner = value.values() if isinstance(value, dict) else value
    parts = inner if isinstance(value, dict | list | tuple) else ()
    return {type(value)}.union(*map(types_in, parts))


@pytest.mark.parametrize(("estimator", "y"), BOTH)
def test_what_is_kept_of_an_estimator_holds_no_code(estimator, y):
    """The network is bytes in the format of files; the rest are plain values and arrays."""
    fitted = partly(clone(estimator), y, 1)
    state = fitted.__getstate__()
    assert [type(one) for one in state["fitted_"]] == [bytes]
    plain = {dict, list, tuple, bytes, str, bool, int, float, type(None)}
    assert types_in(state) <= plain | {np.ndarray}
    # what makes it again is Python's own, of the class and this state
    made, (of_class, *rest), kept = fitted.__reduce_ex__(2)[:3]
    assert (made.__module__, made.__name__) == ("copyreg", "__newobj__")
    assert of_class is type(estimator)
    assert rest == []
    assert types_in(kept) <= plain | {np.ndarray}


def test_an_estimator_without_a_network_is_kept():
    again = through_joblib(JaxMLPRegressor(alpha=0.5))
    assert again.get_params() == JaxMLPRegressor(alpha=0.5).get_params()
