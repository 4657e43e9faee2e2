import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn.metrics

import jaxnn
from jaxnn import confusion_matrix, l2_penalty, weighted_mean

# operation by operation, each would be compiled by itself; `test_api` compares the two
accuracy, cross_entropy, sigmoid_cross_entropy = (
    jax.jit(function)
    for function in (jaxnn.accuracy, jaxnn.softmax_cross_entropy, jaxnn.sigmoid_cross_entropy)
)


def slope(function):
    return jax.jit(jax.grad(function))


@pytest.fixture
def logits_and_labels():
    rng = np.random.default_rng(0)
    return rng.normal(0, 3, (20, 6)), rng.integers(0, 6, 20)


def test_softmax_cross_entropy_matches_numpy_and_optax(logits_and_labels):
    logits, labels = logits_and_labels
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = -np.log(probabilities[np.arange(20), labels])
    got = cross_entropy(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    reference = optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(logits), labels)
    np.testing.assert_allclose(got, reference, rtol=1e-5)
    one_hot = cross_entropy(jnp.asarray(logits), jnp.asarray(np.eye(6)[labels]))
    np.testing.assert_allclose(one_hot, expected, rtol=1e-5)


def test_zero_logits_cost_ln_6():
    np.testing.assert_allclose(
        cross_entropy(jnp.zeros((3, 6)), jnp.arange(3)), np.log(6), rtol=1e-6
    )


@pytest.mark.parametrize("one_hot", [False, True])
def test_extreme_logits_are_stable(one_hot):
    logits = jnp.array([[1e4, 0.0, -1e4], [1e4, 0.0, -1e4]])
    labels = jnp.array([0, 2])
    labels = jnp.eye(3)[labels] if one_hot else labels
    np.testing.assert_allclose(cross_entropy(logits, labels), [0, 2e4])
    assert np.isfinite(slope(lambda z: cross_entropy(z, labels).sum())(logits)).all()


def test_impossible_class_adds_nothing():
    logits = jnp.array([[0.0, -jnp.inf]])
    assert cross_entropy(logits, jnp.array([[1.0, 0.0]])) == 0
    assert cross_entropy(logits, jnp.array([0])) == 0


def test_gradient_is_probabilities_minus_labels(logits_and_labels):
    logits, labels = logits_and_labels
    with jax.enable_x64(True):
        z = jnp.asarray(logits)
        got = slope(lambda z: cross_entropy(z, jnp.asarray(labels)).sum())(z)
        expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) - np.eye(6)[labels]
        np.testing.assert_allclose(got, expected, atol=1e-14)


@pytest.mark.parametrize("label", [-1, 3, 100])
def test_a_label_out_of_range_is_nan_not_a_number(label):
    assert np.isnan(cross_entropy(jnp.zeros((1, 3)), jnp.array([label]))).all()


@pytest.mark.parametrize("labels", [jnp.zeros((2, 4)), jnp.zeros(3, int), jnp.zeros(2)])
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(ValueError, match="softmax_cross_entropy got labels"):
        cross_entropy(jnp.zeros((2, 3)), labels)


def test_sigmoid_cross_entropy_matches_numpy_and_is_stable():
    z, y = np.array([-3.0, -0.5, 0.0, 2.0]), np.array([1.0, 0.0, 0.3, 1.0])
    a = 1 / (1 + np.exp(-z))
    expected = -y * np.log(a) - (1 - y) * np.log(1 - a)
    got = sigmoid_cross_entropy(jnp.asarray(z), jnp.asarray(y))
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    extreme = sigmoid_cross_entropy(jnp.array([1e4, -1e4]), jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(extreme, 1e4)


LOSSES = {
    "sigmoid": lambda z: sigmoid_cross_entropy(z, jnp.array([0.0, 0.3, 1.0])),
    "softmax": lambda z: cross_entropy(z[None], jnp.array([1])),
    "softmax of a distribution": lambda z: cross_entropy(z[None], jnp.array([[0.2, 0.0, 0.8]])),
    "l2": lambda z: l2_penalty({"kernel": z}),
    "weighted mean": lambda z: weighted_mean(jnp.square(z), jnp.array([1.0, 0.0, 2.0])),
}
SUMS = {name: jax.jit(lambda z, loss=loss: loss(z).sum()) for name, loss in LOSSES.items()}
SLOPES = {name: slope(loss) for name, loss in SUMS.items()}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("kink", [0.0, 1.0])
def test_gradients_at_ties_are_the_slopes(name, kink):
    """All logits equal, as of a network without weights: where max and abs have no derivative."""
    with jax.enable_x64(True):
        loss, z = SUMS[name], np.full(3, kink)
        slopes = [(loss(z + 1e-6 * step) - loss(z - 1e-6 * step)) / 2e-6 for step in np.eye(3)]
        np.testing.assert_allclose(SLOPES[name](z), slopes, atol=1e-9)


def test_losses_and_gradients_at_zero_are_those_of_optax():
    zeros, labels = jnp.zeros(3), jnp.array([0.0, 0.3, 1.0])
    both = lambda loss: jax.jit(jax.value_and_grad(loss))
    ours = both(lambda z: sigmoid_cross_entropy(z, labels).sum())(zeros)
    theirs = both(lambda z: optax.sigmoid_binary_cross_entropy(z, labels).sum())(zeros)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-6)
    ours = slope(lambda z: cross_entropy(z[None], jnp.array([2])).sum())
    theirs = slope(
        lambda z: optax.softmax_cross_entropy_with_integer_labels(z[None], jnp.array([2])).sum()
    )
    np.testing.assert_allclose(ours(zeros), theirs(zeros), rtol=1e-6)


