"""Programs: what lanes must share to be trained by one compiled function, and their networks."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeGuard

import jax
import jax.numpy as jnp
import optax

from jaxnn.compiled.objectives import OBJECTIVES, Objective
from jaxnn.compiled.updates import descent, may_mix, num_moments
from jaxnn.data.batches import Schedule
from jaxnn.data.datasets import Dataset
from jaxnn.functional.optimizers import Numbers
from jaxnn.functional.types import Array, Model, Params, State
from jaxnn.settings.hyperparameters import DEFAULT_OBJECTIVE
from jaxnn.system.arrays import new_key


class Step(NamedTuple):
    """What the gradient of a lane's mini-batch asks of the machine, beside reading its weights.

    Attributes:
      products: operations of matrix products; of a foreign model all operations.
      activations: activations, forward and back, with what a layer does to each.
      draws: random numbers that dropout takes.
      num_bytes: read and written by a foreign model, before any operations are fused.
      has_convolutions: among the operations.
    """

    products: float
    activations: float = 0.0
    draws: float = 0.0
    num_bytes: float = 0.0
    has_convolutions: bool = False

    @property
    def kept_bytes(self) -> int:
        """About what is kept from the way forward for the way back.

        Compiled, networks of convolutions and of attention kept a 15th to a 19th of `num_bytes`,
        and of dense layers a 35th or less.
        """
        return round(self.num_bytes / 16)


class Networks(Protocol):
    """The networks of a program's lanes: static, hashable, compared by value.

    Lanes share a program where their networks do. Where these differ, what a lane is becomes data
    (`lane_data`), from which `model` makes its functions inside the compiled program.
    """

    @property
    def hidden(self) -> tuple[int, ...]:
        """Units of each hidden layer, padding included; () where the model alone knows."""

    @property
    def num_features(self) -> int | None:
        """F, which the row space makes fewer; None where inputs go in as they are."""

    @property
    def num_layers(self) -> int:
        """Layers to compile, or a guess."""

    @property
    def num_weights(self) -> int:
        """Of a lane's kernels, padding included."""

    @property
    def is_mixed(self) -> bool:
        """Whether the lanes' networks differ, so that `lane_data` tells them apart."""

    @property
    def is_mlp(self) -> bool:
        """Whether `mlp` makes each of them from its setting; otherwise they are somebody's code."""

    @property
    def is_here(self) -> bool:
        """Whether they can be run: a file does not hold code."""

    @property
    def takes_filled_batches(self) -> bool:
        """Whether they leave examples of weight 0 out of every statistic."""

    @property
    def words(self) -> tuple[str, str, str, str]:
        """Hidden units, depths, activations and batch norm, for the table of a plan."""

    def lane_data(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """What a lane with this completed setting is, as data."""

    def model(self, lane_data: Mapping[str, Any]) -> Model:
        """A lane's network from its `lane_data`, which may be traced; {} will do if none differ."""

    def merged(self, other: "Networks") -> "Networks | None":
        """The least networks among which are both; None where there are none."""

    def with_features(self, num_features: int) -> "Networks":
        """The same networks for inputs of other length, where that is theirs to say."""

    def own_model(self, setting: Mapping[str, Any]) -> Model:
        """A setting's network by itself, for inputs of the original length."""

    def own_part(
        self, setting: Mapping[str, Any], params: Params, state: State
    ) -> tuple[Params, State]:
        """A lane's parameters and state without padding, as `own_model` takes them."""

    def step(self, batch_size: int, chunk: int, input_shape: tuple[int, ...]) -> Step:
        """What a step asks of the machine for each of `chunk` lanes, on examples of a shape."""


def is_networks(value: Any) -> TypeGuard[Networks]:
    """Whether something that a file brought may stand for the networks of a program."""
    return all(hasattr(type(value), name) for name in ("lane_data", "own_model", "own_part"))


def _is_not_here(*args: Any, **kwargs: Any) -> Any:
    raise ValueError("the model is code that the file does not hold; expected load(path, model)")


NOT_HERE = Model(_is_not_here, _is_not_here)
"""Stands where a file had a model that is code."""


@dataclasses.dataclass(frozen=True, repr=False)
class Foreign:
    """Networks of which nothing is known but a pair of functions: all lanes have the same."""

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
        """All numbers that are trained, whatever they are."""
        return _num_weights(self.pair)

    @property
    def is_here(self) -> bool:
        return self.pair is not NOT_HERE

    def lane_data(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def model(self, lane_data: Mapping[str, Any]) -> Model:
        return self.pair

    def merged(self, other: Networks) -> Networks | None:
        """One that is not here may be any other."""
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
        """As XLA counts it; nothing is compiled for it."""
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


class Program(NamedTuple):
    """The structure of a training program: static, compared by value."""

    networks: Networks
    optimizers: tuple[str, ...]
    """Those that occur among the lanes."""
    batch_size: int
    has_dropout: bool
    """Drawing masks costs as much as a small network's step: a rate of 0 is another program."""
    has_l2: bool
    """Its term reads all weights twice more (15 % of a wide network's step): so is an l2 of 0."""
    keep_best: str | None = None
    """Name of a metric: keep a copy of the network at its best validation epoch."""
    loss: str = DEFAULT_OBJECTIVE
    """Name of the objective."""

    def merged(self, other: "Program") -> "Program | None":
        """The least program that trains the lanes of both; None where there is none."""
        if self == other:
            return self
        shared = [(one.batch_size, one.keep_best, one.loss) for one in (self, other)]
        if shared[0] != shared[1]:
            return None
        networks = self.networks.merged(other.networks)
        optimizers = tuple(sorted({*self.optimizers, *other.optimizers}))
        if networks is None or not may_mix(optimizers):
            return None
        return self._replace(
            networks=networks,
            optimizers=optimizers,
            has_dropout=self.has_dropout or other.has_dropout,
            has_l2=self.has_l2 or other.has_l2,
        )

    @property
    def is_mixed(self) -> bool:
        """Whether its lanes differ in structure."""
        return self.networks.is_mixed or len(self.optimizers) > 1

    @property
    def num_moments(self) -> int:
        """Copies of the weights that its optimizers keep beside them."""
        return num_moments(self.optimizers)

    def lane_bytes(self, input_shape: tuple[int, ...] = ()) -> int:
        """Of a lane's weights, gradients and moments, and of a foreign model's activations.

        Args:
          input_shape: of an example, which a foreign model needs.
        """
        weights = self.networks.num_weights * (2 + self.num_moments)
        step = self.networks.step(self.batch_size, 1, input_shape)
        return weights * jnp.result_type(float).itemsize + step.kept_bytes

    def step_counts(self, chunk: int, input_shape: tuple[int, ...] = ()) -> tuple[float, ...]:
        """What a lane's step asks of the machine, in the order of `Rates` without convolutions."""
        # gradient and weight, each written and read; a moment takes as much, for the loop that uses
        # it reads it and the gradient again; l2 reads the weights twice
        floats = self.networks.num_weights * (4 + 4 * self.num_moments + 2 * self.has_l2)
        num_bytes = float(floats * jnp.result_type(float).itemsize)
        step = self.networks.step(self.batch_size, chunk, input_shape)
        draws = step.draws * self.has_dropout
        return step.products, num_bytes + step.num_bytes, step.activations, draws, 1 / chunk, 1.0

    @property
    def objective(self) -> Objective:
        return OBJECTIVES[self.loss]

    def schedule(self, train: Dataset, order_seed: int) -> Schedule:
        """The mini-batches that its lanes meet."""
        may_pad = self.networks.takes_filled_batches
        return Schedule(train.host_weights(), self.batch_size, order_seed, may_pad)

    def with_features(self, num_features: int) -> "Program":
        """The program for inputs of other length, where that is not the model's to say."""
        return self._replace(networks=self.networks.with_features(num_features))

    def optimizer_of(self, numbers: Numbers, learning_rate: Any) -> optax.GradientTransformation:
        """A lane's update, built inside the traced function."""
        return descent(self.optimizers, numbers, learning_rate)


def initial(program: Program) -> Program:
    """The program without what does not matter to its first state, and so must not compile it."""
    return program._replace(batch_size=1, has_dropout=False, has_l2=False)
