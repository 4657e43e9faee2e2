"""Multi-layer perceptrons, with softmax regression, and the course's names for their parts."""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn import layers
from jaxnn.arrays import host_array, own
from jaxnn.checks import brief, whole_number
from jaxnn.memory import check_fits, device_memory
from jaxnn.mixtures import MOST_LAYERS, Mixture, single
from jaxnn.types import Array, Model, Params


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
    return _mlp(structure)


@functools.cache
def _mlp(structure: Mixture) -> Model:
    return structure.model({})


def structure_of(setting: Mapping[str, Any], num_features: int, num_classes: int) -> Mixture:
    """The structure of a completed setting's `mlp`."""
    return single(
        (num_features, *setting["hidden"], num_classes),
        setting["activation"],
        setting["batch_norm"],
        setting["init"],
    )


def mlp_of_setting(
    setting: Mapping[str, Any], input_shape: tuple[int, ...], num_classes: int
) -> Model:
    """The `mlp` that a completed setting describes, for inputs (B, *input_shape)."""
    return _mlp(structure_of(setting, math.prod(input_shape), num_classes))


_COURSE_NAMES = {"kernel": "W", "bias": "b", "scale": "gamma", "offset": "beta"}


def to_course(params: Params) -> dict[str, np.ndarray]:
    """The parameters of an `mlp` in the course's form: W1 (H, F), b1 (H, 1), W2, b2, ...

    With batch norm a hidden layer has gamma1, beta1 (H, 1) in place of b1. The arrays are copies,
    which may be written to.

    >>> import jax
    >>> params, _ = mlp(12288, (25, 12), 6).init(jax.random.key(0))
    >>> {name: array.shape for name, array in to_course(params).items()}["W1"]
    (25, 12288)
    """
    return {
        f"{course_name}{number}": np.array(layer[name]).reshape(len(layer[name]), -1)
        for number, layer in enumerate(params, 1)
        for name, course_name in _COURSE_NAMES.items()
        if name in layer
    }


def from_course(parameters: Mapping[str, Any]) -> Params:
    """The course's dict W1, b1, W2, ... as the parameters of an `mlp`; the inverse of `to_course`.

    The structure is read from the shapes: `hidden` is the length of every W but the last. The
    arrays are copied.

    Raises:
      ValueError: naming the entry that is missing, unknown or of the wrong shape.

    >>> params = from_course({"W1": np.ones((2, 3)), "b1": np.zeros((2, 1))})
    >>> mlp(3, (), 2).apply(params, (), jnp.ones((1, 3)))[0]
    Array([[3., 3.]], dtype=float32)
    """
    num_layers = sum(name.startswith("W") for name in parameters)
    if num_layers == 0:
        raise ValueError(f"parameters got {sorted(parameters)}; expected W1, b1, W2, b2, ...")
    names = [name + str(number) for number in range(1, num_layers + 1) for name in "Wb"]
    names += [name + str(n) for n in range(1, num_layers) for name in ("gamma", "beta")]
    if unknown := sorted(set(parameters) - set(names)):
        raise ValueError(f"parameters got {unknown}; expected some of {names}")
    params: list[dict[str, Array]] = []
    for number in range(1, num_layers + 1):
        layer = {
            name: _parameter(parameters, f"{course_name}{number}")
            for name, course_name in _COURSE_NAMES.items()
            if f"{course_name}{number}" in parameters
        }
        if set(layer) not in ({"kernel", "bias"}, {"kernel", "scale", "offset"}):
            raise ValueError(
                f"layer {number} got {[f'{_COURSE_NAMES[name]}{number}' for name in layer]}; "
                f"expected W{number} and b{number}, or W{number}, gamma{number} and beta{number}"
            )
        kernel = layer["kernel"]
        num_in = len(params[-1]["kernel"]) if params else None
        if kernel.ndim != 2 or num_in not in (None, kernel.shape[1]):
            expected = "inputs" if num_in is None else num_in
            raise ValueError(f"W{number} got shape {kernel.shape}; expected (units, {expected})")
        for name in set(layer) - {"kernel"}:
            if layer[name].size != len(kernel):
                raise ValueError(
                    f"{_COURSE_NAMES[name]}{number} got shape {layer[name].shape}; "
                    f"expected ({len(kernel)}, 1)"
                )
            layer[name] = layer[name].reshape(-1)
        params.append(layer)
    if len({tuple(sorted(layer)) for layer in params[:-1]}) > 1:
        raise ValueError("parameters got batch norm in some hidden layers; expected all or none")
    return tuple(params)


def _parameter(parameters: Mapping[str, Any], name: str) -> Array:
    array = parameters[name]
    # a tracer has no values to look at
    if not isinstance(array, jax.Array):
        array = host_array(array, name)
        if array.dtype.kind not in "buif":
            raise ValueError(f"{name} got type {array.dtype}; expected real numbers")
    return own(array, jnp.result_type(float))
