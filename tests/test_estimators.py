"""scikit-learn's own checks of its estimators, and agreement with ours and with its searches."""

import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.model_selection import RandomizedSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import jaxnn
from jaxnn.estimators import JaxMLPClassifier
from jaxnn.search_cv import SweepSearchCV

FAST = JaxMLPClassifier((8,), max_iter=40, learning_rate_init=0.02, random_state=0)


@pytest.mark.usefixtures("module_compiled_fast")
@parametrize_with_checks(
    [FAST, SweepSearchCV(FAST, {"learning_rate_init": [0.02, 0.01]}, n_iter=2, cv=2)]
)
def test_scikit_learn_accepts_it(estimator, check):
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


@pytest.mark.usefixtures("compiled_fast")
def test_a_sweep_is_the_search_of_scikit_learn_in_few_programs(data):
    """The same candidates, folds and scores; 90 examples in folds of 22 and 23, full batches."""
    x, y = data
    space = {
        "learning_rate_init": loguniform(1e-3, 1e-1),
        "hidden_layer_sizes": [(4,), (8,)],
        "max_iter": [10, 20],
    }
    estimator = JaxMLPClassifier(alpha=0, random_state=1, inputs="standardised")
    options = {"n_iter": 6, "cv": StratifiedKFold(4, shuffle=True, random_state=0)}
    ours = SweepSearchCV(estimator, space, random_state=5, **options).fit(x, y)
    theirs = RandomizedSearchCV(estimator, space, random_state=5, **options).fit(x, y)
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    assert set(ours.cv_results_) == set(theirs.cv_results_)
    for name in ("mean_test_score", "std_test_score", "split3_test_score"):
        np.testing.assert_allclose(ours.cv_results_[name], theirs.cv_results_[name], atol=1e-6)
    assert ours.best_score_ == ours.cv_results_["mean_test_score"].max() > 0.7
    assert ours.best_params_ == ours.cv_results_["params"][ours.best_index_]
    assert ours.n_splits_ == 4
    assert len(ours.study_.plan.programs) < 4 * 6
    again = JaxMLPClassifier(**estimator.get_params()).set_params(**ours.best_params_).fit(x, y)
    np.testing.assert_array_equal(ours.predict_proba(x), again.predict_proba(x))


def test_it_works_at_the_end_of_a_pipeline(data):
    x, y = data
    search = SweepSearchCV(FAST, {"learning_rate_init": [1e-5, 2e-2]}, n_iter=2, cv=3)
    pipeline = make_pipeline(StandardScaler(), search).fit(x, y)
    assert pipeline.score(x, y) > 0.8
    assert search.best_params_ == {"learning_rate_init": 2e-2}
    assert not hasattr(SweepSearchCV(FAST, {}, refit=False), "predict")


@pytest.mark.filterwarnings("ignore:.*diverge")
def test_a_candidate_that_diverges_is_last(data):
    x, y = data
    space = {"learning_rate_init": [1e30, 2e-2], "solver": ["gd"]}
    search = SweepSearchCV(FAST, space, n_iter=2, cv=3).fit(x, y)
    order = [params["learning_rate_init"] for params in search.cv_results_["params"]]
    assert np.isnan(search.cv_results_["mean_test_score"][order.index(1e30)])
    assert search.best_params_["learning_rate_init"] == 2e-2


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (JaxMLPClassifier(solver="lbfgs"), "solver got 'lbfgs'; expected one of"),
        (JaxMLPClassifier(max_iter=0), "max_iter got 0; expected a whole number >= 1"),
        (JaxMLPClassifier(batch_size=0), "batch_size got 0"),
        (SweepSearchCV(StandardScaler()), "SweepSearchCV got the estimator StandardScaler"),
    ],
)
def test_bad_options(estimator, message, data):
    with pytest.raises(ValueError, match=message):
        estimator.fit(*data)
