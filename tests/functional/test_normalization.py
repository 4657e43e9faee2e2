import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn
from jaxnn import init_batch_norm, population_statistics

# operation by operation, each would be compiled by itself; `test_api` compares the two
batch_norm = jax.jit(jaxnn.batch_norm, static_argnames="is_training")


def numpy_batch_norm(z, scale, offset, epsilon=1e-5, weights=None):
    """Float64, from the course's formulas; examples across."""
    z = np.asarray(z, np.float64)
    weights = np.ones(z.shape[1]) if weights is None else np.asarray(weights, np.float64)
    m = weights.sum()
    mu = (z * weights).sum(1, keepdims=True) / m
    sigma2 = (weights * (z - mu) ** 2).sum(1, keepdims=True) / m
    z_norm = (z - mu) / np.sqrt(sigma2 + epsilon)
    return scale[:, None] * z_norm + offset[:, None], mu[:, 0], sigma2[:, 0]


@pytest.fixture
def example():
    rng = np.random.default_rng(0)
    z = rng.normal(2, 3, (4, 10))
    params = {"scale": jnp.asarray(rng.normal(size=4)), "offset": jnp.asarray(rng.normal(size=4))}
    state = {"mean": jnp.asarray(rng.normal(size=4)), "variance": jnp.asarray(rng.random(4) + 0.5)}
    return params, state, jnp.asarray(z)


@pytest.mark.parametrize("weights", [None, [1, 0, 2, 0.5, 0, 1, 1, 0, 3, 1]])
def test_training_matches_numpy(example, weights):
    params, state, z = example
    weights = None if weights is None else jnp.asarray(weights, float)
    got, new_state = batch_norm(
        params, state, z, is_training=True, decay=0.8, epsilon=1e-3, weights=weights
    )
    expected, mu, sigma2 = numpy_batch_norm(z, *map(np.asarray, params.values()), 1e-3, weights)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(new_state["mean"], 0.8 * state["mean"] + 0.2 * mu, rtol=1e-5)
    expected_variance = 0.8 * np.asarray(state["variance"]) + 0.2 * sigma2
    np.testing.assert_allclose(new_state["variance"], expected_variance, rtol=1e-5)


def test_evaluation_uses_the_running_averages_and_leaves_them(example):
    params, state, z = example
    got, new_state = batch_norm(params, state, z, is_training=False)
    mean, variance = (np.asarray(state[name], np.float64)[:, None] for name in state)
    z_norm = (np.asarray(z, np.float64) - mean) / np.sqrt(variance + 1e-5)
    expected = np.asarray(params["scale"])[:, None] * z_norm + np.asarray(params["offset"])[:, None]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, new_state, state)


def test_running_averages_over_three_steps_by_hand():
    params, state = init_batch_norm(1)
    mean, variance = 0.0, 1.0
    for values in ([0.0, 2.0], [4.0, 4.0], [1.0, 7.0]):
        _, state = batch_norm(params, state, jnp.array([values]), is_training=True, decay=0.9)
        mean = 0.9 * mean + 0.1 * np.mean(values)
        variance = 0.9 * variance + 0.1 * np.var(values)
    np.testing.assert_allclose(state["mean"][0], mean, rtol=1e-6)
    np.testing.assert_allclose(state["variance"][0], variance, rtol=1e-6)


@pytest.mark.parametrize("is_training", [True, False])
def test_agrees_with_flax(example, is_training):
    params, state, z = example
    layer = flax.linen.BatchNorm(use_running_average=not is_training, momentum=0.9, epsilon=1e-5)
    variables = {
        "params": {"scale": params["scale"], "bias": params["offset"]},
        "batch_stats": {"mean": state["mean"], "var": state["variance"]},
    }
    apply = jax.jit(lambda variables, x: layer.apply(variables, x, mutable=["batch_stats"]))
    expected, changed = apply(variables, z.T)
    got, new_state = batch_norm(params, state, z, is_training=is_training, decay=0.9)
    np.testing.assert_allclose(got.T, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(new_state["mean"], changed["batch_stats"]["mean"], rtol=1e-5)
    np.testing.assert_allclose(new_state["variance"], changed["batch_stats"]["var"], rtol=1e-5)


def test_weight_zero_is_the_same_as_leaving_an_example_out(example):
    params, state, z = example
    weights = jnp.asarray([1.0] * 7 + [0.0] * 3)
    padded, padded_state = batch_norm(params, state, z, is_training=True, weights=weights)
    alone, alone_state = batch_norm(params, state, z[:, :7], is_training=True)
    np.testing.assert_allclose(padded[:, :7], alone, rtol=1e-5, atol=1e-6)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), padded_state, alone_state
    )


def test_an_example_of_weight_zero_does_not_count_however_large_it_is():
    params, state = init_batch_norm(1)
    z = jnp.array([[1e9, 1.0, 2.0, 3.0, jnp.inf]])
    weights = jnp.array([0.0, 1.0, 1.0, 1.0, 0.0])
    out, new_state = batch_norm(params, state, z, is_training=True, decay=0.0, weights=weights)
    deviation = np.sqrt(2 / 3)
    np.testing.assert_allclose(out[0, 1:4], [-1 / deviation, 0, 1 / deviation], rtol=1e-4)
    np.testing.assert_allclose(new_state["mean"], [2.0])
    np.testing.assert_allclose(new_state["variance"], [2 / 3], rtol=1e-6)


