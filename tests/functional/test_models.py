from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn
from jaxnn import from_course, mlp, to_course

ACTIVATIONS = {
    "relu": nn.relu,
    "tanh": nn.tanh,
    "sigmoid": nn.sigmoid,
    "leaky_relu": nn.leaky_relu,
    "identity": lambda z: z,
}


class FlaxMLP(nn.Module):
    hidden: tuple
    num_classes: int
    activation: str
    has_batch_norm: bool

    @nn.compact
    def __call__(self, x, is_training):
        for units in self.hidden:
            x = nn.Dense(units, use_bias=not self.has_batch_norm)(x)
            if self.has_batch_norm:
                x = nn.BatchNorm(use_running_average=not is_training, momentum=0.9, epsilon=1e-5)(x)
            x = ACTIVATIONS[self.activation](x)
        return nn.Dense(self.num_classes)(x)


def as_flax(params, state):
    variables = {"params": {}, "batch_stats": {}}
    for index, layer in enumerate(params):
        dense = {"kernel": layer["kernel"].T}
        if "bias" in layer:
            dense["bias"] = layer["bias"]
        variables["params"][f"Dense_{index}"] = dense
        if "scale" in layer:
            norm = {"scale": layer["scale"], "bias": layer["offset"]}
            variables["params"][f"BatchNorm_{index}"] = norm
            statistics = {"mean": state[index]["mean"], "var": state[index]["variance"]}
            variables["batch_stats"][f"BatchNorm_{index}"] = statistics
    return variables


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("is_training", [False, True])
@pytest.mark.parametrize("hidden", [(), (7,), (6, 5, 4)])
def test_agrees_with_flax(activation, batch_norm, is_training, hidden):
    model = mlp(8, hidden, 3, activation=activation, batch_norm=batch_norm)
    reference = FlaxMLP(hidden, 3, activation, batch_norm)
    shake = lambda leaf: leaf + 0.1 * np.abs(np.sin(np.arange(leaf.size))).reshape(leaf.shape)
    params, state = jax.tree.map(shake, model.init(jax.random.key(0)))
    params, state = jax.tree.map(np.float32, (params, state))

    @jax.jit
    def both(params, state, x):
        ours = model.apply(params, state, x, is_training=is_training)
        variables = as_flax(params, state)
        return ours, reference.apply(variables, x, is_training, mutable=["batch_stats"])

    x = np.random.default_rng(1).normal(size=(10, 8)).astype(np.float32)
    (got, new_state), (expected, changed) = both(params, state, x)
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-5)
    new_variables = as_flax(params, new_state)["batch_stats"]
    if batch_norm and hidden:
        np_close = lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)
        jax.tree.map(np_close, new_variables, dict(changed["batch_stats"]))


def test_softmax_regression_matches_numpy():
    model = mlp(4, (), 3)
    params, state = model.init(jax.random.key(0))
    x = np.random.default_rng(0).normal(size=(5, 4))
    expected = x @ np.asarray(params[0]["kernel"]).T + np.asarray(params[0]["bias"])
    np.testing.assert_allclose(model.apply(params, state, jnp.asarray(x))[0], expected, rtol=1e-4)
    assert state == ()


def test_a_bias_before_batch_norm_cancels():
    """The course: subtracting the mean cancels b, so `mlp` has none there."""
    params, state = jaxnn.init_batch_norm(3)
    z = jax.random.normal(jax.random.key(0), (3, 20))
    b = jnp.array([[0.5], [-4.0], [2.0]])
    without, _ = jaxnn.batch_norm(params, state, z, is_training=True)
    with_bias, _ = jaxnn.batch_norm(params, state, z + b, is_training=True)
    np.testing.assert_allclose(with_bias, without, atol=1e-5)
    layers, _ = mlp(5, (3, 2), 2, batch_norm=True).init(jax.random.key(0))
    assert [sorted(layer) for layer in layers] == [
        ["kernel", "offset", "scale"],
        ["kernel", "offset", "scale"],
        ["bias", "kernel"],
    ]