SLOPE_OF_SIGMOID = slope(jaxnn.sigmoid_cross_entropy)


@pytest.mark.parametrize(
    ("logit", "label", "cost", "slope"),
    [
        (-np.inf, 0.0, 0.0, 0.0),
        (np.inf, 1.0, 0.0, 0.0),
        (-np.inf, 1.0, np.inf, -1.0),
        (np.inf, 0.0, np.inf, 1.0),
        (np.inf, 0.5, np.inf, 0.5),
    ],
)
def test_infinite_logits_of_a_sigmoid(logit, label, cost, slope):
    assert sigmoid_cross_entropy(logit, label) == cost
    assert SLOPE_OF_SIGMOID(logit, label) == slope


def test_a_logit_of_minus_infinity_has_no_gradient():
    labels = jnp.array([[0.5, 0.5, 0.0]])
    for targets in (jnp.array([0]), labels):
        gradient = slope(lambda z, y=targets: cross_entropy(z, y).sum())
        logits = jnp.array([[0.0, 0.0, -jnp.inf]])
        expected = [[-0.5, 0.5, 0.0]] if targets.ndim == 1 else [[0.0, 0.0, 0.0]]
        np.testing.assert_allclose(gradient(logits), expected, atol=1e-7)
    assert np.isnan(cross_entropy(jnp.array([[jnp.inf, 0.0]]), jnp.array([0]))).all()


@pytest.mark.parametrize("name", jaxnn.functional.layers.ACTIVATIONS)
def test_slopes_of_activations_at_zero_lie_between_those_of_either_side(name):
    with jax.enable_x64(True):
        activation = jax.jit(jaxnn.functional.layers.ACTIVATIONS[name])
        sides = [(activation(side) - activation(0.0)) / side for side in (-1e-7, 1e-7)]
        assert min(sides) - 1e-6 <= slope(activation)(0.0) <= max(sides) + 1e-6


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint32"])
def test_labels_of_a_small_type_with_more_classes_than_it_has(dtype):
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(4, 300)))
    labels = np.array([0, 3, 44, 127])
    expected = cross_entropy(logits, labels)
    np.testing.assert_array_equal(cross_entropy(logits, jnp.asarray(labels, dtype)), expected)
    # 259 is 3 in eight bits
    chosen = np.zeros((1, 300), np.float32)
    chosen[0, 259] = 5
    assert accuracy(chosen, jnp.array([3], dtype)) == 0
    chosen[0, 3] = 9
    assert accuracy(chosen, jnp.array([3], dtype)) == 1
    one_hot = jnp.asarray(np.eye(300)[labels], dtype)
    np.testing.assert_allclose(cross_entropy(logits, one_hot), expected, rtol=1e-6)


def test_numbers_and_lists_of_python_are_taken():
    assert jaxnn.sigmoid_cross_entropy(0.0, 1.0) == np.float32(np.log(2))
    assert weighted_mean([1.0, 3.0]) == 2
    assert jaxnn.softmax_cross_entropy([[0, 0]], [1]) == np.float32(np.log(2))
    assert jaxnn.accuracy([[0, 1]], [1]) == 1


def test_logits_that_are_nan_are_no_hits_of_class_0():
    logits = jnp.array([[jnp.nan, jnp.nan], [jnp.nan, 1.0], [2.0, 1.0]])
    assert accuracy(logits, jnp.array([0, 0, 0])) == np.float32(1 / 3)
    # nor of any class are infinite ones; a single class may be impossible
    logits = jnp.array([[0.0, jnp.inf], [-jnp.inf, -jnp.inf], [-jnp.inf, 0.0]])
    assert accuracy(logits, jnp.array([1, 0, 1])) == np.float32(1 / 3)
    with pytest.raises(ValueError, match="labels of type float32"):
        accuracy(logits, jnp.zeros(3))


