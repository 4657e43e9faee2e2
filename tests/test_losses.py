import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn.metrics

import jaxnn
from jaxnn import accuracy, confusion_matrix, l2_penalty, sigmoid_cross_entropy, weighted_mean
from jaxnn import softmax_cross_entropy as cross_entropy


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
    assert np.isfinite(jax.grad(lambda z: cross_entropy(z, labels).sum())(logits)).all()


def test_impossible_class_adds_nothing():
    logits = jnp.array([[0.0, -jnp.inf]])
    assert cross_entropy(logits, jnp.array([[1.0, 0.0]])) == 0
    assert cross_entropy(logits, jnp.array([0])) == 0


def test_gradient_is_probabilities_minus_labels(logits_and_labels):
    logits, labels = logits_and_labels
    with jax.enable_x64(True):
        z = jnp.asarray(logits)
        got = jax.grad(lambda z: cross_entropy(z, jnp.asarray(labels)).sum())(z)
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


def test_two_class_softmax_is_the_sigmoid():
    z = jnp.linspace(-4, 4, 9)
    labels = jnp.arange(9) % 2
    two = jnp.stack([jnp.zeros(9), z], axis=1)
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
    params = jax.tree.map(lambda leaf: leaf + 1, params)
    kernels = [np.asarray(layer["kernel"], np.float64) for layer in params]
    expected = sum((kernel**2).sum() for kernel in kernels) / 2
    np.testing.assert_allclose(l2_penalty(params), expected, rtol=1e-6)
    grads = jax.grad(l2_penalty)(params)
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
