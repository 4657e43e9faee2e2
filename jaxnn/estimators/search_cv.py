"""scikit-learn's search over candidates and folds, as lanes of a few programs."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import rankdata

from jaxnn.data.datasets import Dataset
from jaxnn.data.splits import of_one_size
from jaxnn.engine.devices import train_to_ends
from jaxnn.engine.feeds import Feed, empty_record
from jaxnn.engine.jobs import open_job
from jaxnn.engine.options import Options
from jaxnn.estimators.classifier import JaxMLPClassifier
from jaxnn.estimators.networks import NetworkEstimator
from jaxnn.estimators.options import seed_of
from jaxnn.planning.plans import Plan
from jaxnn.searching.studies import Study
from jaxnn.system.checks import needs, whole_number
from jaxnn.system.terminal import warn_caller
from jaxnn.training.recipes import recipes

with needs("sklearn", "scikit-learn"):
    from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
    from sklearn.model_selection import ParameterSampler, RandomizedSearchCV, check_cv
    from sklearn.utils import get_tags
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.validation import check_is_fitted


LEARNED = ("classes_", "n_features_in_", "feature_names_in_")
"""What an estimator learns of its data."""

_has_best = available_if(lambda search: search.refit)


class SweepSearchCV(MetaEstimatorMixin, BaseEstimator):
    """RandomizedSearchCV for a network of ours, trained in a few compiled programs.

    The same arguments give the same candidates and folds as in scikit-learn. All candidates train
    on all folds at once, each as the estimator alone would, and is scored as by its `score`:
    accuracy or r2. One difference remains: a network has an output for every class, even if its
    fold has no example of the class.

    Candidates with early_stopping, class_weight, n_networks or without shuffle are trained one by
    one, by RandomizedSearchCV, with a warning.

    Args:
      estimator: a `JaxMLPClassifier` or `JaxMLPRegressor`; None is a classifier with its defaults.
      param_distributions: name -> list of values, or distribution of SciPy; or a list of such.
      n_iter: candidates; if all are lists, no more than there are combinations.
      cv: a number of folds, a splitter, or an iterable of (train, test) rows; None is 5 folds.
      refit: whether to train the best candidate again on all data.
      random_state: the seed of the candidates.

    Attributes:
      cv_results_: a dict of arrays with RandomizedSearchCV's names; times are those of the search
        divided by the number of networks.
      best_index_, best_params_, best_score_, n_splits_, classes_: as in RandomizedSearchCV.
      best_estimator_, refit_time_: with refit only.
      study_: the `jaxnn.Study` of all candidates, unless they were trained one by one.

    >>> x = np.random.default_rng(0).normal(size=(80, 2))
    >>> space = {"learning_rate_init": [1e-4, 1e-3, 1e-2, 1e-1]}
    >>> estimator = JaxMLPClassifier((8,), max_iter=20, random_state=0)
    >>> search = SweepSearchCV(estimator, space, n_iter=4, cv=2).fit(x, x[:, 0] > 0)
    >>> search.best_params_["learning_rate_init"] > 1e-3, len(search.cv_results_["params"])
    (True, 4)
    """

    def __init__(
        self,
        estimator: Any = None,
        param_distributions: Any = None,
        *,
        n_iter: int = 10,
        cv: Any = None,
        refit: bool = True,
        random_state: Any = None,
    ):
        self.estimator = estimator
        self.param_distributions = param_distributions
        self.n_iter = n_iter
        self.cv = cv
        self.refit = refit
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "SweepSearchCV":
        """Trains all candidates on all folds.

        A candidate with a network that diverged has the score NaN and the last rank; a warning
        shows the scores.

        Raises:
          ValueError: bad input; or with refit, all candidates diverged. `cv_results_` and `study_`
            are set in that case.
        """
        estimator = self._estimator
        if not isinstance(estimator, NetworkEstimator):
            raise ValueError(
                f"SweepSearchCV got the estimator {estimator!r}; expected a JaxMLPClassifier or a "
                "JaxMLPRegressor"
            )
        space = self.param_distributions or {"learning_rate_init": [1e-3, 1e-2, 1e-1]}
        num_candidates = whole_number("n_iter", self.n_iter, 1)
        params = list(ParameterSampler(space, num_candidates, random_state=self.random_state))
        candidates = [_candidate(estimator, one) for one in params]
        if reasons := {why for one in candidates if (why := _no_lane(one))}:
            return self._fit_one_by_one(estimator, space, num_candidates, X, y, reasons)
        typical = clone(estimator)
        data = typical.data(X, y)
        _copy(typical, self, LEARNED)
        targets = data.original_y
        splitter = check_cv(self.cv, targets, classifier=not data.is_real)
        rows = list(splitter.split(data.original, targets))
        if not rows:
            raise ValueError("cv got no splits; expected one at least")
        self.n_splits_ = len(rows)
        start = time.perf_counter()
        scores = self._scores(candidates, data, rows, _seeds(candidates, params))
        self.cv_results_ = _results(params, scores, (time.perf_counter() - start) / scores.size)
        self._tell_of_divergence()
        self.best_index_ = int(self.cv_results_["rank_test_score"].argmin())
        self.best_params_ = self.cv_results_["params"][self.best_index_]
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        if self.refit:
            start = time.perf_counter()
            self.best_estimator_ = _candidate(estimator, self.best_params_).fit(X, y)
            self.refit_time_ = time.perf_counter() - start
        return self

    def _tell_of_divergence(self) -> None:
        scores = self.cv_results_["mean_test_score"]
        if np.isfinite(scores).all():
            return
        if self.refit and not np.isfinite(scores).any():
            raise ValueError(
                f"of each of the {len(scores)} candidates a network diverged, so there is no best "
                "one to train again; expected lower values of learning_rate_init, or smaller "
                'inputs (inputs="standardised")'
            )
        warn_caller(
            "One or more of the test scores are non-finite, since networks diverged: "
            f"{scores.tolist()}"
        )

    def _scores(
        self, candidates: list[Any], data: Dataset, rows: list[Any], seeds: list[int]
    ) -> np.ndarray:
        """Returns accuracies (candidates, folds) on each fold's held-out part."""
        rows = [[_rows(len(data), part, fold) for part in parts] for fold, parts in enumerate(rows)]
        trains, tests = (of_one_size(data, parts) for parts in zip(*rows, strict=True))
        parts: Any = list(zip(trains, tests, strict=True))
        train, sizes = trains[0], [len(part) for part, _ in rows]
        ends = [whole_number("max_iter", one.max_iter, 1) for one in candidates]
        options = Options(folds=len(parts), progress=False, metric=candidates[0].score_name)
        # mini-batch sizes, and numbers that depend on them, follow the size of each fold
        of_size = {
            size: [
                one._replace(seed=seed)
                for one, seed in zip(
                    recipes([one.setting(size) for one in candidates], train, None),
                    seeds,
                    strict=True,
                )
            ]
            for size in {*sizes}
        }
        prepared = of_size[max(sizes)]
        options = options.ranked(prepared)
        plan = _for_seeds(options.plan(prepared, train, max(ends)), seeds)
        given = [one.setting for one in prepared]
        study = empty_record(Study, options, parts, plan, epochs=max(ends))
        feed = Feed(record=study, folds=parts)
        with open_job(study, options, feed, sum(ends) * len(parts)) as job:
            fold_recipes = [of_size[size] for size in sizes]
            train_to_ends(job, job.add(given, prepared, plan, fold_recipes=fold_recipes, ends=ends))
        self.study_ = study
        return study.values

    @property
    def _estimator(self) -> Any:
        return JaxMLPClassifier() if self.estimator is None else self.estimator

    def _fit_one_by_one(
        self, estimator: Any, space: Any, n_iter: int, X: Any, y: Any, reasons: set[str]
    ) -> "SweepSearchCV":
        """Searches as scikit-learn does, where candidates cannot be lanes."""
        why = ", ".join(sorted(reasons))
        warn_caller(f"SweepSearchCV trains its candidates one by one, since some have {why}")
        search = RandomizedSearchCV(
            estimator, space, n_iter=n_iter, cv=self.cv, refit=self.refit,
            random_state=self.random_state,
        )  # fmt: skip
        search.fit(X, y)
        _copy(search, self, [name for name in vars(search) if name.endswith("_")])
        _copy(search, self, LEARNED if self.refit else ())
        return self

    @_has_best
    def predict(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self.best_estimator_.predict(X)

    @_has_best
    def predict_proba(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self.best_estimator_.predict_proba(X)

    @_has_best
    def score(self, X: Any, y: Any) -> float:
        """The accuracy of the best estimator, or its r2."""
        check_is_fitted(self)
        return float(self.best_estimator_.score(X, y))

    def __sklearn_tags__(self) -> Any:
        tags, own = super().__sklearn_tags__(), get_tags(self._estimator)
        tags.estimator_type, tags.input_tags = own.estimator_type, own.input_tags
        tags.classifier_tags, tags.regressor_tags = own.classifier_tags, own.regressor_tags
        tags.target_tags = own.target_tags
        return tags


def _copy(source: Any, target: Any, names: Iterable[str]) -> None:
    """Copies attributes that are there."""
    for name in names:
        if hasattr(source, name):
            setattr(target, name, getattr(source, name))


def _no_lane(candidate: Any) -> str:
    """Returns the option because of which a candidate cannot be a lane, or ""."""
    usual = {"early_stopping": False, "class_weight": None, "n_networks": 1, "shuffle": True}
    options = candidate.get_params(deep=False)
    return next((name for name, value in usual.items() if options.get(name, value) != value), "")


def _candidate(estimator: Any, params: dict[str, Any]) -> Any:
    """Returns a clone of the estimator with cloned parameters, as in scikit-learn."""
    return clone(estimator).set_params(**clone(params, safe=False))


def _rows(num_examples: int, part: Any, fold: int) -> np.ndarray:
    """Returns one part of a split as rows."""
    try:
        rows = np.arange(num_examples)[part]
    except IndexError as error:
        raise ValueError(
            f"cv got a split, number {fold}, whose rows do not fit: {error}; expected row numbers "
            f"below {num_examples}, or a mask"
        ) from None
    if rows.ndim != 1 or not rows.size:
        raise ValueError(
            f"cv got a split, number {fold}, with an empty part; expected rows to train on and "
            "rows to test on"
        )
    return rows


def _seeds(candidates: list[Any], params: list[dict[str, Any]]) -> list[int]:
    """Returns each candidate's seed: its own if it is searched, otherwise a common one."""
    shared: int | None = None
    seeds = []
    for one, own in zip(candidates, params, strict=True):
        if "random_state" in own:
            seeds.append(seed_of(one.random_state))
            continue
        shared = seed_of(one.random_state) if shared is None else shared
        seeds.append(shared)
    return seeds


def _for_seeds(plan: Plan, seeds: list[int]) -> Plan:
    """Returns the plan with chunks no larger than the number of lanes that share a seed."""
    if len({*seeds}) == 1:
        return plan
    programs = []
    for one in plan.programs:
        most = max(Counter(seeds[number] for number in one.settings).values())
        programs.append(replace(one, chunk=min(one.chunk, 1 << (most - 1).bit_length())))
    return replace(plan, programs=tuple(programs))


def _results(params: list[dict[str, Any]], scores: np.ndarray, seconds: float) -> dict[str, Any]:
    mean = scores.mean(axis=1)
    count, zeros = len(params), np.zeros(len(params))
    worst_last = np.where(np.isfinite(mean), mean, -np.inf)
    results: dict[str, Any] = {
        "mean_fit_time": np.full(count, seconds),
        "std_fit_time": zeros,
        "mean_score_time": zeros,
        "std_score_time": zeros,
    }
    for name in dict.fromkeys(name for one in params for name in one):
        values = np.empty(count, object)
        values[:] = [one.get(name) for one in params]
        is_missing = [name not in one for one in params]
        results[f"param_{name}"] = np.ma.MaskedArray(values, mask=is_missing)
    results["params"] = params
    for fold, column in enumerate(scores.T):
        results[f"split{fold}_test_score"] = column
    results["mean_test_score"], results["std_test_score"] = mean, scores.std(axis=1)
    results["rank_test_score"] = rankdata(-worst_last, method="min").astype(np.int32)
    return results
