"""A classifier for scikit-learn (extra "sklearn"), whose options are spelled as MLPClassifier's."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.functional.metrics import COST
from jaxnn.settings.hyperparameters import HYPERPARAMETERS
from jaxnn.settings.traced import check_representable
from jaxnn.system.arrays import host_array
from jaxnn.system.checks import needs, whole_number
from jaxnn.system.terminal import warn_caller
from jaxnn.training.fitting import fit

with needs("sklearn", "scikit-learn"):
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data


_SETTING_NAMES = {
    "hidden_layer_sizes": "hidden",
    "activation": "activation",
    "solver": "optimizer",
    "alpha": "l2",
    "batch_size": "batch_size",
    "learning_rate_init": "learning_rate",
    "momentum": "momentum",
    "beta_1": "beta1",
    "beta_2": "beta2",
    "epsilon": "epsilon",
    "dropout": "dropout",
    "batch_norm": "batch_norm",
    "inputs": "inputs",
}
"""Option -> name in a setting."""

_WORDS = {"logistic": "sigmoid", "sgd": "momentum"}
"""scikit-learn's values -> those of a setting."""


class JaxMLPClassifier(ClassifierMixin, BaseEstimator):
    """A network of dense layers; options are spelled as in scikit-learn's MLPClassifier.

    It always trains for max_iter epochs, and "sgd" is momentum without Nesterov's look-ahead. These
    options of MLPClassifier are missing: learning_rate (a schedule), power_t, shuffle, tol,
    verbose, warm_start, nesterovs_momentum, early_stopping, validation_fraction, n_iter_no_change,
    max_fun, and the solver "lbfgs".

    Args:
      hidden_layer_sizes: units of the hidden layers.
      activation: "relu", "tanh", "logistic" or any other of `jaxnn.layers`.
      solver: "adam", "sgd", "gd" or "rmsprop".
      alpha: l2; alpha / 2 times the sum of squared weights, divided by the mini-batch's size, is
        added to the cost.
      batch_size: "auto" is min(200, N).
      learning_rate_init, momentum, beta_1, beta_2, epsilon: numbers of the solver.
      max_iter: the number of epochs.
      random_state: the seed of weights, dropout and mini-batches.
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
        """Returns the options as a setting of `fit` for a training set of some size.

        Raises:
          ValueError: naming the bad option.
        """
        setting = {name: self._checked(option) for option, name in _SETTING_NAMES.items()}
        setting["batch_size"] = min(setting["batch_size"], num_examples)
        setting["l2"] = setting["l2"] / setting["batch_size"]
        if self.solver == "sgd":
            # `fit` averages gradients, v = beta v + (1 - beta) dW; scikit-learn sums them
            setting["learning_rate"] = setting["learning_rate"] / (1 - setting["momentum"])
        for option, name in _SETTING_NAMES.items():
            if HYPERPARAMETERS[name].is_number:
                self._check_representable(option, setting[name])
        return setting

    def _checked(self, option: str) -> Any:
        """Returns an option's value for a setting; its ValueError uses scikit-learn's names."""
        given, rule = getattr(self, option), HYPERPARAMETERS[_SETTING_NAMES[option]]
        value, allowed = given, rule.allowed
        if isinstance(given, str):
            value = _WORDS.get(given, given)
        if option == "batch_size":
            value = 200 if isinstance(given, str) and given == "auto" else given
            allowed = f'"auto", or {allowed}'
        elif option == "hidden_layer_sizes":
            value = given.tolist() if isinstance(given, np.ndarray) else given
            value = tuple(value) if isinstance(value, list | tuple) else (value,)
        if not rule.is_valid(value):
            for theirs, ours in _WORDS.items():
                allowed = allowed.replace(repr(ours), repr(theirs))
            raise ValueError(f"{option} got {given!r}; expected {allowed}")
        return float(value) if rule.is_number else value

    def _check_representable(self, option: str, value: float) -> None:
        name = _SETTING_NAMES[option]
        try:
            check_representable(name, value, jnp.result_type(float))
        except ValueError:
            raise ValueError(
                f"{option} got {getattr(self, option)!r}, which makes the {name} {value:.3g}: the "
                f"default float type cannot hold that; expected {HYPERPARAMETERS[name].allowed}"
            ) from None

    def fit(self, X: Any, y: Any) -> "JaxMLPClassifier":
        """Trains the network; warns with ConvergenceWarning if it diverged."""
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
        self.loss_curve_ = self.fitted_.curves[COST.name]
        self.loss_, self.n_iter_ = float(self.loss_curve_[-1]), len(self.loss_curve_)
        if self.fitted_.diverged is not None:
            warn_caller(
                f"the network diverged: its cost stopped being finite at step "
                f"{self.fitted_.diverged}, and training ended there; consider a lower "
                'learning_rate_init, or inputs="standardised"',
                category=ConvergenceWarning,
            )
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (N, C), in the order of `classes_`."""
        check_is_fitted(self)
        return self.fitted_.predict_proba(validate_data(self, unmasked(X, "X"), reset=False))

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class (N,).

        Raises:
          ValueError: the network's outputs for these inputs are not finite.
        """
        probabilities = self.predict_proba(X)
        if not np.isfinite(probabilities).all():
            bad = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
            raise ValueError(
                f"predict got {len(bad)} inputs, the first in row {bad[0]}, of which the network "
                "makes no finite numbers: they are too large, or it diverged"
            )
        return self.classes_[probabilities.argmax(axis=1)]


def classification_data(estimator: Any, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns inputs and labels 0..C-1, checked as in scikit-learn; sets `classes_`."""
    x, y = validate_data(estimator, unmasked(X, "X"), unmasked(y, "y"))
    check_classification_targets(y)
    estimator.classes_, labels = np.unique(y, return_inverse=True)
    if len(estimator.classes_) < 2:
        raise ValueError(f"y got 1 class, {y[0]!r}; expected two at least")
    return x, labels


def unmasked(values: Any, name: str) -> Any:
    """Removes a mask, which scikit-learn would ignore; raises ValueError if it hides values."""
    return host_array(values, name) if isinstance(values, np.ma.MaskedArray) else values


def seed_of(random_state: Any) -> int:
    """Returns a seed for `fit`: the number itself, or one drawn from a random state."""
    if random_state is None or isinstance(random_state, np.random.RandomState):
        return int(check_random_state(random_state).randint(2**31 - 1))
    if random_state is np.random:
        return int(check_random_state(None).randint(2**31 - 1))
    return whole_number("random_state", random_state)
