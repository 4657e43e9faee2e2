"""What estimators are given: weights, sparse matrices, frames; and what they refuse."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError

from jaxnn.estimators import JaxMLPClassifier, JaxMLPRegressor

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*Maximum iterations")]

RNG = np.random.default_rng(4)
X = RNG.normal(size=(50, 4)) * (RNG.uniform(size=(50, 4)) > 0.4)
LABELS = np.where(X[:, 0] > X[:, 1], "more", "less")
REAL = X[:, 0] - 2 * X[:, 1]
COUNTS = RNG.integers(0, 4, size=50)
COMMON = {"hidden_layer_sizes": (5,), "max_iter": 8, "learning_rate_init": 0.05, "random_state": 0}
BOTH = [(JaxMLPClassifier(**COMMON), LABELS), (JaxMLPRegressor(**COMMON), REAL)]


def outputs(estimator):
    is_classes = isinstance(estimator, JaxMLPClassifier)
    return estimator.predict_proba(X) if is_classes else estimator.predict(X)


def assert_alike(one, other, rtol=2e-4):
    np.testing.assert_allclose(outputs(one), outputs(other), rtol=rtol, atol=1e-5)


@pytest.mark.parametrize(("estimator", "y"), BOTH)
def test_a_weight_is_a_number_of_copies(estimator, y):
    """In one mini-batch; a weight of 0 is an example that is not there."""
    estimator = clone(estimator).set_params(alpha=2.0)
    weighted = clone(estimator).fit(X, y, sample_weight=COUNTS)
    repeated = clone(estimator).fit(X.repeat(COUNTS, axis=0), y.repeat(COUNTS))
    assert_alike(weighted, repeated)
    assert weighted.t_ == 8 * (COUNTS > 0).sum()
    plain = outputs(clone(estimator).fit(X, y))
    assert abs(outputs(weighted) - plain).max() > 0.01
    even = clone(estimator).fit(X, y, sample_weight=np.ones(50))
    np.testing.assert_array_equal(outputs(even), plain)


@pytest.mark.parametrize(("estimator", "y"), BOTH)
def test_weights_count_in_partial_fit_and_in_what_is_set_aside(estimator, y):
    classes = {"classes": np.unique(y)} if isinstance(estimator, JaxMLPClassifier) else {}
    part = clone(estimator).partial_fit(X, y, sample_weight=COUNTS, **classes)
    assert_alike(part, clone(estimator).set_params(max_iter=1).fit(X, y, sample_weight=COUNTS))
    stopping = clone(estimator).set_params(early_stopping=True, validation_fraction=0.4)
    stopping.fit(X, y, sample_weight=np.where(np.arange(50) < 40, 1.0, 1e-6))
    assert all(np.isfinite(stopping.validation_scores_))
    other = clone(stopping).fit(X, y)
    assert stopping.validation_scores_ != other.validation_scores_


@pytest.mark.parametrize("kind", ["csr", "csc", "coo"])
@pytest.mark.parametrize(("estimator", "y"), BOTH)
def test_sparse_inputs_are_dense_ones(estimator, y, kind):
    sparse = getattr(scipy.sparse, f"{kind}_array")(X)
    dense, other = clone(estimator).fit(X, y), clone(estimator).fit(sparse, y)
    np.testing.assert_array_equal(outputs(other), outputs(dense))
    np.testing.assert_array_equal(dense.predict(sparse), dense.predict(X))
    assert dense.score(sparse, y) == dense.score(X, y)


def test_sparse_labels_are_dense_ones():
    labels = (X > 0).astype(int)
    dense = clone(BOTH[0][0]).fit(X, labels)
    other = clone(BOTH[0][0]).fit(X, scipy.sparse.csr_array(labels))
    np.testing.assert_array_equal(outputs(other), outputs(dense))


def test_features_have_names():
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    estimator = clone(BOTH[0][0]).fit(frame, LABELS, X_val=frame, y_val=LABELS)
    assert estimator.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(
        estimator.predict(frame), clone(estimator).fit(X, LABELS).predict(X)
    )
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(frame.rename(columns={"a": "z"}))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        estimator.predict(X)


def test_columns_are_flattened_with_a_warning():
    for estimator, y in BOTH:
        with pytest.warns(DataConversionWarning, match="column-vector y"):
            column = clone(estimator).fit(X, y[:, None])
        np.testing.assert_array_equal(outputs(column), outputs(clone(estimator).fit(X, y)))


@pytest.mark.parametrize(("estimator", "y"), BOTH)
def test_what_does_not_fit_is_refused(estimator, y):
    estimator, bad = clone(estimator), X.copy()
    bad[3, 1] = np.nan
    with pytest.raises(NotFittedError):
        estimator.predict(X)
    for weights, message in (
        (np.ones(49), "sample_weight.shape == "),
        (np.zeros(50), "non-zero number|only zeros"),
        (-np.ones(50), "Negative values in data passed to `sample_weight`"),
        (np.full(50, np.nan), "sample_weight contains NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            estimator.fit(X, y, sample_weight=weights)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        estimator.fit(bad, y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        estimator.fit(X, y[:-1])
    with pytest.raises(ValueError, match="X_val and y_val got one of the two"):
        estimator.fit(X, y, X_val=X)
    # calls that failed left no network
    with pytest.raises(NotFittedError):
        estimator.predict(X)
    estimator.fit(X, y)
    with pytest.raises(ValueError, match=r"X has 3 features, but JaxMLP.* is expecting 4"):
        estimator.predict(X[:, :3])
    with pytest.raises(ValueError, match=r"X has 3 features, but JaxMLP.* is expecting 4"):
        estimator.partial_fit(X[:, :3], y)
    with pytest.raises(ValueError, match="Input X contains NaN"):
        estimator.predict(bad)


def test_classes_that_do_not_fit_are_refused():
    estimator = clone(BOTH[0][0])
    with pytest.raises(ValueError, match=r"y got 1 class, .*'a'.*; expected two at least"):
        estimator.fit(X, ["a"] * 50)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        estimator.fit(X, REAL)
    with pytest.raises(ValueError, match="multiclass-multioutput targets; expected classes"):
        estimator.fit(X, np.stack([COUNTS, COUNTS], axis=1))
    with pytest.raises(ValueError, match=r"`y` has classes not in .* 'y' has \['none'\]"):
        estimator.fit(X, LABELS, X_val=X[:2], y_val=["less", "none"])
