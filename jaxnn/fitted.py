"""A trained network with all that a prediction needs."""

import dataclasses
import functools
import json
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.datasets import Dataset, InputStatistics, as_inputs
from jaxnn.files import read_arrays, write_arrays
from jaxnn.metrics import accuracy
from jaxnn.models import mlp_of_setting
from jaxnn.normalization import population_statistics
from jaxnn.preparing import network_of
from jaxnn.types import Array, ArrayLike, Model, ModelFn, Params, State, as_model


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
        """Writes the network to an HDF5 file, readable with h5py alone.

        Groups `params`, `state`, `inputs` and `curves` hold the arrays under their names, for
        example `params/0/kernel`; the attributes hold the rest as JSON. The file is written
        beside its place and then moved there, so a broken write leaves the old file alone.
        """
        arrays = {
            **_named("params", self.params),
            **_named("state", self.state),
            **_named("inputs", self.inputs),
            **_named("curves", self.curves),
        }
        about = {
            "setting": self.setting,
            "diverged": self.diverged,
            "input_shape": list(self.input_shape),
            "num_classes": self.num_classes,
            "is_mlp": self.is_mlp,
        }
        attributes = {name: json.dumps(value) for name, value in about.items()}
        write_arrays(path, arrays, {"format": _FORMAT, **attributes})


_population_statistics = jax.jit(population_statistics, static_argnames="model")

_FORMAT = "jaxnn network 1"


def load(path: str | os.PathLike[str], model: Model | ModelFn | None = None) -> Fitted:
    """Reads what `Fitted.save` wrote.

    Args:
      path: the file.
      model: what it was trained with, for a network that was not made by `mlp`.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is not a saved network, or its arrays do not fit the structure it names.
    """
    arrays, attributes = read_arrays(path)
    if attributes.get("format") != _FORMAT:
        raise ValueError(
            f"{path} has the format {attributes.get('format')!r}; expected {_FORMAT!r}"
        )
    try:
        about = {k: json.loads(v) for k, v in attributes.items() if k != "format"}
        setting = {**about["setting"], "hidden": tuple(about["setting"]["hidden"])}
        input_shape = tuple(about["input_shape"])
        num_classes, is_mlp, diverged = (about[k] for k in ("num_classes", "is_mlp", "diverged"))
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} has damaged attributes: {error}") from None
    if is_mlp:
        model = mlp_of_setting(setting, input_shape, num_classes)
    elif model is None:
        raise ValueError(
            f"{path} holds a network that mlp did not make; expected load(path, model)"
        )
    else:
        model = network_of(as_model(model), setting)
    params, state = jax.eval_shape(model.init, jax.random.key(0))
    inputs = None
    if setting["inputs"] != "raw":
        inputs = InputStatistics(*(jnp.zeros(input_shape) for _ in InputStatistics._fields))
    curves = {name.split("/")[1]: a for name, a in arrays.items() if name.startswith("curves/")}
    return Fitted(
        model=model,
        params=_filled(path, "params", params, arrays),
        state=_filled(path, "state", state, arrays),
        inputs=_filled(path, "inputs", inputs, arrays),
        setting=setting,
        curves=curves,
        diverged=diverged,
        input_shape=input_shape,
        num_classes=num_classes,
        is_mlp=is_mlp,
    )


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


def _leaf_name(group: str, path: Any) -> str:
    # a pytree that is one bare array has an empty path
    return "/".join(filter(None, [group, jax.tree_util.keystr(path, simple=True, separator="/")]))


def _named(group: str, tree: Any) -> dict[str, np.ndarray]:
    """The leaves of a pytree by their place in it: "params/0/kernel"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_leaf_name(group, path): np.asarray(leaf) for path, leaf in leaves}


def _filled(file: Any, group: str, template: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The template's pytree with the arrays of a file in it, each checked for its shape."""

    def fill(path: Any, leaf: Any) -> Array:
        name = _leaf_name(group, path)
        array = arrays.get(name)
        expected = np.dtype(leaf.dtype)
        if array is None or array.shape != leaf.shape or array.dtype.kind != expected.kind:
            found = "nothing" if array is None else f"{array.dtype}{list(array.shape)}"
            raise ValueError(
                f"{file} holds {found} at {name}; expected {expected}{list(leaf.shape)}"
            )
        return jnp.asarray(array, expected)

    return jax.tree_util.tree_map_with_path(fill, template)
