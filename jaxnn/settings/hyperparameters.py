"""Settings: the name, default and range of every hyperparameter, and which of them are traced."""

import difflib
import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from jaxnn.data.inputs import INPUTS
from jaxnn.data.targets import TARGETS
from jaxnn.functional.layers import ACTIVATIONS, INITIALIZERS
from jaxnn.functional.metrics import CURVES
from jaxnn.functional.models import MOST_LAYERS
from jaxnn.functional.objectives import OBJECTIVES, Loss, Objective
from jaxnn.functional.optimizers import DECAY_SCHEDULES, OPTIMIZERS, Optimizer, Schedule
from jaxnn.functional.types import Model
from jaxnn.system.checks import brief, plain
from jaxnn.system.functions import arguments_of, is_function, own_numbers

Setting = Mapping[str, Any]


class Hyperparameter(NamedTuple):
    """A row of HYPERPARAMETERS.

    Attributes:
      default: the value if a setting does not name it.
      is_valid: whether a value is allowed.
      allowed: the allowed values in words.
      is_number: whether it is traced: a new value never compiles. Others are structure.
      is_decay: whether it is the decay of a running average, which has the reverse log scale.
      is_switch: whether nothing is computed for the default. A program computes it, for all its
        lanes, if a lane has another value.
    """

    default: Any
    is_valid: Callable[[Any], bool]
    allowed: str
    is_number: bool = False
    is_decay: bool = False
    is_switch: bool = False


def _number(default: Any, allowed: str, is_valid: Callable[[float], bool]) -> Hyperparameter:
    def check(value: Any) -> bool:
        try:
            number = float(value) if is_real(value) else math.nan
        except OverflowError:
            return False
        return math.isfinite(number) and is_valid(number)

    return Hyperparameter(default, check, allowed, is_number=True)


def _decay(default: float) -> Hyperparameter:
    number = _number(default, "a number in [0, 1)", lambda v: 0 <= v < 1)
    return number._replace(is_decay=True)


def _switch(
    default: float | None, allowed: str, is_valid: Callable[[float], bool]
) -> Hyperparameter:
    number = _number(default, allowed, is_valid)._replace(is_switch=True)
    if default is not None:
        return number
    check = lambda value: value is None or number.is_valid(value)
    return number._replace(is_valid=check, allowed=f"None or {allowed}")


def _choice(default: Any, names: Any) -> Hyperparameter:
    allowed = ("None or " if default is None else "") + "one of " + ", ".join(map(repr, names))
    is_valid = lambda v: (v is None and default is None) or (isinstance(v, str) and v in names)
    return Hyperparameter(default, is_valid, allowed)


def is_real(value: Any) -> bool:
    """Whether a value is a real number; True and False are not."""
    # the exact type first, which is faster
    return type(value) is float or (isinstance(value, Real) and not isinstance(value, bool))


def _is_count(value: Any) -> bool:
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    return is_whole and 1 <= int(value) < 2**31


def _is_hidden(value: Any) -> bool:
    is_short = isinstance(value, tuple | list) and len(value) <= MOST_LAYERS
    return is_short and all(_is_count(units) for units in value)


def _row(default: Any, table: Any, function: str) -> Hyperparameter:
    """Returns the hyperparameter whose value is a name in a table, or a function."""
    named = _choice(default, table)
    check = lambda value: is_function(value) or named.is_valid(value)
    return named._replace(is_valid=check, allowed=f"{named.allowed}, or a function {function}")


