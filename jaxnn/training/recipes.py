"""Recipes: settings that were checked against the data, as a program and its numbers."""

import contextlib
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxnn.compiled.mixtures import single
from jaxnn.compiled.networks import Foreign, Networks
from jaxnn.compiled.programs import Program
from jaxnn.data.datasets import Dataset
from jaxnn.data.inputs import indistinct_features, scale_ratio
from jaxnn.functional.objectives import Targets
from jaxnn.functional.optimizers import DECAY_SCHEDULES
from jaxnn.functional.types import Model, ModelFn, as_model
from jaxnn.settings.hyperparameters import HYPERPARAMETERS, Setting, complete, switched_on
from jaxnn.settings.traced import alike, corners, numbers_of, traced_numbers
from jaxnn.system.terminal import warn_caller
from jaxnn.training.requirements import (
    check_code,
    check_epochs,
    check_monitor,
    check_names,
    check_optimizer,
    check_outputs,
    check_size,
    check_targets,
)


class Recipe(NamedTuple):
    """A setting, complete and checked, and its structure as a program.

    Recipes that were made together and differ in numbers alone have the same `program` object.

    Attributes:
      epochs: the number of epochs in all, for schedules that end with the last one; None if it is
        not known.
      seed: the lane's own seed of weights, dropout and mini-batches; None takes the call's seeds.
    """

    setting: dict[str, Any]
    program: Program
    epochs: int | None = None
    seed: int | None = None

    @property
    def numbers(self) -> dict[str, np.ndarray]:
        """The setting's numbers, as data to the program."""
        (epochs,) = epoch_counts([self])["epochs"]
        return traced_numbers(self.setting) | {"epochs": epochs}


def epoch_counts(prepared: Sequence[Recipe]) -> dict[str, np.ndarray]:
    """Returns the number of epochs in all of each recipe, as data to the program."""
    counts = [one.epochs or 0 for one in prepared]
    return {"epochs": np.array(counts, jnp.result_type(float))}


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
    targets: Targets,
) -> Networks:
    """Returns the networks of a completed setting: an MLP, or those of the user's `model`."""
    if model is not None:
        return Foreign(network_of(model, setting))
    return single(
        (math.prod(input_shape), *setting["hidden"], targets.num_outputs(setting["loss"])),
        setting["activation"],
        setting["batch_norm"],
        setting["init"],
    )


def recipe(
    setting: Setting, train: Dataset, model: Model | ModelFn | None, epochs: int | None = None
) -> Recipe:
    """Returns the recipe of a setting.

    Args:
      epochs: the number of epochs in all; None if it is not known.

    Raises:
      ValueError: the setting is bad or does not fit the data.
    """
    check_code(setting)
    if model is not None and isinstance(setting, Mapping):
        model = network_of(model, setting)
    full = complete(setting, model, loss=train.targets.default_loss)
    if full["batch_size"] > len(train):
        raise ValueError(
            f"batch_size got {full['batch_size']}; expected at most the {len(train)} training "
            "examples (the default is 32)"
        )
    check_targets(full, train, "train")
    if model is not None:
        num_outputs = train.targets.num_outputs(full["loss"])
        check_outputs(model, (full["batch_size"], *train.x.shape[1:]), num_outputs)
    program = Program(
        networks_of(full, model, train.x.shape[1:], train.targets),
        (full["optimizer"],),
        full["batch_size"],
        switches=switched_on(full),
        schedules=(full["decay_schedule"],),
        loss=full["loss"],
        targets=full["targets"] if train.is_real else None,
    )
    check_epochs(full, epochs)
    check_monitor(full, program.objective)
    check_optimizer(full["optimizer"])
    check_size(full["hidden"], program, len(train))
    made = Recipe(full, program, epochs)
    # raises ValueError if the float type cannot hold one
    made.numbers  # noqa: B018
    return made


def recipes(
    settings: Sequence[Setting],
    train: Dataset,
    model: Model | ModelFn | None,
    epochs: int | None = None,
) -> list[Recipe]:
    """Returns the recipes of a list of settings; arguments as for `recipe`.

    Of settings that differ in numbers alone, the first and those with the least and the greatest
    numbers are checked, which is fast for many.

    Raises:
      ValueError: naming the first setting that is bad.
    """
    if isinstance(settings, str | Mapping) or not isinstance(settings, Sequence):
        raise ValueError(f"settings got {settings!r}; expected a list of dicts, as from sample")
    if not settings:
        raise ValueError("settings got an empty list; expected at least one setting")
    check_names(settings)
    found: dict[int, Recipe] = {}
    for rows in alike(settings):
        with contextlib.suppress(ValueError, OverflowError):
            together = _together([settings[row] for row in rows], train, model, epochs)
            found.update(zip(rows, together, strict=True))
    for row, setting in enumerate(settings):
        if row not in found:
            try:
                found[row] = recipe(setting, train, model, epochs)
            except ValueError as error:
                raise ValueError(f"settings[{row}]: {error}") from None
    return [found[row] for row in range(len(settings))]


def _together(
    settings: Sequence[Setting], train: Dataset, model: Model | ModelFn | None, epochs: int | None
) -> list[Recipe]:
    """Returns the recipes of settings that are `alike`; raises ValueError if one is bad."""
    first = recipe(settings[0], train, model, epochs)
    if len(settings) == 1:
        return [first]
    names, values = numbers_of(settings)
    for corner in corners(values).tolist():
        recipe({**settings[0], **dict(zip(names, corner, strict=True))}, train, model, epochs)
    return [
        Recipe({**first.setting, **dict(zip(names, row, strict=True))}, first.program, epochs)
        for row in values.tolist()
    ]


def without_stops(given: Setting) -> dict[str, Any]:
    """Returns a setting that is trained to its end, and needs no validation set.

    A schedule that waits for `patience` waits for the training cost.
    """
    schedule = given.get("decay_schedule", HYPERPARAMETERS["decay_schedule"].default)
    patience = given.get("patience") if DECAY_SCHEDULES[schedule].waits else None
    stops = {"patience": patience, "monitor": None}
    return {**given, **{name: value for name, value in stops.items() if name in given}}


def by_structure(prepared: Sequence[Recipe]) -> list[tuple[Recipe, list[int]]]:
    """Groups recipes of the same inputs and program object; returns the first of each, and rows."""
    found: dict[tuple[str, int], list[int]] = {}
    for row, one in enumerate(prepared):
        found.setdefault((one.setting["inputs"], id(one.program)), []).append(row)
    return [(prepared[rows[0]], rows) for rows in found.values()]


def check_valid(prepared: Sequence[Recipe], parts: Sequence[Dataset]) -> None:
    """Raises ValueError if validation sets do not fit settings, which may need one."""
    for one in {one.program.loss: one for one in prepared}.values():
        for valid in parts:
            check_targets(one.setting, valid, "valid")
    if not parts:
        for one in prepared:
            check_monitor(one.setting, one.program.objective, has_valid=False)


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
