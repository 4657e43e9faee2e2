"""A classifier for scikit-learn (extra "sklearn"), with the options of its MLPClassifier."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxnn.checks import whole_number
from jaxnn.datasets import Dataset
from jaxnn.fitting import fit

_ACTIVATIONS = {"logistic": "sigmoid"}
"""scikit-learn's names that are not ours."""


class JaxMLPClassifier(ClassifierMixin, BaseEstimator):
    """A network of dense layers; options are spelled as in scikit-learn's MLPClassifier.

    It trains for max_iter epochs; there is no early stopping, and "sgd" is momentum without
    Nesterov's look-ahead.

    Args:
      hidden_layer_sizes: units of the hidden layers.
      activation: "relu", "tanh", "logistic" or any other of `jaxnn.layers`.
      solver: "adam", "sgd", "gd" or "rmsprop".
      alpha: the cost has alpha / 2 times the sum of squared weights over the mini-batch's size.
      batch_size: "auto" is min(200, N).
      learning_rate_init, momentum, beta_1, beta_2, epsilon: of the solver.
      max_iter: epochs.
      random_state: of weights, dropout and mini-batches.
      dropout, batch_norm, inputs: as in a setting of `fit`.

    Attributes:
      classes_: (C,), the labels in the order of the probabilities.
      fitted_: the network, a `jaxnn.Fitted`.
      loss_curve_: (max_iter,), the cost of every epoch; loss_ is the last.
      n_features_in_, n_iter_: features, epochs.

    >>> x = np.random.default_rng(0).normal(size=(80, 2))
    >>> y = np.where(x[:, 0] > 0, "right", "left")
    >>> network = JaxMLPClassifier((8,), learning_rate_init=0.05, max_iter=30, random_state=0)
    >>> network.fit(x, y).score(x, y) > 0.9
    True
    """

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 1e-4,
        batch_size: int | str = "auto",
        learning_rate_init: float = 1e-3,
        max_iter: int = 200,
        random_state: Any = None,
        momentum: float = 0.9,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        dropout: float = 0.0,
        batch_norm: bool = False,
        inputs: str = "raw",
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.random_state = random_state
        self.momentum = momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.inputs = inputs

    def setting(self, num_examples: int) -> dict[str, Any]:
        """The options as a setting of `fit`, for a training set of so many examples."""
        given = 200 if self.batch_size == "auto" else self.batch_size
        batch_size = min(whole_number("batch_size", given, 1), num_examples)
        return {
            "hidden": tuple(np.atleast_1d(self.hidden_layer_sizes).tolist()),
            "activation": _ACTIVATIONS.get(self.activation, self.activation),
            "optimizer": "momentum" if self.solver == "sgd" else self.solver,
            "l2": self.alpha / batch_size,
            "batch_size": batch_size,
            # ours averages gradients, scikit-learn sums them
            "learning_rate": self.learning_rate_init
            / (1 - self.momentum if self.solver == "sgd" else 1),
            "momentum": self.momentum,
            "beta1": self.beta_1,
            "beta2": self.beta_2,
            "epsilon": self.epsilon,
            "dropout": self.dropout,
            "batch_norm": self.batch_norm,
            "inputs": self.inputs,
        }

    def fit(self, X: Any, y: Any) -> "JaxMLPClassifier":
        x, labels = classification_data(self, X, y)
        seed = seed_of(self.random_state)
        data = Dataset(x, labels, num_classes=len(self.classes_))
        self.fitted_ = fit(
            self.setting(len(data)),
            data,
            epochs=whole_number("max_iter", self.max_iter, 1),
            seed=seed,
            order_seed=seed,
            progress=False,
        )
        self.loss_curve_ = self.fitted_.curves["cost"]
        self.loss_, self.n_iter_ = float(self.loss_curve_[-1]), len(self.loss_curve_)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (N, C), in the order of `classes_`."""
        check_is_fitted(self)
        return self.fitted_.predict_proba(validate_data(self, X, reset=False))

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class (N,)."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def classification_data(estimator: Any, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and labels 0..C-1, checked as scikit-learn does; sets the estimator's `classes_`."""
    x, y = validate_data(estimator, X, y)
    check_classification_targets(y)
    estimator.classes_, labels = np.unique(y, return_inverse=True)
    if len(estimator.classes_) < 2:
        raise ValueError(f"y got 1 class, {y[0]!r}; expected two at least")
    return x, labels


def seed_of(random_state: Any) -> int:
    """A seed of ours: the number itself, or one drawn from what scikit-learn takes besides."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
