"""`SweepSearchCV` against scikit-learn's searches, with every network trained ahead as a lane."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import loguniform, norm, randint, uniform
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer, recall_score
from sklearn.model_selection import (
    BaseCrossValidator,
    GridSearchCV,
    GroupKFold,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from jaxnn.estimators import JaxMLPClassifier, JaxMLPRegressor, SweepSearchCV, networks

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

FAST = JaxMLPClassifier(
    (8,), max_iter=40, n_iter_no_change=np.inf, learning_rate_init=0.02, random_state=0
)
SHORT = clone(FAST).set_params(max_iter=4, n_iter_no_change=2, tol=0.01)
RATES = {"learning_rate_init": [0.001, 0.02, 0.1]}


@pytest.mark.slow
# of scikit-learn itself, for targets that are NaN
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@parametrize_with_checks([SweepSearchCV(FAST, {"learning_rate_init": [0.02, 0.1]}, n_iter=2, cv=2)])
def test_scikit_learn_accepts_the_search(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 3)) * [1, 10, 0.1]
    return x, np.array(["low", "middle", "high"])[(x[:, 0] > -0.5).astype(int) + (x[:, 1] > 4)]


@pytest.fixture
def alone(monkeypatch):
    """Counts networks that `fit` trains by itself."""
    count, learn = [0], networks.learn

    def counted(*args, **options):
        count[0] += 1
        return learn(*args, **options)

    monkeypatch.setattr(networks, "learn", counted)
    return count


def assert_same(ours, theirs):
    """All that scikit-learn's search finds, but for times."""
    assert {*theirs.cv_results_} == {*ours.cv_results_}
    assert theirs.cv_results_["params"] == ours.cv_results_["params"]
    for name, values in theirs.cv_results_.items():
        if "score" in name and "time" not in name:
            np.testing.assert_allclose(ours.cv_results_[name], values, atol=1e-6, err_msg=name)
    assert ours.best_index_ == theirs.best_index_
    assert ours.n_splits_ == theirs.n_splits_


class NoScaler(StandardScaler):
    def transform(self, X):
        return X


