"""Mixtures: MLPs of several structures, padded to one, as the lanes of one program."""

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.compiled.networks import Networks, Step
from jaxnn.functional import layers, normalization
from jaxnn.functional.models import perceptron
from jaxnn.functional.types import Array, Model, Params, State
from jaxnn.system import draws


@dataclasses.dataclass(frozen=True)
class Mixture:
    """The structure of one MLP, or the smallest that contains several; see `Networks`.

    Narrower layers are padded with units that are 0 and stay 0. Each depth has its own layer of
    logits, above its last hidden layer. Activation, batch norm and initialiser are chosen by lane
    among those that occur. A lane's first weights and dropout masks are those of its `mlp` alone;
    they do not depend on the padding.

    Attributes:
      units: units of each layer, (F, H1, ..., C); the widest of all structures.
      depths: the numbers of hidden layers that occur.
      activations, batch_norms, inits: the values that occur.
      is_padded: whether the networks differ in hidden units.
      fan_in: the number of features in the first layer's initialiser, see `perceptron`.
    """

    units: tuple[int, ...]
    depths: tuple[int, ...]
    activations: tuple[str, ...]
    batch_norms: tuple[bool, ...]
    inits: tuple[str, ...]
    is_padded: bool
    fan_in: int

    is_mlp = is_here = takes_filled_batches = True

    @functools.cached_property
    def hidden(self) -> tuple[int, ...]:
        return self.units[1:-1]

    @property
    def num_features(self) -> int:
        return self.units[0]

    @property
    def num_layers(self) -> int:
        return len(self.units) - 1

    @functools.cached_property
    def num_weights(self) -> int:
        hidden = sum(a * b for a, b in itertools.pairwise(self.units[:-1]))
        return hidden + sum(self.units[depth] * self.units[-1] for depth in self.depths)

    @property
    def is_mixed(self) -> bool:
        choices = (self.depths, self.activations, self.batch_norms, self.inits)
        return self.is_padded or any(len(occurring) > 1 for occurring in choices)

    @property
    def words(self) -> tuple[str, str, str, str]:
        hidden = "-".join(map(str, self.hidden)) or "none"
        norm = "some" if len(self.batch_norms) > 1 else "yes" if self.batch_norms[0] else "no"
        return hidden, ", ".join(map(str, self.depths)), ", ".join(self.activations), norm

    def merged(self, other: Networks) -> Networks | None:
        """Returns None if only one of the two has hidden layers, or if their ends differ.

        Without hidden layers the first weights are those of the logits.
        """
        if not isinstance(other, Mixture):
            return None
        ends = [(one.units[0], one.fan_in, one.units[-1], not one.hidden) for one in (self, other)]
        if ends[0] != ends[1]:
            return None
        union = lambda a, b: tuple(sorted({*a, *b}))
        widest = map(max, itertools.zip_longest(self.hidden, other.hidden, fillvalue=0))
        return Mixture(
            units=(self.units[0], *widest, self.units[-1]),
            depths=union(self.depths, other.depths),
            activations=union(self.activations, other.activations),
            batch_norms=union(self.batch_norms, other.batch_norms),
            inits=union(self.inits, other.inits),
            is_padded=self.is_padded or other.is_padded or self.units != other.units,
            fan_in=self.fan_in,
        )

    def with_features(self, num_features: int) -> "Mixture":
        """Returns the mixture for another number of features; `fan_in` does not change."""
        return dataclasses.replace(self, units=(num_features, *self.units[1:]))

    def lane_data(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `hidden`, with a 0 for each layer that the lane lacks, and indices of choices."""
        hidden = np.zeros(len(self.hidden), np.int32)
        hidden[: len(setting["hidden"])] = setting["hidden"]
        return {
            "hidden": hidden,
            "activation": np.int32(self.activations.index(setting["activation"])),
            "batch_norm": np.bool_(setting["batch_norm"]),
            "init": np.int32(self.inits.index(setting["init"])),
        }

    def model(self, lane_data: Mapping[str, Any]) -> Model:
        """Returns the plain `mlp` if all lanes have the same structure, else a padded network."""
        if not self.is_mixed:
            choices = (self.activations[0], self.batch_norms[0], self.inits[0])
            return perceptron(self.units, *choices, self.fan_in)
        init_fn = functools.partial(_init, self, lane_data)
        apply_fn = functools.partial(_apply, self, lane_data)
        return Model(init_fn, apply_fn, ("dropout", "batch_norm_decay"))

    def own_model(self, setting: Mapping[str, Any]) -> Model:
        units = (self.fan_in, *setting["hidden"], self.units[-1])
        choices = (setting["activation"], setting["batch_norm"], setting["init"])
        return perceptron(units, *choices, self.fan_in)

    def own_part(
        self, setting: Mapping[str, Any], params: Params, state: State
    ) -> tuple[Params, State]:
        depth, normalised = len(setting["hidden"]), setting["batch_norm"]
        logits = params[len(self.hidden) + self.depths.index(depth)]
        units = (self.units[0], *setting["hidden"], self.units[-1])
        own = []
        for layer, (num_in, num_out) in enumerate(itertools.pairwise(units)):
            names = ("scale", "offset") if normalised and layer < depth else ("bias",)
            source = params[layer] if layer < depth else logits
            kernel = source["kernel"][:num_out, :num_in]
            own.append({"kernel": kernel, **{name: source[name][:num_out] for name in names}})
        if not normalised:
            return tuple(own), ()
        cut = lambda averages, n: {name: leaf[:n] for name, leaf in averages.items()}
        return tuple(own), tuple(map(cut, state, setting["hidden"]))

    def step(self, batch_size: int, chunk: int, input_shape: tuple[int, ...] = ()) -> Step:
        # forward pass, gradients of weights, and gradients of inputs except for the first layer
        products = 6.0 * self.num_weights - 2 * self.units[0] * self.units[1]
        # a product of few rows is slower (12288-25-12-6: half of the rate with one lane)
        products *= 1 + 30 / (chunk * self.units[1])
        draws = batch_size * sum(self.hidden)
        choices = len(self.activations) + 2 * (True in self.batch_norms)
        return Step(products=batch_size * products, activations=draws * choices, draws=draws)


def single(
    units: tuple[int, ...],
    activation: str = "relu",
    batch_norm: bool = False,
    init: str = "xavier_uniform",
) -> Mixture:
    """Returns the structure of one MLP with units (F, H1, ..., C)."""
    return Mixture(
        units,
        depths=(len(units) - 2,),
        activations=(activation,),
        batch_norms=(batch_norm,),
        inits=(init,),
        is_padded=False,
        fan_in=units[0],
    )


def _init(mixture: Mixture, lane_data: Mapping[str, Any], key: Array) -> tuple[Params, State]:
    kernels = _kernels(mixture, lane_data, key)
    params, state = [], []
    for num_out, kernel in zip(mixture.hidden, kernels, strict=False):
        layer_params = {"kernel": kernel}
        if False in mixture.batch_norms:
            layer_params["bias"] = jnp.zeros(num_out)
        if True in mixture.batch_norms:
            norm_params, averages = normalization.init_batch_norm(num_out)
            layer_params |= norm_params
            state.append(averages)
        params.append(layer_params)
    for depth, kernel in zip(mixture.depths, kernels[len(mixture.hidden) :], strict=True):
        if len(mixture.depths) > 1:
            kernel = jnp.where(_depth(lane_data) == depth, kernel, 0)
        params.append({"kernel": kernel, "bias": jnp.zeros(mixture.units[-1])})
    return tuple(params), tuple(state)


def _kernels(mixture: Mixture, lane_data: Mapping[str, Any], key: Array) -> list[Array]:
    """Returns first weights of the hidden layers and of each depth's logits, 0 in the padding."""
    # as floats: JAX divides int32 in float32, even if the default is float64
    hidden = jnp.asarray(lane_data["hidden"], float) if mixture.is_padded else mixture.hidden
    units, real = mixture.units, (mixture.fan_in, *hidden)
    # for each kernel: the layer below, its rows, and how many of them the lane uses
    shapes = [(layer, units[layer + 1], real[layer + 1]) for layer in range(len(mixture.hidden))]
    shapes += [(depth, units[-1], units[-1]) for depth in mixture.depths]
    kernels = []
    keys = draws.fold_in(key, np.array([below for below, *_ in shapes]))
    for index, (below, rows, num_out) in enumerate(shapes):
        draw = draws.uniform(keys[index], (rows, units[below]))
        choices = []
        for init in mixture.inits:
            distribution, scale = layers.INITIALIZERS[init]
            choices.append(scale(real[below], num_out) * distribution(draw))
        kernel = jax.lax.select_n(lane_data["init"], *choices) if choices[1:] else choices[0]
        if mixture.is_padded:
            row, column = jnp.arange(rows)[:, None], jnp.arange(units[below])[None]
            own_rows, own_columns = (jnp.asarray(n).astype(int) for n in (num_out, real[below]))
            kernel = jnp.where((row < own_rows) & (column < own_columns), kernel, 0)
        kernels.append(kernel)
    return kernels


def _depth(lane_data: Mapping[str, Any]) -> Array:
    return jnp.sum(lane_data["hidden"] > 0)


def _apply(
    mixture: Mixture,
    lane_data: Mapping[str, Any],
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
    has_dropout = layers.has_dropout(is_training, dropout, key)
    a = layers.columns(x, mixture.units[0])
    new_state, outputs = [], [a]
    # the faster backward pass pays only if a single activation follows the product
    is_plain = not any(mixture.batch_norms) and len(mixture.depths) == len(mixture.activations) == 1
    dense = functools.partial(layers.dense, is_training=is_training and is_plain)
    norm = functools.partial(
        normalization.batch_norm, is_training=is_training, decay=batch_norm_decay, weights=weights
    )
    for layer, num_units in enumerate(mixture.hidden):
        layer_params = params[layer]
        if mixture.batch_norms == (False, True):
            z, layer_state = _normalised_or_not(lane_data, layer_params, state[layer], a, norm)
            new_state.append(layer_state)
        else:
            z = dense(layer_params, a)
            if mixture.batch_norms == (True,):
                z, layer_state = norm(layer_params, state[layer], z)
                new_state.append(layer_state)
        a, *others = [layers.ACTIVATIONS[name](z) for name in mixture.activations]
        for index, other in enumerate(others, 1):
            a = jnp.where(lane_data["activation"] == index, other, a)
        if mixture.is_padded and not layers.NOT_ZERO_AT_0.isdisjoint(mixture.activations):
            # padded units must output 0, so that the weights above stay 0
            a = jnp.where((jnp.arange(num_units) < lane_data["hidden"][layer])[:, None], a, 0)
        if has_dropout and key is not None:
            a = layers.dropout(draws.fold_in(key, layer), dropout, a)
        outputs.append(a)
    # logits for each depth: selecting among logits is cheap, among activations it is not
    logits = [
        dense(layer_params, outputs[depth])
        for layer_params, depth in zip(params[len(mixture.hidden) :], mixture.depths, strict=True)
    ]
    own = logits[0]
    for depth, other in zip(mixture.depths[1:], logits[1:], strict=True):
        own = jnp.where(_depth(lane_data) == depth, other, own)
    return own.T, tuple(new_state)


def _normalised_or_not(
    lane_data: Mapping[str, Any], params: Params, state: State, a: Array, norm: Any
) -> tuple[Array, State]:
    """Returns a layer's z, with batch norm for lanes that have it and a bias for the others.

    Both are computed; parameters that a lane does not use get a gradient of exactly 0.
    """
    has_norm = lane_data["batch_norm"]
    bias = jnp.where(has_norm, 0, params["bias"])
    z = layers.dense(params | {"bias": bias}, a, is_training=False)
    # 0 for lanes without batch norm: an infinite gradient in this branch would become NaN
    normalised, state = norm(params, state, jnp.where(has_norm, z, 0))
    return jnp.where(has_norm, normalised, z), state
