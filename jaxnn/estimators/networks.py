"""What classifier and regressor have in common: data, going on, attributes and pickling."""

import math
from typing import Any, Self

import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.estimators.attributes import FittedNetwork
from jaxnn.estimators.learning import Learned, learn, learn_several
from jaxnn.estimators.options import flag, seed_of, setting_of, share
from jaxnn.functional.metrics import COST, METRICS
from jaxnn.functional.objectives import Targets
from jaxnn.system.arrays import host_array
from jaxnn.system.checks import check_fits, needs, whole_number
from jaxnn.system.terminal import warn_caller
from jaxnn.training.hooks import EpochInfo

with needs("sklearn", "scikit-learn"):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import train_test_split
    from sklearn.utils.validation import (
        _check_sample_weight,
        check_is_fitted,
        column_or_1d,
        validate_data,
    )

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray | None]
"""Inputs (N, F), targets, and weights (N,) or None."""


class NetworkEstimator(FittedNetwork):
    """An estimator whose `fitted_` is a network.

    A subclass has the options in its `__init__`, and these:

      _metric: the name of the metric of its validation scores.
      _typical: the targets that `setting` is made for if none are given.
      _is_real: whether its targets are numbers.
      _learn(y, goes_on): learns what `y` is in `fit`, or checks that it is as it was.
      _encoded(y): returns targets as a `Dataset` has them.
      _weighted(y, weights): returns the weights with those of classes.
      _dataset(arrays): returns the `Dataset` of `Arrays`.
    """

    _metric: str
    _typical: Targets
    _is_real = False

    def setting(self, num_examples: int, targets: Targets | None = None) -> dict[str, Any]:
        """Returns the options as a setting of `jaxnn.fit`.

        Args:
          num_examples: the size of the training set.
          targets: what its targets are, as `jaxnn.Dataset.targets`; None is three classes, or one
            real target.

        Raises:
          ValueError: naming the bad option.
        """
        return setting_of(self.get_params(deep=False), num_examples, targets or self._typical)

    @property
    def score_name(self) -> str:
        """The name of the metric that `score` computes."""
        return self._metric

    def data(self, X: Any, y: Any) -> Dataset:
        """Returns the training set of some examples, which it learns as `fit` does."""
        x, targets, weights = self._checked(X, y, None, reset=True)
        self._learn(targets, goes_on=False)
        return self._dataset((x, self._encoded(targets), self._weighted(targets, weights)))

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
    ) -> Self:
        """Trains the network.

        Args:
          X: inputs (N, F), also a sparse matrix or a data frame.
          y: targets (N,) or (N, K).
          sample_weight: (N,), or None.
          X_val, y_val: a validation set, measured after every epoch. With `early_stopping` it takes
            the place of the part of X that would be set aside.

        Warns:
          ConvergenceWarning: the network diverged, or was still improving after `max_iter` epochs.
        """
        goes_on = flag("warm_start", self.warm_start) and hasattr(self, "fitted_")
        seed = seed_of(self.random_state)
        x, targets, weights = self._checked(X, y, sample_weight, reset=not goes_on)
        self._learn(targets, goes_on)
        arrays = x, self._encoded(targets), self._weighted(targets, weights)
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val got one of the two; expected both, or neither")
        if X_val is not None:
            x, targets, _ = self._checked(X_val, y_val, None, reset=False)
            parts = [arrays, (x, self._encoded(targets), None)]
        else:
            parts = self._set_aside(arrays, seed)
        data = [self._dataset(one) for one in parts]
        setting = self.setting(len(data[0]), data[0].targets)
        epochs = whole_number("max_iter", self.max_iter, 1)
        count = whole_number("n_networks", self.n_networks, 1)
        is_shuffled, keep = flag("shuffle", self.shuffle), "best" if self.early_stopping else "last"
        if count > 1:
            if goes_on or not is_shuffled:
                raise ValueError(
                    f"n_networks got {count}; expected 1 with warm_start, or without shuffle"
                )
            learned = learn_several(
                setting, data, epochs, count=count, seed=seed, keep=keep, metric=self._metric
            )
        else:
            known = {name: self._kept[name] for name in ("params", "state")} if goes_on else {}
            learned = learn(
                setting,
                data,
                epochs,
                seed=seed,
                is_shuffled=is_shuffled,
                keep=keep,
                metric=self._metric,
                on_epoch=self._say if self.verbose else None,
                previous=known,
            )
        self._take(learned, data[0], goes_on)
        self._tell(learned, epochs)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any) -> Self:
        """Trains for one epoch on some examples, with all that is known of earlier ones."""
        if flag("early_stopping", self.early_stopping):
            raise ValueError("partial_fit does not support early_stopping=True")
        is_first = not hasattr(self, "fitted_")
        x, y, weights = self._checked(X, y, sample_weight, reset=is_first)
        data = self._dataset((x, self._encoded(y), self._weighted(y, weights)))
        setting = self.setting(len(data), data.targets)
        is_known = setting["inputs"] != "raw" or setting.get("targets") == "standardised"
        if is_known or self.n_networks != 1:
            raise ValueError(
                "partial_fit came with inputs or targets that are not raw, or with several "
                "networks; expected the defaults, since statistics of all data are not known"
            )
        setting["patience"] = None
        if setting["decay_schedule"] == "plateau":
            setting["decay_schedule"] = "none"
        learned = learn(
            setting,
            [data],
            1,
            max_epochs=whole_number("max_iter", self.max_iter, 1) + 1,
            seed=seed_of(self.random_state),
            is_shuffled=flag("shuffle", self.shuffle),
            keep="last",
            metric=self._metric,
            on_epoch=self._say if self.verbose else None,
            previous={} if is_first else self._kept,
        )
        self._take(learned, data, not is_first)
        return self

    def _set_aside(self, arrays: Arrays, seed: int) -> list[Arrays]:
        """Returns the examples to train on, and those that early stopping sets aside."""
        if not flag("early_stopping", self.early_stopping):
            return [arrays]
        x, targets, weights = arrays
        size = share("validation_fraction", self.validation_fraction)
        classes = targets if targets.dtype.kind == "i" else None
        rows = train_test_split(
            np.arange(len(x)), test_size=size, random_state=seed, stratify=classes
        )
        if len(rows[1]) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        return [(x[own], targets[own], None if weights is None else weights[own]) for own in rows]

    def _checked(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Arrays:
        """Returns X, y and weights as scikit-learn checks them, as dense arrays."""
        x, y = validate_data(
            self,
            unmasked(X, "X"),
            unmasked(y, "y"),
            accept_sparse=["csr", "csc"],
            multi_output=True,
            dtype=(np.float64, np.float32),
            reset=reset,
            y_numeric=self._is_real,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, x, dtype=np.float64)
            if not weights.any():
                raise ValueError("sample_weight got zeros alone; expected an example that counts")
        return _dense(x, "X"), _dense(y, "y"), weights

    def _inputs(self, X: Any) -> np.ndarray:
        """Returns inputs to predict for, checked."""
        check_is_fitted(self)
        options = {"accept_sparse": ["csr", "csc"], "dtype": (np.float64, np.float32)}
        return _dense(validate_data(self, unmasked(X, "X"), reset=False, **options), "X")

    def _say(self, info: EpochInfo) -> None:
        print(f"Iteration {info.epoch}, loss = {info.values[COST.name]:.8f}")
        score = info.values.get(METRICS[self._metric].valid)
        if score is not None:
            print(f"Validation score: {score:f}")

    def _tell(self, learned: Learned, epochs: int) -> None:
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
        elif self.n_iter_ == epochs and self._networks[0].setting["patience"] is not None:
            warn_caller(
                f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the optimization "
                "hasn't converged yet.",
                category=ConvergenceWarning,
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _dense(x: Any, name: str) -> np.ndarray:
    """Returns a sparse matrix as an array; raises ValueError if it does not fit in memory."""
    if not hasattr(x, "toarray"):
        return np.asarray(x)
    check_fits(
        math.prod(x.shape) * x.dtype.itemsize,
        f"{name} got a sparse matrix of shape {x.shape}: as a dense one it",
    )
    return np.asarray(x.toarray())


def unmasked(values: Any, name: str) -> Any:
    """Removes a mask, which scikit-learn would ignore; raises ValueError if it hides values."""
    return host_array(values, name) if isinstance(values, np.ma.MaskedArray) else values
