import ast
import enum
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jaxnn.settings
from jaxnn import Model
from jaxnn.functional.optimizers import DECAY_SCHEDULES, OPTIMIZERS
from jaxnn.settings.hyperparameters import (
    HYPERPARAMETERS,
    complete,
    is_used,
    plain_setting,
    switched_on,
)
from jaxnn.settings.traced import traced_numbers

DEFAULTS = {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "momentum": 0.9,
    "beta1": 0.9,
    "beta2": 0.999,
    "epsilon": 1e-8,
    "hidden": (),
    "activation": "relu",
    "init": "xavier_uniform",
    "batch_size": 32,
    "loss": "softmax",
    "targets": "raw",
    "label_smoothing": 0.0,
    "huber_delta": 1.0,
    "quantile": 0.5,
    "l2": 0.0,
    "weight_decay": 0.0,
    "clip_norm": None,
    "dropout": 0.0,
    "batch_norm": False,
    "batch_norm_decay": 0.9,
    "inputs": "raw",
    "decay_schedule": "none",
    "decay_rate": 1.0,
    "decay_every": 1.0,
    "decay_power": 0.5,
    "warmup": 0.0,
    "patience": None,
    "min_delta": 0.0,
    "monitor": None,
}


def test_the_page_of_the_settings_has_every_name_default_and_option():
    page = jaxnn.settings.__doc__.replace("\\\n", "")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()]
    rows = {name.strip("*"): (name, *rest) for name, *rest in rows if len(rest) == 2}
    assert list(rows) == ["name", "---", *HYPERPARAMETERS]
    for key, rule in HYPERPARAMETERS.items():
        name, default, meaning = rows[key]
        assert name.startswith("**") == rule.is_number
        assert default.startswith("by ") or ast.literal_eval(default) == DEFAULTS[key]
        for option in re.findall(r"'(.*?)'", rule.allowed):
            assert f'"{option}"' in (default, *re.findall(r'".*?"', meaning)), option


def test_defaults():
    assert complete({}) == DEFAULTS
    assert complete({"optimizer": "rmsprop"})["beta2"] == 0.9
    assert complete({}, loss="squared")["targets"] == "standardised"
    assert complete({"targets": "raw"}, loss="squared")["targets"] == "raw"
    assert complete({"loss": "poisson"}, loss="squared")["targets"] == "raw"
    assert complete({"optimizer": "rmsprop", "beta2": 0.5})["beta2"] == 0.5
    assert complete({"decay_schedule": "exponential"})["decay_rate"] == 0.95
    assert complete({"decay_schedule": "staircase"})["decay_rate"] == 0.5


def test_values_become_plain_python():
    full = complete(
        {
            "learning_rate": np.float32(0.5),
            "batch_size": np.int64(16),
            "hidden": [np.int32(4), 3],
            "batch_norm": np.True_,
            "l2": 1,
        }
    )
    assert full["learning_rate"] == 0.5
    assert full["hidden"] == (4, 3)
    types = {name: type(full[name]) for name in ("learning_rate", "batch_size", "batch_norm", "l2")}
    assert types == {"learning_rate": float, "batch_size": int, "batch_norm": bool, "l2": float}
    assert {type(units) for units in full["hidden"]} == {int}


class Units(enum.IntEnum):
    FEW = 4


class Name(str, enum.Enum):  # noqa: UP042 (its str() is another text)
    KEY = "activation"
    TANH = "tanh"


class Many(tuple):
    pass


def test_a_setting_as_it_was_given_is_plain_python_too():
    setting = {
        "learning_rate": Fraction(1, 4),
        Name.KEY: Name.TANH,
        "hidden": Many([Units.FEW, np.int8(3)]),
        "batch_size": Units.FEW,
        "l2": 1,
    }
    plain = {
        "learning_rate": 0.25,
        "activation": "tanh",
        "hidden": (4, 3),
        "batch_size": 4,
        "l2": 1,
    }
    # repr tells subclasses apart
    assert repr(plain_setting(setting)) == repr(plain)
    assert repr(complete(setting)) == repr(complete(plain))


