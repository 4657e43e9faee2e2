"""When training ends, and which epoch's network is kept, against the rules on whole curves."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import train_test_split

from jaxnn.estimators import JaxMLPClassifier, JaxMLPRegressor

RNG = np.random.default_rng(1)
X = RNG.normal(size=(120, 3))
Y = (X[:, 0] + X[:, 1] ** 2 + RNG.normal(size=120) / 2 > 0.5).astype(int)
REAL = 3 * X[:, 0] - X[:, 1] ** 2 + RNG.normal(size=120)
BOTH = [(JaxMLPClassifier, Y), (JaxMLPRegressor, REAL)]
OPTIONS = {
    "hidden_layer_sizes": (8,), "learning_rate_init": 0.03, "batch_size": 30, "max_iter": 80,
    "random_state": 0,
}  # fmt: skip


def whole(estimator):
    """The same network, which trains to the last epoch."""
    return clone(estimator).set_params(n_iter_no_change=np.inf)


def stop_of(values, tol, n_iter_no_change):
    """The epochs after which training ends, as scikit-learn counts; greater values are better."""
    best, count = -np.inf, 0
    for epoch, value in enumerate(values, 1):
        count = count + 1 if value < best + tol else 0
        best = max(best, value)
        if count > n_iter_no_change:
            return epoch
    return None


@pytest.mark.parametrize(("kind", "y"), BOTH)
@pytest.mark.parametrize(("tol", "n_iter_no_change"), [(3e-3, 2), (0.05, 1)])
def test_training_ends_when_the_cost_no_longer_falls(kind, y, tol, n_iter_no_change):
    estimator = kind(**OPTIONS, tol=tol, n_iter_no_change=n_iter_no_change)
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(80\) reached"):
        curve = whole(estimator).fit(X, y).loss_curve_
    estimator.fit(X, y)
    expected = stop_of(-np.array(curve), tol, n_iter_no_change)
    assert 3 < estimator.n_iter_ == expected < 80
    np.testing.assert_allclose(estimator.loss_curve_, curve[:expected], rtol=1e-5)
    assert estimator.loss_ == estimator.loss_curve_[-1]
    assert estimator.best_loss_ == min(estimator.loss_curve_)
    assert estimator.t_ == expected * 120
    assert estimator.validation_scores_ is estimator.best_validation_score_ is None


@pytest.mark.parametrize(("kind", "y", "score"), [(*BOTH[0], accuracy_score), (*BOTH[1], r2_score)])
def test_early_stopping_keeps_the_best_epoch(kind, y, score):
    valid = slice(0, 40)
    parts = {"X_val": X[valid], "y_val": y[valid]}
    estimator = kind(**OPTIONS, early_stopping=True, tol=1e-3, n_iter_no_change=12)
    estimator.fit(X[40:], y[40:], **parts)
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        scores = whole(estimator).fit(X[40:], y[40:], **parts).validation_scores_
    expected = stop_of(scores, 1e-3, 12)
    assert estimator.n_iter_ == expected < 80
    np.testing.assert_allclose(estimator.validation_scores_, scores[:expected], rtol=1e-5)
    assert estimator.best_validation_score_ == max(estimator.validation_scores_)
    assert estimator.best_loss_ is None
    found = score(y[valid], estimator.predict(X[valid]))
    assert found == pytest.approx(max(scores[:expected]), rel=1e-5)
    # not that of the last epoch
    assert found > scores[expected - 1] + 1e-3


def test_a_validation_set_alone_stops_nothing():
    estimator = JaxMLPClassifier(**OPTIONS, tol=3e-3, n_iter_no_change=2)
    plain, measured = clone(estimator).fit(X, Y), clone(estimator).fit(X, Y, X_val=X, y_val=Y)
    np.testing.assert_allclose(measured.loss_curve_, plain.loss_curve_, rtol=1e-5)
    assert len(measured.validation_scores_) == measured.n_iter_
    assert measured.validation_scores_[-1] == pytest.approx(measured.score(X, Y), abs=1e-6)


@pytest.mark.parametrize("fraction", [0.1, 0.25])
def test_an_equal_share_of_each_class_is_set_aside(fraction):
    labels = np.array(["a", "b", "c"])[[0] * 60 + [1] * 40 + [2] * 20]
    options = {"validation_fraction": fraction, "early_stopping": True, "n_iter_no_change": 3}
    estimator = JaxMLPClassifier(**OPTIONS, **options).fit(X, labels)
    train, valid = train_test_split(
        np.arange(120), test_size=fraction, random_state=0, stratify=labels
    )
    by_hand = clone(estimator).fit(X[train], labels[train], X_val=X[valid], y_val=labels[valid])
    np.testing.assert_array_equal(estimator.predict_proba(X), by_hand.predict_proba(X))
    assert estimator.validation_scores_ == by_hand.validation_scores_
    assert estimator.t_ == estimator.n_iter_ * len(train)


def test_classes_too_small_for_shares_are_set_aside_at_random():
    y = np.zeros(30, int)
    y[:3] = 1, 2, 2
    estimator = JaxMLPClassifier(**OPTIONS, early_stopping=True).set_params(batch_size=9)
    assert estimator.fit(X[:30], y).t_ % 27 == 0
    with pytest.raises(ValueError, match=r"only 1 member.*too few members are: \['rare'\]"):
        estimator.fit(X[:30], np.where(y == 1, "rare", "usual"))
    with pytest.raises(ValueError, match="The validation set is too small"):
        JaxMLPRegressor(early_stopping=True).fit(X[:9], REAL[:9])


def test_verbose_prints_each_epoch_and_why_it_ends(capsys):
    estimator = JaxMLPClassifier(**OPTIONS, early_stopping=True, n_iter_no_change=3, verbose=True)
    estimator.fit(X, Y)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-1:2] == [
        f"Iteration {epoch}, loss = {loss:.8f}"
        for epoch, loss in enumerate(estimator.loss_curve_, 1)
    ]
    assert lines[1:-1:2] == [
        f"Validation score: {score:f}" for score in estimator.validation_scores_
    ]
    assert lines[-1] == (
        "Validation score did not improve more than tol=0.000100 for 3 consecutive epochs. "
        "Stopping."
    )
    clone(estimator).set_params(verbose=False).fit(X, Y)
    assert capsys.readouterr().out == ""
