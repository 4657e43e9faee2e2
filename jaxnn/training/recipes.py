"""Recipes: settings that were checked against the data, as a program and its numbers."""

import contextlib
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.compiled.mixtures import single
from jaxnn.compiled.networks import Foreign, Networks
from jaxnn.compiled.objectives import OBJECTIVES
from jaxnn.compiled.programs import Program
from jaxnn.data.datasets import Dataset
from jaxnn.data.inputs import indistinct_features, scale_ratio
from jaxnn.functional.types import Model, ModelFn, as_model
from jaxnn.settings.hyperparameters import (
    Setting,
    alike,
    complete,
    corners,
    loss_of,
    numbers_of,
    traced_numbers,
)
from jaxnn.system.checks import brief, check_fits, device_memory
from jaxnn.system.draws import new_key
from jaxnn.system.terminal import warn_caller


class Recipe(NamedTuple):
    """A setting, complete and checked, and its structure as a program.

    Recipes that were made together and differ in numbers alone have the same `program` object.

    `seed` is the lane's own seed of weights, dropout and mini-batches; None takes the call's seeds.
    """

    setting: dict[str, Any]
    program: Program
    seed: int | None = None

    @property
    def numbers(self) -> dict[str, np.ndarray]:
        """The setting's numbers, as data to the program."""
        return traced_numbers(self.setting)


STRUCTURE = ("hidden", "activation", "init", "batch_norm")
"""The names of a setting that a function that makes models gets."""


def network_of(model: Model | ModelFn, setting: Setting) -> Model:
    """Returns the model of a setting; a function's models are cached by structure.

    Raises:
      ValueError: the function does not return a Model.
    """
    if isinstance(model, Model):
        return model
    # settings of equal structure share a program, so they must have the identical functions
    full = complete({name: setting[name] for name in STRUCTURE if name in setting})
    return _made(model, tuple((name, full[name]) for name in STRUCTURE))


@functools.lru_cache(maxsize=1024)
def _made(make: ModelFn, structure: tuple[tuple[str, Any], ...]) -> Model:
    made = make(dict(structure))
    model = as_model(made) if isinstance(made, tuple) else None
    if not isinstance(model, Model):
        raise ValueError(f"model got a function that makes {made!r}; expected a jaxnn.Model")
    return model


def networks_of(
    setting: Mapping[str, Any],
    model: Model | ModelFn | None,
    input_shape: tuple[int, ...],
    num_classes: int,
) -> Networks:
    """Returns the networks of a completed setting: an MLP, or those of the user's `model`."""
    if model is not None:
        return Foreign(network_of(model, setting))
    num_outputs = OBJECTIVES[loss_of(setting)].num_outputs(num_classes)
    return single(
        (math.prod(input_shape), *setting["hidden"], num_outputs),
        setting["activation"],
        setting["batch_norm"],
        setting["init"],
    )


@functools.lru_cache(maxsize=1024)
def _check_outputs(model: Model, shape: tuple[int, ...], num_outputs: int) -> None:
    """ValueError unless the model makes a logit for each class at least; nothing is compiled."""
    real = lambda shape: jax.ShapeDtypeStruct(shape, jnp.result_type(float))
    network = jax.eval_shape(lambda: model.init(new_key(0)))
    numbers = {name: real(()) for name in model.numbers}
    made, _ = jax.eval_shape(model.apply, *network, real(shape), **numbers)
    found = getattr(made, "shape", type(made))
    if not isinstance(found, tuple) or len(found) != 2 or found[1] < num_outputs:
        raise ValueError(
            f"model got one whose outputs for inputs {shape} are {found}; expected logits "
            f"({shape[0]}, {num_outputs}), one for each class of the training set"
        )


def recipe(setting: Setting, train: Dataset, model: Model | ModelFn | None) -> Recipe:
    """Returns the recipe of a setting.

    Raises:
      ValueError: the setting is bad or does not fit the data.
    """
    if model is not None and isinstance(setting, Mapping):
        model = network_of(model, setting)
    full = complete(setting, model)
    if full["batch_size"] > len(train):
        raise ValueError(
            f"batch_size got {full['batch_size']}; expected at most the {len(train)} training "
            "examples (the default is 32)"
        )
    loss = loss_of(full)
    if model is not None:
        num_outputs = OBJECTIVES[loss].num_outputs(train.num_classes)
        _check_outputs(model, (full["batch_size"], *train.x.shape[1:]), num_outputs)
    program = Program(
        networks_of(full, model, train.x.shape[1:], train.num_classes),
        (full["optimizer"],),
        full["batch_size"],
        has_dropout=full["dropout"] > 0,
        has_l2=full["l2"] > 0,
        loss=loss,
        has_decay=full["decay_schedule"] != "none",
    )
    _check_size(full["hidden"], program, len(train))
    made = Recipe(full, program)
    # raises ValueError if the float type cannot hold one
    made.numbers  # noqa: B018
    return made


