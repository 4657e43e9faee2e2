"""scikit-learn's own checks of its estimators, and agreement with ours and with its searches."""

import warnings

import numpy as np
import pytest
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import RandomizedSearchCV, StratifiedKFold, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import jaxnn
from jaxnn.estimators import JaxMLPClassifier, SweepSearchCV

FAST = JaxMLPClassifier((8,), max_iter=40, learning_rate_init=0.02, random_state=0)


@pytest.mark.slow
@parametrize_with_checks([FAST])
def test_scikit_learn_accepts_the_classifier(estimator, check):
    check(estimator)


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
