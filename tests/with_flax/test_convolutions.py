"""Convolutions as products: equal to XLA's, in Flax's layers, and what a plan says of both."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from jax import lax

import jaxnn
from jaxnn.planning.costs import RATES


def operands(shape, kernel, channels, filters, groups=1):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(3, *shape, channels)))
    return x, jnp.asarray(rng.normal(size=(*kernel, channels // groups, filters)))


def channels_last(num_axes):
    axes = range(num_axes)
    inputs = (0, num_axes + 1, *(axis + 1 for axis in axes))
    return lax.ConvDimensionNumbers(inputs, (num_axes + 1, num_axes, *axes), inputs)


CASES = {
    "same": ((6, 7), (3, 3), 2, 5, {"window_strides": (1, 1), "padding": "SAME"}),
    "valid": ((6, 7), (3, 2), 2, 5, {"window_strides": (1, 1), "padding": "VALID"}),
    "strides": ((7, 9), (3, 3), 2, 5, {"window_strides": (2, 3), "padding": "SAME"}),
    "pads": ((6, 7), (2, 3), 1, 4, {"window_strides": (2, 1), "padding": [(2, 0), (1, 3)]}),
    "one place": ((4, 4), (1, 1), 3, 2, {"window_strides": (1, 1), "padding": "SAME"}),
    "dilation": (
        (9, 9),
        (3, 3),
        2,
        4,
        {"window_strides": (1, 2), "padding": "SAME", "rhs_dilation": (2, 3)},
    ),
    "groups": (
        (5, 6),
        (3, 3),
        6,
        9,
        {"window_strides": (1, 1), "padding": "SAME", "feature_group_count": 3},
    ),
    "depthwise": (
        (5, 6),
        (3, 3),
        4,
        8,
        {"window_strides": (2, 2), "padding": "SAME", "feature_group_count": 4},
    ),
    "a line": ((11,), (4,), 3, 2, {"window_strides": (2,), "padding": "VALID"}),
    "a volume": ((4, 5, 3), (2, 2, 3), 2, 3, {"window_strides": (1, 2, 1), "padding": "SAME"}),
}


@pytest.mark.parametrize("name", CASES)
def test_equals_the_convolution_of_xla_and_so_do_its_gradients(name):
    shape, kernel, channels, filters, more = CASES[name]
    with jax.enable_x64(True):
        pair = operands(shape, kernel, channels, filters, more.get("feature_group_count", 1))
        more = {**more, "dimension_numbers": channels_last(len(shape))}
        theirs = lambda *pair: lax.conv_general_dilated(*pair, **more)
        ours = lambda *pair: jaxnn.convolution(*pair, **more)

        def summed(f, *pair):
            outputs = f(*pair)
            return jnp.sin(outputs).sum(), outputs

        slopes = lambda f: jax.grad(partial(summed, f), (0, 1), has_aux=True)
        both = jax.jit(lambda *pair: (slopes(ours)(*pair), slopes(theirs)(*pair)))
        (our_grads, our_outputs), (their_grads, their_outputs) = both(*pair)
        np.testing.assert_allclose(our_outputs, their_outputs, rtol=1e-12, atol=1e-12)
        close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)
        jax.tree.map(close, our_grads, their_grads)


def test_layers_of_linen_and_nnx_take_it():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 3)), jnp.float32)
    theirs = nn.Conv(6, (3, 3), strides=2, feature_group_count=3)
    variables = theirs.init(jax.random.key(0), x)
    ours = theirs.clone(conv_general_dilated=jaxnn.convolution)
    np.testing.assert_allclose(ours.apply(variables, x), theirs.apply(variables, x), atol=1e-5)
    theirs, ours = (
        nnx.Conv(3, 6, (3, 3), padding="VALID", rngs=nnx.Rngs(0), **more)
        for more in ({}, {"conv_general_dilated": jaxnn.convolution})
    )
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"lhs_dilation": (2, 2)}, "lhs_dilation=.*leave a transposed convolution"),
        (
            {"dimension_numbers": lax.conv_dimension_numbers((1, 2, 5, 5), (5, 2, 3, 3), None)},
            "expected inputs, kernels and outputs with channels last",
        ),
        ({"out_sharding": "a"}, "out_sharding=a; expected None"),
    ],
)
def test_what_it_does_not_make_is_said(more, message):
    x, kernel = operands((5, 5), (3, 3), 2, 5)
    with pytest.raises(ValueError, match=message):
        jaxnn.convolution(x, kernel, (1, 1), "SAME", **more)


class Small(nn.Module):
    by: object = None

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(64, (3, 3), conv_general_dilated=self.by)(x))
        return nn.Dense(3)(x.reshape(len(x), -1))


def planned(by, **more):
    rng = np.random.default_rng(0)
    data = jaxnn.Dataset(rng.random((64, 6, 6, 8)), np.arange(64) % 3)
    model = jaxnn.from_flax(Small(by), data.x[:1])
    plan = jaxnn.plan([{}] * 8, data, epochs=2, model=model, **more)
    return plan, plan.programs[0]


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="other kinds have their own rates")
def test_the_plan_trains_convolutions_one_after_another_where_its_rates_say_so():
    plan, program = planned(None)
    assert (program.chunk, program.num_chunks) == (1, 8)
    assert "one after another" in str(plan)
    assert "conv_general_dilated=jaxnn.convolution" in str(plan)
    by_products, vmapped = planned(jaxnn.convolution)
    assert vmapped.chunk > 1
    assert "one after another" not in str(by_products)
    # the network is the same, and the products are expected to be faster
    assert by_products.seconds < plan.seconds / 3
    rates = RATES["cpu"]._replace(grouped_convolutions=RATES["cpu"].convolutions)
    assert planned(None, rates=rates)[1].chunk > 1


def test_the_plan_counts_operations_and_memory_of_a_foreign_network():
    class Wide(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(10, use_bias=False)(nn.relu(nn.Dense(2048, use_bias=False)(x)))

    data = jaxnn.Dataset(np.ones((64, 256), np.float32), np.arange(64) % 10)
    setting = {"hidden": (2048,), "optimizer": "gd"}
    model = jaxnn.from_flax(Wide(), data.x[:1])
    foreign = jaxnn.plan([setting], data, epochs=50, model=model)
    ours = jaxnn.plan([setting], data, epochs=50)
    # two counts of one network, XLA's before fusing and the package's: alike, not equal
    assert 1 / 3 < foreign.seconds / ours.seconds < 3
    weights = 4 * 2 * (256 + 10) * 2048
    assert weights < foreign.memory / foreign.programs[0].chunk < 2 * weights
