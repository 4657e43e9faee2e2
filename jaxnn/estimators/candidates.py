"""Candidates of a search, trained together where they can be lanes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxnn.estimators.lanes import Foreseen, train_together
from jaxnn.estimators.learning import Arrays, Key, Order
from jaxnn.estimators.networks import NetworkEstimator
from jaxnn.estimators.options import check_options, seed_of
from jaxnn.searching.studies import Study
from jaxnn.system.checks import needs

with needs("sklearn", "scikit-learn"):
    import joblib
    from sklearn import get_config
    from sklearn.base import clone
    from sklearn.pipeline import Pipeline
    from sklearn.utils.metadata_routing import process_routing
    from sklearn.utils.metaestimators import _safe_split
    from sklearn.utils.validation import _check_method_params


class Trained(NamedTuple):
    """What was trained ahead.

    Attributes:
      networks: the networks, by the keys of their orders.
      studies: the study of each group of candidates that were trained together.
      remark: why some candidates are left to scikit-learn's loop, or "".
    """

    networks: dict[Key, Foreseen]
    studies: list[Study]
    remark: str


Split = tuple[np.ndarray, np.ndarray]
"""The rows of a training and a test part."""


def trained_ahead(
    estimator: Any,
    candidates: Sequence[Mapping[str, Any]],
    given: tuple[Any, Any, Mapping[str, Any]],
    splits: Sequence[Split],
    *,
    is_train_scored: bool,
    earlier: Sequence[Study] = (),
) -> Trained:
    """Trains candidates on folds, those together that have the same data.

    Args:
      estimator: an estimator, or a pipeline.
      candidates: their parameters.
      given: X, y and further arguments of the estimator's `fit`.
      splits: the rows of each fold's training and test part.
      is_train_scored: whether predictions for training parts will be asked, too.
      earlier: studies of the same data, whose programs are compiled.

    Raises:
      ValueError: bad data.
    """
    reasons: dict[str, None] = {}
    X, y, arguments = given
    groups: dict[str, tuple[Any, Any, list[NetworkEstimator]]] = {}
    for params in candidates:
        one = clone(estimator).set_params(**clone(dict(params), safe=False))
        steps, network = _taken_apart(one)
        weights, others = _weights(one, arguments)
        if reason := _no_lane(network, others):
            reasons[reason] = None
            continue
        if not _is_fine(network):
            # fit says what is wrong, and error_score what follows
            continue
        key = joblib.hash((steps, _data_options(network), weights))
        groups.setdefault(key, (steps, weights, []))[2].append(network)
    networks: dict[Key, Foreseen] = {}
    studies: list[Study] = []
    known = [one for study in earlier for one in study.plan.programs]
    for steps, weights, members in groups.values():
        folds = [_fold(steps, members, (X, y, weights), split) for split in splits]
        if len({str(fold.orders[0].data[0].targets) for fold in folds}) > 1:
            reasons["the training parts of folds have different classes"] = None
            continue
        orders = [list(own) for own in zip(*(fold.orders for fold in folds), strict=True)]
        valid = [fold.valid for fold in folds if fold.valid is not None]
        inputs = [fold.inputs[: 1 + is_train_scored] for fold in folds]
        is_measured = len(valid) == len(folds)
        study, found = train_together(orders, valid if is_measured else None, inputs, known)
        networks |= found
        studies.append(study)
        known += study.plan.programs
    return Trained(networks, studies, "; ".join(reasons))


class _Fold(NamedTuple):
    """A fold of candidates that share their data.

    Attributes:
      orders: what each candidate is trained by.
      valid: the test part, for validation curves; None if it has unknown classes.
      inputs: of the test part, and of the training part.
    """

    orders: list[Order]
    valid: Arrays | None
    inputs: list[np.ndarray]


def _fold(
    steps: Any, members: Sequence[NetworkEstimator], given: tuple[Any, Any, Any], split: Split
) -> _Fold:
    X, y, weights = given
    train, test = split
    x_train, y_train = _safe_split(members[0], X, y, train)
    x_test, y_test = _safe_split(members[0], X, y, test, train)
    if steps is not None:
        x_train = steps.fit_transform(x_train, y_train)
        x_test = steps.transform(x_test)
    weights = _check_method_params(X, {"sample_weight": weights}, train)["sample_weight"]
    # copies, so that a random state is what it is for the estimator alone
    first, *others = map(clone, members)
    material, seed = first.material(x_train, y_train, weights)
    # the others have the same options of data
    orders = [first.order(material, seed)]
    orders += [one.order(material, seed_of(one.random_state)) for one in others]
    inputs = [first.inputs_of(x_test), first.inputs_of(x_train)]
    return _Fold(orders, first.known_part(x_test, y_test), inputs)


def _taken_apart(estimator: Any) -> tuple[Any, Any]:
    """Returns the earlier steps of a pipeline, or None, and the last."""
    if isinstance(estimator, Pipeline) and len(estimator.steps) > 1:
        return estimator[:-1], estimator.steps[-1][1]
    if isinstance(estimator, Pipeline):
        return None, estimator.steps[-1][1]
    return None, estimator


def _weights(estimator: Any, arguments: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Returns the weights that arguments of `fit` give to the network, and other arguments."""
    own, others = arguments, list[str]()
    if isinstance(estimator, Pipeline):
        *earlier, (last, _) = estimator.steps
        if get_config()["enable_metadata_routing"]:
            routed = process_routing(estimator, "fit", **arguments)
            own = routed.get(last, {}).get("fit", {})
            others = [
                f"{name} for {step}"
                for step, _ in earlier
                for names in routed.get(step, {}).values()
                for name in names
            ]
        else:
            prefix = f"{last}__"
            own = {
                name.removeprefix(prefix): arguments[name]
                for name in arguments
                if name.startswith(prefix)
            }
            others = [name for name in arguments if not name.startswith(prefix)]
    return own.get("sample_weight"), others + [name for name in own if name != "sample_weight"]


