"""scikit-learn's search over candidates and folds, as lanes of a few programs."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from jaxnn.estimators.candidates import Split, proposed, trained_ahead
from jaxnn.estimators.lanes import ahead
from jaxnn.estimators.options import seed_of
from jaxnn.searching.studies import Study
from jaxnn.system.checks import either, needs, whole_number
from jaxnn.system.terminal import warn_caller

with needs("sklearn", "scikit-learn"):
    import joblib
    from sklearn.model_selection import ParameterGrid, ParameterSampler
    from sklearn.model_selection._search import BaseSearchCV
    from sklearn.pipeline import Pipeline
    from sklearn.utils import indexable


Results = Mapping[str, Any]
"""The `cv_results_` of all candidates so far."""

BATCH = 8
"""Candidates that Optuna proposes at a time."""

Evaluate = Callable[..., Results]
"""Trains and scores candidates; further arguments are columns of the results."""


class Splits(list[Split]):
    """Rows of folds that are known, as a splitter, so that a random one draws them once."""

    def split(self, *given: Any, **more: Any) -> "Splits":
        """Returns the rows."""
        return self


class SweepSearchCV(BaseSearchCV):
    """RandomizedSearchCV, GridSearchCV or HalvingRandomSearchCV, whose networks train as lanes.

    All candidates are trained on all folds at once, in a few compiled programs, before scikit-learn
    scores them one by one: each network is the one that the estimator trains alone, and all else
    is scikit-learn's. The same arguments give the same candidates, folds and scores.

    The estimator is a `JaxMLPClassifier` or a `JaxMLPRegressor`, or a Pipeline whose last step is
    one; parameters of earlier steps are searched like others, and these steps are fitted on each
    fold's training part. What cannot be a lane is trained by itself, with a warning: candidates
    with `n_networks` above 1 or without `shuffle`, and other estimators.

    Args:
      estimator: the estimator or pipeline.
      param_distributions: name -> list of values, or distribution of SciPy; or a list of such.
      method: "random", "grid" (lists alone, all combinations), or "halving": `n_iter` candidates
        begin with few epochs, the best 1 / factor of them train for factor times as many, until the
        last ones train for `max_iter` epochs. "optuna": what TPE proposes, of lists and SciPy's
        uniform, loguniform and randint; needs the extra "optuna".
      n_iter: candidates of all methods but "grid".
      factor: the ratio of two rungs of "halving".
      min_resources: epochs of its first rung: "exhaust" is as many as let the last one reach
        `max_iter`, "smallest" is 1.
      scoring: None (accuracy or r2), a name, a callable, or a list, tuple or dict of several, as in
        scikit-learn; predictions of all candidates come from one pass.
      refit: whether to train the best candidate again on all data; with several scores the name of
        one; or a callable that returns the index of the best.
      cv: a number of folds, a splitter, or an iterable of (train, test) rows; None is 5 folds.
      n_jobs: is accepted and not used: lanes take all cores and devices.
      verbose, error_score, return_train_score: as in scikit-learn.
      random_state: the seed of the candidates.

    Attributes:
      cv_results_, best_index_, best_params_, best_score_, best_estimator_, scorer_, n_splits_,
        refit_time_, multimetric_, classes_, n_features_in_, feature_names_in_: as in scikit-learn.
      n_candidates_, n_resources_, n_iterations_, n_required_iterations_, n_possible_iterations_,
        n_remaining_candidates_, min_resources_, max_resources_: of "halving", as there.
      studies_: the `jaxnn.Study` of the candidates of each rung and each choice of earlier steps;
        study_ is the last one.

    >>> from jaxnn.estimators import JaxMLPClassifier
    >>> x = np.random.default_rng(0).normal(size=(80, 2))
    >>> space = {"learning_rate_init": [1e-4, 1e-3, 1e-2, 1e-1]}
    >>> estimator = JaxMLPClassifier((8,), max_iter=500, tol=1e-3, random_state=0)
    >>> search = SweepSearchCV(estimator, space, n_iter=4, cv=2).fit(x, x[:, 0] > 0)
    >>> search.best_params_["learning_rate_init"] > 1e-3, len(search.cv_results_["params"])
    (True, 4)
    """

    def __init__(
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        method: str = "random",
        n_iter: int = 10,
        factor: float = 3,
        min_resources: int | str = "exhaust",
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        random_state: Any = None,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ):
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.param_distributions = param_distributions
        self.method = method
        self.n_iter = n_iter
        self.factor = factor
        self.min_resources = min_resources
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Trains and scores all candidates on all folds, and the best one on all data.

        Args:
          X: inputs (N, F).
          y: targets.
          params: `groups` for the splitter, and arguments of the estimator's `fit`, such as
            sample_weight; with scikit-learn's metadata routing, what was requested.
        """
        either("method", self.method, *STRATEGIES)
        self._given = indexable(X, y)
        self.studies_: list[Study] = []
        try:
            # lanes take all cores: scikit-learn's loop only scores
            with joblib.parallel_config(backend="sequential"):
                super().fit(X, y, **params)
        finally:
            del self._given
            self.__dict__.pop("_routed", None)
        if self.studies_:
            self.study_ = self.studies_[-1]
        return self

    def _get_routed_params_for_fit(self, params: Mapping[str, Any]) -> Any:
        """Keeps what scikit-learn says about which argument is for what."""
        self._routed = super()._get_routed_params_for_fit(params)
        return self._routed

    def _run_search(self, evaluate_candidates: Any) -> None:
        X, y = self._given
        splits = Splits(self._checked_cv_orig.split(X, y, **self._routed.splitter.split))

        def evaluate(candidates: Sequence[dict[str, Any]], **more: Sequence[Any]) -> Results:
            found = trained_ahead(
                self.estimator,
                candidates,
                (X, y, self._routed.estimator.fit),
                splits,
                is_train_scored=self.return_train_score,
                earlier=self.studies_,
            )
            self.studies_ += found.studies
            if found.remark:
                warn_caller(f"SweepSearchCV trains candidates one by one: {found.remark}")
            with ahead(found.networks):
                results: Results = evaluate_candidates(candidates, splits, more_results=more)
            return results

        STRATEGIES[self.method](self, evaluate)

    def _resource(self) -> tuple[str, int]:
        """Returns the parameter that a halving raises, and its largest value."""
        is_pipeline = isinstance(self.estimator, Pipeline)
        name = f"{self.estimator.steps[-1][0]}__max_iter" if is_pipeline else "max_iter"
        return name, whole_number(name, self.estimator.get_params()[name], 1)

    @staticmethod
    def _select_best_index(refit: Any, refit_metric: str, results: Results) -> int:
        """Returns the best candidate; of a halving, of the last rung."""
        if callable(refit) or "iter" not in results:
            return int(BaseSearchCV._select_best_index(refit, refit_metric, results))
        rows = np.flatnonzero(results["iter"] == results["iter"].max())
        ranks = results[f"rank_test_{refit_metric}"][rows]
        return int(rows[ranks.argmin()])


