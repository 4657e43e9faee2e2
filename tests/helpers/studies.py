"""Studies of made-up results."""

from datetime import datetime

import numpy as np

import jaxnn
from jaxnn import loguniform, reverseloguniform, uniform
from jaxnn.data.inputs import Treatment
from jaxnn.functional.objectives import Targets
from jaxnn.results.trials import Chunk
from jaxnn.searching.studies import Study
from jaxnn.settings.hyperparameters import complete

SPACE = {
    "learning_rate": loguniform(1e-4, 1e0),
    "beta1": reverseloguniform(0.5, 0.999),
    "dropout": uniform(0.0, 0.5),
}


def make_study(given, accuracy, cost=None, *, metric="accuracy", epochs=5, diverged=None):
    """A study whose validation curves end at the given (S,) or (S, K) values."""
    accuracy = np.asarray(accuracy, float).reshape(len(given), -1)
    cost = 1 - accuracy if cost is None else np.asarray(cost, float).reshape(accuracy.shape)
    rise = np.linspace(0, 1, epochs)
    curves = {
        "cost": cost[..., None] + 1 - rise,
        "accuracy": accuracy[..., None] * rise,
        "valid_cost": cost[..., None] + 1 - rise,
        "valid_accuracy": accuracy[..., None] * rise,
    }
    diverged = np.full(accuracy.shape, -1) if diverged is None else np.asarray(diverged)
    for curve in curves.values():
        curve[diverged >= 0] = np.nan
    lanes = np.arange(accuracy.size).reshape(accuracy.shape)
    start, end = datetime(2026, 1, 1, 12), datetime(2026, 1, 1, 13)
    return Study(
        given=given,
        settings=[complete(setting) for setting in given],
        model=None,
        metric=metric,
        plan=jaxnn.plan(given, jaxnn.Dataset(np.ones((40, 4)), np.arange(40) % 3)),
        treatments={("raw", 0): Treatment(None, None, 4)},
        input_shape=(4,),
        targets=Targets(3),
        curves=curves,
        diverged=diverged,
        stopped=np.full(accuracy.shape, -1),
        epochs_done=np.full(accuracy.shape, epochs),
        ends=np.full(accuracy.shape, epochs),
        dropped=np.zeros(len(given), int),
        parent=np.full(len(given), -1),
        born=np.zeros(len(given), int),
        space=getattr(given, "space", None),
        kept_epochs=np.full(accuracy.shape, epochs - 1),
        places=np.stack([np.zeros_like(lanes), lanes], axis=-1),
        chunks=[Chunk(None, (), (), start, end)],
        seconds=2.0,
        compile_seconds=0.5,
    )