OTHERS = {
    "candidates differ in structure and epochs": (
        SHORT,
        {"hidden_layer_sizes": [(4,), (8,)], "max_iter": [2, 4], "alpha": loguniform(1e-3, 1e1)},
        {},
    ),
    "early stopping": (
        clone(SHORT).set_params(early_stopping=True, validation_fraction=0.3),
        RATES | {"tol": [0.0, 0.3]},
        {},
    ),
    "folds of different size": (
        clone(SHORT).set_params(batch_size=16, batch_norm=True, alpha=1.0),
        RATES,
        {"cv": TimeSeriesSplit(4)},
    ),
    "class weights, several scores and training scores": (
        SHORT,
        RATES | {"class_weight": [None, "balanced"]},
        {
            "scoring": {
                "accuracy": "accuracy",
                "recall": make_scorer(recall_score, average="macro"),
            },
            "refit": "recall",
            "return_train_score": True,
        },
    ),
    "the best by a callable": (
        SHORT,
        RATES,
        {"refit": lambda results: int(results["mean_test_score"].argmin()), "scoring": "f1_macro"},
    ),
    "random states": (SHORT, {"random_state": [0, 1, np.random.RandomState(3)]}, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", OTHERS)
def test_it_is_scikit_learns_search(data, alone, case):
    x, y = data
    estimator, space, options = OTHERS[case]
    options = {"n_iter": 3, "cv": StratifiedKFold(3), "random_state": 5, **options}
    ours = SweepSearchCV(estimator, space, **options).fit(x, y)
    # all but the best one, on all data
    assert alone[0] == 1
    theirs = RandomizedSearchCV(estimator, space, **options).fit(x, y)
    assert_same(ours, theirs)
    np.testing.assert_allclose(
        ours.predict_proba(x), theirs.best_estimator_.predict_proba(x), rtol=1e-4, atol=1e-6
    )


def test_candidates_share_programs(data, alone):
    x, y = data
    space = {"learning_rate_init": loguniform(1e-3, 1e-1), "hidden_layer_sizes": [(4,), (8,)]}
    search = SweepSearchCV(SHORT, space, n_iter=6, cv=3, random_state=5).fit(x, y)
    assert alone[0] == 1
    assert len(search.study_.plan.programs) < 3
    assert search.study_.values.shape == (6, 3)
    # the study measures the same networks on the same test parts
    scores = [search.cv_results_[f"split{fold}_test_score"] for fold in range(3)]
    np.testing.assert_allclose(search.study_.values.T, scores, atol=1e-6)
    again = clone(SHORT).set_params(**search.best_params_).fit(x, y)
    np.testing.assert_array_equal(search.predict_proba(x), again.predict_proba(x))
    assert search.classes_.tolist() == ["high", "low", "middle"]
    assert search.score(x, y) == again.score(x, y)


@pytest.mark.slow
def test_earlier_steps_of_a_pipeline_are_searched_too(data, alone):
    x, y = data
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    pipeline = make_pipeline(StandardScaler(), SHORT)
    space = {
        "standardscaler__with_mean": [True, False],
        "standardscaler": [StandardScaler(), NoScaler()],
        "jaxmlpclassifier__learning_rate_init": [0.02, 0.1],
    }
    options = {"n_iter": 5, "cv": StratifiedKFold(3), "random_state": 1}
    weights = {"jaxmlpclassifier__sample_weight": np.linspace(0.5, 1.5, len(y))}
    ours = SweepSearchCV(pipeline, space, **options).fit(frame, y, **weights)
    assert alone[0] == 1
    assert len(ours.studies_) > 1
    theirs = RandomizedSearchCV(pipeline, space, **options).fit(frame, y, **weights)
    for name in ("mean_test_score", "split2_test_score", "rank_test_score"):
        np.testing.assert_allclose(ours.cv_results_[name], theirs.cv_results_[name], atol=1e-6)
    assert ours.feature_names_in_.tolist() == ["a", "b", "c"]


@pytest.mark.slow
def test_a_regressor_is_scored_by_r2_and_groups_stay_together(data, alone):
    x, _ = data
    y, groups = x[:, 0] + 0.1 * x[:, 1], np.arange(90) % 7
    estimator = JaxMLPRegressor(hidden_layer_sizes=(8,), max_iter=5, random_state=0)
    space = RATES | {"loss": ["squared_error", "huber"]}
    options = {"n_iter": 4, "cv": GroupKFold(3), "random_state": 1}
    ours = SweepSearchCV(estimator, space, **options).fit(x, y, groups=groups)
    assert alone[0] == 1
    assert_same(ours, RandomizedSearchCV(estimator, space, **options).fit(x, y, groups=groups))
    theirs = SweepSearchCV(estimator, space, scoring="neg_mean_absolute_error", **options)
    assert theirs.fit(x, y, groups=groups).best_score_ < 0


def routed(x, y):
    """Estimators and splitters that request metadata -> whether all networks are lanes."""
    weighted = clone(SHORT).set_fit_request(sample_weight=True)
    aliased = clone(SHORT).set_fit_request(sample_weight="mine")
    pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), weighted)
    both = make_pipeline(StandardScaler().set_fit_request(sample_weight=True), weighted)
    weights = {"sample_weight": np.where(y == "low", 3.0, 0.2)}
    groups = {"groups": np.arange(len(y)) % 7}
    score = make_scorer(recall_score, average="macro").set_score_request(sample_weight=True)
    first = Given().set_split_request(first=True)
    return {
        "weights": (weighted, weights, {}, True),
        "an alias": (aliased, {"mine": weights["sample_weight"]}, {}, True),
        "ignored": (clone(SHORT).set_fit_request(sample_weight=False), weights,
                    {"scoring": score}, True),
        "groups": (weighted, weights | groups, {"cv": GroupKFold(3)}, True),
        "a pipeline": (pipeline, weights | groups, {"cv": GroupKFold(3)}, True),
        "an earlier step": (both, weights, {}, False),
        "rows for a splitter": (weighted, weights | {"first": 20}, {"cv": first}, True),
    }  # fmt: skip


