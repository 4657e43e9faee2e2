"""What the scripts train on, and the shapes that other libraries want of it."""

import itertools
import math
from typing import NamedTuple

import numpy as np

import jaxnn


class Problem(NamedTuple):
    """Examples to train on and to validate with."""

    train: jaxnn.Dataset
    valid: jaxnn.Dataset

    @property
    def features(self) -> int:
        return math.prod(self.train.x.shape[1:])

    def units(self, hidden: tuple[int, ...]) -> tuple[int, ...]:
        """Units of all layers, those of inputs and classes included."""
        return (self.features, *hidden, self.train.num_classes)

    def pairs(self, hidden: tuple[int, ...]) -> list[tuple[int, int]]:
        """Units in and out of each layer."""
        return list(itertools.pairwise(self.units(hidden)))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Those of the training part."""
        return arrays(self.train)


def arrays(data: jaxnn.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (examples, features) in float32 and labels in int64, as other libraries want them."""
    return np.array(data.x).reshape(len(data), -1), np.array(data.y, np.int64)


def digits() -> jaxnn.Dataset:
    """scikit-learn's digits: 1,797 pictures of 8x8, in 0 to 1."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return jaxnn.Dataset(x / 16, y)


def random_examples(count: int, features: int, classes: int) -> jaxnn.Dataset:
    """Inputs in 0 to 1 and labels that nothing connects, where time alone matters."""
    rng = np.random.default_rng(0)
    x = rng.random((count, features), dtype=np.float32)
    return jaxnn.Dataset(x, rng.integers(0, classes, count), classes)
