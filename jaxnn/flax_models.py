"""Networks written in Flax, linen or nnx, as a pair of pure functions."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxnn.types import Array, ArrayLike, Model, Params, State

_TRAINING = ("train", "training", "is_training")
_NOT_TRAINING = ("deterministic", "use_running_average", "eval", "inference")
"""Arguments that tell a linen module whether it trains; the second kind says the opposite."""


def from_flax(module: Any, example: ArrayLike) -> Model:
    """A Flax network for `fit`, `sweep`, `search` and all that takes a `model`.

    Args:
      module: a `flax.linen.Module`, or for `flax.nnx` a function `rngs -> nnx.Module`, which may be
        the class. Its call takes inputs (B, ...) and returns logits (B, C). A linen module is told
        whether it trains by the argument that it has for that: `train`, `training`, `is_training`,
        or the opposite, `deterministic`, `use_running_average`; an nnx module by `train()` and
        `eval()`.
      example: inputs (B, ...) of one example or more, whose shape initialises the module.

    Returns:
      a `Model`: `params` are the collection "params", or the `nnx.Param`s, as nested dicts; `state`
      is all the rest (`batch_stats`, ...). Dropout draws from the key of the step. An l2 penalty
      counts the leaves named "kernel".

    Raises:
      ValueError: the module is neither, or does not return logits (B, C).

    >>> from flax import linen as nn
    >>> model = from_flax(nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(3)]), jnp.ones((1, 4)))
    >>> params, state = model.init(jax.random.key(0))
    >>> model.apply(params, state, jnp.ones((5, 4)))[0].shape
    (5, 3)
    """
    from flax import linen, nnx

    example = jnp.asarray(example, float)
    is_linen_class = isinstance(module, type) and issubclass(module, linen.Module)
    if isinstance(module, nnx.Module) or is_linen_class or not callable(module):
        raise ValueError(
            f"from_flax got {module if is_linen_class else type(module)}; expected an instance of "
            "flax.linen.Module, or for flax.nnx, whose instances have weights already, a function "
            "that makes one from its rngs, such as the class"
        )
    is_linen = isinstance(module, linen.Module)
    init, call = _linen(module, example) if is_linen else _nnx(module)

    def apply(
        params: Params,
        state: State,
        x: Array,
        *,
        is_training: bool = False,
        key: Array | None = None,
        weights: Array | None = None,
    ) -> tuple[Array, State]:
        return call(params, state, x, is_training, key)

    params, state = jax.eval_shape(init, jax.random.key(0))
    logits, _ = jax.eval_shape(apply, params, state, example)
    shape = getattr(logits, "shape", None)
    if shape is None or len(shape) != 2 or shape[0] != len(example):
        raise ValueError(
            f"from_flax got a module that makes {type(logits) if shape is None else shape} of "
            f"inputs {example.shape}; expected logits ({len(example)}, classes)"
        )
    return Model(init, apply, ())


def _linen(module: Any, example: Array) -> tuple[Any, Any]:
    told = _told(module)

    def init(key: Array) -> tuple[Params, State]:
        variables = _in_default_type(dict(module.init(key, example, **told(False))))
        return variables.pop("params", {}), variables

    def call(
        params: Params, state: State, x: Array, is_training: bool, key: Array | None
    ) -> tuple[Array, State]:
        variables = {"params": params, **state}
        if not is_training:
            return module.apply(variables, x, **told(False)), state
        rngs = None if key is None else {"dropout": key}
        logits, new = module.apply(variables, x, **told(True), rngs=rngs, mutable=[*state])
        return logits, _in_default_type({**state, **new})

    return init, call


def _told(module: Any) -> Callable[[bool], Mapping[str, bool]]:
    """The argument by which a linen module hears whether it trains, if it has one."""
    names = inspect.signature(type(module).__call__).parameters
    for name in (*_TRAINING, *_NOT_TRAINING):
        if name in names:
            return lambda is_training: {name: is_training == (name in _TRAINING)}
    return lambda is_training: {}


def _in_default_type(tree: Any) -> Any:
    """With all real numbers in the default float type, as ours are; Flax's statistics are not."""
    is_real = lambda leaf: jnp.issubdtype(leaf.dtype, jnp.floating)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, float) if is_real(leaf) else leaf, tree)


def _nnx(make: Callable[[Any], Any]) -> tuple[Any, Any]:
    from flax import nnx

    def split(module: Any) -> Any:
        """Graph, parameters, streams of random numbers, and all the rest."""
        return nnx.split(module, nnx.Param, nnx.RngState, ...)

    graph, *shapes = split(nnx.eval_shape(lambda: make(nnx.Rngs(0))))

    def filled(shape: Any, values: Any) -> Any:
        state = jax.tree.map(lambda leaf: leaf, shape)
        nnx.replace_by_pure_dict(state, values)
        return state

    def init(key: Array) -> tuple[Params, State]:
        _, params, _, state = split(make(nnx.Rngs(key)))
        return _in_default_type((nnx.to_pure_dict(params), nnx.to_pure_dict(state)))

    def call(
        params: Params, state: State, x: Array, is_training: bool, key: Array | None
    ) -> tuple[Array, State]:
        param_shapes, rng_shapes, state_shapes = shapes
        leaves, tree = jax.tree.flatten(rng_shapes)
        key = jax.random.key(0) if key is None else key
        # streams of random numbers start anew with the key of the step
        rngs = [
            jax.random.fold_in(key, index)
            if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            else jnp.zeros(leaf.shape, leaf.dtype)
            for index, leaf in enumerate(leaves)
        ]
        module = nnx.merge(
            graph,
            filled(param_shapes, params),
            jax.tree.unflatten(tree, rngs),
            filled(state_shapes, state),
        )
        module.train() if is_training else module.eval()
        logits = module(x)
        _, _, _, new = split(module)
        return logits, _in_default_type(nnx.to_pure_dict(new)) if is_training else state

    return init, call
