"""A regressor for scikit-learn (extra "sklearn"), whose options are those of MLPRegressor."""

from typing import Any, Self

import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.estimators.learning import Arrays
from jaxnn.estimators.networks import NetworkEstimator, real_dataset
from jaxnn.functional.metrics import R2
from jaxnn.functional.objectives import Targets
from jaxnn.system.checks import needs

with needs("sklearn", "scikit-learn"):
    from sklearn.base import RegressorMixin
    from sklearn.utils.metaestimators import available_if


class JaxMLPRegressor(RegressorMixin, NetworkEstimator):
    """A network of dense layers with the options of scikit-learn's MLPRegressor, and more.

    Options that MLPRegressor has mean what they mean there, and have its defaults; for what differs
    see `JaxMLPClassifier`. Of several targets the gradient is that of a sum over them, as in
    scikit-learn, and the cost a mean.

    Args:
      loss: "squared_error", "poisson", "absolute_error", "huber", "quantile", or a function, see
        `jaxnn.settings`.
      hidden_layer_sizes and others: as in `JaxMLPClassifier`. With early_stopping, scores are r2.
      targets: "standardised" trains on targets of mean 0 and deviation 1, for all losses but
        "poisson"; "raw" is scikit-learn's.
      huber_delta, quantile: numbers of these losses.

    Attributes:
      fitted_: the network, a `jaxnn.Fitted`, or of several a `jaxnn.Ensemble`.
      coefs_ and others: as in `JaxMLPClassifier`; validation scores are r2.

    >>> x = np.random.default_rng(0).normal(size=(80, 2))
    >>> y = x[:, 0] - 2 * x[:, 1]
    >>> network = JaxMLPRegressor(solver="sgd", learning_rate_init=0.01, random_state=0)
    >>> network.fit(x, y).score(x, y) > 0.9
    True
    """

    _metric = R2.name
    _typical = Targets(None)
    _is_real = True

    def __init__(
        self,
        loss: Any = "squared_error",
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
        n_networks: int = 1,
        targets: str = "raw",
        huber_delta: float = 1.0,
        quantile: float = 0.5,
        dropout: float = 0.0,
        batch_norm: bool = False,
        inputs: str = "raw",
        init: str = "xavier_uniform",
        weight_decay: float = 0.0,
        clip_norm: float | None = None,
        decay_rate: float | None = None,
        decay_every: float = 1.0,
        warmup: float = 0.0,
    ):
        self.loss, self.hidden_layer_sizes, self.activation = loss, hidden_layer_sizes, activation
        self.solver, self.alpha, self.batch_size = solver, alpha, batch_size
        self.learning_rate, self.learning_rate_init = learning_rate, learning_rate_init
        self.power_t, self.max_iter, self.shuffle = power_t, max_iter, shuffle
        self.random_state, self.tol, self.verbose = random_state, tol, verbose
        self.warm_start, self.momentum = warm_start, momentum
        self.nesterovs_momentum, self.early_stopping = nesterovs_momentum, early_stopping
        self.validation_fraction, self.beta_1, self.beta_2 = validation_fraction, beta_1, beta_2
        self.epsilon, self.n_iter_no_change, self.max_fun = epsilon, n_iter_no_change, max_fun
        self.n_networks, self.targets, self.huber_delta = n_networks, targets, huber_delta
        self.quantile, self.dropout, self.batch_norm = quantile, dropout, batch_norm
        self.inputs, self.init, self.weight_decay = inputs, init, weight_decay
        self.clip_norm, self.decay_rate = clip_norm, decay_rate
        self.decay_every, self.warmup = decay_every, warmup

    @available_if(lambda estimator: estimator._may_go_on)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains for one epoch on some examples."""
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Any) -> np.ndarray:
        """Predictions (N,), or (N, K), in the float type of X; in float64 of standardised targets.

        Those may be too large for a coarse type, such as times since 1970.
        """
        inputs = self._inputs(X)
        found, is_raw = self.fitted_.predict(inputs), self._networks[0].target_statistics is None
        return found.astype(inputs.dtype) if is_raw else found

    def _learn(self, y: np.ndarray, goes_on: bool) -> None:
        """Raises ValueError if the number of targets changes where training goes on."""
        before = self._networks[0].targets.shape if goes_on else y.shape[1:]
        if before != y.shape[1:]:
            raise ValueError(f"y got targets {y.shape[1:]}; expected {before}, as before")

    def _encoded(self, y: np.ndarray) -> np.ndarray:
        return y.astype(np.float64)

    def _weighted(self, y: np.ndarray, weights: np.ndarray | None) -> np.ndarray | None:
        return weights

    def _dataset(self, arrays: Arrays) -> Dataset:
        return real_dataset(*arrays)

    def _strata(self, targets: np.ndarray, num_valid: int) -> np.ndarray | None:
        return None