class Given(BaseCrossValidator):
    """A splitter with an argument of its own."""

    def split(self, X, y=None, groups=None, first=None):
        rows = np.arange(len(X))
        yield rows[first:], rows[:first]
        yield rows[:-first], rows[-first:]

    def get_n_splits(self, X=None, y=None, groups=None, first=None):
        return 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:SweepSearchCV trains candidates one by one")
@pytest.mark.parametrize(
    "case",
    ["weights", "an alias", "ignored", "groups", "a pipeline", "an earlier step",
     "rows for a splitter"],
)  # fmt: skip
def test_metadata_is_routed_as_in_scikit_learn(data, alone, case):
    x, y = data
    with config_context(enable_metadata_routing=True):
        estimator, given, options, is_ahead = routed(x, y)[case]
        prefix = "jaxmlpclassifier__" if hasattr(estimator, "steps") else ""
        space = {f"{prefix}{name}": values for name, values in RATES.items()}
        score = make_scorer(accuracy_score).set_score_request(sample_weight=False)
        options = {"n_iter": 3, "cv": StratifiedKFold(3), "random_state": 5, "scoring": score,
                   **options}  # fmt: skip
        ours = SweepSearchCV(estimator, space, **options).fit(x, y, **given)
        assert (alone[0] == 1) == is_ahead
        assert bool(ours.studies_) == is_ahead
        theirs = RandomizedSearchCV(estimator, space, **options).fit(x, y, **given)
    assert_same(ours, theirs)
    np.testing.assert_allclose(ours.predict_proba(x), theirs.predict_proba(x), rtol=1e-4, atol=1e-6)
    plain = RandomizedSearchCV(estimator, space, **options | {"cv": 3}).fit(x, y)
    is_weighted = case != "ignored"
    assert np.allclose(plain.predict_proba(x), ours.predict_proba(x)) != is_weighted


def test_a_grid_is_scikit_learns(data, alone):
    x, y = data
    space = [RATES, {"activation": ["tanh", "relu"]}]
    ours = SweepSearchCV(SHORT, space, method="grid", cv=2, refit=False).fit(x, y)
    assert alone[0] == 0
    theirs = GridSearchCV(SHORT, space, cv=2, refit=False).fit(x, y)
    assert_same(ours, theirs)
    assert not hasattr(ours, "predict")


@pytest.mark.slow
def test_a_halving_is_scikit_learns_with_epochs_as_its_resource(data, alone):
    x, y = data
    estimator = clone(SHORT).set_params(max_iter=18, n_iter_no_change=np.inf)
    space = {"learning_rate_init": loguniform(1e-4, 1e0)}
    options = {"cv": StratifiedKFold(3), "random_state": 1}
    ours = SweepSearchCV(estimator, space, method="halving", n_iter=9, **options).fit(x, y)
    assert alone[0] == 1
    theirs = HalvingRandomSearchCV(
        estimator, space, n_candidates=9, resource="max_iter", max_resources=18, min_resources=2,
        **options,
    ).fit(x, y)  # fmt: skip
    assert ours.n_resources_ == theirs.n_resources_ == [2, 6, 18]
    assert ours.n_candidates_ == theirs.n_candidates_ == [9, 3, 1]
    assert ours.cv_results_["iter"].tolist() == theirs.cv_results_["iter"].tolist()
    for name in ("n_resources", "mean_test_score"):
        np.testing.assert_allclose(
            ours.cv_results_[name][:9], theirs.cv_results_[name][:9], atol=1e-6
        )
    assert ours.best_params_["max_iter"] == 18
    assert ours.cv_results_["iter"][ours.best_index_] == 2


class Stub(ClassifierMixin, BaseEstimator):
    """Trains nothing, and is as good as it is said to be."""

    def __init__(self, max_iter=1, quality=0):
        self.max_iter, self.quality = max_iter, quality

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def score(self, X, y):
        return self.quality + self.max_iter / 1e6


