"""Losses of real targets, against scikit-learn, Optax, NumPy in float64 and numeric slopes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

import jaxnn

RNG = np.random.default_rng(0)
OUTPUTS, TARGETS = RNG.normal(0, 2, (20, 3)), RNG.normal(0, 2, (20, 3))
COUNTS = RNG.poisson(2, (20, 3)).astype(float)

# name -> function, targets, and the same in float64 by others, per target
LOSSES = {
    "squared": (jaxnn.squared_error, TARGETS, optax.losses.l2_loss),
    "absolute": (jaxnn.absolute_error, TARGETS, lambda f, y: abs(f - y)),
    "huber": (jaxnn.huber_loss, TARGETS, optax.losses.huber_loss),
    "huber of 3": (
        lambda f, y: jaxnn.huber_loss(f, y, 3),
        TARGETS,
        lambda f, y: scipy.special.huber(3, f - y),
    ),
    "median": (jaxnn.quantile_loss, TARGETS, lambda f, y: abs(f - y) / 2),
    "quantile": (
        lambda f, y: jaxnn.quantile_loss(f, y, 0.9),
        TARGETS,
        lambda f, y: np.maximum(0.9 * (y - f), 0.1 * (f - y)),
    ),
    "poisson": (
        jaxnn.poisson_loss,
        COUNTS,
        lambda z, y: np.exp(z) - y * z + scipy.special.xlogy(y, y) - y,
    ),
}
NAMES = {
    "squared_error": jaxnn.squared_error,
    "absolute_error": jaxnn.absolute_error,
    "huber_loss": jaxnn.huber_loss,
    "quantile_loss": jaxnn.quantile_loss,
    "poisson_loss": jaxnn.poisson_loss,
}
COMPILED = {name: jax.jit(loss) for name, (loss, _, _) in LOSSES.items()}
SLOPES = {
    name: jax.jit(jax.grad(lambda f, y, loss=loss: loss(f, y).sum()))
    for name, (loss, _, _) in LOSSES.items()
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("x64", [False, True])
def test_costs_are_the_means_of_others(name, x64):
    _, targets, others = LOSSES[name]
    with jax.enable_x64(x64):
        got = COMPILED[name](jnp.asarray(OUTPUTS), jnp.asarray(targets))
        assert got.dtype == (np.float64 if x64 else np.float32)
        with jax.enable_x64(True):
            expected = np.asarray(others(OUTPUTS, targets)).mean(axis=1)
        rtol, atol = (1e-13, 1e-14) if x64 else (1e-5, 1e-6)
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol)
        alone = COMPILED[name](jnp.asarray(OUTPUTS[:, 0]), jnp.asarray(targets[:, 0]))
        column = COMPILED[name](jnp.asarray(OUTPUTS[:, :1]), jnp.asarray(targets[:, :1]))
        assert alone.shape == (20,)
        np.testing.assert_array_equal(alone, column)


def test_means_over_examples_are_those_of_scikit_learn():
    with jax.enable_x64(True):
        mean = lambda name: float(COMPILED[name](OUTPUTS, LOSSES[name][1]).mean())
        both = TARGETS, OUTPUTS
        squared = sklearn.metrics.mean_squared_error(*both)
        assert mean("squared") == pytest.approx(squared / 2, rel=1e-13)
        absolute = sklearn.metrics.mean_absolute_error(*both)
        assert mean("absolute") == pytest.approx(absolute, rel=1e-13)
        for name, q in (("median", 0.5), ("quantile", 0.9)):
            pinball = sklearn.metrics.mean_pinball_loss(*both, alpha=q)
            assert mean(name) == pytest.approx(pinball, rel=1e-13)
        deviance = sklearn.metrics.mean_poisson_deviance(COUNTS.ravel(), np.exp(OUTPUTS).ravel())
        assert mean("poisson") == pytest.approx(deviance / 2, rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_numeric_slopes_and_the_docstrings(name):
    _, targets, _ = LOSSES[name]
    slopes = {
        "squared": lambda f, y: f - y,
        "absolute": lambda f, y: np.sign(f - y),
        "huber": lambda f, y: np.clip(f - y, -1, 1),
        "huber of 3": lambda f, y: np.clip(f - y, -3, 3),
        "median": lambda f, y: np.sign(f - y) / 2,
        "quantile": lambda f, y: np.where(f < y, -0.9, 0.1),
        "poisson": lambda z, y: np.exp(z) - y,
    }
    with jax.enable_x64(True):
        got = SLOPES[name](OUTPUTS, targets)
        np.testing.assert_allclose(got, slopes[name](OUTPUTS, targets) / 3, rtol=1e-12)
        direction = RNG.normal(size=OUTPUTS.shape)
        ends = [COMPILED[name](OUTPUTS + side * 1e-6 * direction, targets) for side in (1, -1)]
        numeric = (ends[0] - ends[1]).sum() / 2e-6
        np.testing.assert_allclose((got * direction).sum(), numeric, rtol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_at_the_truth_cost_and_slope_are_zero(name):
    y = jnp.array([[0.5, 3.0, 1e4], [1.0, 7.0, 1e-3]])
    f = jnp.log(y) if name == "poisson" else y
    np.testing.assert_allclose(COMPILED[name](f, y), 0, atol=1e-7)
    np.testing.assert_allclose(SLOPES[name](f, y) / y, 0, atol=1e-6)


@pytest.mark.parametrize("delta", [0.5, 1.0])
def test_the_slope_of_huber_at_its_joints(delta):
    with jax.enable_x64(True):
        f = delta * np.array([-1.0, -0.0, 0.0, 1.0])
        slope = jax.grad(lambda f: jaxnn.huber_loss(f, np.zeros(4), delta).sum())(f)
        np.testing.assert_allclose(slope, f, rtol=1e-15)


@pytest.mark.parametrize("name", ["huber_loss", "quantile_loss"])
def test_a_number_may_be_traced_and_differs_between_lanes(name):
    loss, numbers = NAMES[name], np.array([0.1, 0.5, 0.9])
    with jax.enable_x64(True):
        lanes = jax.jit(jax.vmap(loss, (None, None, 0)))(OUTPUTS, TARGETS, numbers)
        for lane, number in zip(lanes, numbers, strict=True):
            np.testing.assert_allclose(lane, loss(OUTPUTS, TARGETS, number), rtol=1e-14)
        total = jax.jit(lambda number: loss(OUTPUTS, TARGETS, number).sum())
        numeric = (total(0.3 + 1e-6) - total(0.3 - 1e-6)) / 2e-6
        np.testing.assert_allclose(jax.grad(total)(0.3), numeric, rtol=1e-6)


def test_the_least_pinball_loss_is_at_the_quantile():
    y = np.sort(RNG.normal(size=101))
    candidates = jnp.asarray(np.broadcast_to(y[:, None], (101, 101)))
    targets = jnp.asarray(np.broadcast_to(y, (101, 101)))
    for q in (0.1, 0.5, 0.9):
        best = jaxnn.quantile_loss(candidates, targets, q).argmin()
        assert abs(y[best] - np.quantile(y, q)) < 1e-6


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("outputs", "targets"),
    [
        ((4,), (4, 1)),
        ((4, 1), (4,)),
        ((4, 3), (4, 2)),
        ((), ()),
        ((2, 3, 4), (2, 3, 4)),
        ((3,), ()),
    ],
)
def test_other_shapes_are_refused_by_name(name, outputs, targets):
    expected = rf"{name} got outputs \{list(outputs)} with targets \{list(targets)}; expected \(B,"
    with pytest.raises(ValueError, match=expected.replace("]", r"\]")):
        NAMES[name](jnp.ones(outputs), jnp.ones(targets))


@pytest.mark.parametrize("name", NAMES)
def test_types(name):
    loss = NAMES[name]
    assert loss([0, 1], [1, 2]).dtype == jnp.float32
    with jax.numpy_dtype_promotion("strict"):
        half = loss(jnp.ones(2, jnp.bfloat16), np.ones(2), *([0.5] if name[0] in "hq" else []))
        assert half.dtype == jnp.bfloat16
        with jax.enable_x64(True):
            assert loss(jnp.ones(2, float), np.ones(2, np.float32)).dtype == jnp.float64
            assert loss(jnp.ones(2, float), np.ones(2, int)).dtype == jnp.float64


@pytest.mark.parametrize("num_targets", [1, 2, 3])
def test_no_overflow_where_the_value_is_finite(num_targets):
    """2.4e19 has a square beyond float32, and half of it within; its mean with zeros too."""
    most = float(np.finfo(np.float32).max)
    f = jnp.zeros((1, num_targets)).at[0, 0].set(2.4e19 * np.sqrt(num_targets))
    y = jnp.zeros_like(f)
    np.testing.assert_allclose(COMPILED["squared"](f, y), 2.88e38, rtol=1e-5)
    np.testing.assert_allclose(SLOPES["squared"](f, y)[0, 0], f[0, 0] / num_targets, rtol=1e-6)
    huber = jax.jit(jaxnn.huber_loss)
    np.testing.assert_allclose(huber(f, y, 1e30), 2.88e38, rtol=1e-5)
    f = jnp.full((1, num_targets), most)
    np.testing.assert_allclose(COMPILED["absolute"](f, y), most, rtol=1e-6)
    np.testing.assert_allclose(huber(f, y, 1.0), most, rtol=1e-6)
    np.testing.assert_allclose(huber(f / 16, y, 15.0), most / 16 * 15, rtol=1e-6)
    np.testing.assert_allclose(COMPILED["median"](f, y), most / 2, rtol=1e-6)
    for name in ("absolute", "huber", "huber of 3", "median", "quantile"):
        assert np.isfinite(SLOPES[name](f, y)).all()


# numbers that both types hold
NORMAL = st.floats(-80, 80, width=32)
RATE = st.one_of(st.just(0.0), st.floats(1e-30, 1e30).map(lambda y: float(np.float32(y))))


def half_deviance(z, y):
    """As a sum of terms, none of which is negative, in NumPy's longest type."""
    z, y = np.longdouble(z), np.longdouble(y)
    if y == 0:
        return np.exp(z)
    t = z - np.log(y)
    return y * (np.expm1(t) - t)