@pytest.mark.parametrize(
    "setting",
    [
        {"hidden": (2**31,)},
        {"hidden": (10**400,)},
        {"hidden": (1,) * 257},
        {"batch_size": 10**5000},
        {"learning_rate": 10**400},
        {"l2": Fraction(10**400)},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_huge_numbers_are_refused_in_a_few_words(setting):
    with pytest.raises(ValueError, match=f"{next(iter(setting))} got .*; expected") as caught:
        complete(setting)
    assert len(str(caught.value)) < 400


BAD = {
    "optimizer": ["sgd", None, 3],
    "learning_rate": [0, -1, np.nan, np.inf, "0.1", True, None, [0.1]],
    "momentum": [1, -0.1, "0.9", np.nan],
    "beta1": [1, -0.1],
    "beta2": [1, -0.1, None],
    "epsilon": [0, -1e-8, np.inf],
    "hidden": [(0,), (2.5,), 25, "25", (True,), None, (25, -1)],
    "activation": ["swish", None],
    "init": ["zeros", 0],
    "batch_size": [0, -1, 1.5, True, "32"],
    "loss": ["mse", None, 3],
    "targets": ["centred", None],
    "label_smoothing": [1, -0.1],
    "huber_delta": [0, -1, np.inf],
    "quantile": [0, 1, np.nan],
    "l2": [-1e-9, np.nan, np.inf],
    "weight_decay": [-0.1, None],
    "clip_norm": [0, -1, np.inf, "none"],
    "dropout": [1, -0.1, np.nan],
    "batch_norm": [1, 0, "yes", None],
    "batch_norm_decay": [1.1, -0.1],
    "inputs": ["normalised", None],
    "decay_schedule": ["linear", True],
    "decay_rate": [-1, np.inf],
    "decay_every": [0, -2],
    "decay_power": [-1, np.inf],
    "warmup": [-1, np.nan],
    "patience": [0, 0.5, np.inf],
    "min_delta": [-1e-9, np.nan],
    "monitor": ["loss", 0, True],
}


def test_every_key_has_bad_values():
    assert BAD.keys() == HYPERPARAMETERS.keys()


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in BAD.items() for v in values])
def test_bad_values_name_the_key_what_came_and_what_is_allowed(key, value):
    with pytest.raises(ValueError, match=f"^{key} got ") as caught:
        complete({key: value})
    assert repr(value) in str(caught.value)
    assert HYPERPARAMETERS[key].allowed in str(caught.value)


@pytest.mark.parametrize("value", [True, np.True_, "0.5", None, np.nan, -np.inf, 0.5j, (0.5,)])
@pytest.mark.parametrize("key", [k for k in HYPERPARAMETERS if HYPERPARAMETERS[k].is_number])
def test_numbers_are_finite_and_real(key, value):
    if value is None is HYPERPARAMETERS[key].default:
        return
    with pytest.raises(ValueError, match=f"^{key} got .*; expected (None or )?a (finite )?number"):
        complete({key: value})


@pytest.mark.parametrize("setting", [None, [("l2", 1)], "adam"])
def test_a_setting_is_a_dict(setting):
    with pytest.raises(ValueError, match=r"setting got .*; expected a dict"):
        complete(setting)


def test_a_factor_of_decay_is_at_most_one():
    with pytest.raises(ValueError, match=r"decay_rate got 2\.0; .* 'exponential'"):
        complete({"decay_schedule": "exponential", "decay_rate": 2})
    with pytest.raises(ValueError, match=r"decay_rate got 0\.0; .* 'staircase'"):
        complete({"decay_schedule": "staircase", "decay_rate": 0})
    assert complete({"decay_schedule": "inverse", "decay_rate": 2})["decay_rate"] == 2


@pytest.mark.parametrize(
    ("key", "hint"),
    [("learning-rate", "learning_rate"), ("batchsize", "batch_size"), ("drop_out", "dropout")],
)
def test_unknown_keys_get_the_nearest_name(key, hint):
    with pytest.raises(ValueError, match=f"unknown key '{key}'; did you mean '{hint}'"):
        complete({key: 1})
    with pytest.raises(ValueError, match="unknown key 'xyz'; expected one of optimizer, learning"):
        complete({"xyz": 1})


def test_numbers_that_python_floats_cannot_hold_are_refused():
    for value in (10**400, Fraction(1, 10**400)):
        with pytest.raises(ValueError, match=r"^learning_rate got "):
            complete({"learning_rate": value})
    with pytest.raises(ValueError, match=r"^momentum got "):
        complete({"momentum": Fraction(10**40 - 1, 10**40)})


@pytest.mark.parametrize("numbers", ["temperature", ("hidden",)])
def test_a_models_numbers_are_a_tuple_of_names_of_numbers(numbers):
    with pytest.raises(ValueError, match=r"Model\.numbers got"):
        complete({}, Model(lambda key: ((), ()), lambda *args, **kwargs: None, numbers))


def test_any_finite_learning_rate_is_legal():
    assert complete({"learning_rate": 1e30})["learning_rate"] == 1e30


