"""Statistics of a study: its ranking, the value of a setting, and which settings differ."""

from typing import TYPE_CHECKING, Any

import numpy as np

from jaxnn.results import uncertainty
from jaxnn.results.trials import Trial
from jaxnn.settings.domains import Choice, Domain, Range
from jaxnn.settings.hyperparameters import HYPERPARAMETERS
from jaxnn.system.checks import whole_number

if TYPE_CHECKING:
    from jaxnn.results.studies import Study


_BOUNDS = {"accuracy": (0.0, 1.0), "cost": (0.0, np.inf)}
"""Of a metric's values; Student's interval knows nothing of them."""


def losses(study: "Study", epochs: slice | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What ranks the settings and what breaks ties, see `Study.losses`."""
    found = []
    for name, sign in (("valid_accuracy", -1), ("valid_cost", 1)):
        values = sign * (study.reached(name) if epochs is None else _mean(study, name, epochs))
        loss = values.mean(axis=1)
        if study.select == "lower_bound":
            loss = loss + uncertainty.half_width(values, study.folds)
        found.append(loss)
    by_accuracy, by_cost = found
    return (by_accuracy, by_cost) if study.metric == "accuracy" else (by_cost, by_accuracy)


def _mean(study: "Study", name: str, epochs: slice) -> np.ndarray:
    value, cost = (study.curves[one][..., epochs].mean(axis=-1) for one in (name, "valid_cost"))
    return np.where((study.diverged < 0) & np.isfinite(cost), value, np.nan)


def ranking(study: "Study") -> np.ndarray:
    """Numbers of the settings, best first, see `Study.ranking`."""
    is_complete = study.is_complete.all(axis=1)
    first, second = losses(study)
    complete = [np.where(is_complete, loss, np.nan) for loss in (first, second)]
    epochs = np.where(np.isfinite(first), study.epochs_done.min(axis=1), 0)
    # sorts by the last key first; NaN comes last, and equal settings stay in order
    return np.lexsort((second, first, -epochs, *complete[::-1]))


def trial(study: "Study", number: int) -> Trial:
    """A setting with its value."""
    chunks = [study.chunks[index] for index in study.places[number, :, 0] if index >= 0]
    steps = tuple(None if step < 0 else int(step) for step in study.diverged[number])
    state = "COMPLETE" if study.is_complete[number].all() else "RUNNING"
    if study.dropped[number] or any(step is not None for step in steps):
        state = "PRUNED"
    values = study.reached(f"valid_{study.metric}", number)
    value, reach = values.mean(), uncertainty.half_width(values, study.folds)
    low, high = np.clip((value - reach, value + reach), *_BOUNDS[study.metric]).tolist()
    return Trial(
        number,
        dict(study.given[number]),
        float(value),
        tuple(values.tolist()),
        float(uncertainty.standard_error(values, study.folds)),
        (low, high),
        float(study.reached("valid_cost", number).mean()),
        state,
        int(study.epochs_done[number].max()),
        steps,
        min((chunk.start for chunk in chunks), default=None),
        max((chunk.end for chunk in chunks), default=None),
    )


def comparison(study: "Study", first: int, second: int) -> uncertainty.Comparison:
    """Whether two settings differ, see `Study.compare`."""
    values = study.values
    for number in (first, second):
        if whole_number("number", number) >= len(values):
            raise ValueError(f"compare got setting {number}; expected below {len(values)}")
        if not np.isfinite(values[number]).all():
            raise ValueError(f"compare got setting {number}, which was not trained to its end")
    if values.shape[1] < 2:
        raise ValueError("compare got one repetition; expected seeds or folds of two at least")
    found = uncertainty.compare(values[first], values[second], study.folds)
    most = _BOUNDS[study.metric][1]
    low, high = np.clip(found.interval, -most, most).tolist()
    return found._replace(interval=(low, high))


def contenders(study: "Study") -> list[int]:
    """Settings that cannot be told apart from the best, see `Study.contenders`."""
    ranked = study.ranked
    if not ranked.size or study.diverged.shape[1] < 2:
        return []
    differences = study.values[ranked[1:]] - study.values[ranked[0]]
    reach = uncertainty.half_width(differences, study.folds)
    return ranked[1:][~(abs(differences.mean(axis=1)) > reach)].tolist()


def span(study: "Study", name: str) -> Domain:
    """What spans the values tried of a hyperparameter, see `Study.domain`."""
    values = sorted({s[name] for s in study.settings}, key=_sort_key)
    domain = (study.space or {}).get(name)
    if isinstance(domain, Range) and domain.low <= values[0] and values[-1] <= domain.high:
        return domain
    if isinstance(domain, Choice) and {*values} <= {*domain.options}:
        return domain
    rule = HYPERPARAMETERS.get(name)
    if not (rule is None or rule.is_number) or len(values) == 1:
        return Choice(tuple(values))
    low, high = values[0], values[-1]
    if name in ("momentum", "beta1", "beta2") and low >= 0.5:
        return Range(low, high, "reverse log")
    return Range(low, high, "log" if low > 0 and high / low >= 30 else "linear")


def _sort_key(value: Any) -> Any:
    return (len(value), value) if isinstance(value, tuple) else value
