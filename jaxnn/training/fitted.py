"""`Fitted`, a trained network that can predict, and `Ensemble`, the mean of several."""

import dataclasses
import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.compiled.objectives import METRICS, OBJECTIVES, Objective
from jaxnn.data.datasets import Dataset
from jaxnn.data.inputs import InputStatistics, with_small_weights
from jaxnn.data.reading import as_inputs
from jaxnn.functional.normalization import population_statistics
from jaxnn.functional.types import Array, ArrayLike, Model, Params, State
from jaxnn.settings.hyperparameters import loss_of
from jaxnn.system.checks import check_fork
from jaxnn.system.terminal import warn_caller


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """A trained network.

    Attributes:
      model: the pair of functions.
      params, state: the trained parameters and state.
      inputs: the training part's statistics, by which inputs are normalised; None for "raw".
      setting: every hyperparameter, including defaults.
      curves: name -> (E,): cost, accuracy and, where there was validation data, valid_cost and
        valid_accuracy.
      diverged: the step whose cost was not finite, counted from 0, or None.
      input_shape: the shape of an example of the training set.
      num_classes: its number of classes.
      is_mlp: whether `mlp` made the model from the setting, so that `load` can make it again.
    """

    model: Model
    params: Params
    state: State
    inputs: InputStatistics | None
    setting: dict[str, Any]
    curves: dict[str, np.ndarray]
    diverged: int | None
    input_shape: tuple[int, ...]
    num_classes: int
    is_mlp: bool = True

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Returns the most probable class (N,) of inputs (N, ...).

        If the network's outputs for an input are not finite, it is class 0, with a warning.
        """
        return self._objective.predict(self._logits(x))

    def predict_proba(self, x: ArrayLike) -> np.ndarray:
        """Returns softmax probabilities (N, C) of inputs (N, ...).

        If the network's outputs for an input are not finite, they are NaN, with a warning.
        """
        return np.array(_probabilities(self._objective, jax.device_put(self._logits(x))))

    def score(self, data: Dataset) -> float:
        """Returns the weighted accuracy on `data`; outputs that are not finite count as wrong."""
        return _score(self._objective, self._logits(data.original), data)

    def with_population_statistics(self, data: Dataset) -> "Fitted":
        """Returns the network with batch-norm statistics of the whole training set `data`.

        Running averages come from the last ten or so mini-batches, during which the weights
        changed; see `population_statistics`.
        """
        data = with_small_weights(data.normalised(self.inputs))
        state = _population_statistics(self.model, self.params, self.state, data.x, data.weights)
        return dataclasses.replace(self, state=state)

    @property
    def _objective(self) -> Objective:
        return OBJECTIVES[loss_of(self.setting)]

    def _logits(self, x: ArrayLike) -> np.ndarray:
        check_fork("a fitted network")
        x = as_inputs(x, "x")
        if x.shape[1:] != self.input_shape:
            raise ValueError(
                f"x got inputs of shape {x.shape}; expected (examples, "
                f"{', '.join(map(str, self.input_shape))}), as in the training set"
            )
        dtype = jnp.result_type(float)
        inputs = x.astype(dtype) if self.inputs is None else self.inputs.normalise(x)
        numbers = {name: self.setting[name] for name in self.model.numbers}
        given = jax.device_put((inputs, numbers))
        logits = np.array(_logits(self.model, self.params, self.state, *given))
        # the largest is NaN or infinite; a single logit of -inf is a probability of 0
        is_unknown = ~np.isfinite(logits.max(axis=-1))
        if is_unknown.any():
            logits[is_unknown] = np.nan
            warn_caller(
                f"the network's outputs are not finite for {is_unknown.sum():,} of {len(x):,} "
                "inputs, whose predictions mean nothing: the network has diverged, or the inputs "
                "are far outside of the training set's range"
            )
        return logits

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the network to an HDF5 file, which `load` reads; see `jaxnn.formats.layout`.

        The file holds the structure and the statistics of the inputs: a network that `mlp` made
        predicts without the code that trained it.
        """
        save_network(self, path)


@functools.singledispatch
def save_network(fitted: Any, path: str | os.PathLike[str]) -> None:
    """Writes a network to a file.

    `jaxnn.formats.networks` registers how, since training must not depend on files.
    """
    raise TypeError(f"save_network got a {type(fitted).__name__}; expected a Fitted")


def _score(objective: Objective, outputs: np.ndarray, data: Dataset) -> float:
    """The objective's first metric of outputs, or probabilities, that are on the host."""
    return float(_first_metric(objective, jax.device_put(outputs), data.y, data.weights))


@functools.partial(jax.jit, static_argnames="objective")
def _first_metric(
    objective: Objective, outputs: Array, targets: Array, weights: Array | None
) -> Array:
    metric = METRICS[objective.metrics[0]]
    cost = objective.mean_cost(outputs, targets, weights)
    return metric.value(metric.of_step(cost, outputs, targets, weights))


@functools.partial(jax.jit, static_argnames="objective")
def _probabilities(objective: Objective, outputs: Array) -> Array:
    return objective.probabilities(outputs)


_population_statistics = jax.jit(population_statistics, static_argnames="model")


@functools.partial(jax.jit, static_argnames="model")
def _logits(
    model: Model,
    params: Params,
    state: State,
    x: Array,
    numbers: dict[str, Any],
) -> Array:
    return model.apply(params, state, x, **numbers)[0]


@dataclasses.dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks whose probabilities are averaged: p(x) = 1 / M * sum of softmax(logits_m(x)).

    Attributes:
      members: the M networks, as from `Study.ensemble`.

    >>> from jaxnn import fit
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> data = Dataset(x, (x[:, 0] > 0).astype(int))
    >>> two = Ensemble([fit({"learning_rate": 0.1}, data, epochs=9, seed=k) for k in (0, 1)])
    >>> two.predict_proba(x).shape, two.score(data) > 0.9
    ((64, 2), True)
    """

    members: list[Fitted]

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("Ensemble got no members; expected one trained network at least")
        shapes = {(one.input_shape, one.num_classes) for one in self.members}
        if len(shapes) > 1:
            raise ValueError(f"Ensemble got members for {shapes}; expected one shape of data")

    def predict_proba(self, x: ArrayLike) -> np.ndarray:
        """Returns the members' mean probabilities (N, C) of inputs (N, ...)."""
        return np.mean([member.predict_proba(x) for member in self.members], axis=0)

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Returns the class (N,) of the highest mean probability."""
        return self.predict_proba(x).argmax(axis=-1)

    def score(self, data: Dataset) -> float:
        """Returns the weighted accuracy on `data`."""
        objective = OBJECTIVES[loss_of(self.members[0].setting)]
        return _score(objective, self.predict_proba(data.original), data)
