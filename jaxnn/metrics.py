"""What a person reads of predictions: accuracy and the confusion matrix."""

import jax.numpy as jnp
import numpy as np

from jaxnn.datasets import as_labels
from jaxnn.losses import class_numbers, real_array, weighted_mean
from jaxnn.types import Array, ArrayLike


def accuracy(logits: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Share of examples whose largest logit is the label's.

    An example whose largest logit is not finite, or not known since one is NaN, counts as missed.

    Args:
      logits: (B, C).
      labels: integers (B,).
      weights: (B,) or None.

    Returns:
      a scalar in 0..1.

    >>> accuracy(jnp.array([[1.0, 2.0], [3.0, 0.0]]), jnp.array([1, 1]))
    Array(0.5, dtype=float32)
    """
    logits, labels = real_array(logits), jnp.asarray(labels)
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"accuracy got labels {list(labels.shape)}; expected {list(logits.shape[:-1])}"
        )
    if jnp.issubdtype(labels.dtype, jnp.floating):
        raise ValueError(f"accuracy got labels of type {labels.dtype}; expected class numbers")
    labels = class_numbers(labels)
    is_hit = jnp.argmax(logits, axis=-1).astype(labels.dtype) == labels
    is_known = jnp.isfinite(jnp.max(logits, axis=-1))
    return weighted_mean((is_hit & is_known).astype(logits.dtype), weights)


def confusion_matrix(labels: ArrayLike, predictions: ArrayLike, num_classes: int) -> np.ndarray:
    """Counts (C, C) on the host: row = label, column = prediction.

    Args:
      labels: (N,), whole numbers in 0..C-1, also in the other forms that `Dataset` takes.
      predictions: (N,), likewise.
      num_classes: C.

    Raises:
      ValueError: naming what came and what was expected.

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    num_examples = np.size(predictions)
    columns, _ = as_labels(predictions, num_examples, num_classes, "predictions")
    rows, _ = as_labels(labels, num_examples, num_classes, "labels")
    counts = np.zeros((num_classes, num_classes), int)
    np.add.at(counts, (rows, columns), 1)
    return counts
