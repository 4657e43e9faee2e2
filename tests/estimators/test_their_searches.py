"""scikit-learn's own tests of its searches, with ours in their place.

The tests are those of the installed version. They are run as they are, but for the classes below,
which have scikit-learn's arguments. Hardly one of the estimators in these tests can be a lane: that
they are trained one by one must change nothing.
"""

import inspect

import numpy as np
import pytest
from helpers.theirs import Theirs
from sklearn.model_selection import ParameterGrid
from sklearn.model_selection._search import BaseSearchCV

from jaxnn.estimators import SweepSearchCV, search_cv

# scikit-learn's own runs let warnings pass
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


OF_ALL = set(inspect.signature(BaseSearchCV).parameters)


def begin(search, given):
    """Gives a search those of its arguments that all searches have."""
    own = {name: value for name, value in given.items() if name in OF_ALL}
    BaseSearchCV.__init__(search, **own)


class GridSearchCV(SweepSearchCV):
    method = "grid"

    def __init__(
        self, estimator, param_grid, *, scoring=None, n_jobs=None, refit=True, cv=None, verbose=0,
        pre_dispatch="2*n_jobs", error_score=np.nan, return_train_score=False,
    ):  # fmt: skip
        begin(self, locals())
        self.param_grid = param_grid

    @property
    def param_distributions(self):
        return self.param_grid


class RandomizedSearchCV(SweepSearchCV):
    method = "random"

    def __init__(
        self, estimator, param_distributions, *, n_iter=10, scoring=None, n_jobs=None, refit=True,
        cv=None, verbose=0, pre_dispatch="2*n_jobs", random_state=None, error_score=np.nan,
        return_train_score=False,
    ):  # fmt: skip
        begin(self, locals())
        self.param_distributions, self.n_iter = param_distributions, n_iter
        self.random_state = random_state


class HalvingRandomSearchCV(SweepSearchCV):
    """Ours raises max_iter; here it raises what their tests raise.

    Where that is the number of examples, a parameter that their classifiers do not use takes its
    place: how many candidates train for how long is the same.
    """

    method = "halving"

    def __init__(
        self, estimator, param_distributions, *, n_candidates="exhaust", factor=3,
        resource="n_samples", max_resources="auto", min_resources="smallest",
        aggressive_elimination=False, cv=5, scoring=None, refit=True, error_score=np.nan,
        return_train_score=True, random_state=None, n_jobs=None, verbose=0,
    ):  # fmt: skip
        begin(self, locals())
        self.param_distributions, self.n_candidates = param_distributions, n_candidates
        self.factor, self.resource, self.max_resources = factor, resource, max_resources
        self.min_resources, self.random_state = min_resources, random_state
        self.aggressive_elimination = aggressive_elimination

    @property
    def n_iter(self):
        if self.n_candidates == "exhaust":
            return self.most_ // (1 if self.min_resources == "smallest" else self.min_resources)
        return self.n_candidates

    def _resource(self):
        name = self.resource
        if name == "n_samples":
            name = "z" if "z" in self.estimator.get_params() else "max_iter"
        return name, self.most_

    def fit(self, X, y, **params):
        self.most_ = len(X) if self.max_resources == "auto" else self.max_resources
        return super().fit(X, y, **params)


SHARED = set(inspect.signature(HalvingRandomSearchCV).parameters) - {"estimator"}


class HalvingGridSearchCV(HalvingRandomSearchCV):
    """The candidates of a grid, in another order."""

    def __init__(
        self, estimator, param_grid, *, factor=3, resource="n_samples", max_resources="auto",
        min_resources="exhaust", aggressive_elimination=False, cv=5, scoring=None, refit=True,
        error_score=np.nan, return_train_score=True, random_state=None, n_jobs=None, verbose=0,
    ):  # fmt: skip
        options = {name: value for name, value in locals().items() if name in SHARED}
        super().__init__(estimator, param_grid, **options)
        self.param_grid = param_grid

    @property
    def n_iter(self):
        return len(ParameterGrid(self.param_distributions))


OURS = {one.__name__: one for one in (GridSearchCV, RandomizedSearchCV)}
HALVING = {one.__name__: one for one in (HalvingGridSearchCV, HalvingRandomSearchCV)}
CALLBACKS = "not applicable: callbacks"
SEARCHES = Theirs(
    "sklearn.model_selection.tests.test_search",
    OURS,
    {
        "test_custom_run_search": "not applicable: compares with attributes of another search",
        "test_search_callbacks_no_propagation": CALLBACKS,
        "test_search_callbacks_propagation": CALLBACKS,
        "test_search_callbacks_receive_sample_weight": CALLBACKS,
        "test_search_callbacks_with_partial_fit_failures": CALLBACKS,
    },
)
EXAMPLES = "not applicable: examples as the resource of a halving"
ELIMINATION = "not applicable: aggressive elimination"
WORDS = "an error has other words"
PRIVATE = "not applicable: a private method"
SMALLEST = [
    f"test_min_max_resources[{case}-list-{name}]"
    for case in ("smallest-auto-2-4", "smallest-30-1-1", "exhaust-50-1-1", "exhaust-20-1-1")
    for name in HALVING
]
HALVINGS = Theirs(
    "sklearn.model_selection.tests.test_successive_halving",
    HALVING,
    {
        **dict.fromkeys(SMALLEST, EXAMPLES),
        **{
            f"test_aggressive_elimination[{case}-list-list-{name}]": reason
            for case, reason in (
                ("True-limited-4-4-3-1", ELIMINATION),
                ("False-limited-3-4-3-3", EXAMPLES),
            )
            for name in HALVING
        },
        "test_base_estimator_inputs": EXAMPLES,
        "test_cv_results": EXAMPLES,
        "test_halving_random_search_list_of_dicts": EXAMPLES,
        "test_min_resources_null": EXAMPLES,
        "test_input_errors": "errors have other words; random folds are drawn once, and allowed",
        "test_input_errors_randomized": "not applicable: n_iter is a number",
        "test_resource_parameter": WORDS,
        "test_select_best_index": PRIVATE,
    },
)


@pytest.fixture
def silent(monkeypatch):
    """Some of their tests count warnings. Ours, that there are no lanes, is tested elsewhere."""
    monkeypatch.setattr(search_cv, "warn_caller", lambda message: None)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(("test", "arguments"), SEARCHES.cases)
def test_their_searches_are_ours(test, arguments, request, monkeypatch):
    SEARCHES.run(test, arguments, request, monkeypatch)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(("test", "arguments"), HALVINGS.cases)
def test_their_halvings_are_ours(test, arguments, request, monkeypatch):
    HALVINGS.run(test, arguments, request, monkeypatch)


@pytest.mark.parametrize("theirs", [SEARCHES, HALVINGS])
def test_the_table_names_tests_that_there_are(theirs):
    theirs.check_table()
