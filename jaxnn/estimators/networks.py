"""What classifier and regressor have in common: data, going on, attributes and pickling."""

import math
import warnings
from typing import Any, Self

import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.estimators.attributes import FittedNetwork
from jaxnn.estimators.lanes import found_ahead, learn_several
from jaxnn.estimators.learning import Arrays, Kept, Learned, Material, Order, learn
from jaxnn.estimators.options import check_options, seed_of, setting_of
from jaxnn.functional.objectives import Targets
from jaxnn.system.arrays import host_array
from jaxnn.system.checks import check_fits, needs

with needs("sklearn", "scikit-learn"):
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
      _strata(targets, num_valid): returns the classes of encoded targets, of which a validation set
        of some size gets equal shares; None draws it regardless of them.
    """

    _metric: str
    _typical: Targets
    _is_real = False

    def setting(
        self, num_examples: int, targets: Targets | None = None, weight: float = 1.0
    ) -> dict[str, Any]:
        """Returns the options as a setting of `jaxnn.fit`.

        Args:
          num_examples: the size of the training set.
          targets: what its targets are, as `jaxnn.Dataset.targets`; None is three classes, or one
            real target.
          weight: the mean weight of its examples.

        Raises:
          ValueError: naming the bad option.
        """
        options = self.get_params(deep=False)
        targets = self._typical if targets is None else targets
        return setting_of(options, num_examples, targets, metric=self._metric, weight=weight)

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
          ConvergenceWarning: the network diverged, or training ended after `max_iter` epochs.
        """
        earlier = self._earlier() if self.warm_start else {}
        material, seed = self.material(
            X, y, sample_weight, X_val=X_val, y_val=y_val, goes_on=bool(earlier)
        )
        order = self.order(material, seed)
        is_usual = self.n_networks == 1 and self.shuffle and not earlier
        ready = found_ahead(order) if is_usual else None
        if ready is not None:
            learned = ready.learned
        elif self.n_networks > 1:
            learned = learn_several(order, seed, int(self.n_networks))
        else:
            # the optimizer begins anew, as in scikit-learn
            known = {name: earlier[name] for name in ("params", "state") if name in earlier}
            learned = self._learned(order, seed, previous=known)
        self._take(learned, order.data[0], bool(earlier))
        self._tell(learned)
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

        Raises:
          ValueError: bad options or examples.
        """
        check_options(self.get_params(deep=False))
        if self.n_networks > 1 and (self.warm_start or not self.shuffle):
            raise ValueError(
                f"n_networks got {self.n_networks}; expected 1 with warm_start, or without shuffle"
            )
        seed = seed_of(self.random_state)
        x, targets, weights = self._checked(X, y, sample_weight, reset=not goes_on)
        self._learn(targets, goes_on=goes_on)
        arrays = x, self._encoded(targets), self._weighted(targets, weights)
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val got one of the two; expected both, or neither")
        if X_val is not None:
            x, targets, _ = self._checked(X_val, y_val, None, reset=False)
            parts = [arrays, (x, self._encoded(targets), None)]
        else:
            parts = self._set_aside(arrays, seed) if self.early_stopping else [arrays]
        return Material.of(parts, self._dataset), seed

    def order(self, material: Material, seed: int) -> Order:
        """Returns what `fit` trains by, from what `material` returned for the same options."""
        train = material.data[0]
        weight = float(train.host_weights().mean(dtype=np.float64))
        is_any = self.random_state is None and not self.early_stopping
        return Order(
            setting=self.setting(len(train), train.targets, weight),
            material=material,
            epochs=int(self.max_iter),
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

    @property
    def _may_go_on(self) -> bool:
        """Whether it has `partial_fit`, for which scikit-learn and its users look."""
        return bool(self.n_networks == 1 and self.solver != "lbfgs")

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any) -> Self:
        """Trains for one epoch on some examples, with all that is known of earlier ones."""
        check_options(self.get_params(deep=False))
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        earlier = self._earlier()
        x, y, weights = self._checked(X, y, sample_weight, reset=not earlier)
        arrays = x, self._encoded(y), self._weighted(y, weights)
        material = Material.of([arrays], self._dataset)
        order = self.order(material, seed_of(self.random_state))
        setting = {**order.setting, "patience": None}
        if setting["inputs"] != "raw" or setting.get("targets") == "standardised":
            raise ValueError(
                "partial_fit came with inputs or targets that are not raw; expected the defaults, "
                "since statistics of all data are not known"
            )
        if setting["decay_schedule"] == "plateau":
            setting["decay_schedule"] = "none"
        learned = self._learned(
            order._replace(setting=setting, epochs=1), seed_of(self.random_state),
            previous=earlier, max_epochs=order.epochs + 1,
        )  # fmt: skip
        self._take(learned, order.data[0], bool(earlier))
        return self

    def _earlier(self) -> Kept:
        """Returns what training goes on from; nothing before the first call."""
        kept: Kept = getattr(self, "_kept", {})
        if hasattr(self, "fitted_") and not kept:
            raise ValueError(
                "training cannot go on from several networks; expected an estimator that was "
                "fitted with n_networks=1, or a new one"
            )
        return kept

    def _learned(
        self, order: Order, seed: int, *, previous: Kept, max_epochs: int | None = None
    ) -> Learned:
        """Trains one network, see `learn`."""
        return learn(
            order,
            seed,
            is_shuffled=bool(self.shuffle),
            on_epoch=self._say if self.verbose else None,
            previous=previous,
            max_epochs=max_epochs,
        )

    def _set_aside(self, arrays: Arrays, seed: int) -> list[Arrays]:
        """Returns the examples to train on, and those that early stopping sets aside."""
        x, targets, weights = arrays
        num_valid = math.ceil(self.validation_fraction * len(x))
        rows = train_test_split(
            np.arange(len(x)),
            test_size=self.validation_fraction,
            random_state=seed,
            stratify=self._strata(targets, num_valid),
        )
        if num_valid < 2:
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
            weights = _check_sample_weight(
                sample_weight, x, dtype=np.float64, ensure_non_negative=True
            )
        return _dense(x, "X"), _dense(y, "y"), weights

    def _inputs(self, X: Any) -> np.ndarray:
        """Returns inputs to predict for, checked."""
        check_is_fitted(self)
        return self.inputs_of(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def real_dataset(x: np.ndarray, y: np.ndarray, weights: np.ndarray | None) -> Dataset:
    """Returns a `Dataset` of numbers or labels, where rows with a single 1 are nothing special."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="y got one-hot floats")
        return Dataset(x, y, weights=weights)


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