def _no_lane(network: Any, others: Sequence[str]) -> str:
    """Returns why a candidate cannot be a lane, or ""."""
    if not isinstance(network, NetworkEstimator):
        return f"{type(network).__name__} is no network of this package"
    if network.n_networks != 1:
        return "n_networks is above 1"
    if not network.shuffle:
        return "shuffle is off"
    if network.early_stopping and network.random_state is None:
        return "early_stopping came without a random_state"
    return f"fit got {', '.join(others)}" if others else ""


def _is_fine(network: NetworkEstimator) -> bool:
    """Whether all options are allowed, as far as that does not depend on the data."""
    try:
        check_options(network.get_params(deep=False))
        network.setting(2)
    except ValueError:
        return False
    return True


def _data_options(network: NetworkEstimator) -> tuple[Any, ...]:
    """Returns the options of which lanes of one study have the same values."""
    options = network.get_params(deep=False)
    shared = options["early_stopping"], options.get("class_weight")
    of_seed = options["validation_fraction"], options["random_state"]
    return (type(network).__name__, *shared, *(of_seed if options["early_stopping"] else ()))


def proposed(trial: Any, spaces: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the candidate of one of Optuna's trials, where options of a list are places in it."""
    which = trial.suggest_categorical("space", range(len(spaces))) if len(spaces) > 1 else 0
    found = {}
    for name, values in spaces[which].items():
        key = f"{name} of {which}" if which else name
        if not hasattr(values, "rvs"):
            found[name] = values[trial.suggest_categorical(key, range(len(values)))]
            continue
        kind = getattr(getattr(values, "dist", None), "name", type(values).__name__)
        if kind not in ("uniform", "loguniform", "reciprocal", "randint"):
            raise ValueError(
                f"param_distributions got {name} with {kind}; expected a list, or SciPy's uniform, "
                "loguniform or randint, which Optuna knows"
            )
        low, high = (one.item() for one in map(np.asarray, values.support()))
        if kind == "randint":
            found[name] = trial.suggest_int(key, low, high)
        else:
            found[name] = trial.suggest_float(key, low, high, log=kind != "uniform")
    return found
