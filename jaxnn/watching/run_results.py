"""A run as a study of one setting."""

from datetime import datetime

import jax
import numpy as np

from jaxnn.planning.joining import plan_recipes
from jaxnn.results.trials import Chunk
from jaxnn.searching.studies import Study
from jaxnn.system.checks import either
from jaxnn.training.fitting import diverged_at
from jaxnn.training.setups import Setup
from jaxnn.watching.journals import Journal


def study_of_run(setup: Setup, journal: Journal, metric: str | None) -> Study:
    """Returns the current state of a run as a study of one setting, see `Run.study`."""
    if setup.examples.held_out is None:
        raise ValueError("study got a run without validation data; expected Run(..., valid)")
    now, clock = journal.now, journal.clock
    objective = now.recipe.program.objective
    metric = metric or objective.metrics[0]
    either("metric", metric, *objective.measures)
    if now.epoch == 0:
        raise ValueError("study got a run that has not trained yet; expected train(...) first")
    full, step = now.recipe.setting, diverged_at(now.train_state)
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
        targets=setup.given.targets,
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
    chunk = Chunk(networks, params, state, start=clock.began, end=datetime.now())
    study.chunks.append(chunk)
    return study
