"""What `fit`, `plan` and `sweep` do before they train: settings, data and inputs checked."""

import functools
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.checks import brief
from jaxnn.costs import lane_bytes, num_weights
from jaxnn.datasets import Dataset, check_compatible
from jaxnn.inputs import (
    InputStatistics,
    indistinct_features,
    input_statistics,
    scale_ratio,
    with_small_weights,
)
from jaxnn.keys import new_key
from jaxnn.memory import check_fits, device_memory
from jaxnn.mixtures import Mixture
from jaxnn.models import structure_of
from jaxnn.programs import Program
from jaxnn.projection import RowSpace, row_space
from jaxnn.settings import Setting, complete, traced_numbers
from jaxnn.showing import warn_caller
from jaxnn.splits import hold_out
from jaxnn.types import Model, ModelFn, Params, as_model


class Recipe(NamedTuple):
    """A setting, ready to train: its structure as a program, its numbers as data.

    `seed` is of its own weights, dropout and mini-batches; None leaves them to the call.
    """

    setting: dict[str, Any]
    program: Program
    numbers: dict[str, np.ndarray]
    seed: int | None = None


STRUCTURE = ("hidden", "activation", "init", "batch_norm")
"""What a function is given that makes models."""


def network_of(model: Model | ModelFn, setting: Setting) -> Model:
    """The model of a setting; where a function makes it, one for all of equal structure.

    Raises:
      ValueError: the function makes something else.
    """
    if isinstance(model, Model):
        return model
    # settings of equal structure share a program, so they must have the very same functions
    full = complete({name: setting[name] for name in STRUCTURE if name in setting})
    return _made(model, tuple((name, full[name]) for name in STRUCTURE))


@functools.lru_cache(maxsize=1024)
def _made(make: ModelFn, structure: tuple[tuple[str, Any], ...]) -> Model:
    made = make(dict(structure))
    model = as_model(made) if isinstance(made, tuple) else None
    if not isinstance(model, Model):
        raise ValueError(f"model got a function that makes {made!r}; expected a jaxnn.Model")
    return model


@functools.lru_cache(maxsize=1024)
def _check_outputs(model: Model, shape: tuple[int, ...], num_classes: int) -> None:
    """ValueError unless the model makes a logit for each class at least; nothing is compiled."""
    real = lambda shape: jax.ShapeDtypeStruct(shape, jnp.result_type(float))
    network = jax.eval_shape(lambda: model.init(new_key(0)))
    numbers = {name: real(()) for name in model.numbers}
    made, _ = jax.eval_shape(model.apply, *network, real(shape), **numbers)
    found = getattr(made, "shape", type(made))
    if not isinstance(found, tuple) or len(found) != 2 or found[1] < num_classes:
        raise ValueError(
            f"model got one whose outputs for inputs {shape} are {found}; expected logits "
            f"({shape[0]}, {num_classes}), one for each class of the training set"
        )


def recipe(setting: Setting, train: Dataset, model: Model | ModelFn | None) -> Recipe:
    """The recipe of a setting; ValueError if the setting is bad or does not fit the data."""
    if model is not None and isinstance(setting, Mapping):
        model = network_of(model, setting)
    full = complete(setting, model)
    if full["batch_size"] > len(train):
        raise ValueError(
            f"batch_size got {full['batch_size']}; expected at most the {len(train)} training "
            "examples (the default is 32)"
        )
    if model is not None:
        _check_outputs(model, (full["batch_size"], *train.x.shape[1:]), train.num_classes)
    program = Program(
        model or structure_of(full, math.prod(train.x.shape[1:]), train.num_classes),
        (full["optimizer"],),
        full["batch_size"],
        has_dropout=full["dropout"] > 0,
        has_l2=full["l2"] > 0,
    )
    _check_size(full["hidden"], program, len(train))
    return Recipe(full, program, traced_numbers(full))


def _check_size(hidden: tuple[int, ...], program: Program, num_examples: int) -> None:
    """ValueError for an MLP that has no room in the machine; nothing was allocated for it yet."""
    if not isinstance(program.model, Mixture):
        return
    # in training it may have as many features as there are examples, see `projection`
    trained = program.with_features(min(num_examples, program.model.units[0]))
    what, itemsize = f"hidden got {brief(hidden)}: a network", jnp.result_type(float).itemsize
    check_fits(lane_bytes(trained), f"{what} in training", device_memory())
    check_fits(num_weights(program.model) * itemsize, what)


