"""The confusion matrix: which classes a network confuses."""

import numpy as np

from jaxnn.data.reading import as_labels
from jaxnn.functional.types import ArrayLike


def confusion_matrix(labels: ArrayLike, predictions: ArrayLike, num_classes: int) -> np.ndarray:
    """Returns counts (C, C) on the host: row = label, column = prediction.

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
