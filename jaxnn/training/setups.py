"""Setups: what training one network needs and does not change, from checked arguments."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.compiled.compiling import abstract, compiling
from jaxnn.compiled.programs import Program, initial
from jaxnn.compiled.steps import TrainState, init_train_state, train_epochs
from jaxnn.data.batches import Examples, Schedule
from jaxnn.data.datasets import Dataset
from jaxnn.data.inputs import Treatment, check_row_space, treatment
from jaxnn.data.splits import checked_data
from jaxnn.functional.types import Model, ModelFn, as_model
from jaxnn.settings.hyperparameters import Setting
from jaxnn.system.checks import either, whole_number
from jaxnn.system.draws import new_key
from jaxnn.training.recipes import Recipe, check_valid, recipe, warn_of_scales


class Setup(NamedTuple):
    """What does not change while one network is trained.

    Attributes:
      given: the training set before the treatment of inputs.
      examples: the training examples, and behind them those to validate, after the treatment.
      treatment: the treatment of inputs.
      model: the user's model, or None for `mlp`.
      in_row_space: whether the treatment projects to the row space.
      schedule: the mini-batches of the training examples.
      keep_best: the metric whose best epoch's network is kept, or None.
    """

    given: Dataset
    examples: Examples
    treatment: Treatment
    model: Model | ModelFn | None
    in_row_space: bool
    schedule: Schedule
    keep_best: str | None = None

    def curve_names(self, recipe: Recipe) -> tuple[str, ...]:
        return recipe.program.objective.curves(self.examples.held_out is not None)

    def recipe(self, setting: Mapping[str, Any]) -> Recipe:
        return recipe(setting, self.given, self.model)

    def program(self, recipe: Recipe) -> Program:
        program = recipe.program.with_features(self.treatment.num_features)
        return program._replace(keep_best=self.keep_best)

    def first_state(self, recipe: Recipe, seed: int) -> TrainState:
        """Returns the state before the first step."""
        return init_train_state(*self._first(recipe, seed))

    def compiled_beside_first_state(self, recipe: Recipe, seed: int) -> TrainState:
        """Returns the state before the first step; meanwhile the training program compiles."""
        first = self._first(recipe, seed)
        state, no_batches = abstract(init_train_state, *first), self.schedule.batches(0, 0)
        arguments = self.program(recipe), state, first[-1], self.examples, no_batches
        with compiling(train_epochs, *arguments):
            return init_train_state(*first)

    def _first(self, recipe: Recipe, seed: int) -> tuple[Program, jax.Array, dict[str, jax.Array]]:
        """Returns the arguments of `init_train_state`."""
        return initial(self.program(recipe)), new_key(seed), jax.device_put(recipe.numbers)


def prepared(
    setting: Setting,
    train: Dataset,
    valid: Dataset | float | None,
    *,
    epochs: int | None,
    seed: int,
    order_seed: int | None,
    model: Model | ModelFn | None,
    row_space: bool,
    keep: str = "last",
    metric: str | None = None,
) -> tuple[Setup, Recipe, int]:
    """Checks the arguments of `fit` and `Run`, which has no `epochs`; returns what they train with.

    Returns:
      the setup, the recipe of the setting, and the seed of the first state.

    Raises:
      ValueError: bad input, before anything is compiled.
    """
    own = None if model is None else as_model(model)
    check_row_space(row_space, own)
    seed = whole_number("seed", seed)
    order_seed = None if order_seed is None else whole_number("order_seed", order_seed)
    given, valid = checked_data(train, valid, order_seed or 0)
    first = recipe(setting, given, own, epochs)
    warn_of_scales([first], given)
    by = treatment(first.setting["inputs"], given, row_space)
    check_valid([first], [valid] if valid else [])
    measures = first.program.objective.measures
    metric = measures[1] if metric is None else metric
    either("metric", metric, *measures)
    either("keep", keep, "last", "best")
    if keep == "best" and valid is None:
        raise ValueError('keep got "best" without a validation set; expected valid, or "last"')
    data, scales = by.together(given, valid, first.program.targets)
    held_out = first.program.held_out(np.arange(len(given), len(data)))
    setup = Setup(
        given=given,
        examples=jax.device_put(Examples(data, held_out, scales)),
        treatment=by,
        model=own,
        in_row_space=row_space,
        schedule=first.program.schedule(given, order_seed, num_rows=len(data)),
        keep_best=metric if keep == "best" else None,
    )
    return setup, first, seed