@pytest.mark.parametrize("size", [1e38, 1e-37])
def test_only_the_ratios_of_weights_matter(size):
    mean = weighted_mean(jnp.array([1.0, 3.0, jnp.nan]), size * jnp.array([1.0, 3.0, 0.0]))
    np.testing.assert_allclose(mean, 2.5, rtol=1e-6)


def test_two_class_softmax_is_the_sigmoid():
    z = np.linspace(-4, 4, 9, dtype=np.float32)
    labels = np.arange(9) % 2
    two = np.stack([np.zeros_like(z), z], axis=1)
    expected = sigmoid_cross_entropy(z, labels)
    np.testing.assert_allclose(cross_entropy(two, labels), expected, rtol=1e-5, atol=1e-6)


def test_shapes_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"labels \[3, 1\]; expected \[3\]"):
        accuracy(jnp.eye(3), jnp.arange(3)[:, None])
    with pytest.raises(ValueError, match=r"labels \[3\]; expected \[3, 1\]"):
        sigmoid_cross_entropy(jnp.ones((3, 1)), jnp.ones(3))


def test_weighted_mean():
    values, weights = jnp.array([1.0, 2.0, 10.0]), jnp.array([1.0, 3.0, 0.0])
    assert weighted_mean(values) == np.float32(13 / 3)
    assert weighted_mean(values, weights) == 7 / 4
    assert weighted_mean(values, jnp.zeros(3)) == 0


def test_l2_penalty_counts_kernels_alone():
    model = jaxnn.mlp(3, (4,), 2, batch_norm=True)
    params, _ = model.init(jax.random.key(0))
    params = jax.tree.map(lambda leaf: np.asarray(leaf) + 1, params)
    kernels = [np.asarray(layer["kernel"], np.float64) for layer in params]
    expected = sum((kernel**2).sum() for kernel in kernels) / 2
    np.testing.assert_allclose(l2_penalty(params), expected, rtol=1e-6)
    grads = slope(l2_penalty)(params)
    np.testing.assert_array_equal(grads[0]["scale"], 0)
    np.testing.assert_array_equal(grads[0]["offset"], 0)
    np.testing.assert_array_equal(grads[1]["bias"], 0)
    np.testing.assert_allclose(grads[0]["kernel"], params[0]["kernel"])


def test_accuracy_and_confusion_match_scikit_learn(logits_and_labels):
    logits, labels = logits_and_labels
    predictions = logits.argmax(1)
    got = accuracy(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_allclose(got, sklearn.metrics.accuracy_score(labels, predictions))
    weights = np.random.default_rng(1).random(20)
    got = accuracy(jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(weights))
    expected = sklearn.metrics.accuracy_score(labels, predictions, sample_weight=weights)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    expected = sklearn.metrics.confusion_matrix(labels, predictions, labels=range(6))
    np.testing.assert_array_equal(confusion_matrix(labels, predictions, 6), expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda labels: labels.astype(bool),
        lambda labels: labels.astype(np.uint8),
        lambda labels: labels.astype(float),
        lambda labels: labels[:, None],
        lambda labels: labels.tolist(),
        lambda labels: jnp.asarray(labels),
    ],
    ids=["bool", "uint8", "float", "(N, 1)", "list", "jax"],
)
def test_confusion_of_labels_in_other_forms(change):
    labels, predictions = np.array([0, 1, 1, 1, 0]), np.array([1, 1, 0, 1, 0])
    got = confusion_matrix(change(labels), change(predictions), 2)
    np.testing.assert_array_equal(got, [[1, 1], [1, 2]])


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([-1, 0], [0, 0], "labels got labels from -1 to 0; expected 0 to 2"),
        ([0, 0], [0, -1], "predictions got labels from -1 to 0; expected 0 to 2"),
        ([0, 3], [0, 0], "labels got labels from 0 to 3; expected 0 to 2 for 3 classes"),
        ([0, 0.5], [0, 0], "labels got numbers that are not whole"),
        ([0, 1], [0], "labels got 2 labels for 1 examples"),
        ([0, 1], np.full((2, 3), 0.3), "predictions got numbers that are not whole"),
        ([], [], "predictions got no labels"),
        (np.ma.masked_array([0, 1], [True, False]), [0, 1], "labels got 1 values hidden by a mask"),
    ],
)
def test_confusion_refuses_what_is_no_class(labels, predictions, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(labels, predictions, 3)