def test_numbers_are_the_traced_part():
    structure = {"hidden", "activation", "init", "batch_size", "batch_norm", "inputs"}
    structure |= {"loss", "targets"}
    got = traced_numbers(complete({"decay_schedule": "inverse"}))
    assert got.keys() == DEFAULTS.keys() - structure
    # places in their tables
    assert (got.pop("optimizer"), got.pop("decay_schedule"), got.pop("monitor")) == (4, 1, -1)
    assert {(number.dtype, number.shape) for number in got.values()} == {(np.dtype(np.float32), ())}


def test_a_model_adds_numbers_of_its_own():
    model = Model(lambda key: ((), ()), lambda *args, **kwargs: None, ("temperature",))
    full = complete({"temperature": 2}, model)
    assert full["temperature"] == 2.0
    assert traced_numbers(full)["temperature"] == 2.0
    with pytest.raises(ValueError, match="setting lacks 'temperature'"):
        complete({}, model)
    with pytest.raises(ValueError, match="temperature got 'x'; expected a finite number"):
        complete({"temperature": "x"}, model)
    with pytest.raises(ValueError, match="unknown key 'temperature'"):
        complete({"temperature": 2})


def test_which_numbers_matter():
    used = lambda **setting: {n for n in DEFAULTS if is_used(n, complete(setting))}
    always = DEFAULTS.keys() - {
        *("momentum", "beta1", "beta2", "epsilon", "decay_rate", "decay_every"),
        *("batch_norm_decay", "weight_decay", "huber_delta", "quantile"),
        *("decay_power", "min_delta", "monitor"),
    }
    assert used(optimizer="gd") == always
    assert used(optimizer="momentum") == always | {"momentum"}
    regression = always - {"label_smoothing"}
    assert used(optimizer="gd", loss="huber") == regression | {"huber_delta"}
    assert used(optimizer="gd", loss="poisson") == regression
    assert used(optimizer="lion") == always | {"beta1", "beta2", "weight_decay"}
    assert used(optimizer="rmsprop", batch_norm=True) == always | {
        *("beta2", "epsilon", "batch_norm_decay")
    }
    assert used(optimizer="gd", patience=3) == always | {"min_delta", "monitor"}
    assert used(optimizer="gd", decay_schedule="power") == always | {
        *("decay_rate", "decay_every", "decay_power")
    }
    assert used(decay_schedule="inverse") == always | {
        *("beta1", "beta2", "epsilon", "decay_rate", "decay_every")
    }


def test_functions_have_numbers_and_defaults_of_their_own():
    def loss(outputs, targets, power, quantile=0.25, scale=1.0, times=3):
        return outputs

    full = complete({"loss": loss, "power": 2})
    assert (full["power"], full["quantile"], full["scale"]) == (2.0, 0.25, 1.0)
    assert complete({"loss": loss, "power": 2, "quantile": 0.1})["quantile"] == 0.1
    with pytest.raises(ValueError, match="setting lacks 'power'"):
        complete({"loss": loss})
    with pytest.raises(ValueError, match="unknown key 'times'; an argument of a function is a num"):
        complete({"loss": loss, "power": 2, "times": 4})

    def with_epsilon(outputs, targets, epsilon=2.0):
        return outputs

    # it would be that of the optimizer as well
    with pytest.raises(ValueError, match="takes epsilon; expected other names"):
        complete({"loss": with_epsilon})

    class Unhashable:
        __hash__ = None

        def __call__(self, rate):
            return rate

    with pytest.raises(ValueError, match=r"optimizer got .*Unhashable.*; expected one of"):
        complete({"optimizer": Unhashable()})


def test_switches_that_are_on():
    on = lambda **setting: switched_on(complete(setting))
    assert on() == ()
    assert on(l2=0, clip_norm=None, warmup=0.0) == ()
    assert on(l2=1e-9, clip_norm=1, warmup=2) == ("l2", "clip_norm", "warmup")
    # nothing is computed for what the optimizer does not use
    assert on(weight_decay=0.1) == ()
    assert on(weight_decay=0.1, optimizer="adamw") == ("weight_decay",)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "optimizer": st.sampled_from([*OPTIMIZERS]),
            "learning_rate": st.floats(1e-12, 1e12),
            "beta2": st.floats(0, 1, exclude_max=True),
            "hidden": st.lists(st.integers(1, 999), max_size=4),
            "batch_size": st.integers(1, 4096),
            "dropout": st.floats(0, 1, exclude_max=True),
            "clip_norm": st.none() | st.floats(1e-6, 1e6),
            "batch_norm": st.booleans(),
            "decay_schedule": st.sampled_from([*DECAY_SCHEDULES]),
        },
    )
)
def test_completing_twice_changes_nothing_and_keeps_what_was_given(setting):
    full = complete(setting)
    assert complete(full) == full
    assert full.keys() == DEFAULTS.keys()
    for key, value in setting.items():
        assert full[key] == (tuple(value) if key == "hidden" else value)
