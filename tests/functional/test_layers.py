import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from helpers import by_hand

from jaxnn.functional.layers import (
    ACTIVATIONS,
    INITIALIZERS,
    NOT_ZERO_AT_0,
    dense,
    dropout,
    init_dense,
)


def test_xavier_limit_of_the_courses_first_layer():
    kernel = np.asarray(init_dense(jax.random.key(0), 12288, 25)["kernel"])
    limit = np.sqrt(6 / (12288 + 25))
    assert kernel.shape == (25, 12288)
    assert np.abs(kernel).max() <= limit
    assert np.abs(kernel).max() > 0.9999 * limit
    assert abs(kernel.mean()) < 0.01 * limit


@pytest.mark.parametrize(
    ("init", "variance"),
    [
        ("xavier_uniform", 2 / (300 + 200)),
        ("xavier_normal", 2 / (300 + 200)),
        ("he_uniform", 2 / 300),
        ("he_normal", 2 / 300),
        ("lecun_normal", 1 / 300),
    ],
)
def test_initializers_have_the_published_variance(init, variance):
    kernel = np.asarray(init_dense(jax.random.key(3), 300, 200, init)["kernel"], np.float64)
    # 60,000 draws: the standard error of the variance is below 0.6 per cent
    np.testing.assert_allclose(kernel.var(), variance, rtol=0.025)
    fourth_moment = (kernel**4).mean() / kernel.var() ** 2
    np.testing.assert_allclose(fourth_moment, 1.8 if "uniform" in init else 3.0, rtol=0.05)


@pytest.mark.parametrize("init", INITIALIZERS)
def test_a_smaller_layer_is_a_corner_of_a_larger_one(init):
    key = jax.random.key(5)
    small = init_dense(key, 7, 4, init)["kernel"] / _deviation(init, 7, 4)
    large = init_dense(key, 20, 9, init)["kernel"] / _deviation(init, 20, 9)
    np.testing.assert_allclose(small, large[:4, :7], rtol=1e-5)


def _deviation(init, num_in, num_out):
    return np.sqrt(2 / (num_in + num_out) if init.startswith("xavier") else 2 / num_in)


def test_rows_and_columns_differ():
    kernel = np.asarray(init_dense(jax.random.key(0), 6, 5)["kernel"])
    assert len(np.unique(kernel)) == 30


def test_dense_is_the_courses_affine_map():
    rng = np.random.default_rng(0)
    w, b, a = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=(4, 5))
    expected = np.array([[sum(w[i] * a[:, j]) + b[i] for j in range(5)] for i in range(3)])
    got = dense({"kernel": jnp.asarray(w), "bias": jnp.asarray(b)}, jnp.asarray(a))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    without = dense({"kernel": jnp.asarray(w)}, jnp.asarray(a))
    np.testing.assert_allclose(without, expected - b[:, None], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_and_their_derivatives(name):
    function, slope = by_hand.ACTIVATIONS[name]
    z = np.linspace(-3, 3, 12)
    found, slopes = jax.vmap(jax.value_and_grad(ACTIVATIONS[name]))(jnp.asarray(z))
    np.testing.assert_allclose(found, function(z), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(slopes, slope(z, function(z)), rtol=1e-4, atol=1e-6)
    theirs = {"leaky_relu": nn.leaky_relu, "identity": lambda z: z, "mish": jax.nn.mish}
    theirs = theirs.get(name) or getattr(nn, name)
    np.testing.assert_allclose(found, theirs(jnp.asarray(z)), rtol=1e-6)
    assert (float(ACTIVATIONS[name](jnp.zeros(()))) != 0) == (name in NOT_ZERO_AT_0)


def test_dropout_keeps_the_mean_and_drops_the_rate():
    a = dropout(jax.random.key(1), 0.3, jnp.ones((200, 300)))
    assert set(np.unique(np.asarray(a)).round(5)) == {0.0, np.float32(1 / 0.7).round(5)}
    np.testing.assert_allclose(np.mean(np.asarray(a) == 0), 0.3, atol=0.01)
    np.testing.assert_allclose(np.mean(a), 1, atol=0.015)
    columns = np.mean(np.asarray(a) == 0, axis=0)
    assert columns.std() < 0.06  # independent by example: sqrt(0.21 / 200) = 0.032


def test_dropout_masks_do_not_depend_on_padding():
    key = jax.random.key(2)
    large = dropout(key, 0.5, jnp.ones((12, 40)))
    small = dropout(key, 0.5, jnp.ones((5, 9)))
    np.testing.assert_array_equal(small, large[:5, :9])


def test_dropout_of_zero_is_the_identity():
    a = jax.random.normal(jax.random.key(0), (4, 6))
    np.testing.assert_array_equal(dropout(jax.random.key(1), 0.0, a), a)
