"""JAX's own ways to look for faults: nothing of ours stands in their way."""

import contextlib
import itertools

import jax
import numpy as np
import pytest
from jax import export

import jaxnn
from jaxnn.functional.objectives import OBJECTIVES

X = np.random.default_rng(0).normal(size=(50, 4))
DATA = jaxnn.Dataset(X, (X[:, 0] > 0) * 1)
SETTINGS = [
    {"batch_size": 16, "hidden": (5, 3), "batch_norm": True, "decay_schedule": "inverse"},
    {"batch_size": 16, "hidden": (4,), "optimizer": "rmsprop", "dropout": 0.1, "l2": 1e-3},
]


@contextlib.contextmanager
def configured(name, value):
    """For all threads: a context of JAX's is one of this thread alone."""
    before = getattr(jax.config, name)
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


MODES = {
    "NaNs": lambda: configured("jax_debug_nans", True),
    "infinities": lambda: configured("jax_debug_infs", True),
    "strict promotion": lambda: configured("jax_numpy_dtype_promotion", "strict"),
    "no implicit transfers": lambda: configured("jax_transfer_guard", "disallow"),
    "leaks": jax.checking_leaks,
}


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_fit_and_sweep_run_under_each_mode(mode):
    with MODES[mode]():
        data = jaxnn.Dataset(X, (X[:, 0] > 0) * 1)
        for setting in SETTINGS:
            fitted = jaxnn.fit(setting, data, 0.2, epochs=2)
            fitted.score(data), fitted.predict_proba(X)
        study = jaxnn.sweep(SETTINGS, data, 0.2, epochs=2, keep="best", progress=False)
        study.fitted(1).predict(X)
        probabilities = study.ensemble(2).predict_proba(X)
        wide = jaxnn.Dataset(np.resize(X, (9, 20)), np.arange(9) % 2)
        jaxnn.fit({"batch_size": 4}, wide, epochs=1, row_space=True)
    assert np.isfinite(study.curves["valid_cost"]).all()
    assert np.isfinite(probabilities).all()


def power(outputs, targets, exponent):
    costs = jax.numpy.abs(outputs - targets) ** exponent
    return costs.reshape(len(costs), -1).mean(axis=1)


REAL = [name for name, one in OBJECTIVES.items() if one.fits(np.ones((2, 2)), None)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "shape"), [*zip(MODES, itertools.cycle([(50, 2), (50,)]), strict=False)]
)
def test_every_loss_of_real_targets_trains_under_each_mode(mode, shape):
    y = np.resize([0.0, 1.0, 1.0], shape)
    settings = [{"loss": loss, "batch_size": 16, "hidden": (3,)} for loss in REAL]
    settings.append({"loss": power, "exponent": 1.5, "batch_size": 16, "hidden": (3,)})
    with MODES[mode]():
        data = jaxnn.Dataset(X, y)
        for setting in settings:
            study = jaxnn.sweep([setting], data, 0.2, epochs=2, progress=False)
            assert study.fitted(0).predict(X).shape == shape
            assert np.isfinite(study.fitted(0).score(data))
            assert np.isfinite(study.curves["valid_cost"]).all()


def test_a_network_that_diverges_is_marked_under_the_search_for_nans_too():
    """Its program makes no NaN, so that the search finds only those that nobody expects."""
    setting = {"optimizer": "gd", "learning_rate": 1e30, "hidden": (5,)}
    with configured("jax_debug_nans", True):
        fitted = jaxnn.fit(setting, DATA, epochs=3)
    assert fitted.diverged is not None
    assert np.isnan(fitted.curves["cost"]).all()


@pytest.mark.numbers
@pytest.mark.parametrize(
    "implementation", ["rbg", pytest.param("unsafe_rbg", marks=pytest.mark.slow)]
)
def test_a_lane_is_the_network_alone_whatever_generator_is_the_default(implementation):
    setting = {"hidden": (6,), "dropout": 0.3, "learning_rate": 0.05, "batch_size": 16}
    expected = jaxnn.fit(setting, DATA, 0.2, epochs=3, seed=1)
    with configured("jax_default_prng_impl", implementation):
        alone = jaxnn.fit(setting, DATA, 0.2, epochs=3, seed=1)
        lanes = jaxnn.sweep([setting], DATA, 0.2, epochs=3, seeds=2, chunk=2, progress=False)
        params, _ = jaxnn.mlp(4, (6,), 2).init(jax.random.key(1, impl="rbg"))
    first, _ = jaxnn.mlp(4, (6,), 2).init(jax.random.key(1))
    jax.tree.map(np.testing.assert_array_equal, params, first)
    np.testing.assert_array_equal(alone.curves["cost"], expected.curves["cost"])
    np.testing.assert_allclose(lanes.curves["cost"][0, 1], expected.curves["cost"], rtol=1e-4)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_network_is_exported_for_mini_batches_of_any_size(batch_norm):
    model = jaxnn.mlp(6, (4,), 3, batch_norm=batch_norm)
    params, state = model.init(jax.random.key(0))
    predict = jax.jit(lambda x: model.apply(params, state, x)[0])
    (size,) = export.symbolic_shape("b")
    exported = export.export(predict)(jax.ShapeDtypeStruct((size, 2, 3), np.float32))
    for count in (1, 7):
        x = np.random.default_rng(count).normal(size=(count, 2, 3)).astype(np.float32)
        np.testing.assert_allclose(exported.call(x), predict(x), atol=1e-6)
