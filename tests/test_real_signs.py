"""On the course's own files: JAXNN_SIGNS names the folder with train_signs.h5 and test_signs.h5."""

import os

import h5py
import numpy as np
import pytest

import jaxnn

FOLDER = os.environ.get("JAXNN_SIGNS")
pytestmark = pytest.mark.skipif(not FOLDER, reason="JAXNN_SIGNS does not name the course's files")


@pytest.fixture(scope="module")
def signs():
    return jaxnn.load_signs(FOLDER)


def test_shapes_and_values(signs):
    train, test, classes = signs
    assert train.x.shape == (1080, 64, 64, 3)
    assert test.x.shape == (120, 64, 64, 3)
    assert classes == (0, 1, 2, 3, 4, 5)
    np.testing.assert_array_equal(np.bincount(train.y), 180)
    with h5py.File(os.path.join(FOLDER, "test_signs.h5")) as file:
        expected = file["test_set_x"][()] / 255
    np.testing.assert_allclose(test.x, expected, rtol=1e-6)


def test_centred_network_learns_the_real_pictures(signs):
    """No lottery once the training mean is subtracted: near 0.9 on test within 100 epochs."""
    train, test, _ = signs
    setting = {"hidden": (25, 12), "inputs": "centred", "learning_rate": 3e-4}
    fitted = jaxnn.fit(setting, train, epochs=60, seed=1)
    assert fitted.score(train) > 0.99
    assert fitted.score(test) > 0.8


def test_batch_norm_reaches_090_in_30_epochs(signs):
    train, test, _ = signs
    setting = {"hidden": (128, 64), "batch_norm": True, "learning_rate": 1e-3}
    fitted = jaxnn.fit(setting, train, epochs=30, seed=0)
    assert fitted.score(test) > 0.85


def test_population_statistics_predict_like_the_running_averages(signs):
    train, test, _ = signs
    setting = {"hidden": (25, 12), "batch_norm": True, "learning_rate": 1e-3}
    fitted = jaxnn.fit(setting, train, epochs=30, seed=0)
    state = jaxnn.population_statistics(fitted.model, fitted.params, fitted.state, train.x)
    running = jaxnn.evaluate(fitted.model, fitted.params, fitted.state, test)["accuracy"]
    population = jaxnn.evaluate(fitted.model, fitted.params, state, test)["accuracy"]
    assert abs(float(running - population)) < 0.15
    assert float(population) > 0.7