@pytest.mark.filterwarnings("ignore:SweepSearchCV trains candidates one by one")
@pytest.mark.parametrize(
    ("n_iter", "factor", "max_iter", "min_resources"),
    [
        (9, 3, 18, "exhaust"),
        (9, 3, 18, "smallest"),
        (9, 3, 18, 4),
        (9, 3, 18, 18),
        (10, 3, 100, "exhaust"),
        (27, 3, 243, "exhaust"),
        (27, 3, 5, "exhaust"),
        (16, 2, 7, "exhaust"),
        (16, 2, 1000, "smallest"),
        (12, 2.5, 40, "exhaust"),
        (20, 1.5, 11, "smallest"),
        (1, 3, 10, "exhaust"),
        (2, 4, 1, "smallest"),
    ],
)
def test_the_rungs_of_a_halving_are_scikit_learns(data, n_iter, factor, max_iter, min_resources):
    options = {"factor": factor, "min_resources": min_resources, "cv": 2, "random_state": 0}
    ours = SweepSearchCV(
        Stub(max_iter), {"quality": uniform(0, 1)}, method="halving", n_iter=n_iter, **options
    ).fit(*data)
    theirs = HalvingRandomSearchCV(
        Stub(), {"quality": uniform(0, 1)}, n_candidates=n_iter, resource="max_iter",
        max_resources=max_iter, **options,
    ).fit(*data)  # fmt: skip
    for name in (
        "n_resources_", "n_candidates_", "n_iterations_", "n_required_iterations_",
        "n_possible_iterations_", "n_remaining_candidates_", "min_resources_", "max_resources_",
        "best_params_", "best_score_",
    ):  # fmt: skip
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.best_score_ == max(ours.cv_results_["mean_test_score"])


@pytest.mark.filterwarnings("ignore:SweepSearchCV trains candidates one by one")
def test_random_folds_are_the_same_for_all_rungs(data):
    seen, folds = [], ShuffleSplit(2, random_state=np.random.RandomState(0))

    def scored(estimator, X, y):
        seen.append(X[:, 0].tolist())
        return estimator.quality

    SweepSearchCV(
        Stub(9), {"quality": [0, 1, 2]}, method="halving", n_iter=3, cv=folds,
        scoring=scored, refit=False,
    ).fit(*data)  # fmt: skip
    # three candidates, then the best one
    assert len(seen) == 2 * 4
    assert seen[::2] == [seen[0]] * 4
    assert seen[1::2] == [seen[1]] * 4
    assert seen[0] != seen[1]


@pytest.mark.slow
def test_optuna_proposes_candidates_of_each_kind(data, alone):
    x, y = data
    space = [
        {"learning_rate_init": loguniform(1e-4, 1e-1), "hidden_layer_sizes": [(4,), (8,)]},
        {"alpha": uniform(0, 0.1), "batch_size": randint(20, 31)},
    ]
    options = {"method": "optuna", "n_iter": 12, "cv": 2, "random_state": 0, "refit": False}
    search = SweepSearchCV(SHORT, space, **options).fit(x, y)
    assert alone[0] == 0
    found = search.cv_results_["params"]
    assert len(found) == 12
    assert {tuple(one) for one in found} == {tuple(one) for one in space}
    assert all(1e-4 <= one.get("learning_rate_init", 1e-3) <= 1e-1 for one in found)
    assert all(20 <= one.get("batch_size", 20) <= 30 for one in found)
    again = SweepSearchCV(SHORT, space, **options).fit(x, y)
    assert again.cv_results_["params"] == found
    with pytest.raises(ValueError, match="param_distributions got alpha with norm; expected"):
        SweepSearchCV(SHORT, {"alpha": norm()}, method="optuna", cv=2).fit(x, y)


