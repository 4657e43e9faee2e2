"""What a fitted estimator shows: scikit-learn's attributes and messages, and its pickled form."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.disk.hdf5 import packed, unpacked
from jaxnn.estimators.learning import Learned
from jaxnn.formats.networks import network_content, network_in
from jaxnn.functional.metrics import COST, METRICS
from jaxnn.system.checks import needs
from jaxnn.system.terminal import warn_caller
from jaxnn.training.ensembles import Ensemble
from jaxnn.training.fitted import Fitted
from jaxnn.training.hooks import EpochInfo

with needs("sklearn", "scikit-learn"):
    from sklearn.base import BaseEstimator
    from sklearn.exceptions import ConvergenceWarning

_OUTPUTS = {"sigmoid": "logistic", "softmax": "softmax", "poisson": "exp"}
"""Loss -> scikit-learn's name of what makes predictions of outputs; "identity" for others."""


class FittedNetwork(BaseEstimator):
    """An estimator that may have a network, `fitted_`, which training gave it."""

    _metric: str
    max_iter: int
    tol: float
    n_iter_no_change: float
    early_stopping: bool
    verbose: int
    t_: int
    loss_curve_: list[float]
    validation_scores_: list[float] | None

    def _take(self, learned: Learned, train: Dataset, goes_on: bool) -> None:
        """Sets the attributes that scikit-learn's networks have."""
        costs = learned.curves[COST.name].tolist()
        scores = learned.curves.get(METRICS[self._metric].valid)
        earlier = (self.loss_curve_, self.validation_scores_, self.t_) if goes_on else ([], [], 0)
        self.fitted_, self._kept = learned.fitted, learned.kept
        self.n_iter_, self.loss_ = len(costs), costs[-1]
        self.loss_curve_, self.t_ = earlier[0] + costs, earlier[2] + len(costs) * len(train)
        self.validation_scores_ = self.best_validation_score_ = self.best_loss_ = None
        # epochs after divergence are NaN
        if scores is not None:
            self.validation_scores_ = (earlier[1] or []) + scores.tolist()
            self.best_validation_score_ = float(np.fmax.reduce(scores))
        if not self.early_stopping:
            self.best_loss_ = float(np.fmin.reduce(self.loss_curve_))
        first = self._networks[0]
        self.n_layers_ = len(first.setting["hidden"]) + 2
        self.n_outputs_ = first.targets.num_outputs(first.setting["loss"])
        self.out_activation_ = _OUTPUTS.get(first.setting["loss"], "identity")

    def _say(self, info: EpochInfo) -> None:
        print(f"Iteration {info.epoch}, loss = {info.values[COST.name]:.8f}")
        score = info.values.get(METRICS[self._metric].valid)
        if score is not None:
            print(f"Validation score: {score:f}")

    def _tell(self, learned: Learned) -> None:
        """Warns of a network that diverged, was interrupted, or was still improving."""
        steps = [one.diverged for one in self._networks if one.diverged is not None]
        if steps:
            warn_caller(
                f"the network diverged: its cost stopped being finite at step {steps[0]}, and "
                "training ended there; consider a lower learning_rate_init, or "
                'inputs="standardised"',
                category=ConvergenceWarning,
            )
        elif learned.is_interrupted:
            warn_caller("Training interrupted by user.")
        elif not learned.is_stopped:
            warn_caller(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                category=ConvergenceWarning,
            )
        elif self.verbose:
            what = "Validation score" if self.early_stopping else "Training loss"
            print(
                f"{what} did not improve more than tol={self.tol:f} for {self.n_iter_no_change} "
                "consecutive epochs. Stopping."
            )

    @property
    def _networks(self) -> list[Fitted]:
        return self.fitted_.members if isinstance(self.fitted_, Ensemble) else [self.fitted_]

    @property
    def coefs_(self) -> list[np.ndarray]:
        """The weights of each layer, (units in, units out)."""
        return [np.asarray(layer["kernel"]).T for layer in self._layers("coefs_")]

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """The biases of each layer, (units out,)."""
        return [np.asarray(layer["bias"]) for layer in self._layers("intercepts_")]

    def _layers(self, name: str) -> Any:
        if not hasattr(self, "fitted_"):
            raise AttributeError(f"{name} is known once the estimator is fitted")
        if isinstance(self.fitted_, Ensemble) or self.fitted_.setting["batch_norm"]:
            raise AttributeError(
                f"{name} does not describe several networks, or one with batch norm; see fitted_"
            )
        return self.fitted_.params

    def __sklearn_is_fitted__(self) -> bool:
        # a call that failed may have left other attributes
        return hasattr(self, "fitted_")

    def __getstate__(self) -> dict[str, Any]:
        """Returns arrays and options: networks are in the format of files, without code."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "fitted_" in state:
            state["fitted_"] = [packed(*network_content(one)) for one in self._networks]
        return state

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        state = dict(state)
        if "fitted_" in state:
            networks = [
                network_in("the pickled estimator", *unpacked(one), None)
                for one in state["fitted_"]
            ]
            state["fitted_"] = networks[0] if len(networks) == 1 else Ensemble(networks)
        super().__setstate__(state)