def test_pictures_are_flattened_in_c_order():
    model = mlp(24, (3,), 2)
    params, state = model.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (5, 2, 3, 4))
    flat = jnp.asarray(np.asarray(x).reshape(5, 24, order="C"))
    got, expected = model.apply(params, state, x)[0], model.apply(params, state, flat)[0]
    np.testing.assert_array_equal(got, expected)


def test_padded_examples_change_nothing():
    model = mlp(4, (5,), 3, batch_norm=True)
    params, state = model.init(jax.random.key(0))
    x = np.random.default_rng(1).normal(size=(6, 4))
    padded = jnp.asarray(np.concatenate([x, 100 * np.ones((3, 4))]))
    weights = jnp.array([1.0] * 6 + [0.0] * 3)
    apply = jax.jit(partial(model.apply, is_training=True))
    alone, alone_state = apply(params, state, jnp.asarray(x))
    got, got_state = apply(params, state, padded, weights=weights)
    np.testing.assert_allclose(got[:6], alone, rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got_state, alone_state)


def test_layers_have_different_weights_and_equal_keys_equal_ones():
    model = mlp(6, (6, 6), 6)
    first, again = model.init(jax.random.key(0))[0], model.init(jax.random.key(0))[0]
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.allclose(first[0]["kernel"], first[1]["kernel"])
    other = model.init(jax.random.key(1))[0]
    assert not np.allclose(first[0]["kernel"], other[0]["kernel"])


def test_equal_arguments_give_the_identical_model():
    assert mlp(4, [3], 2) is mlp(np.int64(4), (3,), 2, activation="relu")
    assert mlp(4, (3,), 2) is not mlp(4, (3,), 2, batch_norm=True)


def test_dropout_needs_a_key_and_acts_in_training_alone():
    model = mlp(4, (50,), 3)
    params, state = model.init(jax.random.key(0))
    x = jnp.ones((2, 4))
    plain, _ = model.apply(params, state, x)
    evaluated, _ = model.apply(params, state, x, dropout=0.5)
    np.testing.assert_array_equal(evaluated, plain)
    apply = jax.jit(
        lambda key: model.apply(params, state, x, is_training=True, key=key, dropout=0.5)[0]
    )
    assert not np.allclose(apply(jax.random.key(1)), plain)
    np.testing.assert_array_equal(apply(jax.random.key(1)), apply(jax.random.key(1)))
    with pytest.raises(ValueError, match="dropout rate without a key"):
        apply(None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((4.0), (3,), 2), r"num_features got 4\.0"),
        ((4, (0,), 2), "hidden got 0"),
        ((4, 3, 2), "hidden got 3; expected a sequence"),
        ((4, (True,), 2), "hidden got True"),
        ((4, (3,), 0), "num_classes got 0"),
    ],
)
def test_bad_structure_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        mlp(*arguments)
    for option, message in {
        "activation": "activation got 'no'; expected one of relu, tanh",
        "init": "init got 'no'; expected one of xavier_uniform",
        "batch_norm": "batch_norm got 'no'; expected True or False",
    }.items():
        with pytest.raises(ValueError, match=message):
            mlp(4, (3,), 2, **{option: "no"})


def test_wrong_number_of_features_is_refused():
    model = mlp(4, (3,), 2)
    with pytest.raises(ValueError, match=r"shape \(2, 5\); expected 4 features"):
        model.apply(*model.init(jax.random.key(0)), jnp.ones((2, 5)))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_course_names_and_back(batch_norm):
    params, _ = mlp(12, (5, 4), 3, batch_norm=batch_norm).init(jax.random.key(0))
    course = to_course(params)
    assert course["W1"].shape == (5, 12)
    assert course["W3"].shape == (3, 4)
    assert course["b3"].shape == (3, 1)
    assert ("gamma1" in course, "b1" in course) == (batch_norm, not batch_norm)
    back = from_course(course)
    assert jax.tree.structure(back) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, back, params)


