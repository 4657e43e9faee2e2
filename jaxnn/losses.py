"""Costs per example, their weighted mean, and the l2 penalty."""

import jax
import jax.numpy as jnp

from jaxnn.types import Array, Params


def softmax_cross_entropy(logits: Array, labels: Array) -> Array:
    """Cross-entropy of softmax(logits) against the labels, for each example.

    L = -sum_c y_c log y_hat_c,  y_hat = softmax(z);  dL/dz = y_hat - y

    Computed from log-softmax, so logits of any finite size are safe. With all logits equal the
    cost is ln C (ln 6 = 1.79 for the six signs), which is what a dead network shows.

    Args:
      logits: (B, C).
      labels: integers (B,), or one-hot or any distribution (B, C). An integer outside 0..C-1 gives
        NaN, never a silent number.

    Returns:
      (B,).

    Raises:
      ValueError: the shapes do not fit, or labels (B,) are not integers.

    >>> softmax_cross_entropy(jnp.zeros((1, 6)), jnp.array([2]))
    Array([1.7917595], dtype=float32)
    """
    if labels.shape == logits.shape:
        # where: a class of probability exactly 0 adds nothing, also where its log is -inf
        log_probs = jax.nn.log_softmax(logits)
        return -jnp.sum(jnp.where(labels == 0, 0, labels * log_probs), axis=-1)
    if labels.shape != logits.shape[:-1] or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(
            f"softmax_cross_entropy got labels {labels.dtype}{list(labels.shape)} with logits "
            f"{list(logits.shape)}; expected integers {list(logits.shape[:-1])} or one-hot labels "
            f"{list(logits.shape)}"
        )
    # classes down, examples across, as in the course: the layer below then gets its dZ in the
    # orientation in which dW is fast
    z = jnp.moveaxis(logits, -1, 0)
    classes = jnp.arange(len(z), dtype=labels.dtype).reshape(-1, *(1,) * labels.ndim)
    chosen = labels[None] == classes
    z = z - jax.lax.stop_gradient(jnp.max(z, axis=0))[None]
    cost = jnp.log(jnp.sum(jnp.exp(z), axis=0)) - jnp.sum(jnp.where(chosen, z, 0), axis=0)
    return jnp.where(jnp.any(chosen, axis=0), cost, jnp.nan)


def sigmoid_cross_entropy(logits: Array, labels: Array) -> Array:
    """Cross-entropy of sigmoid(logits) against labels in 0..1, element by element.

    L = -y log(a) - (1 - y) log(1 - a),  a = sigmoid(z)
      = max(z, 0) - z y + log(1 + exp(-|z|)), which cannot overflow.

    >>> sigmoid_cross_entropy(jnp.array([0.0, 100.0]), jnp.array([1.0, 1.0])).round(4)
    Array([0.6931, 0.    ], dtype=float32)
    """
    if logits.shape != labels.shape:
        raise ValueError(
            f"sigmoid_cross_entropy got labels {list(labels.shape)}; expected {list(logits.shape)}"
        )
    return jnp.maximum(logits, 0) - logits * labels + jnp.log1p(jnp.exp(-jnp.abs(logits)))


def weighted_mean(values: Array, weights: Array | None = None) -> Array:
    """sum(w * values) / sum(w) over the examples (B,); the plain mean without weights.

    The value of an example of weight 0 does not count, NaN included; if all weigh 0 the mean is 0.

    >>> weighted_mean(jnp.array([1.0, 3.0, jnp.nan]), jnp.array([1.0, 1.0, 0.0]))
    Array(2., dtype=float32)
    """
    if weights is None:
        return jnp.mean(values)
    total = jnp.sum(weights)
    return jnp.sum(jnp.where(weights > 0, values * weights, 0)) / jnp.where(total > 0, total, 1)


def l2_penalty(params: Params) -> Array:
    """1/2 sum of squared kernels; scales, offsets and biases are left alone.

    A kernel is every leaf whose own name is "kernel", in `mlp`'s parameters as in Flax's.

    >>> l2_penalty({"kernel": jnp.array([3.0, 4.0]), "scale": jnp.array([9.0])})
    Array(12.5, dtype=float32)
    """
    leaves = jax.tree_util.tree_leaves_with_path(params)
    kernels = [leaf for path, leaf in leaves if path and _name(path[-1]) == "kernel"]
    return 0.5 * sum((jnp.sum(jnp.square(kernel)) for kernel in kernels), jnp.zeros(()))


def _name(entry: object) -> object:
    """The key of a dict, or the name of an attribute, at the end of a leaf's path."""
    return getattr(entry, "key", getattr(entry, "name", None))
