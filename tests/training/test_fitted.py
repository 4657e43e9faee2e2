import json

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn
from jaxnn import Dataset, Model, fit, load


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return Dataset(rng.random((40, 2, 3)), rng.integers(0, 3, 40), 3)


SETTINGS = [
    {"hidden": (5, 4)},
    {"hidden": (5,), "batch_norm": True, "inputs": "standardised", "activation": "tanh"},
    {"inputs": "centred"},
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_save_and_load(data, setting, tmp_path):
    fitted = fit(setting, data, data, epochs=2)
    fitted.save(tmp_path / "network.h5")
    loaded = load(tmp_path / "network.h5")
    jax.tree.map(np.testing.assert_array_equal, loaded.params, fitted.params)
    jax.tree.map(np.testing.assert_array_equal, loaded.state, fitted.state)
    np.testing.assert_array_equal(loaded.predict_proba(data.x), fitted.predict_proba(data.x))
    assert loaded.setting == fitted.setting
    assert (loaded.diverged, loaded.num_classes, loaded.input_shape) == (None, 3, (2, 3))
    assert loaded.curves.keys() == fitted.curves.keys()
    np.testing.assert_array_equal(loaded.curves["valid_cost"], fitted.curves["valid_cost"])
    assert [path.name for path in tmp_path.iterdir()] == ["network.h5"]


def test_the_file_is_readable_with_h5py_alone(data, tmp_path):
    fitted = fit({"hidden": (5,)}, data, epochs=1)
    fitted.save(tmp_path / "network.h5")
    with h5py.File(tmp_path / "network.h5") as file:
        np.testing.assert_array_equal(file["params/0/kernel"][()], fitted.params[0]["kernel"])
        assert json.loads(file.attrs["targets"])["Targets"]["num_classes"] == 3


def test_a_model_of_ones_own_is_given_again(data, tmp_path):
    def apply(params, state, x, *, is_training=False, key=None, weights=None, dropout=0.0):
        return x.reshape(len(x), -1) @ params["kernel"], state + is_training

    model = Model(lambda key: ({"kernel": jax.random.normal(key, (6, 3))}, jnp.int32(0)), apply)
    fitted = fit({}, data, epochs=2, model=model)
    fitted.save(tmp_path / "own.h5")
    with pytest.raises(ValueError, match=r"own\.h5 holds a network that mlp did not make"):
        load(tmp_path / "own.h5")
    loaded = load(tmp_path / "own.h5", model)
    np.testing.assert_array_equal(loaded.predict(data.x), fitted.predict(data.x))
    assert (int(loaded.state), loaded.state.dtype) == (4, np.int32)


def test_predictions_agree_with_each_other(data):
    fitted = fit({"hidden": (5,)}, data, epochs=5)
    probabilities = fitted.predict_proba(data.x)
    assert probabilities.shape == (40, 3)
    np.testing.assert_array_equal(fitted.predict(data.x), probabilities.argmax(1))
    assert fitted.score(data) == pytest.approx(np.mean(fitted.predict(data.x) == data.y))


def test_population_statistics_are_of_the_normalised_inputs(data):
    setting = {"hidden": (5,), "batch_norm": True, "inputs": "standardised"}
    fitted = fit(setting, data, epochs=3)
    state = fitted.with_population_statistics(data).state[0]
    x = np.asarray(data.x, np.float64).reshape(40, -1)
    z = np.asarray(fitted.params[0]["kernel"]) @ ((x - x.mean(0)) / x.std(0)).T
    np.testing.assert_allclose(state["mean"], z.mean(1), atol=1e-5)
    np.testing.assert_allclose(state["variance"], z.var(1), rtol=1e-4)


def test_inputs_of_another_shape_are_refused(data):
    fitted = fit({}, data, epochs=1)
    with pytest.raises(ValueError, match=r"shape \(1, 6\); expected \(examples, 2, 3\)"):
        fitted.predict(np.ones((1, 6)))
    with pytest.raises(ValueError, match="x got 1 values that are NaN"):
        fitted.predict(np.full((1, 2, 3), [[1, 1, 1], [1, 1, np.nan]]))


def test_course_parameters_of_a_fitted_network(data):
    fitted = fit({"hidden": (5,)}, data, epochs=1)
    course = jaxnn.to_course(fitted.params)
    np.testing.assert_array_equal(course["W1"], fitted.params[0]["kernel"])
    assert course["b2"].shape == (3, 1)
