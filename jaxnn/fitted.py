"""A trained network with all that a prediction needs."""

import dataclasses
import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.datasets import Dataset, InputStatistics, as_inputs
from jaxnn.metrics import accuracy
from jaxnn.normalization import population_statistics
from jaxnn.types import Array, ArrayLike, Model, Params, State


@dataclasses.dataclass(frozen=True, eq=False)
class Fitted:
    """A trained network.

    Attributes:
      model: the pair of functions.
      params, state: what training reached.
      inputs: the training part's statistics that new inputs are normalised by; None for "raw".
      setting: every hyperparameter, defaults written out.
      curves: name -> (E,): cost, accuracy and, where there was validation data, valid_cost and
        valid_accuracy.
      diverged: the step whose cost was not finite, counted from 0; None if there was none.
      input_shape, num_classes: of the data it was trained on.
      is_mlp: made by `mlp` from the setting, so that `load` can make it again.
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
        """The most probable class (N,) of each input (N, ...)."""
        return np.asarray(jnp.argmax(self._logits(x), axis=-1))

    def predict_proba(self, x: ArrayLike) -> np.ndarray:
        """Softmax probabilities (N, C) of inputs (N, ...)."""
        return np.asarray(jax.nn.softmax(self._logits(x)))

    def score(self, data: Dataset) -> float:
        """Accuracy on `data`, by its weights."""
        return float(accuracy(self._logits(data.x), data.y, data.weights))

    def with_population_statistics(self, data: Dataset) -> "Fitted":
        """The network with batch-norm statistics of the whole training set `data`.

        The running averages are those of the last ten or so mini-batches, while the weights moved;
        see `population_statistics`.
        """
        x = data.x if self.inputs is None else self.inputs.normalise(data.x)
        state = _population_statistics(self.model, self.params, self.state, x, data.weights)
        return dataclasses.replace(self, state=state)

    def _logits(self, x: ArrayLike) -> Array:
        x = jnp.asarray(as_inputs(x, "x"), float)
        if x.shape[1:] != self.input_shape:
            raise ValueError(
                f"x got inputs of shape {x.shape}; expected (examples, "
                f"{', '.join(map(str, self.input_shape))}), as in the training set"
            )
        numbers = {name: self.setting[name] for name in self.model.numbers}
        return _logits(self.model, self.params, self.state, self.inputs, x, numbers)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the network to an HDF5 file, see `archives`; `load` brings it back.

        The structure and the statistics that inputs are normalised by are in it: a network that
        `mlp` made predicts without the code that trained it.
        """
        from jaxnn.archives import save_network

        save_network(self, path)


_population_statistics = jax.jit(population_statistics, static_argnames="model")


@functools.partial(jax.jit, static_argnames="model")
def _logits(
    model: Model,
    params: Params,
    state: State,
    inputs: InputStatistics | None,
    x: Array,
    numbers: dict[str, Any],
) -> Array:
    x = x if inputs is None else inputs.normalise(x)
    return model.apply(params, state, x, **numbers)[0]
