"""The networks of a compiled program: MLPs of one structure, or several padded to one."""

import functools
import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import layers, normalization
from jaxnn.types import Array, Model, Params, State


class Mixture(NamedTuple):
    """The structure of one MLP, or the least that several fit in; static, compared by value.

    Where structures differ, what a lane is becomes data: narrower layers are padded with units that
    are 0 and stay so, a shallower network takes its own last layer's output to its logits (there
    are no identity layers), and activation, batch norm and initialiser are chosen among those that
    occur. The random numbers of a unit do not depend on the padding, so a lane has the first
    weights and dropout masks of its `mlp` alone.

    Attributes:
      units: of each layer, (F, H1, ..., C); of several structures the widest.
      depths: numbers of hidden layers that occur.
      last: the widest last hidden layer; F if there is none.
      activations, batch_norms, inits: what occurs.
      is_padded: whether the networks differ in hidden units.
      fan_in: the features that the first initialiser counts: F, or more where the data were
        rotated into fewer, see `projection`.
    """

    units: tuple[int, ...]
    depths: tuple[int, ...]
    last: int
    activations: tuple[str, ...]
    batch_norms: tuple[Any, ...]
    inits: tuple[str, ...]
    is_padded: bool
    fan_in: int

    @property
    def hidden(self) -> tuple[int, ...]:
        return self.units[1:-1]

    @property
    def num_weights(self) -> int:
        """Of the kernels of a lane, padding included."""
        pairs = list(itertools.pairwise((*self.units[:-1], self.last, self.units[-1])))
        return sum(a * b for a, b in (*pairs[: len(self.hidden)], pairs[-1]))

    def merged(self, other: "Mixture") -> "Mixture | None":
        """The least structure that the networks of both fit in.

        None where there is none: the first weights of a network without hidden layers are its
        logits'.
        """
        if (not self.hidden) != (not other.hidden):
            return None
        return Mixture(
            units=(
                self.units[0],
                *map(max, itertools.zip_longest(self.hidden, other.hidden, fillvalue=0)),
                self.units[-1],
            ),
            depths=_union(self.depths, other.depths),
            last=max(self.last, other.last),
            activations=_union(self.activations, other.activations),
            batch_norms=_union(self.batch_norms, other.batch_norms),
            inits=_union(self.inits, other.inits),
            is_padded=self.is_padded or other.is_padded or self.units != other.units,
            fan_in=self.fan_in,
        )

    def with_features(self, num_features: int) -> "Mixture":
        """The same networks for inputs of other length; `fan_in` stays."""
        units = (num_features, *self.units[1:])
        return self._replace(units=units, last=self.last if self.hidden else num_features)

    def structure(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """What a lane with this setting is, as data; `hidden` has a 0 for each layer it lacks."""
        hidden = np.zeros(len(self.hidden), np.int32)
        hidden[: len(setting["hidden"])] = setting["hidden"]
        return {
            "hidden": hidden,
            "activation": np.int32(self.activations.index(setting["activation"])),
            "batch_norm": np.bool_(setting["batch_norm"]),
            "init": np.int32(self.inits.index(setting["init"])),
        }

    def model(self, structure: Mapping[str, Any]) -> Model:
        """A lane's network from its `structure`, which may be traced; for a single MLP {} will do.

        With padding its parameters have the mixture's shapes; `own_part` takes the padding away.
        """
        init_fn = functools.partial(_init, self, structure)
        apply_fn = functools.partial(_apply, self, structure)
        return Model(init_fn, apply_fn, ("dropout", "batch_norm_decay"))


def single(
    units: tuple[int, ...],
    activation: str = "relu",
    batch_norm: bool = False,
    init: str = "xavier_uniform",
    fan_in: int | None = None,
) -> Mixture:
    """The structure of one MLP with units (F, H1, ..., C)."""
    return Mixture(
        units,
        (len(units) - 2,),
        units[-2],
        (activation,),
        (batch_norm,),
        (init,),
        is_padded=False,
        fan_in=fan_in or units[0],
    )


def own_part(
    setting: Mapping[str, Any], params: Params, state: State
) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    """A lane's parameters and state without padding, as those of the setting's own `mlp`."""
    hidden = setting["hidden"]
    norm_names = ("kernel", "scale", "offset") if setting["batch_norm"] else ("kernel", "bias")
    features, classes = params[0]["kernel"].shape[1], params[-1]["kernel"].shape[0]
    own, own_state = [], []
    for layer, (num_in, num_out) in enumerate(itertools.pairwise((features, *hidden, classes))):
        is_last = layer == len(hidden)
        source = params[-1] if is_last else params[layer]
        names = ("kernel", "bias") if is_last else norm_names
        own.append({n: source[n][:num_out] for n in names})
        own[-1]["kernel"] = own[-1]["kernel"][:, :num_in]
        if setting["batch_norm"] and not is_last:
            own_state.append({name: leaf[:num_out] for name, leaf in state[layer].items()})
    return tuple(own), tuple(own_state)


def _union(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted({*a, *b}))


def _init(mixture: Mixture, structure: Mapping[str, Any], key: Array) -> tuple[Params, State]:
    widest = mixture.hidden
    # floats: JAX divides int32 in float32, also where the default is float64
    hidden: Any = jnp.asarray(structure["hidden"], float) if mixture.is_padded else widest
    params, state = [], []
    num_in, real_in = mixture.units[0], mixture.fan_in
    for layer, num_out in enumerate(widest):
        kernel = _kernel(
            mixture,
            structure,
            jax.random.fold_in(key, layer),
            (num_out, num_in),
            (hidden[layer], real_in),
        )
        layer_params = {"kernel": kernel}
        if False in mixture.batch_norms:
            layer_params["bias"] = jnp.zeros(num_out)
        if True in mixture.batch_norms:
            norm_params, norm_state = normalization.init_batch_norm(num_out)
            layer_params |= norm_params
            state.append(norm_state)
        params.append(layer_params)
        num_in, real_in = num_out, hidden[layer]
    depth: Any = len(widest)
    last = real_in
    if len(mixture.depths) > 1:
        depth = jnp.sum(hidden > 0)
        last = hidden[depth - 1]
    num_classes = mixture.units[-1]
    kernel = _kernel(
        mixture,
        structure,
        jax.random.fold_in(key, depth),
        (num_classes, mixture.last),
        (num_classes, last),
    )
    params.append({"kernel": kernel, "bias": jnp.zeros(num_classes)})
    return tuple(params), tuple(state)


def _kernel(
    mixture: Mixture,
    structure: Mapping[str, Any],
    key: Array,
    shape: tuple[int, int],
    real: tuple[Any, Any],
) -> Array:
    """First weights of `shape` with the deviation of a layer of `real` units out and in."""
    draws = [layers.draw_kernel(key, shape, init, real[1], real[0]) for init in mixture.inits]
    kernel = draws[0] if len(draws) == 1 else jax.lax.select_n(structure["init"], *draws)
    if not mixture.is_padded:
        return kernel
    row, column = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])[None]
    return jnp.where((row < real[0]) & (column < real[1]), kernel, 0)