def poisson(z, y):
    """Cost and slope as Python's numbers."""
    return (float(COMPILED["poisson"]([z], [y])[0]), float(SLOPES["poisson"]([z], [y])[0]))


@given(z=NORMAL, y=RATE)
def test_poisson_of_any_numbers(z, y):
    cost, slope = poisson(z, y)
    expected = half_deviance(z, y)
    # an error of a rounding of z
    slack = 4e-7 * (1 + abs(z)) * abs(np.exp(z) - y) + 1e-13 * y * (1 + z * z)
    assert abs(cost - expected) <= 4e-6 * expected + slack
    assert cost >= 0
    assert abs(slope - (np.exp(z) - y)) <= 1e-5 * max(np.exp(z), y)


@given(t=st.floats(-1, 1, width=32), y=st.floats(1, 1e6, width=32))
def test_poisson_near_the_truth_in_float64(t, y):
    with jax.enable_x64(True):
        z = np.log(y) + t
        cost, slope = poisson(z, y)
        t = z - np.log(y)
        # z - log y has the rounding of log y
        assert cost >= 0
        assert abs(cost - half_deviance(z, y)) <= 1e-12 * cost + 1e-14 * y * abs(t) + 1e-28 * y
        assert abs(slope - y * np.expm1(t)) <= 1e-14 * y


def test_poisson_at_the_ends():
    z = jnp.array([-jnp.inf, 0.0, 88.0, 89.0, 1e4, jnp.inf, -jnp.inf, 1e4, jnp.inf, -200.0])
    y = jnp.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 2.0, 0.0])
    cost, slope = COMPILED["poisson"](z, y), SLOPES["poisson"](z, y)
    inf = np.inf
    np.testing.assert_allclose(cost, [0, 1, np.exp(88), inf, inf, inf, inf, inf, inf, 0], rtol=1e-5)
    expected = [0, 1, np.exp(88), inf, inf, inf, -2, inf, inf, 0]
    np.testing.assert_allclose(slope, expected, rtol=1e-5)
    # a rate that is far too large beside one that overflows only as exp(z - log y)
    np.testing.assert_allclose(COMPILED["poisson"]([80.0], [1e-30]), np.exp(80), rtol=1e-5)
    for bad in (-1.0, np.nan):
        assert np.isnan(COMPILED["poisson"]([1.0], [bad])).all()
    assert np.isnan(COMPILED["poisson"]([np.nan, np.nan], [0.0, 2.0])).all()