def _check_size(hidden: tuple[int, ...], program: Program, num_examples: int) -> None:
    """Raises ValueError if an MLP does not fit in memory, before anything is allocated."""
    networks = program.networks
    if networks.num_features is None:
        return
    # in the row space, training has at most as many features as there are examples
    trained = program.with_features(min(num_examples, networks.num_features))
    what, itemsize = f"hidden got {brief(hidden)}: a network", jnp.result_type(float).itemsize
    check_fits(trained.lane_bytes(), f"{what} in training", device_memory())
    check_fits(networks.num_weights * itemsize, what)


def recipes(
    settings: Sequence[Setting], train: Dataset, model: Model | ModelFn | None
) -> list[Recipe]:
    """Returns the recipes of a list of settings.

    Of settings that differ in numbers alone, the first and those with the least and the greatest
    numbers are checked, which is fast for many.

    Raises:
      ValueError: naming the first setting that is bad.
    """
    if isinstance(settings, str | Mapping) or not isinstance(settings, Sequence):
        raise ValueError(f"settings got {settings!r}; expected a list of dicts, as from sample")
    if not settings:
        raise ValueError("settings got an empty list; expected at least one setting")
    found: dict[int, Recipe] = {}
    for rows in alike(settings):
        with contextlib.suppress(ValueError, OverflowError):
            together = _together([settings[row] for row in rows], train, model)
            found.update(zip(rows, together, strict=True))
    for row, setting in enumerate(settings):
        if row not in found:
            try:
                found[row] = recipe(setting, train, model)
            except ValueError as error:
                raise ValueError(f"settings[{row}]: {error}") from None
    return [found[row] for row in range(len(settings))]


def _together(
    settings: Sequence[Setting], train: Dataset, model: Model | ModelFn | None
) -> list[Recipe]:
    """Returns the recipes of settings that are `alike`; raises ValueError if one is bad."""
    first = recipe(settings[0], train, model)
    if len(settings) == 1:
        return [first]
    names, values = numbers_of(settings)
    for corner in corners(values).tolist():
        recipe({**settings[0], **dict(zip(names, corner, strict=True))}, train, model)
    return [
        Recipe({**first.setting, **dict(zip(names, row, strict=True))}, first.program)
        for row in values.tolist()
    ]


def by_structure(prepared: Sequence[Recipe]) -> list[tuple[Recipe, list[int]]]:
    """Groups recipes of the same inputs and program object; returns the first of each, and rows."""
    found: dict[tuple[str, int], list[int]] = {}
    for row, one in enumerate(prepared):
        found.setdefault((one.setting["inputs"], id(one.program)), []).append(row)
    return [(prepared[rows[0]], rows) for rows in found.values()]


def warn_of_scales(prepared: Sequence[Recipe], train: Dataset, is_over: bool = False) -> None:
    """Warns of features that make training difficult.

    These are raw features of very different size for an MLP without batch norm, and features with
    few distinct values in the float type, since they are large and vary little.
    """
    is_bare = any(
        one.program.networks.is_mlp
        and one.setting["inputs"] == "raw"
        and not one.setting["batch_norm"]
        for one in prepared
    )
    ratio = scale_ratio(train) if is_bare else 0.0
    if ratio > 1e3:
        warn_caller(
            f"the features' deviations differ by a factor of {ratio:.0e}: the largest features "
            'will dominate; consider inputs="standardised" or batch_norm=True',
            is_over,
        )
    for inputs in dict.fromkeys(one.setting["inputs"] for one in prepared):
        if found := indistinct_features(inputs, train):
            shown = ", ".join(map(str, found[:10])) + (", ..." if len(found) > 10 else "")
            cure = (
                'consider inputs="standardised", which is computed in float64'
                if inputs == "raw" and train.exact is not None
                else "subtract about their mean before they are cast to that type"
            )
            warn_caller(
                f"{train.x.dtype} tells few values of these features apart, since they are large "
                f'and vary little: {shown} (inputs="{inputs}"); {cure}',
                is_over,
            )