def test_no_weight_at_all_leaves_the_state(example):
    params, state, z = example
    out, new_state = batch_norm(params, state, z, is_training=True, weights=jnp.zeros(10))
    assert np.isfinite(out).all()
    jax.tree.map(np.testing.assert_array_equal, new_state, state)


@pytest.mark.parametrize("z", [np.full((2, 1), 3.7), np.full((2, 8), 3.7)])
def test_batch_of_one_and_constant_feature_become_the_offset(z):
    params, state = init_batch_norm(2)
    params["offset"] = jnp.array([0.5, -2.0])

    def total(z):
        return jnp.sum(batch_norm(params, state, z, is_training=True)[0] ** 2)

    out, _ = batch_norm(params, state, jnp.asarray(z), is_training=True)
    np.testing.assert_allclose(out, np.broadcast_to([[0.5], [-2.0]], z.shape))
    assert np.isfinite(jax.jit(jax.grad(total))(jnp.asarray(z))).all()


def test_large_mean_and_small_deviation_keep_their_digits():
    z = (1e4 + 1e-2 * np.random.default_rng(0).normal(size=(3, 64))).astype(np.float32)
    params, state = init_batch_norm(3)
    out, new_state = batch_norm(params, state, jnp.asarray(z), is_training=True, decay=0.0)
    expected, mu, sigma2 = numpy_batch_norm(z, np.ones(3), np.zeros(3))
    np.testing.assert_allclose(out, expected, atol=1e-4)
    np.testing.assert_allclose(new_state["mean"], mu, rtol=1e-7)
    np.testing.assert_allclose(new_state["variance"], sigma2, rtol=1e-4)


def test_gradient_agrees_with_float64_differences(example):
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        z, direction = rng.normal(size=(2, 2, 6))
        params, state = init_batch_norm(2)

        @jax.jit
        def cost(z):
            return jnp.sum(jnp.sin(batch_norm(params, state, z, is_training=True)[0]))

        slope = np.sum(np.asarray(jax.jit(jax.grad(cost))(z)) * direction)
        step = 1e-6
        difference = (cost(z + step * direction) - cost(z - step * direction)) / (2 * step)
        np.testing.assert_allclose(slope, difference, rtol=1e-7)


@pytest.mark.parametrize(
    "optimizer",
    [
        "gd",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("momentum", "rmsprop")),
        "adam",
    ],
)
def test_every_optimizer_moves_scale_and_offset(optimizer):
    rng = np.random.default_rng(0)
    data = jaxnn.Dataset(rng.normal(size=(40, 3)), rng.integers(0, 2, 40))
    setting = {"optimizer": optimizer, "hidden": (4,), "batch_norm": True, "learning_rate": 0.01}
    fitted = jaxnn.fit(setting, data, epochs=1)
    assert np.all(np.asarray(fitted.params[0]["scale"]) != 1)
    assert np.all(np.asarray(fitted.params[0]["offset"]) != 0)


def test_population_statistics_of_two_layers_by_hand():
    rng = np.random.default_rng(0)
    model = jaxnn.mlp(3, (4, 2), 2, activation="tanh", batch_norm=True)
    params, state = model.init(jax.random.key(0))
    x = rng.normal(size=(50, 3))
    got = population_statistics(model, params, state, jnp.asarray(x))
    a = x.T
    for layer, statistics in zip(params[:2], got, strict=True):
        z = np.asarray(layer["kernel"], np.float64) @ a
        out, mu, sigma2 = numpy_batch_norm(
            z, np.asarray(layer["scale"]), np.asarray(layer["offset"])
        )
        np.testing.assert_allclose(statistics["mean"], mu, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(statistics["variance"], sigma2, rtol=1e-4)
        a = np.tanh(out)


def test_running_averages_converge_to_the_population(example):
    params, _, z = example
    state = init_batch_norm(4)[1]
    for _ in range(200):
        _, state = batch_norm(params, state, z, is_training=True)
    np.testing.assert_allclose(state["mean"], np.mean(z, axis=1), rtol=1e-5)
    np.testing.assert_allclose(state["variance"], np.var(z, axis=1), rtol=1e-5)


def test_population_statistics_refuses_other_models():
    model = jaxnn.Model(lambda key: ((), ()), lambda params, state, x, **_: (x, state))
    with pytest.raises(ValueError, match=r"expected a model made by jaxnn\.mlp"):
        population_statistics(model, (), (), jnp.ones((2, 2)))


def test_first_step_with_zero_running_statistics_is_finite():
    """A training step never reads the running averages, whatever they hold."""
    params, state = init_batch_norm(2)
    state = jax.tree.map(jnp.zeros_like, state)
    z = jax.random.normal(jax.random.key(0), (2, 5))
    grads = jax.grad(lambda p: batch_norm(p, state, z, is_training=True)[0].sum())(params)
    assert all(np.isfinite(grad).all() for grad in grads.values())
