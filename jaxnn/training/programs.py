"""The structure of a training program: what settings must share to be lanes of one."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax

from jaxnn.data.batches import Schedule
from jaxnn.data.datasets import Dataset
from jaxnn.functional.optimizers import MOMENTS, Numbers, mixed_optimizer, optimizer
from jaxnn.training.networks import Networks


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
    """"accuracy" or "cost": keep a copy of the network at its best validation epoch."""

    def merged(self, other: "Program") -> "Program | None":
        """The least program that trains the lanes of both; None where there is none."""
        if self == other:
            return self
        if (self.batch_size, self.keep_best) != (other.batch_size, other.keep_best):
            return None
        networks = self.networks.merged(other.networks)
        if networks is None:
            return None
        return self._replace(
            networks=networks,
            optimizers=tuple(sorted({*self.optimizers, *other.optimizers})),
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
        return sum(any(MOMENTS[name][i] for name in self.optimizers) for i in (0, 1))

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

    def schedule(self, train: Dataset, order_seed: int) -> Schedule:
        """The mini-batches that its lanes meet."""
        may_pad = self.networks.takes_filled_batches
        return Schedule(train.host_weights(), self.batch_size, order_seed, may_pad)

    def with_features(self, num_features: int) -> "Program":
        """The program for inputs of other length, where that is not the model's to say."""
        return self._replace(networks=self.networks.with_features(num_features))

    def optimizer_of(self, numbers: Numbers, learning_rate: Any) -> optax.GradientTransformation:
        """Optax's own where there is only one, and our mixed update otherwise."""
        if len(self.optimizers) == 1:
            return optimizer(self.optimizers[0], numbers, learning_rate)
        return mixed_optimizer(self.optimizers, numbers, learning_rate)


def initial(program: Program) -> Program:
    """The program without what does not matter to its first state, and so must not compile it."""
    return program._replace(batch_size=1, has_dropout=False, has_l2=False)
