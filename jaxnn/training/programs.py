"""The structure of a training program: what settings must share to be lanes of one."""

from typing import Any, NamedTuple

import optax

from jaxnn.data.batches import Schedule
from jaxnn.data.datasets import Dataset
from jaxnn.disk.encoding import recorded
from jaxnn.disk.rules import TRUTH, Rule, many, maybe, one_of, whole
from jaxnn.functional.losses import METRICS
from jaxnn.functional.mixtures import Mixture
from jaxnn.functional.optimizers import OPTIMIZERS, Numbers, mixed_optimizer, optimizer
from jaxnn.functional.types import Model


def _is_not_here(*args: Any, **kwargs: Any) -> Any:
    raise ValueError("the model is code that the file does not hold; expected load(path, model)")


FOREIGN = Model(_is_not_here, _is_not_here)
"""Stands where a file had a model that is code."""

recorded(lambda: FOREIGN)(Model)


@recorded(
    model=Rule("a structure", lambda value: isinstance(value, Mixture | Model)),
    optimizers=many(one_of(*OPTIMIZERS), 1, len(OPTIMIZERS)),
    batch_size=whole(1),
    has_dropout=TRUTH,
    has_l2=TRUTH,
    keep_best=maybe(one_of(*METRICS)),
)
class Program(NamedTuple):
    """The structure of a training program: static, compared by value."""

    model: Model | Mixture
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
        model: Model | Mixture | None = self.model if self.model == other.model else None
        if isinstance(self.model, Mixture) and isinstance(other.model, Mixture):
            model = self.model.merged(other.model)
        if model is None:
            return None
        return self._replace(
            model=model,
            optimizers=tuple(sorted({*self.optimizers, *other.optimizers})),
            has_dropout=self.has_dropout or other.has_dropout,
            has_l2=self.has_l2 or other.has_l2,
        )

    @property
    def is_mixed(self) -> bool:
        """Whether its lanes differ in structure."""
        has_choices = isinstance(self.model, Mixture) and self.model.is_mixed
        return has_choices or len(self.optimizers) > 1

    def schedule(self, train: Dataset, order_seed: int) -> Schedule:
        """The mini-batches that its lanes meet."""
        return Schedule(train.host_weights(), self.batch_size, order_seed, self.may_pad)

    @property
    def may_pad(self) -> bool:
        """Whether the network leaves examples of weight 0 out, which a foreign one need not do."""
        return isinstance(self.model, Mixture)

    def with_features(self, num_features: int) -> "Program":
        """The program for inputs of other length, where the model is our own."""
        if not isinstance(self.model, Mixture):
            return self
        return self._replace(model=self.model.with_features(num_features))

    def model_of(self, numbers: Numbers) -> Model:
        """A lane's network, built inside the traced function like its optimizer."""
        return self.model.model(numbers) if isinstance(self.model, Mixture) else self.model

    def optimizer_of(self, numbers: Numbers, learning_rate: Any) -> optax.GradientTransformation:
        """Optax's own where there is only one, and our mixed update otherwise."""
        if len(self.optimizers) == 1:
            return optimizer(self.optimizers[0], numbers, learning_rate)
        return mixed_optimizer(self.optimizers, numbers, learning_rate)


def initial(program: Program) -> Program:
    """The program without what does not matter to its first state, and so must not compile it."""
    return program._replace(batch_size=1, has_dropout=False, has_l2=False)
