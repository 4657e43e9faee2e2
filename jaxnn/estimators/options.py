"""Options of the estimators: scikit-learn's names and words, and the setting that they make."""

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxnn.functional.metrics import COST, METRICS
from jaxnn.functional.objectives import OBJECTIVES, Targets
from jaxnn.settings.hyperparameters import HYPERPARAMETERS, is_real
from jaxnn.settings.traced import check_representable
from jaxnn.system.checks import needs, whole_number

with needs("sklearn", "scikit-learn"):
    from sklearn.utils import check_random_state

SETTING_NAMES = {
    "hidden_layer_sizes": "hidden",
    "activation": "activation",
    "solver": "optimizer",
    "alpha": "l2",
    "batch_size": "batch_size",
    "learning_rate": "decay_schedule",
    "learning_rate_init": "learning_rate",
    "power_t": "decay_power",
    "tol": "min_delta",
    "momentum": "momentum",
    "beta_1": "beta1",
    "beta_2": "beta2",
    "epsilon": "epsilon",
    "n_iter_no_change": "patience",
    "loss": "loss",
    **{
        name: name
        for name in (
            "dropout", "batch_norm", "inputs", "init", "weight_decay", "clip_norm",
            "label_smoothing", "decay_rate", "decay_every", "warmup", "targets", "huber_delta",
            "quantile",
        )
    },
}  # fmt: skip
"""Option -> name in a setting."""

WORDS: dict[str, dict[str, str]] = {
    "activation": {"logistic": "sigmoid"},
    "solver": {"sgd": "momentum"},
    "learning_rate": {"constant": "none", "invscaling": "power", "adaptive": "plateau"},
    "loss": {"squared_error": "squared", "absolute_error": "absolute"},
}
"""Option -> scikit-learn's words -> those of a setting."""

LARGEST_PATIENCE = 1e9
"""The epochs for which "adaptive" waits if n_iter_no_change is infinite."""


def setting_of(
    options: Mapping[str, Any],
    num_examples: int,
    targets: Targets,
    *,
    metric: str,
    weight: float = 1.0,
) -> dict[str, Any]:
    """Returns the options of an estimator as a setting of `fit`.

    Args:
      options: name -> value, as from `get_params`; those of a setting alone are used.
      num_examples: the size of the training set.
      targets: what its targets are.
      metric: the name of the metric of validation scores, which a loss must have.
      weight: the mean weight of its examples.

    Raises:
      ValueError: naming the bad option.
    """
    given = {option: options[option] for option in SETTING_NAMES if option in options}
    setting = {SETTING_NAMES[name]: _checked(name, value) for name, value in given.items()}
    setting["batch_size"] = min(setting["batch_size"], num_examples)
    if setting["loss"] == "log_loss":
        setting["loss"] = "sigmoid" if targets.is_real or targets.num_classes == 2 else "softmax"
    fine = [name for name, one in OBJECTIVES.items() if metric in one.measures]
    if isinstance(setting["loss"], str) and setting["loss"] not in fine:
        allowed = _in_their_words("loss", ", ".join(map(repr, fine)))
        raise ValueError(f"loss got {options['loss']!r}; expected one of {allowed}, or a function")
    for name in ("decay_rate", "targets"):
        if setting.get(name) is None:
            setting.pop(name, None)
    setting |= _of_sgd(options, setting, num_examples)
    # scikit-learn divides the penalty by the weights of a mini-batch
    setting["l2"] = setting["l2"] / setting["batch_size"] / weight
    setting |= _of_sum(setting, math.prod(targets.shape))
    setting["monitor"] = METRICS[metric].valid if options["early_stopping"] else COST.name
    for option, name in SETTING_NAMES.items():
        value = setting.get(name)
        if HYPERPARAMETERS[name].is_number and value is not None:
            _check_representable(option, options[option], value)
    return setting


def _of_sgd(options: Mapping[str, Any], setting: Mapping[str, Any], num: int) -> dict[str, Any]:
    """Returns what differs where scikit-learn's "sgd" and its schedules are not ours."""
    if options["solver"] != "sgd":
        # scikit-learn has its schedules for "sgd" alone
        is_theirs = options["learning_rate"] in WORDS["learning_rate"]
        return {"decay_schedule": "none"} if is_theirs else {}
    # `fit` averages gradients, v = beta v + (1 - beta) dW; scikit-learn sums them
    more: dict[str, Any] = {"learning_rate": setting["learning_rate"] / (1 - setting["momentum"])}
    if options["nesterovs_momentum"]:
        more["optimizer"] = "nesterov"
    if options["learning_rate"] == "invscaling":
        # the power of the number of examples seen, by the epoch
        more |= {"decay_rate": float(num), "decay_every": 1.0}
    if options["learning_rate"] == "adaptive":
        more |= {"decay_rate": 0.2, "patience": setting["patience"] or LARGEST_PATIENCE}
    return more


