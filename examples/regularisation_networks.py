"""The networks of regularisation.py: what is trained, and what is measured of each."""

from typing import Any, NamedTuple

import course
import jax
import numpy as np

import jaxnn

BASE = {"optimizer": "adam", "inputs": "centred", "batch_size": 16}
GOOD_RATE, HIGH_RATE = 3e-3, 0.05


class Form(NamedTuple):
    """How much is trained, and the values of l2 and dropout."""

    hidden: tuple[int, ...]
    epochs: int
    num_data: int
    num_train: int
    num_valid: int
    l2: tuple[float, ...]
    dropout: tuple[float, ...]


FULL = Form(
    *((64, 32), 40, 6, 480, 240),
    l2=(0, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    dropout=(0, 0.1, 0.2, 0.3, 0.4, 0.5),
)
QUICK = Form((64, 32), 25, 2, 160, 128, l2=(0, 1e-3, 1e-2, 3e-2, 1e-1), dropout=(0, 0.25, 0.5))


class Measured(NamedTuple):
    """What came of each setting; arrays are (settings, networks), the networks by data set.

    `values` are those of the trained networks with dropout off, `curves` have an epoch axis more.
    `rows` has the numbers of the settings: of "l2" and "dropout" by value; of "decay" and, from
    the high learning rate, "high" by schedule. The first of each but "high" is the base.
    """

    form: Form
    rows: dict[str, list[int]]
    values: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]

    def by_data(self, name: str, rows: list[int]) -> np.ndarray:
        """Means (rows, data sets)."""
        return self.values[name][rows].reshape(len(rows), self.form.num_data, -1).mean(axis=2)


def schedules(epochs: int) -> dict[str, dict[str, float]]:
    """The five: all but "none" end at about a sixteenth of the first learning rate."""
    return {
        "none": {},
        "inverse": {"decay_rate": 1.0, "decay_every": epochs / 15},
        "exponential": {"decay_rate": 0.5, "decay_every": epochs / 4},
        "inverse_sqrt": {"decay_rate": 1.0, "decay_every": epochs / 255},
        "staircase": {"decay_rate": 0.5, "decay_every": epochs / 5},
    }


def train_all(lesson: course.Lesson, form: Form) -> Measured:
    """Every setting on several sets of pictures, from the same two seeds on each."""
    base = BASE | {"hidden": form.hidden, "learning_rate": GOOD_RATE}
    settings: list[dict[str, Any]] = [base]
    rows: dict[str, list[int]] = {"l2": [0], "dropout": [0], "decay": [0], "high": []}

    def add(family: str, setting: dict[str, Any]) -> None:
        rows[family].append(len(settings))
        settings.append(base | setting)

    for value in form.l2[1:]:
        add("l2", {"l2": value})
    for value in form.dropout[1:]:
        add("dropout", {"dropout": value})
    for name, numbers in schedules(form.epochs).items():
        schedule = {"decay_schedule": name, **numbers}
        add("high", schedule | {"learning_rate": HIGH_RATE})
        if name != "none":
            add("decay", schedule)
    values, curves = [], []
    for number in range(form.num_data):
        seed = 1000 * lesson.seed + number
        train, held_out = course.small_signs(seed, form.num_train, 2 * form.num_valid)
        valid, test = held_out[: form.num_valid], held_out[form.num_valid :]
        study = jaxnn.sweep(
            settings, train, valid, epochs=form.epochs, seeds=2, seed=seed, progress=False
        )
        values.append(measure(study, {"train": train, "valid": valid, "test": test}))
        curves.append(study.curves)
    join = lambda dicts: {name: np.concatenate([d[name] for d in dicts], 1) for name in dicts[0]}
    return Measured(form, rows, join(values), join(curves))


def measure(study: jaxnn.Study, parts: dict[str, jaxnn.Dataset]) -> dict[str, np.ndarray]:
    """Cost, accuracy and gap with dropout off, and the sum of squared kernels, of all networks."""
    evaluate = jax.jit(jaxnn.evaluate, static_argnums=0)
    values: dict[str, np.ndarray] = {}
    for place in np.ndindex(study.diverged.shape):
        fitted = study.fitted(*place)
        found = {"kernels": 2 * jaxnn.l2_penalty(fitted.params)}
        for part, data in parts.items():
            data = data.normalised(fitted.inputs)
            results = evaluate(fitted.model, fitted.params, fitted.state, data)
            found |= {f"{part} {name}": value for name, value in results.items()}
        found["gap"] = found["valid cost"] - found["train cost"]
        for name, value in found.items():
            values.setdefault(name, np.empty(study.diverged.shape))[place] = value
    return values