def random(search: Any, evaluate: Evaluate) -> None:
    """Evaluates candidates of RandomizedSearchCV."""
    evaluate(_drawn(search))


def grid(search: Any, evaluate: Evaluate) -> None:
    """Evaluates all combinations."""
    evaluate([*ParameterGrid(search.param_distributions)])


def halving(search: Any, evaluate: Evaluate) -> None:
    """Evaluates rungs of fewer and fewer candidates, for more and more epochs.

    As HalvingRandomSearchCV with the resource max_iter: the last rung has less than `factor`
    candidates and at most the `max_iter` epochs of the estimator, and each rung `factor` times the
    epochs of the one before. A rung trains its candidates from the start.
    """
    if not isinstance(search.factor, int | float) or not search.factor > 1:
        raise ValueError(f"factor got {search.factor!r}; expected a number > 1 such as 3")
    candidates, factor = _drawn(search), search.factor
    name, most = search._resource()
    if any(name in one for one in candidates):
        raise ValueError(
            f"param_distributions got {name}; expected others, since a halving sets it"
        )
    required = 1 + math.floor(math.log(len(candidates), factor))
    least: float = 1
    if search.min_resources == "exhaust":
        least = max(1, most // factor ** (required - 1))
    elif search.min_resources != "smallest":
        if isinstance(search.min_resources, str) or search.min_resources is None:
            raise ValueError(
                f"min_resources got {search.min_resources!r}; expected 'exhaust', 'smallest', or "
                "a number of epochs"
            )
        least = whole_number("min_resources", search.min_resources, 1)
    if least > most:
        raise ValueError(f"min_resources got {least}; expected at most {name}, which is {most}")
    possible = 1 + math.floor(math.log(most // least, factor))
    search.min_resources_, search.max_resources_ = least, most
    search.n_required_iterations_, search.n_possible_iterations_ = required, possible
    search.n_iterations_ = min(possible, required)
    search.n_resources_, search.n_candidates_ = [], []
    for rung in range(search.n_iterations_):
        count, epochs = len(candidates), min(most, int(factor**rung * least))
        search.n_resources_.append(epochs)
        search.n_candidates_.append(count)
        candidates = [{**one, name: epochs} for one in candidates]
        results = evaluate(candidates, iter=[rung] * count, n_resources=[epochs] * count)
        scores = _scores(search, results)[-count:]
        order = np.argsort(-np.where(np.isfinite(scores), scores, -np.inf), kind="stable")
        candidates = [candidates[row] for row in order[: math.ceil(count / factor)]]
    search.n_remaining_candidates_ = len(candidates)


def optuna(search: Any, evaluate: Evaluate) -> None:
    """Evaluates what Optuna's TPE sampler proposes, BATCH candidates at a time."""
    with needs("optuna", "Optuna"):
        from optuna import create_study
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

    given = search.param_distributions
    spaces = [given] if isinstance(given, Mapping) else list(given)
    sampler = TPESampler(seed=seed_of(search.random_state) % 2**31, constant_liar=True)
    study, count = create_study(sampler=sampler, direction="maximize"), 0
    total = whole_number("n_iter", search.n_iter, 1)
    while count < total:
        trials = [study.ask() for _ in range(min(BATCH, total - count))]
        candidates = [proposed(trial, spaces) for trial in trials]
        count += len(trials)
        scores = _scores(search, evaluate(candidates))[-len(trials) :]
        for trial, score in zip(trials, scores, strict=True):
            if np.isfinite(score):
                study.tell(trial, float(score))
            else:
                study.tell(trial, state=TrialState.FAIL)


def _drawn(search: Any) -> list[dict[str, Any]]:
    count = whole_number("n_iter", search.n_iter, 1)
    sampler = ParameterSampler(search.param_distributions, count, random_state=search.random_state)
    return list(sampler)


def _scores(search: Any, results: Results) -> np.ndarray:
    """Returns the mean scores by which candidates are kept."""
    name = search.refit if isinstance(search.refit, str) else "score"
    if f"mean_test_{name}" not in results:
        raise ValueError(
            f"refit got {search.refit!r}; expected the name of the score by which a halving keeps "
            "candidates"
        )
    scores: np.ndarray = results[f"mean_test_{name}"]
    return scores


STRATEGIES: dict[str, Callable[[Any, Evaluate], None]] = {
    "random": random,
    "grid": grid,
    "halving": halving,
    "optuna": optuna,
}
"""The method -> what evaluates its candidates. Add a row to add a method."""
