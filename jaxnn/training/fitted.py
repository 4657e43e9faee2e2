"""`Fitted`, a trained network that can predict."""

import dataclasses
import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.data.inputs import InputStatistics, with_small_weights
from jaxnn.data.reading import as_inputs
from jaxnn.data.targets import TargetStatistics
from jaxnn.functional.losses import weighted_mean
from jaxnn.functional.normalization import population_statistics
from jaxnn.functional.objectives import Objective, Targets
from jaxnn.functional.types import Array, ArrayLike, Model, Params, State
from jaxnn.system.checks import check_fork
from jaxnn.system.functions import short_name
from jaxnn.system.terminal import warn_caller


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """A trained network.

    Attributes:
      model: the pair of functions.
      params, state: the trained parameters and state.
      inputs: the training part's statistics, by which inputs are normalised; None for "raw".
      setting: every hyperparameter, including defaults.
      curves: name -> (E,): cost, accuracy (for real targets rmse, mae and r2) and, where there was
        validation data, valid_cost and so on.
      diverged: the step whose cost was not finite, counted from 0, or None.
      input_shape: the shape of an example of the training set.
      targets: what its targets are: the number of classes, or the shape of real targets.
      target_statistics: mean and deviation of its real targets, if they were standardised.
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
    targets: Targets
    target_statistics: TargetStatistics | None = None
    is_mlp: bool = True

    @property
    def num_classes(self) -> int | Any:
        """C; None for real targets."""
        return self.targets.num_classes

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Returns predictions for inputs (N, ...).

        For classes it is the most probable class (N,), for K labels 0 or 1 (N, K), and for real
        targets numbers in the targets' own units, (N,) or (N, K) in float64. If the network's
        outputs for an input are not finite, it is class 0, or NaN, with a warning.
        """
        outputs, objective = self.outputs(x), self.objective
        if objective.point is not None:
            return real_predictions(outputs, objective, self.targets, self.target_statistics)
        assert objective.labels is not None, "an objective has labels or predicts numbers"
        return objective.labels.decide(outputs).reshape(-1, *self.targets.shape)

    def predict_proba(self, x: ArrayLike) -> np.ndarray:
        """Returns probabilities of the classes (N, C), or of K labels (N, K), of inputs (N, ...).

        If the network's outputs for an input are not finite, they are NaN, with a warning.

        Raises:
          ValueError: the objective has none, as that of real targets.
        """
        if not self.objective.has_probabilities:
            raise ValueError(
                f"predict_proba got a network with the loss {short_name(self.setting['loss'])!r}, "
                "whose outputs are no probabilities; expected predict"
            )
        return probabilities(self.outputs(x), self.objective, self.targets)

    def score(self, data: Dataset) -> float:
        """Returns the first metric of the objective on `data`.

        For classes it is the weighted accuracy, where outputs that are not finite count as wrong;
        for real targets the root of the mean squared error, in the targets' own units.
        """
        check_kind(self, data)
        if self.objective.point is not None:
            return rmse(self.predict(data.original), data)
        return hit_rate(self.objective, self.outputs(data.original), data)

    def with_population_statistics(self, data: Dataset) -> "Fitted":
        """Returns the network with batch-norm statistics of the whole training set `data`.

        Running averages come from the last ten or so mini-batches, during which the weights
        changed; see `population_statistics`.
        """
        data = with_small_weights(data.normalised(self.inputs))
        state = _population_statistics(self.model, self.params, self.state, data.x, data.weights)
        return dataclasses.replace(self, state=state)

    @property
    def objective(self) -> Objective:
        """The row of OBJECTIVES that it was trained for."""
        return self.targets.objective(self.setting["loss"])

    def outputs(self, x: ArrayLike) -> np.ndarray:
        """Returns outputs (N, C) for inputs (N, ...).

        They are logits, or predictions of real targets in the unit of training. If they are not
        finite for an input, they are NaN, with a warning.
        """
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
        outputs = np.array(_outputs(self.model, self.params, self.state, *given))
        # the largest is NaN or infinite; a single logit of -inf is a probability of 0
        known = outputs.max(axis=-1) if self.objective.point is None else outputs.sum(axis=-1)
        is_unknown = ~np.isfinite(known)
        if is_unknown.any():
            outputs[is_unknown] = np.nan
            warn_caller(
                f"the network's outputs are not finite for {is_unknown.sum():,} of {len(x):,} "
                "inputs, whose predictions mean nothing: the network has diverged, or the inputs "
                "are far outside of the training set's range"
            )
        return outputs

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the network to an HDF5 file, which `load` reads; see `jaxnn.formats.layout`.

        The file holds the structure and the statistics of the inputs: a network that `mlp` made
        predicts without the code that trained it.
        """
        save_network(self, path)


@functools.singledispatch
def save_network(fitted: Any, path: str | os.PathLike[str]) -> None:
    """Writes a network, or an ensemble of several, to a file.

    `jaxnn.formats` registers how, since training must not depend on files.
    """
    raise TypeError(f"save_network got a {type(fitted).__name__}; expected a Fitted or an Ensemble")


def hit_rate(objective: Objective, outputs: np.ndarray, data: Dataset) -> float:
    """The share of labels that are predicted, from outputs or probabilities on the host."""
    assert objective.labels is not None
    hits = objective.labels.hits
    return float(_accuracy(hits, jax.device_put(outputs), data.y, data.weights))


@functools.partial(jax.jit, static_argnames="hits")
def _accuracy(hits: Any, outputs: Array, targets: Array, weights: Array | None) -> Array:
    return weighted_mean(hits(outputs, targets), weights)


def check_kind(fitted: Fitted, data: Dataset) -> None:
    """Raises ValueError if a set has other targets than the network."""
    if (data.is_real, data.target_shape) != (fitted.targets.is_real, fitted.targets.shape):
        raise ValueError(f"score got data with {data.targets}; expected {fitted.targets}")


def rmse(predictions: np.ndarray, data: Dataset) -> float:
    """Returns the root of the weighted mean squared error of predictions, in float64."""
    errors = (predictions - data.original_y).reshape(len(data), -1)
    weights = with_small_weights(data).host_weights().astype(np.float64)
    # divided by the largest, whose square may overflow
    size = np.abs(errors).max() or 1.0
    squares = np.square(errors / size).mean(axis=1)
    return float(size * np.sqrt((weights * squares).sum() / weights.sum()))


def real_predictions(
    outputs: np.ndarray,
    objective: Objective,
    targets: Targets,
    statistics: TargetStatistics | None,
) -> np.ndarray:
    """Returns predictions of real targets, (N,) or (N, K) in their own units, from outputs (N, C).

    Args:
      statistics: those of the targets, if they were standardised.
    """
    points = np.asarray(objective.point(jax.device_put(outputs)))  # type: ignore[misc]
    points = points.reshape(-1, *targets.shape)
    return points.astype(np.float64) if statistics is None else statistics.restore(points)


def probabilities(outputs: np.ndarray, objective: Objective, targets: Targets) -> np.ndarray:
    """Returns probabilities of classes (N, C), or of labels (N, K), from outputs (N, C)."""
    of_outputs = objective.labels.probabilities  # type: ignore[union-attr]
    found = np.array(_probabilities(of_outputs, jax.device_put(outputs)))
    if targets.is_real:
        return found.reshape(-1, *targets.shape)
    # one logit of two classes
    return found if found.shape[1] > 1 else np.concatenate([1 - found, found], axis=1)


@functools.partial(jax.jit, static_argnames="of_outputs")
def _probabilities(of_outputs: Any, outputs: Array) -> Array:
    found: Array = of_outputs(outputs)
    return found


_population_statistics = jax.jit(population_statistics, static_argnames="model")


@functools.partial(jax.jit, static_argnames="model")
def _outputs(
    model: Model,
    params: Params,
    state: State,
    x: Array,
    numbers: dict[str, Any],
) -> Array:
    return model.apply(params, state, x, **numbers)[0]
