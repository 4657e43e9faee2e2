"""Regularisation: what l2, dropout and learning-rate decay do to a network that overfits.

python examples/regularisation.py
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from lesson import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    Lesson,
    canvas,
    legend_below,
    mean_and_spread,
    section,
    small_signs,
)
from matplotlib.axes import Axes

import jaxnn

BASE = {"optimizer": "adam", "hidden": (64, 32), "inputs": "centred", "batch_size": 16}
GOOD_RATE, HIGH_RATE = 3e-3, 0.05
L2 = (0.0, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2)
DROPOUT = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
COLORS = {"l2": BLUE, "dropout": ORANGE, "decay": GREEN}
MARKERS = {"l2": "o", "dropout": "s", "decay": "^"}


def schedules(epochs: int) -> list[dict[str, Any]]:
    """The five, each stretched to the same shape however many epochs there are."""
    return [
        {"decay_schedule": "none"},
        {"decay_schedule": "inverse", "decay_rate": 1.0, "decay_every": epochs / 40},
        {"decay_schedule": "exponential", "decay_rate": 0.9, "decay_every": epochs / 40},
        {"decay_schedule": "inverse_sqrt", "decay_rate": 1.0, "decay_every": epochs / 40},
        {"decay_schedule": "staircase", "decay_rate": 0.5, "decay_every": epochs / 8},
    ]


class Measured(NamedTuple):
    """Of all networks; the first axis is the setting, the second the network.

    Networks are in the order of their data sets; what is measured is after the last epoch, with
    dropout off.
    """

    settings: list[dict[str, Any]]
    values: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]
    num_data: int

    def rows(self, **wanted: Any) -> list[int]:
        """Numbers of the settings with these values, in their order."""
        same = lambda setting: all(setting.get(name, 0) == v for name, v in wanted.items())
        return [number for number, setting in enumerate(self.settings) if same(setting)]

    def by_data(self, name: str) -> np.ndarray:
        """Means (settings, data sets) over the networks of a data set."""
        values = self.values[name]
        return values.reshape(len(values), self.num_data, -1).mean(axis=2)


def train_all(lesson: Lesson) -> Measured:
    """Every setting on several data sets, and on each from several seeds."""
    is_quick = lesson.is_quick
    epochs, num_data, seeds = (24, 2, 2) if is_quick else (40, 6, 2)
    num_train, num_valid = (192, 120) if is_quick else (480, 240)
    every = 2 if is_quick else 1
    good = BASE | {"learning_rate": GOOD_RATE}
    settings = [good | {"l2": l2} for l2 in L2]
    settings += [good | {"dropout": rate} for rate in DROPOUT[1:]]
    for rate in (GOOD_RATE, HIGH_RATE):
        settings += [BASE | {"learning_rate": rate} | s for s in schedules(epochs)]
    parts = []
    for number in range(num_data):
        seed = 1000 * lesson.seed + number
        train, held_out = small_signs(seed, num_train, 2 * num_valid)
        valid, test = held_out[:num_valid], held_out[num_valid:]
        study = jaxnn.sweep(
            settings, train, valid, epochs=epochs, seeds=seeds, seed=seed, progress=False
        )
        parts.append((study.curves, measure(study, {"train": train, "valid": valid, "test": test})))
        print(study.seconds, study.compile_seconds, study.plan)
    together = lambda place: {
        name: np.concatenate([part[place][name] for part in parts], axis=1)
        for name in parts[0][place]
    }
    return Measured(settings, together(1), together(0), num_data)


def measure(study: jaxnn.Study, data: dict[str, jaxnn.Dataset]) -> dict[str, np.ndarray]:
    """Cost and accuracy on each part of the data, and the sum of squared kernels."""
    evaluate = jax.jit(jaxnn.evaluate, static_argnums=0)
    values: dict[str, np.ndarray] = {}
    for place in np.ndindex(study.diverged.shape):
        fitted = study.fitted(*place)
        found = {"kernels": 2 * jaxnn.l2_penalty(fitted.params)}
        for part, examples in data.items():
            normalised = examples.normalised(fitted.inputs)
            for name, value in evaluate(
                fitted.model, fitted.params, fitted.state, normalised
            ).items():
                found[f"{part}_{name}"] = value
        for name, value in found.items():
            values.setdefault(name, np.empty(study.diverged.shape))[place] = value
    return values
