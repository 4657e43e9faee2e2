"""Networks: what the lanes of a program have in common, and the networks of a user's own code."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeGuard

import jax
import jax.numpy as jnp

from jaxnn.functional.types import Array, Model, Params, State
from jaxnn.system.draws import new_key


class Step(NamedTuple):
    """The work of a lane's gradient for one mini-batch, apart from reading the weights.

    Attributes:
      products: operations of matrix products; for a foreign model, all operations.
      activations: number of activations, forward and backward, for elementwise work.
      draws: random numbers for dropout.
      num_bytes: bytes that a foreign model reads and writes, before operations are fused.
      has_convolutions: whether there are convolutions among the operations.
    """

    products: float
    activations: float = 0.0
    draws: float = 0.0
    num_bytes: float = 0.0
    has_convolutions: bool = False

    @property
    def kept_bytes(self) -> int:
        """An estimate of the bytes kept from the forward pass for the backward pass.

        Measured, compiled networks with convolutions or attention kept 1/15 to 1/19 of `num_bytes`,
        networks of dense layers 1/35 or less.
        """
        return round(self.num_bytes / 16)


class Networks(Protocol):
    """The networks of a program's lanes: static, hashable, compared by value.

    Lanes share a program where their networks do. Where these differ, what a lane is becomes data
    (`lane_data`), from which `model` makes its functions inside the compiled program.
    """

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of each hidden layer, with padding; () if only the model knows."""

    @property
    def num_features(self) -> int | None:
        """F, which the row space may reduce; None if the model takes inputs as they are."""

    @property
    def num_layers(self) -> int:
        """The number of layers to compile, or an estimate."""

    @property
    def num_weights(self) -> int:
        """The number of weights in a lane's kernels, with padding."""

    @property
    def is_mixed(self) -> bool:
        """Whether the lanes' networks differ in structure, which `lane_data` then describes."""

    @property
    def is_mlp(self) -> bool:
        """Whether `mlp` makes each network from its setting; otherwise they are the user's code."""

    @property
    def is_here(self) -> bool:
        """Whether the networks can be run; those loaded from a file without their code cannot."""

    @property
    def takes_filled_batches(self) -> bool:
        """Whether a mini-batch may be filled up with examples of weight 0, which they ignore."""

    @property
    def words(self) -> tuple[str, str, str, str]:
        """Hidden units, depths, activations and batch norm, for the table of a plan."""

    def lane_data(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the structure of a lane with this completed setting, as data."""

    def model(self, lane_data: Mapping[str, Any]) -> Model:
        """Returns a lane's network from its `lane_data`, which may be traced.

        `lane_data` may be {} if the networks are not mixed.
        """

    def merged(self, other: "Networks") -> "Networks | None":
        """Returns the smallest networks that contain both, or None if there are none."""

    def with_features(self, num_features: int) -> "Networks":
        """Returns the networks for another number of features, unless only the model knows it."""

    def own_model(self, setting: Mapping[str, Any]) -> Model:
        """Returns a setting's network alone, for the original number of features."""

    def own_part(
        self, setting: Mapping[str, Any], params: Params, state: State
    ) -> tuple[Params, State]:
        """Returns a lane's parameters and state without padding, as `own_model` takes them."""

    def step(self, batch_size: int, chunk: int, input_shape: tuple[int, ...]) -> Step:
        """Returns the work of a step for each of `chunk` lanes, on examples of a shape."""


def is_networks(value: Any) -> TypeGuard[Networks]:
    """Whether a value that was read from a file implements `Networks`."""
    return all(hasattr(type(value), name) for name in ("lane_data", "own_model", "own_part"))


def _is_not_here(*args: Any, **kwargs: Any) -> Any:
    raise ValueError("the model is code that the file does not hold; expected load(path, model)")


NOT_HERE = Model(_is_not_here, _is_not_here)
"""The model of networks that were loaded from a file without their code."""


@dataclasses.dataclass(frozen=True, repr=False)
class Foreign:
    """Networks given by a user's pair of functions, which all lanes share."""

    pair: Model

    hidden = ()
    num_features = None
    num_layers = 3
    is_mixed = False
    is_mlp = False
    takes_filled_batches = False
    words = ("its own", "", "", "")

    def __repr__(self) -> str:
        return repr(self.pair)

    @property
    def num_weights(self) -> int:
        """The number of all parameters, whether kernels or not."""
        return _num_weights(self.pair)

    @property
    def is_here(self) -> bool:
        return self.pair is not NOT_HERE

    def lane_data(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def model(self, lane_data: Mapping[str, Any]) -> Model:
        return self.pair

    def merged(self, other: Networks) -> Networks | None:
        """Returns the other if both are equal, or if this model's code is missing."""
        is_possible = self == other or not (self.is_here or other.is_mlp)
        return other if is_possible else None

    def with_features(self, num_features: int) -> "Foreign":
        return self

    def own_model(self, setting: Mapping[str, Any]) -> Model:
        return self.pair

    def own_part(
        self, setting: Mapping[str, Any], params: Params, state: State
    ) -> tuple[Params, State]:
        return params, state

    def step(self, batch_size: int, chunk: int, input_shape: tuple[int, ...]) -> Step:
        """Returns the work as XLA counts it, without compiling."""
        return _counted(self.pair, (batch_size, *input_shape), jnp.result_type(float))


@functools.lru_cache
def _num_weights(model: Model) -> int:
    params, _ = jax.eval_shape(model.init, new_key(0))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@functools.lru_cache(maxsize=1024)
def _counted(model: Model, shape: tuple[int, ...], dtype: Any) -> Step:
    def total(params: Params, state: State, x: Array, key: Array) -> Array:
        numbers = dict.fromkeys(model.numbers, jnp.asarray(0.1, dtype))
        return model.apply(params, state, x, is_training=True, key=key, **numbers)[0].sum()

    key = jax.eval_shape(lambda: new_key(0))
    network = jax.eval_shape(model.init, key)
    lowered = jax.jit(jax.grad(total)).lower(*network, jax.ShapeDtypeStruct(shape, dtype), key)
    counted = lowered.cost_analysis() or {}
    return Step(
        products=counted.get("flops", 0.0),
        num_bytes=counted.get("bytes accessed", 0.0),
        has_convolutions="stablehlo.convolution" in lowered.as_text(),
    )