@pytest.mark.parametrize(
    ("estimator", "space", "why"),
    [
        (clone(SHORT).set_params(n_networks=2), RATES, "n_networks is above 1"),
        (SHORT, {"shuffle": [False]}, "shuffle is off"),
        (clone(SHORT).set_params(random_state=None, early_stopping=True), RATES, "random_state"),
        (LogisticRegression(), {"C": [0.1, 1.0]}, "LogisticRegression is no network"),
    ],
)
def test_what_is_no_lane_is_trained_by_itself(data, alone, estimator, space, why):
    x, y = data
    search = SweepSearchCV(estimator, space, n_iter=1, cv=2, refit=False)
    with pytest.warns(UserWarning, match=f"trains candidates one by one: .*{why}"):
        search.fit(x, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.studies_ == []


def test_ten_lines_of_a_newcomer():
    names = {}
    code = """
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from jaxnn.estimators import JaxMLPClassifier, SweepSearchCV
import pandas as pd
x, y = load_wine(return_X_y=True, as_frame=True)
network = JaxMLPClassifier((16,), max_iter=30, random_state=0)
rates = {"jaxmlpclassifier__learning_rate_init": [0.001, 0.01, 0.1]}
search = SweepSearchCV(make_pipeline(StandardScaler(), network), rates, n_iter=3).fit(x, y)
results = pd.DataFrame(search.cv_results_).sort_values("rank_test_score")
"""
    exec(code, names)
    assert names["results"]["mean_test_score"].iloc[0] > 0.95
    assert names["search"].score(names["x"], names["y"]) > 0.97


@pytest.mark.filterwarnings("ignore:.*(diverge|non-finite|not finite|Scoring failed)")
def test_a_candidate_that_diverges_is_last(data):
    x, y = data
    space = {"learning_rate_init": [1e30, 2e-2], "solver": ["gd"]}
    search = SweepSearchCV(FAST, space, n_iter=2, cv=3).fit(x, y)
    order = [params["learning_rate_init"] for params in search.cv_results_["params"]]
    assert np.isnan(search.cv_results_["mean_test_score"][order.index(1e30)])
    assert search.best_params_["learning_rate_init"] == 2e-2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_iter": 0}, "n_iter got 0; expected a whole number >= 1"),
        ({"param_distributions": {"alpha": [-1.0]}}, "alpha got -1.0; expected a finite"),
        (
            {"method": "hyperband"},
            "method got 'hyperband'; expected 'random', 'grid', 'halving' or 'optuna'",
        ),
        ({"method": "halving", "factor": 1}, "factor got 1; expected a number > 1"),
        (
            {"method": "halving", "min_resources": 5},
            "min_resources got 5; expected at most max_iter, which is 4",
        ),
        ({"method": "halving", "min_resources": "all"}, "min_resources got 'all'; expected"),
        (
            {"method": "halving", "param_distributions": {"max_iter": [3, 4]}},
            "param_distributions got max_iter; expected others",
        ),
        ({"cv": 1}, "The 'cv' parameter of SweepSearchCV must be an int in the range"),
    ],
)
def test_bad_options(data, options, message):
    given = {"estimator": SHORT, "param_distributions": RATES, "n_iter": 1, "cv": 2, **options}
    with pytest.raises(ValueError, match=message):
        SweepSearchCV(**given).fit(*data)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning", "ignore:.*non-finite")
def test_a_candidate_that_cannot_be_fitted_has_the_error_score(data, alone):
    x, y = data
    space = {"alpha": [0.1, -1.0, 1.0]}
    options = {"method": "grid", "cv": 2, "refit": False}
    search = SweepSearchCV(SHORT, space, **options).fit(x, y)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [False, True, False]
    assert alone[0] == 0
    with pytest.raises(ValueError, match=r"^alpha got -1.0; expected"):
        SweepSearchCV(SHORT, space, error_score="raise", **options).fit(x, y)


def test_without_a_random_state_networks_differ_from_call_to_call(data):
    x, y = data
    anyone = clone(FAST).set_params(random_state=None, max_iter=2)
    options = {"method": "grid", "cv": 2, "refit": False}
    one, two = (SweepSearchCV(anyone, {"alpha": [0.1]}, **options).fit(x, y) for _ in range(2))
    assert one.study_.curves["cost"][0, 0, 0] != two.study_.curves["cost"][0, 0, 0]


def test_n_jobs_changes_nothing(data):
    x, y = data
    options = {"n_iter": 1, "cv": 2, "refit": False, "random_state": 0}
    one, two = (SweepSearchCV(SHORT, RATES, n_jobs=n, **options).fit(x, y) for n in (None, 2))
    np.testing.assert_array_equal(
        one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"]
    )


def test_a_network_that_is_still_improving_is_told(data):
    x, y = data
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(4\) reached"):
        SweepSearchCV(clone(SHORT).set_params(tol=0), RATES, n_iter=1, cv=2).fit(x, y)
