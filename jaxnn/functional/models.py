"""The multi-layer perceptron; without hidden layers it is softmax regression."""

import functools
from collections.abc import Sequence

import jax.numpy as jnp

from jaxnn.functional import layers
from jaxnn.functional.mixtures import MOST_LAYERS, Mixture, single
from jaxnn.functional.types import Model
from jaxnn.system.checks import brief, whole_number
from jaxnn.system.memory import check_fits, device_memory


def mlp(
    num_features: int,
    hidden: Sequence[int],
    num_classes: int,
    *,
    activation: str = "relu",
    batch_norm: bool = False,
    init: str = "xavier_uniform",
) -> Model:
    """A multi-layer perceptron with any number of hidden layers; `hidden=()` is softmax regression.

    Z[l] = W[l] A[l-1] + b[l],  A[l] = g(Z[l]),  A[0] = x,  logits = Z[last]

    With batch norm, hidden layers have Z[l] = batch_norm(W[l] A[l-1]): subtracting the mean would
    cancel b, so there is none.

    Args:
      num_features: F; inputs (B, ...) are flattened in C order.
      hidden: units of each hidden layer, such as (25, 12).
      num_classes: C.
      activation: "relu", "tanh", "sigmoid", "leaky_relu" or "identity".
      batch_norm: on the hidden layers, before the activation.
      init: see `init_dense`.

    Returns:
      a `Model`. `init(key)` gives `params`, a tuple with a dict for each layer: `kernel`
      (units out, units in) and `bias`, or `scale` and `offset` with batch norm; and `state`, a
      tuple with the running averages of each batch-norm layer. `apply(params, state, x, *,
      is_training, key, weights, dropout, batch_norm_decay)` gives logits (B, C) and the new
      state. Equal arguments give the identical Model, so that `jit` knows it again.

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
    if activation not in layers.ACTIVATIONS:
        known = ", ".join(layers.ACTIVATIONS)
        raise ValueError(f"activation got {activation!r}; expected one of {known}")
    if init not in layers.INITIALIZERS:
        raise ValueError(f"init got {init!r}; expected one of {', '.join(layers.INITIALIZERS)}")
    if not isinstance(batch_norm, bool):
        raise ValueError(f"batch_norm got {batch_norm!r}; expected True or False")
    structure = single(units, activation, batch_norm, init)
    num_bytes = structure.num_weights * jnp.result_type(float).itemsize
    check_fits(num_bytes, f"{brief(units)} units: a network", device_memory())
    return model_of(structure)


@functools.cache
def model_of(structure: Mixture) -> Model:
    return structure.model({})
