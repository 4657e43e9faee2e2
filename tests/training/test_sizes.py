"""Sizes of networks, counted by hand and in the arrays."""

import jax
import numpy as np
import pytest

import jaxnn
from jaxnn.training.recipes import recipe
from jaxnn.training.sizes import SIZES

X = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
DATA = jaxnn.Dataset(X, np.arange(40) % 3)


def sizes_of(setting, model=None):
    made = recipe(setting, DATA, model)
    networks = made.program.networks
    return {name: size.of(networks, made.setting, (5,)) for name, size in SIZES.items()}


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("hidden", [(), (7,), (8, 4)])
def test_an_mlp_is_counted_in_its_arrays(hidden, batch_norm):
    setting = {"hidden": hidden, "batch_norm": batch_norm}
    params, _ = jaxnn.mlp(5, hidden, 3, batch_norm=batch_norm).init(jax.random.key(0))
    found, leaves = sizes_of(setting), jax.tree.leaves(params)
    assert found["parameters"] == sum(leaf.size for leaf in leaves)
    assert found["multiply_adds"] == sum(leaf.size for leaf in leaves if leaf.ndim == 2)
    assert found["megabytes"] == pytest.approx(sum(leaf.nbytes for leaf in leaves) / 1e6)


def test_by_hand():
    assert sizes_of({"hidden": (4,)}) == {
        "parameters": 5 * 4 + 4 + 4 * 3 + 3,
        "multiply_adds": 5 * 4 + 4 * 3,
        "megabytes": pytest.approx(39 * 4 / 1e6),
    }


def test_a_model_of_ones_own_is_counted():
    own = jaxnn.mlp(5, (8,), 3)
    found = sizes_of({}, jaxnn.Model(own.init, own.apply))
    assert found["parameters"] == 5 * 8 + 8 + 8 * 3 + 3
    # additions of biases are counted, too
    assert 5 * 8 + 8 * 3 <= found["multiply_adds"] < 1.3 * (5 * 8 + 8 * 3)
