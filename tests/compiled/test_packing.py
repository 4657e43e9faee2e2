"""Packed arrays are what they were, under transformations too, and only where that is right."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from helpers.data import halves

from jaxnn.compiled.packing import SMALL, Packed, pack, unpack
from jaxnn.functional.optimizers import OPTIMIZERS
from jaxnn.settings.traced import traced_numbers
from jaxnn.training.recipes import recipes


def make_tree():
    """One large array between small ones, in a nested pytree with an empty part."""
    rng = np.random.default_rng(0)
    shapes = [(5,), (64, SMALL // 64), (3,), (3, 5)]
    bias, kernel, other, last = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    return {"bias": bias, "kernel": kernel}, (), {"bias": other, "kernel": last}


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_a_packed_tree_is_the_tree():
    tree = make_tree()
    on_device = pack(jax.device_put(tree))
    assert on_device.small.shape == (5 + 3 + 15,)
    assert [leaf.shape for leaf in on_device.large] == [(64, SMALL // 64)]
    assert_same(on_device.tree, tree)
    assert_same(jax.device_get(on_device).tree, tree)
    # what it was like is known without the arrays
    assert_same(jax.tree.map(np.asarray, jax.jit(unpack)(on_device)), tree)


def test_a_packed_tree_keeps_further_axes_in_front():
    tree = make_tree()
    lanes = jax.tree.map(lambda leaf: np.stack([leaf, 2 * leaf]), tree)
    together = jax.vmap(pack)(lanes)
    assert together.small.shape == (2, 5 + 3 + 15)
    for many in (together, jax.device_get(together)):
        assert_same(many.tree, lanes)


def test_few_small_arrays_are_not_packed():
    for tree in ((), {"kernel": np.ones((9, 9))}, [np.ones(SMALL), np.ones(SMALL), np.ones(2)]):
        assert pack(tree) is tree
        assert unpack(tree) is tree


def test_gradients_and_updates_are_those_of_the_tree():
    tree = jax.device_put(make_tree())
    cost = lambda tree: sum(jnp.sum(jnp.sin(leaf) * leaf) for leaf in jax.tree.leaves(tree))
    grads = jax.grad(lambda one: cost(one.tree))(pack(tree))
    assert isinstance(grads, Packed)
    assert_same(grads.tree, jax.grad(cost)(tree))
    adam = optax.adam(0.1)
    update = lambda params, grads: adam.update(grads, adam.init(params), params)[0]
    assert_same(update(pack(tree), grads).tree, update(tree, grads.tree))


def test_only_mixed_programs_whose_update_works_element_by_element_are_packed(monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "of whole arrays", OPTIMIZERS["adam"]._replace(place=None))
    data = halves(50, 4)

    def is_packed(*given):
        first, *others = prepared = recipes(list(given), data, None)
        program = first.program
        for other in others:
            program = program.merged(other.program)
            if program is None:
                return None
        numbers = traced_numbers(first.setting) | program.networks.lane_data(prepared[0].setting)
        params, _ = jax.eval_shape(program.model(numbers).init, jax.random.key(0))
        return isinstance(params, Packed)

    one, other = {"hidden": (3,)}, {"hidden": (5,)}
    assert not is_packed(one)
    assert is_packed(one, other)
    assert is_packed(one, {**one, "optimizer": "gd"})
    whole = {"optimizer": "of whole arrays"}
    assert is_packed({**one, **whole}, {**one, **whole, "l2": 0.1}) is False
    # padding might change what it does
    assert is_packed({**one, **whole}, {**other, **whole}) is None
