"""What a run comes to: its network as `fit` returns it, and a study of one setting."""

from datetime import datetime
from typing import NamedTuple

import jax
import numpy as np

from jaxnn.data.batches import Schedule
from jaxnn.data.datasets import Dataset
from jaxnn.data.inputs import Treatment
from jaxnn.functional.types import Model, ModelFn
from jaxnn.planning.joining import plan_recipes
from jaxnn.results.trials import Chunk
from jaxnn.searching.studies import Study
from jaxnn.training.fitted import Fitted
from jaxnn.training.programs import Program
from jaxnn.training.recipes import Recipe
from jaxnn.watching.journals import Journal, Moment


class Setup(NamedTuple):
    """What stays as it is while a run goes on.

    Attributes:
      given: the training set before its treatment.
      train, valid: after it.
      schedule: the mini-batches.
    """

    given: Dataset
    train: Dataset
    valid: Dataset | None
    treatment: Treatment
    model: Model | ModelFn | None
    in_row_space: bool
    schedule: Schedule

    def program(self, recipe: Recipe) -> Program:
        return recipe.program.with_features(self.treatment.num_features)


class Clock(NamedTuple):
    """When a run began, and the seconds that it trained; those of compiling are among them."""

    began: datetime
    seconds: float = 0.0
    compile_seconds: float = 0.0


def diverged_at(now: Moment) -> int | None:
    """The step whose cost was not finite, or None."""
    step = int(now.train_state.diverged)
    return None if step < 0 else step


def fitted_of_run(setup: Setup, now: Moment, curves: dict[str, np.ndarray]) -> Fitted:
    """The network of a moment, see `Run.fitted`."""
    full, state = now.recipe.setting, now.train_state
    input_shape, num_classes = setup.given.x.shape[1:], setup.train.num_classes
    networks = setup.program(now.recipe).networks
    return Fitted(
        model=networks.own_model(full),
        params=jax.device_put(setup.treatment.lifted(state.params)),
        state=state.state,
        inputs=setup.treatment.statistics,
        setting=dict(full),
        curves=curves,
        diverged=diverged_at(now),
        input_shape=input_shape,
        num_classes=num_classes,
        is_mlp=networks.is_mlp,
    )


def study_of_run(setup: Setup, now: Moment, journal: Journal, clock: Clock, metric: str) -> Study:
    """A moment as a study of one setting, see `Run.study`."""
    full, step = now.recipe.setting, diverged_at(now)
    plan = plan_recipes(
        [now.recipe], setup.given, now.epoch, 1, row_space=setup.in_row_space, chunk=1
    )
    params, state = jax.tree.map(
        lambda leaf: np.array(leaf)[None], (now.train_state.params, now.train_state.state)
    )
    networks = setup.program(now.recipe).networks
    edits = [entry for entry in journal.standing if entry.action == "set"]
    study = Study.empty(
        1,
        now.epoch,
        [*journal.curves],
        np.float32,
        model=setup.model,
        metric=metric,
        plan=plan,
        input_shape=setup.given.x.shape[1:],
        num_classes=setup.train.num_classes,
        notes=[f"Epoch {edit.epoch}: {edit.detail}." for edit in edits],
        seconds=clock.seconds,
        compile_seconds=clock.compile_seconds,
    )
    study.grow([dict(now.given)], [dict(full)])
    study.treatments[full["inputs"], 0] = setup.treatment
    study.curves = {name: values[None, None] for name, values in journal.curves.items()}
    study.diverged[:] = -1 if step is None else step
    study.epochs_done[:], study.kept_epochs[:] = now.epoch, now.epoch - 1
    study.places[:] = 0
    study.chunks.append(Chunk(networks, params, state, clock.began, datetime.now()))
    return study
