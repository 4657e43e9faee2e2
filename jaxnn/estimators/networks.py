"""What classifier and regressor have in common: data, going on, attributes and pickling."""

import math
from typing import Any, Self

import numpy as np

from jaxnn.estimators.attributes import FittedNetwork
from jaxnn.estimators.lanes import found_ahead, learn_several
from jaxnn.estimators.learning import Arrays, Learned, Material, Order, digest, kept_of, learn
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
        material, seed = self.material(
            X, y, sample_weight, X_val=X_val, y_val=y_val, goes_on=goes_on
        )
        order = self.order(material, seed)
        count = whole_number("n_networks", self.n_networks, 1)
        is_shuffled = flag("shuffle", self.shuffle)
        is_usual = count == 1 and is_shuffled and not goes_on
        ready = found_ahead(order) if is_usual else None
        if ready is not None:
            learned = Learned(ready, ready.curves, kept_of(ready))
        elif count == 1:
            known = {name: self._kept[name] for name in ("params", "state")} if goes_on else {}
            hook = self._say if self.verbose else None
            learned = learn(order, seed, is_shuffled=is_shuffled, on_epoch=hook, previous=known)
        elif is_shuffled and not goes_on:
            learned = learn_several(order, seed, count)
        else:
            raise ValueError(
                f"n_networks got {count}; expected 1 with warm_start, or without shuffle"
            )
        self._take(learned, order.data[0], goes_on)
        self._tell(learned, order.epochs)
        return self

    def material(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        goes_on: bool = False,
    ) -> tuple[Material, int]:
        """Returns what `fit` trains on, and its seed; learns what `fit` learns of the examples.

        Args:
          X, y, sample_weight, X_val, y_val: as in `fit`.
          goes_on: whether training goes on from an earlier call.
        """
        x, targets, weights = self._checked(X, y, sample_weight, reset=not goes_on)
        self._learn(targets, goes_on)
        arrays = x, self._encoded(targets), self._weighted(targets, weights)
        seed = seed_of(self.random_state)
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val got one of the two; expected both, or neither")
        if X_val is not None:
            x, targets, _ = self._checked(X_val, y_val, None, reset=False)
            parts = [arrays, (x, self._encoded(targets), None)]
        else:
            parts = self._set_aside(arrays, seed)
        key = digest(*(array for part in parts for array in part))
        return Material(parts, [self._dataset(one) for one in parts], key), seed

    def order(self, material: Material, seed: int) -> Order:
        """Returns what `fit` trains by, from what `material` returned for the same options."""
        train = material.data[0]
        is_any = self.random_state is None and not self.early_stopping
        return Order(
            setting=self.setting(len(train), train.targets),
            material=material,
            epochs=whole_number("max_iter", self.max_iter, 1),
            seed=None if is_any else seed,
            keep="best" if self.early_stopping else "last",
            metric=self._metric,
        )

    def known_part(self, X: Any, y: Any) -> Arrays | None:
        """Returns examples to measure the network with; None if their classes are not known."""
        x, targets, _ = self._checked(X, y, None, reset=False)
        try:
            return x, self._encoded(targets), None
        except ValueError:
            return None

    def inputs_of(self, X: Any) -> np.ndarray:
        """Returns inputs as `predict` sees them."""
        options = {"accept_sparse": ["csr", "csc"], "dtype": (np.float64, np.float32)}
        return _dense(validate_data(self, unmasked(X, "X"), reset=False, **options), "X")

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
        seed = seed_of(self.random_state)
        order = Order(setting, Material([], [data], b""), 1, seed, "last", self._metric)
        learned = learn(
            order,
            seed,
            is_shuffled=flag("shuffle", self.shuffle),
            on_epoch=self._say if self.verbose else None,
            previous={} if is_first else self._kept,
            max_epochs=whole_number("max_iter", self.max_iter, 1) + 1,
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
        return self.inputs_of(X)

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