HYPERPARAMETERS: dict[str, Hyperparameter] = {
    "optimizer": _row("adam", OPTIMIZERS, "(learning_rate, **numbers) -> Optax transformation"),
    "learning_rate": _number(1e-3, "a finite number > 0", lambda v: v > 0),
    "momentum": _decay(0.9),
    "beta1": _decay(0.9),
    "beta2": _decay(0.999),
    "epsilon": _number(1e-8, "a finite number > 0", lambda v: v > 0),
    "hidden": Hyperparameter(
        (),
        _is_hidden,
        "a tuple of unit counts >= 1 and below 2^31 such as (25, 12), or (); at most "
        f"{MOST_LAYERS} layers",
    ),
    "activation": _choice("relu", ACTIVATIONS),
    "init": _choice("xavier_uniform", INITIALIZERS),
    "batch_size": Hyperparameter(32, _is_count, "a whole number >= 1 and below 2^31"),
    "loss": _row("softmax", OBJECTIVES, "(outputs, targets, **numbers) -> costs (B,)"),
    "targets": _choice("raw", TARGETS),
    "label_smoothing": _switch(0.0, "a number in [0, 1)", lambda v: 0 <= v < 1),
    "huber_delta": _number(1.0, "a finite number > 0", lambda v: v > 0),
    "quantile": _number(0.5, "a number between 0 and 1", lambda v: 0 < v < 1),
    "l2": _switch(0.0, "a finite number >= 0", lambda v: v >= 0),
    "weight_decay": _switch(0.0, "a finite number >= 0", lambda v: v >= 0),
    "clip_norm": _switch(None, "a finite number > 0", lambda v: v > 0),
    "dropout": _switch(0.0, "a number in [0, 1)", lambda v: 0 <= v < 1),
    "batch_norm": Hyperparameter(False, lambda v: isinstance(v, bool | np.bool_), "True or False"),
    "batch_norm_decay": _number(0.9, "a number in [0, 1]", lambda v: 0 <= v <= 1),
    "inputs": _choice("raw", INPUTS),
    "decay_schedule": _choice("none", DECAY_SCHEDULES),
    "decay_rate": _number(1.0, "a finite number >= 0", lambda v: v >= 0),
    "decay_every": _number(1.0, "a number of epochs > 0", lambda v: v > 0),
    "decay_power": _number(0.5, "a finite number >= 0", lambda v: v >= 0),
    "warmup": _switch(0.0, "a number of epochs >= 0", lambda v: v >= 0),
    "patience": _switch(None, "a number of epochs >= 1", lambda v: v >= 1),
    "min_delta": _number(0.0, "a finite number >= 0", lambda v: v >= 0),
    "monitor": _choice(None, CURVES),
}
"""Every name that a setting may have.

Optimizers and schedules may have other defaults for their numbers, see `TABLES`.
"""

TABLES: dict[str, Mapping[str, Optimizer | Schedule | Objective]] = {
    "optimizer": OPTIMIZERS,
    "loss": OBJECTIVES,
    "decay_schedule": DECAY_SCHEDULES,
}
"""Hyperparameters whose value names a row of a table, and the tables."""

FUNCTIONS = {"optimizer": 1, "loss": 2}
"""Hyperparameters whose value may be a function, and the number of its arguments before numbers."""


class _OwnRow(NamedTuple):
    """What a setting knows of a function in place of a row."""

    uses: tuple[str, ...]
    defaults: Mapping[str, float]


def _row_of(key: str, value: Any) -> Any:
    """Returns the row that a value of a hyperparameter names, or that of a function."""
    if not callable(value):
        return TABLES[key][value]
    try:
        numbers = own_numbers(value, FUNCTIONS[key])
    except ValueError as error:
        raise ValueError(f"{key} got {error}") from None
    defaults = {name: default for name, default in numbers.items() if default is not None}
    return _OwnRow(tuple(numbers), defaults)


