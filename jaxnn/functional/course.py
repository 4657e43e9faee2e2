"""Parameters under the course's names: W1, b1, W2, b2, ..., and back."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.functional.types import Array, Params
from jaxnn.system.arrays import host_array, own

_COURSE_NAMES = {"kernel": "W", "bias": "b", "scale": "gamma", "offset": "beta"}


def to_course(params: Params) -> dict[str, np.ndarray]:
    """Returns the parameters of an `mlp` in the course's form: W1 (H, F), b1 (H, 1), W2, b2, ...

    With batch norm a hidden layer has gamma1, beta1 (H, 1) in place of b1. The arrays are writable
    copies.

    >>> from jaxnn import mlp
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
    """Returns the course's dict W1, b1, W2, ... as parameters of an `mlp`: undoes `to_course`.

    The shapes determine the structure: `hidden` is the length of every W but the last. The arrays
    are copied.

    Raises:
      ValueError: naming the entry that is missing, unknown or of the wrong shape.

    >>> from jaxnn import mlp
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
    # arrays of JAX may be tracers, which have no values to check
    if not isinstance(array, jax.Array):
        array = host_array(array, name)
        if array.dtype.kind not in "buif":
            raise ValueError(f"{name} got type {array.dtype}; expected real numbers")
    return own(array, jnp.result_type(float))
