"""Every hyperparameter may be a domain, in every method, and is shown, saved and told to Optuna."""

import numpy as np
import pytest

import jaxnn
from jaxnn.functional.layers import ACTIVATIONS, INITIALIZERS
from jaxnn.functional.optimizers import DECAY_SCHEDULES, OPTIMIZERS
from jaxnn.settings.hyperparameters import HYPERPARAMETERS

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
CLASSES = jaxnn.Dataset(X, (X[:, 0] > 0) * 1)
REAL = jaxnn.Dataset(X, np.exp(X[:, 0]))
SPACE = {
    "optimizer": jaxnn.choice([*OPTIMIZERS]),
    "learning_rate": jaxnn.loguniform(1e-4, 1e-2),
    "momentum": jaxnn.reverseloguniform(0.5, 0.99),
    "beta1": jaxnn.reverseloguniform(0.5, 0.99),
    "beta2": jaxnn.reverseloguniform(0.9, 0.999),
    "epsilon": jaxnn.loguniform(1e-8, 1e-3),
    "hidden": jaxnn.layers(jaxnn.randint(1, 2), jaxnn.lograndint(2, 6)),
    "activation": jaxnn.choice([*ACTIVATIONS]),
    "init": jaxnn.choice([*INITIALIZERS]),
    "batch_size": jaxnn.lograndint(8, 16),
    "targets": jaxnn.choice(["raw"]),
    "label_smoothing": jaxnn.uniform(0, 0.2),
    "huber_delta": jaxnn.loguniform(0.1, 10),
    "quantile": jaxnn.uniform(0.1, 0.9),
    "l2": jaxnn.loguniform(1e-6, 1e-2),
    "weight_decay": jaxnn.choice([0, 1e-2]),
    "clip_norm": jaxnn.choice([None, 0.1, 1.0]),
    "dropout": jaxnn.uniform(0, 0.3),
    "batch_norm": jaxnn.choice([False, True]),
    "batch_norm_decay": jaxnn.uniform(0.5, 0.99),
    "inputs": jaxnn.choice(["raw", "standardised"]),
    "decay_schedule": jaxnn.choice([*DECAY_SCHEDULES]),
    "decay_rate": jaxnn.uniform(0.5, 1),
    "decay_every": jaxnn.uniform(0.5, 2),
    "decay_power": jaxnn.uniform(0, 1),
    "warmup": jaxnn.uniform(0, 1.5),
    "patience": jaxnn.randint(1, 9),
    "min_delta": jaxnn.uniform(0, 0.01),
    "monitor": jaxnn.choice([None, "cost", "valid_cost"]),
}
# those that have numbers of their own: each further one is a program more
LOSSES = {"classes": ["softmax", "sigmoid"], "real": ["huber", "quantile"]}


def test_the_space_has_every_hyperparameter():
    assert {*SPACE, "loss"} == HYPERPARAMETERS.keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("classes", "coarse_to_fine"),
        ("real", "halving"),
        ("real", "optuna"),
    ],
)
def test_all_of_them_may_be_domains(kind, method, tmp_path):
    space = {**SPACE, "loss": jaxnn.choice(LOSSES[kind])}
    data = CLASSES if kind == "classes" else REAL
    options = {"num_settings": 12, "max_epochs": 3, "batch": 6, "progress": False}
    study = jaxnn.search(space, data, 0.3, method=method, rounds=2, **options)
    assert np.isfinite(study.best_value)
    study.summary()
    study.report(tmp_path / "report.html")
    assert jaxnn.plot_slice(study) is not None
    assert len(jaxnn.to_optuna(study).trials) == 12
    assert len(study.to_dataframe()) == 12
    finer = jaxnn.zoom(space, study, top=0.3)
    assert finer.keys() == space.keys()
    assert len(jaxnn.sample(finer, 5)) == 5
    study.save(tmp_path / "study.h5")
    again = jaxnn.load(tmp_path / "study.h5")
    assert again.settings == study.settings
    assert again.space == study.space
    np.testing.assert_array_equal(again.fitted().predict(X), study.fitted().predict(X))
