"""A classifier for scikit-learn (extra "sklearn"), whose options are those of MLPClassifier."""

from typing import Any, Self

import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.estimators.learning import Arrays
from jaxnn.estimators.networks import NetworkEstimator, real_dataset
from jaxnn.functional.metrics import ACCURACY
from jaxnn.functional.objectives import Targets
from jaxnn.system.checks import needs

with needs("sklearn", "scikit-learn"):
    from sklearn.base import ClassifierMixin
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.metaestimators import available_if
    from sklearn.utils.multiclass import (
        _check_partial_fit_first_call,
        check_classification_targets,
        type_of_target,
    )


class JaxMLPClassifier(ClassifierMixin, NetworkEstimator):
    """A network of dense layers with the options of scikit-learn's MLPClassifier, and more.

    Options that MLPClassifier has mean what they mean there, and have its defaults. Differences:

    - solver "lbfgs" is refused, and with it max_fun is not used. `momentum` must be below 1, and
      there must be two classes.
    - Random numbers differ, and biases start at 0. Weights are float32 unless JAX's x64 is on.
    - `loss_curve_`, and `tol` without `early_stopping`, are without the penalty of `alpha`.
      With a `tol` of 0, an epoch as good as the best is no improvement.
    - Of equally good epochs, `early_stopping` keeps the one of the lowest validation cost. It sets
      aside an equal share of three and more classes as well, if they have enough examples.
    - `warm_start` begins anew to wait for an improvement. `partial_fit` goes on with new orders.
    - Where the learning rate of "sgd" changes, momentum averages gradients, not steps; "adaptive"
      ends when the rate divided by 1 - momentum is at most 1e-6.
    - A network that diverged is kept as it was before, with a warning.

    Args:
      hidden_layer_sizes: units of the hidden layers; () is softmax regression.
      activation: "relu", "tanh", "logistic", "identity" or any other of `jaxnn.settings`.
      solver: "adam", "sgd", or any other optimizer of `jaxnn.settings`, or a function.
      alpha: l2; alpha / 2 times the sum of squared weights, divided by the mini-batch's size, is
        added to the cost.
      batch_size: "auto" is min(200, N).
      learning_rate: for "sgd" "constant", "invscaling" or "adaptive"; for every solver a schedule
        of `jaxnn.settings`, such as "cosine", with decay_rate, decay_every and warmup.
      learning_rate_init, power_t, momentum, nesterovs_momentum, beta_1, beta_2, epsilon: numbers of
        the solver.
      max_iter: the most epochs.
      shuffle: whether the examples of every epoch are in a new order.
      random_state: the seed of weights, dropout, mini-batches and what is set aside.
      tol, n_iter_no_change: training stops after more than n_iter_no_change epochs in a row without
        an improvement of more than tol: of the training cost, or with early_stopping of the
        accuracy on a validation set. An infinite n_iter_no_change never stops it.
      early_stopping, validation_fraction: whether a part of the examples is set aside as a
        validation set, whose best epoch is kept.
      verbose: whether to print the cost of every epoch.
      warm_start: whether `fit` goes on from the weights of the last call.
      class_weight: None, "balanced", or a dict of label -> weight.
      loss: "log_loss" is "sigmoid" for two classes and for labels, else "softmax". It may be one of
        these, or a function, see `jaxnn.settings`, whose outputs are not taken for probabilities.
      n_networks: so many networks that differ in their seeds are trained at once, as lanes, and
        their probabilities averaged. Curves are those of the first; none goes on.
      dropout, batch_norm, inputs, init, weight_decay, clip_norm, label_smoothing, decay_rate,
        decay_every, warmup: as in a setting of `jaxnn.fit`; a decay_rate of None is its default.

    Attributes:
      classes_: (C,), the labels in the order of the probabilities.
      fitted_: the network, a `jaxnn.Fitted`, or of several a `jaxnn.Ensemble`.
      coefs_, intercepts_: the weights (units in, units out) and biases of each layer.
      loss_curve_: the cost of every epoch; loss_ is the last, best_loss_ the least.
      validation_scores_: accuracies, if there is a validation set; best_validation_score_ is the
        greatest of the last call.
      n_iter_, t_: epochs, and examples seen.
      n_features_in_, feature_names_in_, n_layers_, n_outputs_, out_activation_: as in scikit-learn.

    >>> x = np.random.default_rng(0).normal(size=(80, 2))
    >>> y = np.where(x[:, 0] > 0, "right", "left")
    >>> network = JaxMLPClassifier((8,), learning_rate_init=0.05, max_iter=300, random_state=0)
    >>> network.fit(x, y).score(x, y) > 0.9
    True
    """

    _metric = ACCURACY.name
    _typical = Targets(3)
    _is_multilabel = False
    classes_: np.ndarray

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 1e-4,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 1e-3,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: Any = None,
        loss: Any = "log_loss",
        n_networks: int = 1,
        dropout: float = 0.0,
        batch_norm: bool = False,
        inputs: str = "raw",
        init: str = "xavier_uniform",
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        label_smoothing: float = 0.0,
        decay_rate: float | None = None,
        decay_every: float = 1.0,
        warmup: float = 0.0,
    ):
        self.hidden_layer_sizes, self.activation = hidden_layer_sizes, activation
        self.solver, self.alpha, self.batch_size = solver, alpha, batch_size
        self.learning_rate, self.learning_rate_init = learning_rate, learning_rate_init
        self.power_t, self.max_iter, self.shuffle = power_t, max_iter, shuffle
        self.random_state, self.tol, self.verbose = random_state, tol, verbose
        self.warm_start, self.momentum = warm_start, momentum
        self.nesterovs_momentum, self.early_stopping = nesterovs_momentum, early_stopping
        self.validation_fraction, self.beta_1, self.beta_2 = validation_fraction, beta_1, beta_2
        self.epsilon, self.n_iter_no_change, self.max_fun = epsilon, n_iter_no_change, max_fun
        self.class_weight, self.loss, self.n_networks = class_weight, loss, n_networks
        self.dropout, self.batch_norm, self.inputs, self.init = dropout, batch_norm, inputs, init
        self.weight_decay, self.clip_norm = weight_decay, clip_norm
        self.label_smoothing, self.decay_rate = label_smoothing, decay_rate
        self.decay_every, self.warmup = decay_every, warmup

    @available_if(lambda estimator: estimator._may_go_on)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Trains for one epoch on some examples.

        Args:
          X, y, sample_weight: as in `fit`.
          classes: all labels; needed in the first call.
        """
        if _check_partial_fit_first_call(self, classes):
            self._is_multilabel = type_of_target(y).startswith("multilabel")
            self._check_count()
        return self._partial_fit(X, y, sample_weight)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (N, C) in the order of `classes_`, or of labels (N, K)."""
        inputs = self._inputs(X)
        return self.fitted_.predict_proba(inputs)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """The logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            found: np.ndarray = np.log(self.predict_proba(X))
        return found

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class (N,), or 0 and 1 for labels (N, K).

        Raises:
          ValueError: the network's outputs for these inputs are not finite.
        """
        inputs = self._inputs(X)
        labels: np.ndarray
        if callable(self._networks[0].setting["loss"]):
            # its outputs may be no logits
            labels = self.classes_[self.fitted_.predict(inputs)]
            return labels
        probabilities = self.fitted_.predict_proba(inputs)
        if not np.isfinite(probabilities).all():
            bad = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
            raise ValueError(
                f"predict got {len(bad)} inputs, the first in row {bad[0]}, of which the network "
                "makes no finite numbers: they are too large, or it diverged"
            )
        if self._is_multilabel:
            return (probabilities > 0.5).astype(int)
        labels = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def _learn(self, y: np.ndarray, goes_on: bool) -> None:
        """Sets `classes_`; raises ValueError if they change where training goes on."""
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind == "multiclass-multioutput":
            raise ValueError(f"y got {kind} targets; expected classes (N,), or labels 0 and 1")
        is_multilabel = kind.startswith("multilabel")
        classes = np.arange(y.shape[1]) if is_multilabel else np.unique(y)
        if goes_on and not np.array_equal(classes, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous "
                f"call to fit. Previously got {self.classes_}, `y` has {classes}"
            )
        self._is_multilabel, self.classes_ = is_multilabel, classes
        self._check_count()

    def _check_count(self) -> None:
        if len(self.classes_) < 2 and not self._is_multilabel:
            raise ValueError(f"y got 1 class, {self.classes_[0]!r}; expected two at least")

    def _encoded(self, y: np.ndarray) -> np.ndarray:
        """Returns class numbers (N,), or labels (N, K) as floats."""
        if self._is_multilabel:
            return y.astype(np.float64)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. "
                f"'y' has {unknown}."
            )
        return np.searchsorted(self.classes_, y)

    def _weighted(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return weights
        by_class: np.ndarray = compute_sample_weight(self.class_weight, y)
        return by_class if weights is None else weights * by_class

    def _dataset(self, arrays: Arrays) -> Dataset:
        x, labels, weights = arrays
        if self._is_multilabel:
            return real_dataset(x, labels, weights)
        return Dataset(x, labels, len(self.classes_), weights)

    def _strata(self, targets: np.ndarray, num_valid: int) -> np.ndarray | None:
        if self._is_multilabel:
            return None
        counts, least = np.bincount(targets), min(num_valid, len(targets) - num_valid)
        # scikit-learn never takes shares of more than two classes; of two it insists on them
        is_possible = counts.min() > 1 and least >= len(counts)
        return self.classes_[targets] if is_possible or len(counts) == 2 else None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
