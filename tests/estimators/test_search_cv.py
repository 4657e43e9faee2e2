"""`SweepSearchCV` against scikit-learn's search, and each lane against the estimator alone."""

import warnings

import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.model_selection import RandomizedSearchCV, StratifiedKFold, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from jaxnn.estimators import JaxMLPClassifier, SweepSearchCV

FAST = JaxMLPClassifier((8,), max_iter=40, learning_rate_init=0.02, random_state=0)


@pytest.mark.slow
@parametrize_with_checks(
    [SweepSearchCV(FAST, {"learning_rate_init": [0.02, 0.01]}, n_iter=2, cv=2)]
)
def test_scikit_learn_accepts_the_search(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3)) * [1, 10, 0.1]
    return x, np.array(["low", "middle", "high"])[(x[:, 0] > -0.5).astype(int) + (x[:, 1] > 4)]


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


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", ["auto", 32])
def test_each_fold_is_the_estimator_alone_whatever_its_size(data, batch_size):
    """Time series: folds of 15, 30, ... examples, of which "auto" makes one mini-batch each."""
    x, y = data
    options = {"alpha": 1.0, "batch_size": batch_size, "batch_norm": True, "inputs": "standardised"}
    estimator = JaxMLPClassifier((4,), max_iter=6, random_state=0, **options)
    folds = TimeSeriesSplit(5)
    candidates = {"learning_rate_init": [0.1]}
    search = SweepSearchCV(estimator, candidates, n_iter=1, cv=folds, refit=False).fit(x, y)
    for fold, (train, test) in enumerate(folds.split(x)):
        alone = clone(estimator).set_params(learning_rate_init=0.1).fit(x[train], y[train])
        costs = search.study_.curves["cost"][0, fold]
        np.testing.assert_allclose(costs, alone.loss_curve_, rtol=1e-4)
        assert search.cv_results_[f"split{fold}_test_score"][0] == pytest.approx(
            alone.score(x[test], y[test]), abs=1e-6
        )


# another value of each option, with which a candidate must be another network
OTHER = {
    "hidden_layer_sizes": (5,), "activation": "tanh", "solver": "sgd", "alpha": 10.0,
    "batch_size": 20, "learning_rate_init": 0.1, "max_iter": 3, "random_state": 7,
    "momentum": 0.5, "beta_1": 0.5, "beta_2": 0.5, "epsilon": 1.0, "dropout": 0.5,
    "batch_norm": True, "inputs": "standardised",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHER)
def test_each_option_of_a_candidate_counts(data, name):
    x, y = data
    estimator = JaxMLPClassifier((4,), max_iter=4, random_state=0, alpha=0.1)
    estimator.set_params(solver="sgd" if name == "momentum" else "adam")
    own = estimator.get_params()[name]
    search = SweepSearchCV(estimator, {name: [own, OTHER[name]]}, n_iter=2, cv=2, refit=False)
    search.fit(x, y)
    costs = search.study_.curves["cost"]
    (train, _), _ = StratifiedKFold(2).split(x, y)
    for number, params in enumerate(search.cv_results_["params"]):
        alone = clone(estimator).set_params(**params).fit(x[train], y[train]).loss_curve_
        np.testing.assert_allclose(costs[number, 0][: len(alone)], alone, rtol=1e-4)
    assert abs(costs[0, 0, 3] - costs[1, 0, 3]) > 1e-5 or name == "max_iter"


@pytest.mark.slow
def test_candidates_with_one_random_state_are_drawn_alike(data):
    """scikit-learn copies what candidates are given; so nobody's generator goes on."""
    x, y = data
    generator = np.random.RandomState(3)
    space = {"random_state": [generator], "learning_rate_init": [0.01, 0.1]}
    estimator = JaxMLPClassifier((4,), max_iter=3, batch_size=30)
    search = SweepSearchCV(estimator, space, n_iter=2, cv=StratifiedKFold(2)).fit(x, y)
    assert generator.randint(2**31 - 1) == np.random.RandomState(3).randint(2**31 - 1)
    (train, _), _ = StratifiedKFold(2).split(x, y)
    for number, params in enumerate(search.cv_results_["params"]):
        seed = np.random.RandomState(3).randint(2**31 - 1)
        alone = clone(estimator).set_params(**params | {"random_state": seed})
        costs = search.study_.curves["cost"][number, 0]
        np.testing.assert_allclose(costs, alone.fit(x[train], y[train]).loss_curve_, rtol=1e-4)


def test_every_option_is_among_them():
    assert set(OTHER) == set(JaxMLPClassifier().get_params())


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


def test_a_search_without_a_finite_score_trains_nothing_anew(data):
    x, y = data
    space = {"learning_rate_init": [1e30, 1e31], "solver": ["gd"]}
    search = SweepSearchCV(clone(FAST).set_params(max_iter=3), space, n_iter=2, cv=2)
    with pytest.raises(ValueError, match="of each of the 2 candidates a network diverged"):
        search.fit(1e3 * x, y)
    assert np.isnan(search.cv_results_["mean_test_score"]).all()
    assert (search.study_.diverged >= 0).all()
    assert not hasattr(search, "best_estimator_")
    with pytest.warns(UserWarning, match=r"test scores are non-finite, .* \[nan, nan\]") as said:
        search.set_params(refit=False).fit(1e3 * x, y)
    assert said[0].filename == __file__


def test_what_converges_warns_of_nothing(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SweepSearchCV(FAST, {"learning_rate_init": [0.02]}, n_iter=1, cv=2).fit(*data)
