"""The attributes of a fitted estimator, named as in scikit-learn, and how it is pickled."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.disk.hdf5 import packed, unpacked
from jaxnn.estimators.learning import Learned
from jaxnn.formats.networks import network_content, network_in
from jaxnn.functional.metrics import COST, METRICS
from jaxnn.system.checks import needs
from jaxnn.training.fitted import Ensemble, Fitted

with needs("sklearn", "scikit-learn"):
    from sklearn.base import BaseEstimator

_OUTPUTS = {"sigmoid": "logistic", "softmax": "softmax", "poisson": "exp"}
"""Loss -> scikit-learn's name of what makes predictions of outputs; "identity" for others."""


class FittedNetwork(BaseEstimator):
    """An estimator that may have a network, `fitted_`, which training gave it."""

    _metric: str
    early_stopping: bool
    t_: int
    loss_curve_: list[float]

    def _take(self, learned: Learned, train: Dataset, goes_on: bool) -> None:
        """Sets the attributes that scikit-learn's networks have."""
        costs = learned.curves[COST.name].tolist()
        scores = learned.curves.get(METRICS[self._metric].valid)
        self.fitted_, self._kept = learned.fitted, learned.kept
        self.n_iter_, self.loss_ = len(costs), costs[-1]
        earlier: list[float] = self.loss_curve_ if goes_on else []
        seen: int = self.t_ if goes_on else 0
        self.loss_curve_, self.t_ = earlier + costs, seen + len(costs) * len(train)
        self.validation_scores_ = self.best_validation_score_ = self.best_loss_ = None
        if scores is not None:
            self.validation_scores_ = scores.tolist()
            self.best_validation_score_ = max(self.validation_scores_)
        if not self.early_stopping:
            self.best_loss_ = min(self.loss_curve_)
        first = self._networks[0]
        self.n_layers_ = len(first.setting["hidden"]) + 2
        self.n_outputs_ = first.targets.num_outputs(first.setting["loss"])
        words = {"sigmoid": "logistic", "softmax": "softmax", "poisson": "exp"}
        loss = first.setting["loss"]
        self.out_activation_ = words.get(loss, "identity") if isinstance(loss, str) else "identity"

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
