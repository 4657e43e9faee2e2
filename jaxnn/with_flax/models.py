"""Networks written in Flax (linen or nnx) as pairs of pure functions."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.functional.types import Array, ArrayLike, Model, Params, State
from jaxnn.system.arrays import own
from jaxnn.system.draws import new_key
from jaxnn.system.terminal import warn_caller

_TRAINING = ("train", "training", "is_training", "is_train")

_NOT_TRAINING = (
    *("deterministic", "use_running_average", "eval", "is_eval", "inference", "is_inference"),
)
"""Arguments that tell a module whether it trains; these have the opposite meaning."""

_NAMES = ", ".join(_TRAINING + _NOT_TRAINING)


def from_flax(module: Any, example: ArrayLike) -> Model:
    """Makes a `Model` for `fit`, `sweep`, `search` and others from a Flax network.

    Args:
      module: a `flax.linen.Module`, or for `flax.nnx` a function `rngs -> nnx.Module`, such as the
        class. Its call takes inputs (B, ...) and returns logits (B, C). Whether it trains is passed
        to it by whichever of these arguments it has: `train`, `training`, `is_training`, or with
        the opposite meaning `deterministic`, `use_running_average`, ...; and to an nnx module by
        `train()` and `eval()` as well.
      example: inputs (B, ...) of one or more examples, whose shape initialises the module.

    Returns:
      a `Model`: `params` are the collection "params", or the `nnx.Param`s, as nested dicts; `state`
      is everything else (`batch_stats`, ...). Every stream of random numbers, dropout's included,
      is derived from the key of the step. An l2 penalty counts the leaves named "kernel".

    Warns if a batch norm or dropout of linen stays in evaluation mode while the module trains.

    Raises:
      ValueError: the module is of neither kind, does not return logits (B, C), cannot be called in
        training or in evaluation, takes a flag of another name, or has state whose shape changes.

    >>> from flax import linen as nn
    >>> model = from_flax(nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(3)]), jnp.ones((1, 4)))
    >>> params, state = model.init(jax.random.key(0))
    >>> model.apply(params, state, jnp.ones((5, 4)))[0].shape
    (5, 3)
    """
    from flax import linen, nnx

    example = own(np.asarray(example), jnp.result_type(float))
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

    key, frozen = new_key(0), dict[str, None]()
    with _named("initialised"):
        params, state = jax.eval_shape(init, key)
    for is_training in (False, True):
        mode_name = "training" if is_training else "evaluation"
        # training comes last, since `frozen` must list modules that do not train then
        frozen.clear()
        with _named(f"called in {mode_name}"), linen.intercept_methods(_watch(frozen)):
            # the flag is static
            mode = functools.partial(apply, is_training=is_training, key=key)
            logits, new = jax.eval_shape(mode, params, state, example)
        shape = getattr(logits, "shape", None)
        if shape is None or len(shape) != 2 or shape[0] != len(example):
            raise ValueError(
                f"from_flax got a module that makes {type(logits) if shape is None else shape} of "
                f"inputs {example.shape}; expected logits ({len(example)}, classes)"
            )
    before, after = _described(state), _described(new)
    if before != after:
        changed = sorted(n for n in {*before, *after} if before.get(n) != after.get(n))
        raise ValueError(
            f"from_flax got a module whose state {', '.join(changed)} changes its shape or type in "
            "a step; expected state of constant shape and type"
        )
    if frozen:
        warn_caller(
            f"{', '.join(frozen)} of the module will work as in evaluation while it trains; unless "
            f"that is meant, tell them by an argument of __call__ named one of {_NAMES}"
        )
    return Model(init, apply, ())


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    """Turns errors of Flax or of the module into a ValueError that says what was attempted."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"from_flax got a module that cannot be {what}: {type(error).__name__}: {error}"
        ) from error


def _described(state: State) -> dict[str, str]:
    """Returns name of an array -> its type and shape."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): f"{leaf.dtype}{leaf.shape}"
        for path, leaf in leaves
    }


def _watch(frozen: dict[str, None]) -> Callable[..., Any]:
    """Returns an interceptor of linen's calls that lists modules in evaluation mode.

    Only batch norms and dropouts are listed.
    """
    from flax import linen

    flags: dict[Any, str] = {linen.BatchNorm: "use_running_average", linen.Dropout: "deterministic"}

    def watch(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        for kind, name in flags.items():
            if isinstance(module, kind) and context.method_name == "__call__":
                given = kwargs.get(name, args[1] if len(args) > 1 else None)
                is_on = getattr(module, name) if given is None else given
                if is_on and getattr(module, "rate", 1):
                    frozen["/".join(module.path) or kind.__name__] = None
        return call(*args, **kwargs)

    return watch


def _linen(module: Any, example: Array) -> tuple[Any, Any]:
    told = _told(type(module))

    def init(key: Array) -> tuple[Params, State]:
        variables = _in_default_type(dict(module.init(key, example, **told(False))))
        return variables.pop("params", {}), variables

    def call(
        params: Params, state: State, x: Array, is_training: bool, key: Array | None
    ) -> tuple[Array, State]:
        variables = {"params": params, **state}
        if not is_training:
            return module.apply(variables, x, **told(False)), state
        # linen derives streams that are not given from "params"
        rngs = None if key is None else {"dropout": key, "params": jax.random.fold_in(key, 1)}
        logits, new = module.apply(variables, x, **told(True), rngs=rngs, mutable=[*state])
        return logits, _in_default_type({**state, **new})

    return init, call


def _told(module: type) -> Callable[[bool], Mapping[str, bool]]:
    """Returns a function is_training -> the arguments that tell it to the module."""
    # after the module itself and its inputs
    _, _, *arguments = inspect.signature(module.__call__).parameters.values()
    arguments = [one for one in arguments if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    known = [one.name for one in arguments if one.name in _TRAINING + _NOT_TRAINING]
    unknown = [
        one.name
        for one in arguments
        if one.name not in known and (one.default is one.empty or (not known and _is_flag(one)))
    ]
    if unknown:
        raise ValueError(
            f"from_flax got a module whose __call__ takes {', '.join(unknown)}; expected inputs "
            f"alone, or an argument that tells it whether it trains, named one of {_NAMES}: rename "
            "it, or call the module in another one"
        )
    return lambda is_training: {name: is_training == (name in _TRAINING) for name in known}


def _is_flag(argument: inspect.Parameter) -> bool:
    return isinstance(argument.default, bool) or "bool" in str(argument.annotation)


def _in_default_type(tree: Any) -> Any:
    """Casts real numbers to the default float type, which Flax's statistics do not have."""
    is_real = lambda leaf: jnp.issubdtype(leaf.dtype, jnp.floating)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, float) if is_real(leaf) else leaf, tree)


def _nnx(make: Callable[[Any], Any]) -> tuple[Any, Any]:
    from flax import nnx

    def split(module: Any) -> Any:
        """Splits a module into graph, parameters, streams of random numbers, and the rest."""
        return nnx.split(module, nnx.Param, nnx.RngState, ...)

    with _named("made"):
        abstract = nnx.eval_shape(lambda: make(nnx.Rngs(0)))
    told = _told(type(abstract))
    graph, *shapes = split(abstract)

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
        # every step seeds the streams of random numbers from its key
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
        logits = module(x, **told(is_training))
        _, _, _, new = split(module)
        return logits, _in_default_type(nnx.to_pure_dict(new)) if is_training else state

    return init, call