def complete(
    setting: Setting, model: Model | None = None, *, loss: Loss = "softmax"
) -> dict[str, Any]:
    """Returns the setting with all defaults, checked; `loss` is the default of that name.

    `beta2` defaults to 0.999 for adam and 0.9 for rmsprop, `decay_rate` to 1 ("inverse",
    "inverse_sqrt"), 0.95 ("exponential") or 0.5 ("staircase"). A name that the optimizer does not
    use is accepted. A foreign `model` may name further numbers.

    Raises:
      ValueError: naming the key, what came and what is allowed.

    >>> complete({"learning_rate": 1e-4})["beta2"], complete({"optimizer": "rmsprop"})["beta2"]
    (0.999, 0.9)
    >>> complete({"learning_rat": 1e-4})
    Traceback (most recent call last):
    ValueError: setting has the unknown key 'learning_rat'; did you mean 'learning_rate'?
    """
    if not isinstance(setting, Mapping):
        raise ValueError(f"setting got {brief(setting)}; expected a dict of hyperparameters")
    known = {**HYPERPARAMETERS, **_own_numbers(setting, model)}
    for key in setting:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
            if any(key in arguments_of(setting.get(one)) for one in FUNCTIONS):
                hint = (
                    "an argument of a function is a number if its default is a float, such as 1.0"
                )
            raise ValueError(f"setting has the unknown key {brief(key)}; {hint}")
    full: dict[str, Any] = {}
    own_defaults: dict[str, Any] = {"loss": loss}
    for key in TABLES:
        row = setting.get(key, own_defaults.get(key, known[key].default))
        own_defaults |= _row_of(key, checked(key, row, known[key])).defaults
    for key, rule in known.items():
        if key not in setting and key not in own_defaults and rule is _OWN:
            raise ValueError(f"setting lacks {key!r}, a number that its model or function takes")
        value = setting.get(key, own_defaults.get(key, rule.default))
        full[key] = checked(key, value, rule)
    is_power = DECAY_SCHEDULES[full["decay_schedule"]].is_power
    if is_power and not 0 < full["decay_rate"] <= 1:
        raise ValueError(
            f"decay_rate got {full['decay_rate']}; expected a number in (0, 1] for the schedule "
            f"{full['decay_schedule']!r}"
        )
    if DECAY_SCHEDULES[full["decay_schedule"]].waits and full["patience"] is None:
        raise ValueError(
            f"patience got None with the schedule {full['decay_schedule']!r}; expected the number "
            "of epochs that it waits for an improvement, such as 10"
        )
    return full


def is_used(name: str, full: Setting) -> bool:
    """Whether a completed setting uses a hyperparameter; adam, for example, has no momentum."""
    if name == "batch_norm_decay":
        return bool(full["batch_norm"])
    if name in ("min_delta", "monitor"):
        return full["patience"] is not None
    if any(name in _row_of(key, full[key]).uses for key in TABLES):
        return True
    is_of_a_row = any(name in row.uses for table in TABLES.values() for row in table.values())
    return name in full and not is_of_a_row


SWITCHES = tuple(name for name, rule in HYPERPARAMETERS.items() if rule.is_switch)


def switched_on(full: Setting) -> tuple[str, ...]:
    """Returns the switches of a completed setting that it uses and whose value is not the default.

    >>> switched_on(complete({"dropout": 0.5, "weight_decay": 0.1}))
    ('dropout',)
    """
    return tuple(
        name
        for name in SWITCHES
        if full[name] != HYPERPARAMETERS[name].default and is_used(name, full)
    )


_OWN = _number(None, "a finite number", lambda v: True)


def _own_numbers(setting: Setting, model: Model | None) -> dict[str, Hyperparameter]:
    """Returns the numbers of a user's code that are not among HYPERPARAMETERS."""
    names = () if model is None else model.numbers
    if isinstance(names, str) or any(map(_is_structure, names)):
        raise ValueError(f"Model.numbers got {names!r}; expected a tuple of names of numbers")
    found = [*names]
    for key in FUNCTIONS:
        if is_function(function := setting.get(key)):
            own = _row_of(key, function).uses
            like_it = {name for row in TABLES[key].values() for name in row.uses}
            taken = [name for name in own if name in HYPERPARAMETERS and name not in like_it]
            if taken:
                raise ValueError(
                    f"{key} got {brief(function)}, which takes {', '.join(taken)}; expected other "
                    "names, since these are hyperparameters of other things"
                )
            found += own
    return {name: _OWN for name in found if name not in HYPERPARAMETERS}


def _is_structure(name: str) -> bool:
    return name in HYPERPARAMETERS and not HYPERPARAMETERS[name].is_number


def checked(key: str, value: Any, rule: Hyperparameter) -> Any:
    """Returns the value as a plain Python number, string or tuple; raises ValueError if bad."""
    if not rule.is_valid(value):
        raise ValueError(f"{key} got {brief(value)}; expected {rule.allowed}")
    return float(value) if rule.is_number and value is not None else plain(key, value)


def plain_setting(setting: Setting) -> dict[str, Any]:
    """Returns a copy of a checked setting in plain values, without defaults."""
    return {str.__str__(key): plain(key, value) for key, value in setting.items()}


def is_traced(name: str) -> bool:
    """Whether a hyperparameter, or a number of a foreign model, is data to the program."""
    return name not in HYPERPARAMETERS or HYPERPARAMETERS[name].is_number
