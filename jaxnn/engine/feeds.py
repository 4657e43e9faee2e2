"""Feeds: the treated data of each fold, on the devices; and an empty record for the results."""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

from jaxnn.compiled.programs import Program
from jaxnn.data.batches import Examples, HeldOut
from jaxnn.data.datasets import Dataset
from jaxnn.data.inputs import treatments
from jaxnn.engine.options import Folds, Options
from jaxnn.functional.metrics import Scales
from jaxnn.planning.plans import Plan
from jaxnn.results.records import Record

AnyRecord = TypeVar("AnyRecord", bound=Record)


def empty_record(
    kind: type[AnyRecord], options: Options, folds: Folds, plan: Plan, *, epochs: int, **about: Any
) -> AnyRecord:
    """Returns the record of a search on some folds, without settings.

    Args:
      kind: the class of the record.
      plan: the plan of the first settings.
      epochs: the most epochs of a network.
      about: further fields.
    """
    train, valid = folds[0]
    default = train.targets.objective(train.targets.default_loss)
    objectives = [one.program.objective for one in plan.programs] or [default]
    names = dict.fromkeys(name for one in objectives for name in one.curves(valid is not None))
    return kind.empty(
        options.seeds * options.folds,
        epochs,
        [*names],
        train.x.dtype,
        model=options.model,
        metric=options.metric,
        plan=plan,
        input_shape=train.x.shape[1:],
        targets=train.targets,
        folds=options.folds,
        select=options.select,
        held_out=held_out_of(folds),
        **about,
    )


def held_out_of(folds: Sequence[tuple[Dataset, Dataset | None]]) -> list[Dataset] | None:
    """Returns the validation set of each fold, or None if there are none."""
    return [valid for _, valid in folds if valid is not None] or None


_Key = tuple[str, str | None, int]
"""Treatment of inputs, treatment of real targets, fold."""


@dataclasses.dataclass(kw_only=True)
class Feed:
    """The data of chunks: treated training and validation sets, as one set for each fold.

    Treatments are computed once for each kind of inputs and fold, and kept in the record. Treated
    data are kept on the host and on each device that needed them.

    Attributes:
      record: the record, which keeps the treatments.
      folds: training and validation set of each fold; one pair without cross-validation.
      row_space: whether inputs are projected to their row space.
      num_unused: without a validation set, the number of validation rows for which programs keep
        room, as those of a search do; nothing is evaluated on them.
    """

    record: Record
    folds: Folds
    row_space: bool = False
    num_unused: int = 0
    _treated: dict[_Key, tuple[Dataset, Scales | None]] = dataclasses.field(default_factory=dict)
    _on_devices: dict[tuple[jax.Device, _Key], Any] = dataclasses.field(default_factory=dict)

    @property
    def has_valid(self) -> bool:
        """Whether there is validation data."""
        return self.folds[0][1] is not None

    @property
    def train(self) -> Dataset:
        """The training set of the first fold, against which settings are checked."""
        return self.folds[0][0]

    def treat(self, kinds: Iterable[str]) -> None:
        """Computes missing treatments for some kinds of inputs, such as "standardised"."""
        for inputs in dict.fromkeys(kinds):
            if (inputs, 0) not in self.record.treatments:
                parts = [train for train, _ in self.folds]
                for fold, treatment in enumerate(treatments(inputs, parts, self.row_space)):
                    self.record.treatments[inputs, fold] = treatment

    def digest(self) -> bytes:
        """Returns the SHA-256 of all treatments."""
        sha = hashlib.sha256()
        for leaf in jax.tree.leaves([*self.record.treatments.values()]):
            sha.update(np.ascontiguousarray(leaf).tobytes())
        return sha.digest()

    @property
    def num_rows(self) -> int:
        """The number of training and validation examples together."""
        train, valid = self.folds[0]
        return len(train) + (len(valid) if valid else 0)

    def held_out(self, program: Program) -> HeldOut | None:
        """Returns the validation examples that a program evaluates, as rows of its data."""
        count = self.num_rows - len(self.train) if self.has_valid else self.num_unused
        rows = np.arange(self.num_rows - count, self.num_rows)
        return program.held_out(rows, self.has_valid)

    def on(self, device: jax.Device, program: Program, inputs: str, fold: int) -> Examples:
        """Returns the treated sets of a fold for a program, on a device; cached."""
        key = inputs, program.targets, fold
        if key not in self._treated:
            by, (train, valid) = self.record.treatments[inputs, fold], self.folds[fold]
            self._treated[key] = by.together(train, valid, program.targets)
        if (device, key) not in self._on_devices:
            self._on_devices[device, key] = jax.device_put(self._treated[key], device)
        data, scales = self._on_devices[device, key]
        return Examples(data, jax.device_put(self.held_out(program), device), scales)
