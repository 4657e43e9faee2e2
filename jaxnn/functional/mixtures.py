"""The networks of a compiled program: MLPs of one structure, or several padded to one."""

import functools
import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.disk.encoding import recorded
from jaxnn.disk.rules import TRUTH, many, one_of, whole
from jaxnn.functional import layers, normalization
from jaxnn.functional.types import Array, Model, Params, State
from jaxnn.system.keys import as_threefry

MOST_LAYERS = 256
"""Hidden layers of a network: each is traced and compiled apart, which takes a second or two."""


@recorded(
    units=many(whole(1), 2, MOST_LAYERS + 2),
    depths=many(whole(0, MOST_LAYERS), 1, MOST_LAYERS + 1),
    activations=many(one_of(*layers.ACTIVATIONS), 1, len(layers.ACTIVATIONS)),
    batch_norms=many(TRUTH, 1, 2),
    inits=many(one_of(*layers.INITIALIZERS), 1, len(layers.INITIALIZERS)),
    is_padded=TRUTH,
    fan_in=whole(1),
)
class Mixture(NamedTuple):
    """The structure of one MLP, or the least that several fit in; static, compared by value.

    Where structures differ, what a lane is becomes data: narrower layers are padded with units that
    are 0 and stay so, each depth has logits of its own, on its last hidden layer (there are no
    identity layers), and activation, batch norm and initialiser are chosen among those that occur.
    The random numbers of a unit do not depend on the padding, so a lane has the first weights and
    dropout masks of its `mlp` alone.

    Attributes:
      units: of each layer, (F, H1, ..., C); of several structures the widest.
      depths: numbers of hidden layers that occur.
      activations, batch_norms, inits: what occurs.
      is_padded: whether the networks differ in hidden units.
      fan_in: the features that the first initialiser counts: F, or more where the data were
        rotated into fewer, see `projection`.
    """

    units: tuple[int, ...]
    depths: tuple[int, ...]
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
        hidden = sum(a * b for a, b in itertools.pairwise(self.units[:-1]))
        return hidden + sum(self.units[depth] * self.units[-1] for depth in self.depths)

    @property
    def is_mixed(self) -> bool:
        """Whether the networks differ."""
        choices = (self.depths, self.activations, self.batch_norms, self.inits)
        return self.is_padded or any(len(occurring) > 1 for occurring in choices)

    @property
    def is_plain(self) -> bool:
        """Whether what follows a product is so little that fusing it with the product pays."""
        return (len(self.depths), len(self.activations), self.batch_norms) == (1, 1, (False,))

    def merged(self, other: "Mixture") -> "Mixture | None":
        """The least structure that the networks of both fit in.

        None where there is none: the first weights of a network without hidden layers are its
        logits', and classes and features are not padded.
        """
        ends = [(one.units[0], one.fan_in, one.units[-1], not one.hidden) for one in (self, other)]
        if ends[0] != ends[1]:
            return None
        return Mixture(
            units=(
                self.units[0],
                *map(max, itertools.zip_longest(self.hidden, other.hidden, fillvalue=0)),
                self.units[-1],
            ),
            depths=_union(self.depths, other.depths),
            activations=_union(self.activations, other.activations),
            batch_norms=_union(self.batch_norms, other.batch_norms),
            inits=_union(self.inits, other.inits),
            is_padded=self.is_padded or other.is_padded or self.units != other.units,
            fan_in=self.fan_in,
        )

    def with_features(self, num_features: int) -> "Mixture":
        """The same networks for inputs of other length; `fan_in` stays."""
        return self._replace(units=(num_features, *self.units[1:]))

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
) -> Mixture:
    """The structure of one MLP with units (F, H1, ..., C)."""
    return Mixture(
        units,
        (len(units) - 2,),
        (activation,),
        (batch_norm,),
        (init,),
        is_padded=False,
        fan_in=units[0],
    )


def own_part(
    mixture: Mixture, setting: Mapping[str, Any], params: Params, state: State
) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    """A lane's parameters and state without padding, as those of the setting's own `mlp`."""
    depth, normalised = len(setting["hidden"]), setting["batch_norm"]
    logits = params[len(mixture.hidden) + mixture.depths.index(depth)]
    units = (mixture.units[0], *setting["hidden"], mixture.units[-1])
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