def _apply(
    mixture: Mixture,
    structure: Mapping[str, Any],
    params: Params,
    state: State,
    x: Array,
    *,
    is_training: bool = False,
    key: Array | None = None,
    weights: Array | None = None,
    dropout: float | Array = 0.0,
    batch_norm_decay: float | Array = 0.9,
) -> tuple[Array, State]:
    has_dropout = is_training and not (isinstance(dropout, int | float) and dropout == 0)
    if has_dropout and key is None:
        raise ValueError("apply got a dropout rate without a key; expected key=jax.random.key")
    if math.prod(x.shape[1:]) != mixture.units[0]:
        raise ValueError(
            f"apply got inputs of shape {x.shape}; expected {mixture.units[0]} features an example"
        )
    a = x.reshape(len(x), -1).T
    new_state, outputs = [], []
    norm: dict[str, Any] = {
        "is_training": is_training,
        "decay": batch_norm_decay,
        "weights": weights,
    }
    for layer, num_units in enumerate(mixture.hidden):
        layer_params = params[layer]
        if mixture.batch_norms == (False, True):
            z, layer_state = _normalised_or_not(structure, layer_params, state[layer], a, norm)
            new_state.append(layer_state)
        else:
            z = layers.dense(layer_params, a, is_training=is_training)
            if mixture.batch_norms == (True,):
                z, layer_state = normalization.batch_norm(layer_params, state[layer], z, **norm)
                new_state.append(layer_state)
        a = _activated(mixture, structure, z)
        if mixture.is_padded:
            # sigmoid(0) is not 0; what goes on from here as 0 leaves the weights above at 0, too
            a = jnp.where((jnp.arange(num_units) < structure["hidden"][layer])[:, None], a, 0)
        if has_dropout and key is not None:
            a = layers.dropout(jax.random.fold_in(key, layer), dropout, a)
        outputs.append(a)
    if len(mixture.depths) > 1:
        depth = jnp.sum(structure["hidden"] > 0)
        a = _resized(outputs[-1], mixture.last)
        for number in mixture.depths[:-1]:
            a = jnp.where(depth == number, _resized(outputs[number - 1], mixture.last), a)
    return layers.dense(params[-1], a, is_training=is_training).T, tuple(new_state)


def _normalised_or_not(
    structure: Mapping[str, Any], params: Params, state: State, a: Array, norm: dict[str, Any]
) -> tuple[Array, State]:
    """A layer's z, with batch norm for the lanes that have it and a bias for the others.

    Both are computed; what a lane does not use gets a gradient of exactly 0.
    """
    has_norm = structure["batch_norm"]
    bias = jnp.where(has_norm, 0, params["bias"])
    z = layers.dense(params | {"bias": bias}, a, is_training=norm["is_training"])
    # 0 in place of the others' z: no gradient of theirs can be infinite there, and become NaN
    normalised, state = normalization.batch_norm(params, state, jnp.where(has_norm, z, 0), **norm)
    return jnp.where(has_norm, normalised, z), state


def _activated(mixture: Mixture, structure: Mapping[str, Any], z: Array) -> Array:
    values = [layers.ACTIVATIONS[name](z) for name in mixture.activations]
    a = values[0]
    for index, value in enumerate(values[1:], 1):
        a = jnp.where(structure["activation"] == index, value, a)
    return a


def _resized(a: Array, num_units: int) -> Array:
    """Cut, or padded with 0, to a number of units."""
    return jnp.pad(a[:num_units], ((0, max(0, num_units - len(a))), (0, 0)))
