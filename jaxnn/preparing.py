"""What `fit` and `sweep` do before they train: settings and data checked, one program chosen."""

import warnings
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from jaxnn.datasets import Dataset, check_compatible, hold_out, scale_ratio
from jaxnn.models import mlp_of_setting
from jaxnn.settings import Setting, complete, traced_numbers
from jaxnn.training import Program
from jaxnn.types import Model


class Recipe(NamedTuple):
    """A setting, ready to train: its structure as a program, its numbers as data."""

    setting: dict[str, Any]
    program: Program
    numbers: dict[str, np.ndarray]


def recipe(setting: Setting, train: Dataset, model: Model | None) -> Recipe:
    """The recipe of a setting; ValueError if the setting is bad or does not fit the data."""
    full = complete(setting, model)
    if full["batch_size"] > len(train):
        raise ValueError(
            f"batch_size got {full['batch_size']}; expected at most the {len(train)} training "
            "examples (the default is 32)"
        )
    program = Program(
        model or mlp_of_setting(full, train.x.shape[1:], train.num_classes),
        full["optimizer"],
        full["decay_schedule"],
        full["batch_size"],
        has_dropout=full["dropout"] > 0,
        has_l2=full["l2"] > 0,
    )
    return Recipe(full, program, traced_numbers(full))


def checked_data(
    train: Dataset, valid: Dataset | float | None, order_seed: int
) -> tuple[Dataset, Dataset | None]:
    """Training and validation set; a fraction is held out of `train`, drawn from `order_seed`."""
    if not isinstance(train, Dataset):
        raise ValueError(f"train got {type(train).__name__}; expected jaxnn.Dataset(x, y)")
    if isinstance(valid, Real) and not isinstance(valid, bool):
        train, valid = hold_out(train, valid, order_seed)
    elif valid is not None:
        if not isinstance(valid, Dataset):
            raise ValueError(
                f"valid got {valid!r}; expected a Dataset, a fraction such as 0.2, or None"
            )
        check_compatible(train, valid, "valid")
    for name, data in (("train", train), ("valid", valid)):
        if data is not None and data.weights is not None and not np.any(data.weights):
            raise ValueError(f"{name} got only examples of weight 0; expected one that counts")
    return train, valid


def warn_of_scales(train: Dataset) -> None:
    """Warns the caller of `fit` or `sweep` if raw features differ wildly in size."""
    ratio = scale_ratio(train)
    if ratio > 1e3:
        warnings.warn(
            f"the features' deviations differ by a factor of {ratio:.0e}: the largest will decide "
            'alone; consider inputs="standardised" or batch_norm=True',
            stacklevel=3,
        )
