"""The multi-layer perceptron; without hidden layers it is softmax regression."""

import functools
import itertools
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jaxnn.functional import layers
from jaxnn.functional.normalization import batch_norm as normalised
from jaxnn.functional.normalization import init_batch_norm
from jaxnn.functional.types import Array, Model, Params, State
from jaxnn.system import draws
from jaxnn.system.checks import brief, check_fits, device_memory, one_of, whole_number

MOST_LAYERS = 256
"""The most hidden layers of a network; each takes up to half a second to compile."""


def mlp(
    num_features: int,
    hidden: Sequence[int],
    num_classes: int,
    *,
    activation: str = "relu",
    batch_norm: bool = False,
    init: str = "xavier_uniform",
) -> Model:
    """Makes a multi-layer perceptron; `hidden=()` is softmax regression.

    Z[l] = W[l] A[l-1] + b[l],  A[l] = g(Z[l]),  A[0] = x,  logits = Z[last]

    With batch norm, hidden layers have Z[l] = batch_norm(W[l] A[l-1]). They have no b, since
    subtracting the mean would cancel it.

    Args:
      num_features: F; inputs (B, ...) are flattened in C order.
      hidden: units of each hidden layer, such as (25, 12).
      num_classes: C.
      activation: "relu", "tanh", "sigmoid", "leaky_relu", "identity", "gelu", "silu", "selu",
        "elu", "mish" or "softplus".
      batch_norm: whether hidden layers have batch norm, before the activation.
      init: see `init_dense`.

    Returns:
      a `Model`. `init(key)` gives `params`, a tuple with a dict for each layer: `kernel`
      (units out, units in) and `bias`, or `scale` and `offset` with batch norm; and `state`, a
      tuple with the running averages of each batch-norm layer. `apply(params, state, x, *,
      is_training, key, weights, dropout, batch_norm_decay)` gives logits (B, C) and the new
      state. Equal arguments return the identical Model, so that `jit` does not compile again.

    >>> import jax
    >>> model = mlp(12288, (25, 12), 6)
    >>> params, state = model.init(jax.random.key(1))
    >>> logits, state = model.apply(params, state, jnp.zeros((32, 64, 64, 3)))
    >>> logits.shape, [layer["kernel"].shape for layer in params]
    ((32, 6), [(25, 12288), (12, 25), (6, 12)])
    """
    if not isinstance(hidden, Sequence) or isinstance(hidden, str):
        raise ValueError(
            f"hidden got {brief(hidden)}; expected a sequence of unit counts, (25, 12)"
        )
    if len(hidden) > MOST_LAYERS:
        raise ValueError(f"hidden got {len(hidden):,} layers; expected at most {MOST_LAYERS}")
    units = (
        whole_number("num_features", num_features, 1),
        *(whole_number("hidden", width, 1) for width in hidden),
        whole_number("num_classes", num_classes, 1),
    )
    one_of("activation", activation, layers.ACTIVATIONS)
    one_of("init", init, layers.INITIALIZERS)
    if not isinstance(batch_norm, bool):
        raise ValueError(f"batch_norm got {batch_norm!r}; expected True or False")
    num_weights = sum(num_in * num_out for num_in, num_out in itertools.pairwise(units))
    num_bytes = num_weights * jnp.result_type(float).itemsize
    check_fits(num_bytes, f"{brief(units)} units: a network", device_memory())
    return perceptron(units, activation, batch_norm, init, units[0])


@functools.cache
def perceptron(
    units: tuple[int, ...], activation: str, batch_norm: bool, init: str, fan_in: int
) -> Model:
    """Makes the `mlp` with units (F, H1, ..., C) from checked arguments.

    Args:
      fan_in: the number of features in the first layer's initialiser: F, or more if the row space
        reduced the inputs to F features.
    """
    init_fn = functools.partial(_init, units, batch_norm, init, fan_in)
    apply_fn = functools.partial(_apply, units, activation, batch_norm)
    return Model(init_fn, apply_fn, ("dropout", "batch_norm_decay"))


def _init(
    units: tuple[int, ...], batch_norm: bool, init: str, fan_in: int, key: Array
) -> tuple[Params, State]:
    distribution, scale = layers.INITIALIZERS[init]
    keys = draws.fold_in(key, np.arange(len(units) - 1))
    params, state = [], []
    for layer, (num_in, num_out) in enumerate(itertools.pairwise((fan_in, *units[1:]))):
        draw = draws.uniform(keys[layer], (num_out, units[layer]))
        layer_params = {"kernel": scale(num_in, num_out) * distribution(draw)}
        if batch_norm and layer < len(units) - 2:
            norm_params, averages = init_batch_norm(num_out)
            layer_params |= norm_params
            state.append(averages)
        else:
            layer_params["bias"] = jnp.zeros(num_out)
        params.append(layer_params)
    return tuple(params), tuple(state)


def _apply(
    units: tuple[int, ...],
    activation: str,
    batch_norm: bool,
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
    a = layers.columns(x, units[0])
    # batch norm cannot be fused with the product, so the faster backward pass does not pay
    dense = functools.partial(layers.dense, is_training=is_training and not batch_norm)
    g, new_state = layers.ACTIVATIONS[activation], []
    for layer, layer_params in enumerate(params[:-1]):
        z = dense(layer_params, a)
        if batch_norm:
            z, averages = normalised(
                layer_params,
                state[layer],
                z,
                is_training=is_training,
                decay=batch_norm_decay,
                weights=weights,
            )
            new_state.append(averages)
        a = g(z)
        if has_dropout and key is not None:
            a = layers.dropout(draws.fold_in(key, layer), dropout, a)
    return dense(params[-1], a).T, tuple(new_state)