def test_course_parameters_run_as_the_course_computes():
    rng = np.random.default_rng(0)
    shapes = {"W1": (25, 12288), "b1": (25, 1), "W2": (12, 25), "b2": (12, 1), "W3": (6, 12)}
    p = {name: 0.05 * rng.normal(size=shape) for name, shape in shapes.items()}
    p["b3"] = rng.normal(size=(6, 1))
    x = rng.random((3, 12288))
    a = np.maximum(p["W1"] @ x.T + p["b1"], 0)
    a = np.maximum(p["W2"] @ a + p["b2"], 0)
    expected = (p["W3"] @ a + p["b3"]).T
    got, _ = mlp(12288, (25, 12), 6).apply(from_course(p), (), jnp.asarray(x))
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


def test_course_parameters_are_copies():
    raw = np.zeros(64 * 16 + 16, np.float32)
    # aligned to 64 bytes, where JAX would share the memory
    start = -raw.ctypes.data % 64 // 4
    kernel = raw[start : start + 64 * 16].reshape(64, 16)
    params = from_course({"W1": kernel, "b1": np.zeros((64, 1))})
    kernel[:] = 7
    np.testing.assert_array_equal(params[0]["kernel"], 0)
    for given in (params, jax.tree.map(np.array, params)):
        # as the course updates them
        to_course(given)["W1"] -= 1
        np.testing.assert_array_equal(given[0]["kernel"], 0)


DEEPER = {"W3": np.ones((2, 2)), "b3": np.zeros((2, 1))}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W1": None}, r"parameters got \['W2', 'b2'\]"),
        ({"b1": None}, r"layer 1 got \['W1'\]"),
        ({"W2": np.ones((2, 9))}, r"W2 got shape \(2, 9\); expected \(units, 3\)"),
        ({"b2": np.ones((5, 1))}, r"b2 got shape \(5, 1\); expected \(2, 1\)"),
        ({"b1": None, "gamma1": np.ones(3), "beta1": np.ones(3), **DEEPER}, "all or none"),
        ({"W1": 3.0}, r"W1 got shape \(\)"),
        ({"W1": [["a"]]}, "W1 got type <U1; expected real numbers"),
        ({"W1": np.ones((3, 4)) * 1j}, "W1 got type complex128; expected real numbers"),
        (
            {"W1": np.ma.masked_array(np.ones((3, 4)), np.eye(3, 4))},
            "W1 got 3 values hidden by a ma",
        ),
        ({"W1": np.ones(4)}, r"W1 got shape \(4,\)"),
        ({"Q1": np.ones(4)}, r"parameters got \['Q1'\]"),
        ({"W1": None, "W2": None}, "expected W1, b1"),
    ],
)
def test_bad_course_parameters_are_refused(change, message):
    course = {"W1": np.ones((3, 4)), "b1": np.zeros((3, 1))}
    course |= {"W2": np.ones((2, 3)), "b2": np.zeros((2, 1))}
    course = {k: v for k, v in {**course, **change}.items() if v is not None}
    with pytest.raises(ValueError, match=message):
        from_course(course)


def test_first_weights_are_those_of_init_dense():
    """Also those of a public function that draws one layer, with the key of the layer."""
    for init in ("xavier_uniform", "he_normal"):
        key = jax.random.key(4)
        params, _ = jaxnn.mlp(7, (6, 5), 3, init=init).init(key)
        for layer, (num_in, num_out) in enumerate(((7, 6), (6, 5), (5, 3))):
            alone = jaxnn.init_dense(jax.random.fold_in(key, layer), num_in, num_out, init)
            np.testing.assert_allclose(params[layer]["kernel"], alone["kernel"], rtol=1e-6)


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ((4, (2**31 - 1,) * 2, 3), r"units: a network would take .* GB; expected less than"),
        ((4, (1,) * 257, 3), "hidden got 257 layers; expected at most 256"),
        ((4, (10**400,), 3), r"hidden got 10+\.\.\.; expected a whole number"),
        ((10**400, (), 3), "num_features got 10+"),
    ],
)
def test_networks_that_no_machine_holds_are_refused(units, message):
    with pytest.raises(ValueError, match=message):
        mlp(*units)