def recipes(
    settings: Sequence[Setting], train: Dataset, model: Model | ModelFn | None
) -> list[Recipe]:
    """The recipes of a list of settings; ValueError naming the first that is bad."""
    if isinstance(settings, str | Mapping) or not isinstance(settings, Sequence):
        raise ValueError(f"settings got {settings!r}; expected a list of dicts, as from sample")
    if not settings:
        raise ValueError("settings got an empty list; expected at least one setting")
    found = []
    for number, setting in enumerate(settings):
        try:
            found.append(recipe(setting, train, model))
        except ValueError as error:
            raise ValueError(f"settings[{number}]: {error}") from None
    return found


class Treatment(NamedTuple):
    """What is done to inputs before they meet a network's first layer."""

    statistics: InputStatistics | None
    space: RowSpace | None
    num_features: int
    """After it."""

    def treated(self, data: Dataset) -> Dataset:
        data = with_small_weights(data.normalised(self.statistics))
        return data if self.space is None else self.space.project(data)

    def lifted(self, params: Params) -> Params:
        """Parameters for inputs that were only normalised."""
        return params if self.space is None else self.space.lift(params)


def treatment(inputs: str, train: Dataset, in_row_space: bool) -> Treatment:
    """The treatment named by a setting's `inputs`, from the training part alone."""
    statistics = input_statistics(inputs, train)
    space = row_space(train.normalised(statistics)) if in_row_space else None
    num_features = math.prod(train.x.shape[1:]) if space is None else space.basis.shape[1]
    return Treatment(statistics, space, num_features)


def treatments(inputs: str, parts: Sequence[Dataset], in_row_space: bool) -> list[Treatment]:
    """Those of several training parts, after which all have as many features."""
    found = [treatment(inputs, train, in_row_space) for train in parts]
    most = max(one.num_features for one in found)
    # a direction of zeros adds nothing to what a first layer meets
    return [
        one
        if one.num_features == most or one.space is None
        else one._replace(
            space=RowSpace(np.pad(one.space.basis, ((0, 0), (0, most - one.num_features)))),
            num_features=most,
        )
        for one in found
    ]


def check_row_space(in_row_space: bool, model: Model | ModelFn | None) -> None:
    if not isinstance(in_row_space, bool):
        raise ValueError(f"row_space got {in_row_space!r}; expected True or False")
    if in_row_space and model is not None:
        raise ValueError(
            "row_space=True came with a model; expected the package's own mlp, whose first layer "
            "is known: leave one of them out"
        )


def checked_data(
    train: Dataset, valid: Dataset | float | None, order_seed: int
) -> tuple[Dataset, Dataset | None]:
    """Training and validation set without examples of weight 0.

    A fraction is held out of `train`, drawn from `order_seed`.
    """
    if not isinstance(train, Dataset):
        raise ValueError(f"train got {type(train).__name__}; expected jaxnn.Dataset(x, y)")
    train = _counted("train", train)
    if isinstance(valid, Real) and not isinstance(valid, bool):
        train, valid = hold_out(train, valid, order_seed)
    elif valid is not None:
        if not isinstance(valid, Dataset):
            raise ValueError(
                f"valid got {valid!r}; expected a Dataset, a fraction such as 0.2, or None"
            )
        check_compatible(train, valid, "valid")
    return train, None if valid is None else _counted("valid", valid)


def _counted(name: str, data: Dataset) -> Dataset:
    """The examples that count: one of weight 0 is not there, and no split shall deal it out."""
    if not data.host_weights().any():
        raise ValueError(f"{name} got only examples of weight 0; expected one that counts")
    data = data.counted()
    weights = data.host_weights()
    # equal weights are none
    return data if (weights != weights[0]).any() else data.weighted(None)


def warn_of_scales(prepared: Sequence[Recipe], train: Dataset, is_over: bool = False) -> None:
    """Warns the caller of the package of raw features that differ wildly in size for an MLP.

    And of features of which the network would see few values: large numbers that vary little.
    """
    is_bare = any(
        isinstance(one.program.model, Mixture)
        and one.setting["inputs"] == "raw"
        and not one.setting["batch_norm"]
        for one in prepared
    )
    ratio = scale_ratio(train) if is_bare else 0.0
    if ratio > 1e3:
        warn_caller(
            f"the features' deviations differ by a factor of {ratio:.0e}: the largest will decide "
            'alone; consider inputs="standardised" or batch_norm=True',
            is_over,
        )
    for inputs in dict.fromkeys(one.setting["inputs"] for one in prepared):
        if found := indistinct_features(inputs, train):
            shown = ", ".join(map(str, found[:10])) + (", ..." if len(found) > 10 else "")
            cure = (
                'consider inputs="standardised", which is computed in float64'
                if inputs == "raw" and train.exact is not None
                else "subtract something like their mean before they are cast to that type"
            )
            warn_caller(
                f"{train.x.dtype} tells few values of these features apart, which are large and "
                f'vary little: {shown} (inputs="{inputs}"); {cure}',
                is_over,
            )
