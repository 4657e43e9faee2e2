"""The data sets that tests of several folders train on: small, and the same in each run."""

import numpy as np

from jaxnn import Dataset


def _inputs(num_examples, num_features):
    return np.random.default_rng(0).normal(size=(num_examples, num_features))


def halves(num_examples=60, num_features=3):
    """Two classes, by the sign of the first feature."""
    x = _inputs(num_examples, num_features)
    return Dataset(x, (x[:, 0] > 0).astype(int))


def corners(num_examples=120, num_features=4):
    """Three classes: how many of the first two features are positive."""
    x = _inputs(num_examples, num_features)
    return Dataset(x, (x[:, 0] > 0).astype(int) + (x[:, 1] > 0))


def curved(num_examples=44, num_features=4):
    """Three classes, by a parabola in the first two features and by the third."""
    x = _inputs(num_examples, num_features)
    return Dataset(x, (x[:, 0] + x[:, 1] ** 2 > 0.5).astype(int) + (x[:, 2] > 1))