def _of_sum(setting: Mapping[str, Any], num_targets: int) -> dict[str, Any]:
    """Returns what differs since scikit-learn's gradient is that of a sum over real targets.

    The losses of `fit` are means over them. Labels are summed in both.
    """
    loss = setting["loss"]
    if not isinstance(loss, str) or OBJECTIVES[loss].point is None:
        return {}
    scaled = {name: setting[name] for name in ("l2", "epsilon", "clip_norm")}
    more = {name: value / num_targets for name, value in scaled.items() if value is not None}
    if setting["optimizer"] in ("gd", "momentum", "nesterov"):
        more["learning_rate"] = setting["learning_rate"] * num_targets
    return more


def _checked(option: str, given: Any) -> Any:
    """Returns an option's value for a setting; its ValueError uses scikit-learn's names."""
    rule, words = HYPERPARAMETERS[SETTING_NAMES[option]], WORDS.get(option, {})
    value, allowed, is_fine = given, rule.allowed, False
    if isinstance(given, str):
        value = words.get(given, given)
    if option == "batch_size":
        value = 200 if isinstance(given, str) and given == "auto" else given
        allowed = f'"auto", or {allowed}'
    elif option == "hidden_layer_sizes":
        value = given.tolist() if isinstance(given, np.ndarray) else given
        value = tuple(value) if isinstance(value, list | tuple) else (value,)
    elif option == "n_iter_no_change":
        # they stop after more epochs than that
        is_endless = isinstance(given, float) and given == math.inf
        allowed = "a whole number >= 1, or infinity"
        value = None if is_endless else whole_number(option, given, 1) + 1
    elif option == "loss":
        is_fine, allowed = value == "log_loss", f"'log_loss', or {allowed}"
    elif option in ("decay_rate", "targets"):
        is_fine = value is None
    if not is_fine and not rule.is_valid(value):
        allowed = _in_their_words(option, allowed)
        if isinstance(given, str) and given == "lbfgs":
            allowed += "; 'adam' with a higher learning_rate_init comes next to it"
        raise ValueError(f"{option} got {given!r}; expected {allowed}")
    return float(value) if rule.is_number and value is not None else value


def _in_their_words(option: str, allowed: str) -> str:
    for theirs, ours in WORDS.get(option, {}).items():
        allowed = allowed.replace(repr(ours), repr(theirs))
    return allowed


def _check_representable(option: str, given: Any, value: float) -> None:
    name = SETTING_NAMES[option]
    try:
        check_representable(name, value, jnp.result_type(float))
    except ValueError:
        raise ValueError(
            f"{option} got {given!r}, which makes the {name} {value:.3g}: the "
            f"default float type cannot hold that; expected {HYPERPARAMETERS[name].allowed}"
        ) from None


_FLAGS = ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping")
_COUNTS = ("max_iter", "max_fun", "n_networks")


def check_options(options: Mapping[str, Any]) -> None:
    """Raises ValueError for a bad option among those that no setting has."""
    for name in _FLAGS:
        _expect(name, options[name], isinstance(options[name], bool | np.bool_), "True or False")
    for name in _COUNTS:
        whole_number(name, options[name], 1)
    share, said, weights = (
        options.get(name) for name in ("validation_fraction", "verbose", "class_weight")
    )
    is_share = share is not None and is_real(share) and 0 < share < 1
    _expect("validation_fraction", share, is_share, "a number between 0 and 1")
    is_said = isinstance(said, int | np.integer | np.bool_) and bool(said >= 0)
    _expect("verbose", said, is_said, "True, False, or a whole number >= 0")
    is_word = isinstance(weights, str) and weights == "balanced"
    is_weight = weights is None or is_word or isinstance(weights, Mapping | list)
    _expect("class_weight", weights, is_weight, "None, 'balanced', or a dict of label -> weight")


def _expect(name: str, value: Any, is_fine: bool, allowed: str) -> None:
    if not is_fine:
        raise ValueError(f"{name} got {value!r}; expected {allowed}")


def seed_of(random_state: Any) -> int:
    """Returns a seed for `fit`: the number itself, or one drawn from a random state."""
    if random_state is None or isinstance(random_state, np.random.RandomState):
        return int(check_random_state(random_state).randint(2**31 - 1))
    if random_state is np.random:
        return int(check_random_state(None).randint(2**31 - 1))
    return whole_number("random_state", random_state)