def _union(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(sorted({*a, *b}))


class _Layer(NamedTuple):
    """Rows and columns of a kernel, how many of them are a lane's, and where its key comes from."""

    number: int
    rows: int
    columns: int
    num_out: Any
    num_in: Any


def _init(mixture: Mixture, structure: Mapping[str, Any], key: Array) -> tuple[Params, State]:
    key = as_threefry(key)
    # floats: JAX divides int32 in float32, also where the default is float64
    hidden = jnp.asarray(structure["hidden"], float) if mixture.is_padded else mixture.hidden
    real, units = (mixture.fan_in, *hidden), mixture.units
    num_layers, num_classes = len(mixture.hidden), units[-1]
    layer_shapes = [
        _Layer(n, units[n + 1], units[n], real[n + 1], real[n]) for n in range(num_layers)
    ]
    layer_shapes += [_Layer(n, num_classes, units[n], num_classes, real[n]) for n in mixture.depths]
    kernels = _kernels(mixture, structure, key, layer_shapes)
    params, state = [], []
    for num_out, kernel in zip(mixture.hidden, kernels, strict=False):
        layer_params = {"kernel": kernel}
        if False in mixture.batch_norms:
            layer_params["bias"] = jnp.zeros(num_out)
        if True in mixture.batch_norms:
            norm_params, norm_state = normalization.init_batch_norm(num_out)
            layer_params |= norm_params
            state.append(norm_state)
        params.append(layer_params)
    for depth, kernel in zip(mixture.depths, kernels[num_layers:], strict=True):
        if len(mixture.depths) > 1:
            kernel = jnp.where(_depth(structure) == depth, kernel, 0)
        params.append({"kernel": kernel, "bias": jnp.zeros(num_classes)})
    return tuple(params), tuple(state)


def _kernels(
    mixture: Mixture, structure: Mapping[str, Any], key: Array, shapes: list[_Layer]
) -> list[Array]:
    """First weights; those above the first layer in one draw, since each takes a second to compile.

    A row's draws do not depend on how many there are of them.
    """
    keys = [layers.row_keys(jax.random.fold_in(key, one.number), one.rows) for one in shapes]
    blocks = [(keys[:1], shapes[0].columns)]
    if len(shapes) > 1:
        blocks.append((keys[1:], max(one.columns for one in shapes[1:])))
    draws: dict[Any, list[Array]] = {}
    for distribution in {layers.INITIALIZERS[init][0]: None for init in mixture.inits}:
        rows = [
            jax.vmap(functools.partial(distribution, length=length))(jnp.concatenate(block))
            for block, length in blocks
        ]
        ends = itertools.accumulate(one.rows for one in shapes[1:-1])
        draws[distribution] = [rows[0], *(jnp.split(rows[1], list(ends)) if rows[1:] else [])]
    kernels = []
    for index, one in enumerate(shapes):
        choices = []
        for init in mixture.inits:
            distribution, deviation = layers.INITIALIZERS[init]
            drawn = draws[distribution][index][:, : one.columns]
            choices.append(deviation(one.num_in, one.num_out) * drawn)
        kernel = jax.lax.select_n(structure["init"], *choices) if choices[1:] else choices[0]
        if mixture.is_padded:
            row, column = jnp.arange(one.rows)[:, None], jnp.arange(one.columns)[None]
            num_out, num_in = (jnp.asarray(n).astype(int) for n in (one.num_out, one.num_in))
            kernel = jnp.where((row < num_out) & (column < num_in), kernel, 0)
        kernels.append(kernel)
    return kernels


def _depth(structure: Mapping[str, Any]) -> Array:
    return jnp.sum(structure["hidden"] > 0)


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
    # not len: a program may be exported for mini-batches of any size
    a = x.reshape(x.shape[0], mixture.units[0]).T
    new_state, outputs = [], [a]
    norm = functools.partial(
        normalization.batch_norm, is_training=is_training, decay=batch_norm_decay, weights=weights
    )
    for layer, num_units in enumerate(mixture.hidden):
        layer_params = params[layer]
        if mixture.batch_norms == (False, True):
            z, layer_state = _normalised_or_not(structure, layer_params, state[layer], a, norm)
            new_state.append(layer_state)
        else:
            z = layers.dense(layer_params, a, is_training=is_training and mixture.is_plain)
            if mixture.batch_norms == (True,):
                z, layer_state = norm(layer_params, state[layer], z)
                new_state.append(layer_state)
        a = _activated(mixture, structure, z)
        if mixture.is_padded and "sigmoid" in mixture.activations:
            # sigmoid(0) is not 0; what goes on from here as 0 leaves the weights above at 0, too
            a = jnp.where((jnp.arange(num_units) < structure["hidden"][layer])[:, None], a, 0)
        if has_dropout and key is not None:
            a = layers.dropout(jax.random.fold_in(as_threefry(key), layer), dropout, a)
        outputs.append(a)
    # a layer of logits for each depth: to select among these is cheap, among activations it is not
    logits = [
        layers.dense(layer_params, outputs[depth], is_training=is_training and mixture.is_plain)
        for layer_params, depth in zip(params[len(mixture.hidden) :], mixture.depths, strict=True)
    ]
    own = logits[0]
    for depth, other in zip(mixture.depths[1:], logits[1:], strict=True):
        own = jnp.where(_depth(structure) == depth, other, own)
    return own.T, tuple(new_state)


def _normalised_or_not(
    structure: Mapping[str, Any], params: Params, state: State, a: Array, norm: Any
) -> tuple[Array, State]:
    """A layer's z, with batch norm for the lanes that have it and a bias for the others.

    Both are computed; what a lane does not use gets a gradient of exactly 0.
    """
    has_norm = structure["batch_norm"]
    bias = jnp.where(has_norm, 0, params["bias"])
    z = layers.dense(params | {"bias": bias}, a, is_training=False)
    # 0 in place of the others' z: no gradient of theirs can be infinite there, and become NaN
    normalised, state = norm(params, state, jnp.where(has_norm, z, 0))
    return jnp.where(has_norm, normalised, z), state


def _activated(mixture: Mixture, structure: Mapping[str, Any], z: Array) -> Array:
    values = [layers.ACTIVATIONS[name](z) for name in mixture.activations]
    a = values[0]
    for index, value in enumerate(values[1:], 1):
        a = jnp.where(structure["activation"] == index, value, a)
    return a
