import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32

from jaxnn.system import draws

KEY = jax.random.key(11)


def test_the_generator_is_jaxs():
    first, second = np.random.default_rng(0).integers(0, 2**32, (2, 500), np.uint32)
    expected = threefry_2x32(jax.random.key_data(KEY), jnp.append(first, second))
    got = draws.threefry(KEY, jnp.asarray(first), jnp.asarray(second))
    np.testing.assert_array_equal(jnp.append(*got), expected)


@pytest.mark.parametrize("number", [0, 1, 2**31 - 1, np.int32(7)])
def test_keys_are_those_of_fold_in(number):
    assert draws.fold_in(KEY, number) == jax.random.fold_in(KEY, number)


def test_many_keys_are_those_of_each_number():
    keys = draws.fold_in(KEY, np.arange(3))
    assert keys.shape == (3,)
    assert keys[2] == jax.random.fold_in(KEY, 2)


def test_numbers_are_uniform_and_independent():
    u = np.asarray(draws.uniform(KEY, (400, 500)), np.float64)
    counts, _ = np.histogram(u, 50, (0, 1))
    # chi squared with 49 degrees of freedom: 85 is its 99.9 % quantile
    assert ((counts - 4000) ** 2 / 4000).sum() < 85
    # neighbours in a row, in a column, and on the diagonal: a standard error of 0.0022
    centred = u - u.mean()
    for other in (centred[:, 1:], centred[1:], centred[1:, 1:]):
        mine = centred[: other.shape[0], : other.shape[1]]
        assert abs((mine * other).mean() * 12) < 0.008


def test_numbers_never_reach_0_or_1(monkeypatch):
    for word in (0, 2**32 - 1):
        words = jnp.full((1, 1), word, jnp.uint32)
        monkeypatch.setattr(draws, "threefry", lambda *_, words=words: (words, words))
        for is_x64, least in ((False, 2.0**-24), (True, 2.0**-53)):
            with jax.enable_x64(is_x64):
                u = float(draws.uniform(KEY, (1, 1))[0, 0])
            assert u == (1 - least if word else least)


def test_float32_rounds_the_numbers_of_float64():
    single = np.asarray(draws.uniform(KEY, (30, 40)))
    with jax.enable_x64(True):
        double = np.asarray(draws.uniform(KEY, (30, 40)))
    assert single.dtype == np.float32
    assert double.dtype == np.float64
    np.testing.assert_allclose(single, double, rtol=0, atol=2.0**-23)
    assert len(np.unique(double)) == double.size
