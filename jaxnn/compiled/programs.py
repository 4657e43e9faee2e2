"""Programs: what lanes share so that one compiled function trains them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import optax

from jaxnn.compiled.networks import Networks
from jaxnn.compiled.packing import packing_model
from jaxnn.compiled.updates import (
    descent,
    is_elementwise,
    learning_rate_at,
    may_mix,
    num_moments,
    schedule_waits,
)
from jaxnn.data.batches import HeldOut, Schedule
from jaxnn.data.datasets import Dataset
from jaxnn.functional.objectives import Loss, Objective, objective_of
from jaxnn.functional.optimizers import DECAY_SCHEDULES, Numbers, OptimizerName
from jaxnn.functional.types import Array, Model
from jaxnn.system.arrays import float_bytes

_MOST_FILLED = 4
"""A mini-batch is filled up to at most so many times its size. The rows of an epoch, which are data
to the program, grow as much."""

LEAST_RATE = 1e-6
"""A network is stopped in place of lowering a learning rate that is no more than this, which is
scikit-learn's bound."""


class Program(NamedTuple):
    """The structure of a compiled training program: static, compared by value."""

    networks: Networks
    optimizers: tuple[OptimizerName, ...]
    """The optimizers that occur among the lanes."""
    batch_size: int
    """Examples of a mini-batch; the most among the lanes, to which smaller ones are filled up."""
    switches: tuple[str, ...] = ()
    """The switches, such as `dropout` and `l2`, that are on in some lane; nothing is computed for
    others. (Masks cost as much as a small network's step; l2 reads all weights twice, 15 % of a
    wide network's step.)"""
    schedules: tuple[str, ...] = ("none",)
    """The schedules of the learning rate that occur among the lanes."""
    keep_best: str | None = None
    """Name of a metric: keep a copy of the network at its best validation epoch."""
    loss: Loss = "softmax"
    """The objective, by name or as a function."""
    targets: str | None = None
    """How real targets are treated, "raw" or "standardised"; None for classes."""
    least_batch_size: int | None = None
    """The smallest mini-batch of a lane, which has the most steps; None if all are equal."""

    def merged(self, other: "Program") -> "Program | None":
        """Returns the smallest program that trains the lanes of both, or None."""
        if self == other:
            return self
        alike = lambda one: (one.keep_best, one.loss, one.targets)
        if alike(self) != alike(other):
            return None
        networks = self.networks.merged(other.networks)
        union = lambda a, b: tuple(sorted({*a, *b}, key=str))
        optimizers = union(self.optimizers, other.optimizers)
        least, most = (
            choose(size for one in (self, other) for size in one.batch_sizes)
            for choose in (min, max)
        )
        may_fill = most <= _MOST_FILLED * least and self.networks.takes_filled_batches
        if networks is None or not (least == most or may_fill) or not may_mix(optimizers):
            return None
        if not is_elementwise(optimizers) and self.networks != other.networks:
            # padding may change what it does
            return None
        return self._replace(
            batch_size=most,
            least_batch_size=least if least < most else None,
            networks=networks,
            optimizers=optimizers,
            switches=union(self.switches, other.switches),
            schedules=union(self.schedules, other.schedules),
        )

    @property
    def is_mixed(self) -> bool:
        """Whether several networks or optimizers are computed, of which each lane has one."""
        return self.networks.is_mixed or len(self.optimizers) > 1

    @property
    def functions(self) -> list[Any]:
        """The functions of the user's own among what names rows of tables."""
        return [one for one in (*self.optimizers, self.loss) if callable(one)]

    @property
    def batch_sizes(self) -> tuple[int, int]:
        """The smallest and the greatest number of examples of a mini-batch."""
        return self.least_batch_size or self.batch_size, self.batch_size

    @property
    def num_moments(self) -> int:
        """Copies of the weights in the optimizers' state."""
        return num_moments(self.optimizers)

    def lane_bytes(self, input_shape: tuple[int, ...] = ()) -> int:
        """Returns the bytes of a lane's weights, gradients and moments.

        For a foreign model, an estimate of its activations is added.

        Args:
          input_shape: the shape of an example, which a foreign model needs.
        """
        weights = self.networks.num_weights * (2 + self.num_moments)
        step = self.networks.step(self.batch_size, 1, input_shape)
        return weights * float_bytes() + step.kept_bytes

    def step_counts(self, chunk: int, input_shape: tuple[int, ...] = ()) -> tuple[float, ...]:
        """Returns the work of a lane's step, in the order of `Rates` without convolutions."""
        # gradient and weight are each written and read; a moment costs as much, since its loop
        # reads it and the gradient again; l2 reads the weights twice
        floats = self.networks.num_weights * (
            4 + 4 * self.num_moments + 2 * ("l2" in self.switches)
        )
        num_bytes = float(floats * float_bytes())
        step = self.networks.step(self.batch_size, chunk, input_shape)
        draws = step.draws * ("dropout" in self.switches)
        return step.products, num_bytes + step.num_bytes, step.activations, draws, 1 / chunk, 1.0

    @property
    def objective(self) -> Objective:
        return objective_of(self.loss, self.targets is not None)

    def schedule(
        self,
        train: Dataset,
        order_seed: int | None,
        batch_size: int | None = None,
        num_rows: int | None = None,
    ) -> Schedule:
        """Returns the mini-batches of lanes with a mini-batch size; None is the greatest.

        Args:
          num_rows: the rows of the data set that begins with the training set; None is its own.
        """
        return Schedule(
            train.host_weights(),
            batch_size or self.batch_size,
            order_seed,
            may_pad=self.networks.takes_filled_batches,
            sizes=self.batch_sizes,
            num_rows=num_rows,
        )

    def held_out(self, rows: np.ndarray, is_evaluated: bool = True) -> HeldOut | None:
        """Returns the validation examples in pieces, since activations of many lanes need memory.

        None if there are no rows.
        """
        most = max(self.batch_size, 64)
        return HeldOut.of(rows, most, is_evaluated) if rows.size else None

    def with_features(self, num_features: int) -> "Program":
        """Returns the program for another number of features, unless only the model knows it."""
        return self._replace(networks=self.networks.with_features(num_features))

    def model(self, numbers: Mapping[str, Any]) -> Model:
        """Returns a lane's model, built inside the traced function.

        Mixed programs pack small arrays if their update works element by element. (256 mixed
        settings on the digits, on a CPU: compiling takes a fifth less, a step a tenth. Without a
        mixture, compiling takes as long and a step up to a tenth more. No GPU was measured.)
        """
        model = self.networks.model(numbers)
        may_pack = self.is_mixed and is_elementwise(self.optimizers)
        return packing_model(model) if may_pack else model

    def optimizer_of(self, numbers: Numbers, learning_rate: Any) -> optax.GradientTransformation:
        """Returns a lane's update, built inside the traced function."""
        return descent(self.optimizers, numbers, learning_rate, self.switches)

    @property
    def is_watched(self) -> bool:
        """Whether some lane ends, or lowers its learning rate, when it no longer improves."""
        return "patience" in self.switches

    @property
    def has_schedule(self) -> bool:
        """Whether the learning rate of some lane changes."""
        return self.schedules != ("none",) or "warmup" in self.switches

    @property
    def is_scheduled_by_step(self) -> bool:
        """Whether the learning rate of some lane changes within an epoch."""
        by_step = any(DECAY_SCHEDULES[name].is_by_step for name in self.schedules)
        return by_step or "warmup" in self.switches

    def learning_rate(self, numbers: Numbers, epoch: Array) -> Any:
        """Returns a lane's learning rate, which changes by the epoch or by the step."""
        if not self.has_schedule:
            return numbers["learning_rate"]
        return learning_rate_at(self.schedules, numbers, epoch, self.switches)

    def waits(self, numbers: Numbers, epoch: Array) -> Any:
        """Whether a lane lowers its learning rate, and goes on, when `patience` runs out."""
        if not any(DECAY_SCHEDULES[name].waits for name in self.schedules):
            return False
        rate = self.learning_rate(numbers, epoch)
        return schedule_waits(self.schedules, numbers) & (rate > LEAST_RATE)


def initial(program: Program) -> Program:
    """Returns the program without what its first state does not depend on.

    Programs that differ in this only share the compiled function that makes the first state.
    """
    switches = ("patience",) if program.is_watched else ()
    return program._replace(
        batch_size=1, least_batch_size=None, switches=switches, schedules=("none",)
    )
