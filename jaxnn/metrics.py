"""What a person reads of predictions: accuracy and the confusion matrix."""

import jax.numpy as jnp
import numpy as np

from jaxnn.losses import weighted_mean
from jaxnn.types import Array, ArrayLike


def accuracy(logits: Array, labels: Array, weights: Array | None = None) -> Array:
    """Share of examples whose largest logit is the label's.

    Args:
      logits: (B, C).
      labels: integers (B,).
      weights: (B,) or None.

    Returns:
      a scalar in 0..1.

    >>> accuracy(jnp.array([[1.0, 2.0], [3.0, 0.0]]), jnp.array([1, 1]))
    Array(0.5, dtype=float32)
    """
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"accuracy got labels {list(labels.shape)}; expected {list(logits.shape[:-1])}"
        )
    hits = (jnp.argmax(logits, axis=-1) == labels).astype(logits.dtype)
    return weighted_mean(hits, weights)


def confusion_matrix(labels: ArrayLike, predictions: ArrayLike, num_classes: int) -> np.ndarray:
    """Counts (C, C) on the host: row = label, column = prediction.

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 1, 0]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    counts = np.zeros((num_classes, num_classes), int)
    np.add.at(counts, (np.asarray(labels), np.asarray(predictions)), 1)
    return counts
