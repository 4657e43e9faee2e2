"""Do our estimators score as scikit-learn's networks do, with the same data and options?

    python benchmarks/like_theirs.py             (extra `sklearn`; ten seeds)
    python benchmarks/like_theirs.py --quick

`JaxMLPClassifier` and MLPClassifier on the digits, breast cancer, wine and iris, `JaxMLPRegressor`
and MLPRegressor on diabetes and make_friedman1; all come with scikit-learn. Options are the
defaults, inputs standardised by StandardScaler. Each seed draws another quarter of the examples to
score on, accuracy or r2, and is the `random_state` of both; first weights and orders still differ,
since the generators do. With the defaults, 200 epochs do not suffice for some sets: that counts as
well, since both should be equally far by then.

A standard error is over the seeds; the differences are paired, and so are the epochs until `tol`
ends training.

Typical output ends with (two minutes; JAX 0.10.2, scikit-learn 1.9.1):

    | set | ours | scikit-learn's | difference | difference of epochs |
    | --- | --- | --- | --- | --- |
    | digits | 0.9771 ± 0.0013 | 0.9780 ± 0.0013 | -0.0009 ± 0.0014 | +2 ± 1 |
    | breast_cancer | 0.9755 ± 0.0036 | 0.9741 ± 0.0047 | +0.0014 ± 0.0017 | +0 ± 0 |
    | wine | 0.9844 ± 0.0047 | 0.9889 ± 0.0037 | -0.0044 ± 0.0030 | +0 ± 0 |
    | iris | 0.9263 ± 0.0123 | 0.9395 ± 0.0124 | -0.0132 ± 0.0071 | +0 ± 0 |
    | diabetes | -1.0241 ± 0.0725 | -1.0697 ± 0.0680 | +0.0456 ± 0.0498 | +0 ± 0 |
    | friedman1 | 0.7576 ± 0.0101 | 0.7593 ± 0.0098 | -0.0017 ± 0.0019 | +0 ± 0 |

No difference exceeds twice its error.
"""

import argparse
import warnings
from typing import Any

import numpy as np
from measuring import table
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxnn.estimators import JaxMLPClassifier, JaxMLPRegressor

CLASSES = ("digits", "breast_cancer", "wine", "iris")
SETS = (*CLASSES, "diabetes", "friedman1")
QUICK = ("wine", "friedman1")


def examples(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of a set."""
    if name == "friedman1":
        return datasets.make_friedman1(1000, noise=1.0, random_state=0)
    return getattr(datasets, f"load_{name}")(return_X_y=True)


def scores(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and epochs (2,), ours and scikit-learn's."""
    x, y = examples(name)
    is_classes = name in CLASSES
    parts = train_test_split(x, y, random_state=seed, stratify=y if is_classes else None)
    ours = JaxMLPClassifier if is_classes else JaxMLPRegressor
    theirs = MLPClassifier if is_classes else MLPRegressor
    found, epochs = [], []
    for kind in (ours, theirs):
        network = kind(random_state=seed)
        pipeline = make_pipeline(StandardScaler(), network).fit(parts[0], parts[2])
        found.append(pipeline.score(parts[1], parts[3]))
        epochs.append(network.n_iter_)
    print(f"seed {seed}, {name}: {found[0]:.4f} and {found[1]:.4f}, epochs {epochs}", flush=True)
    return np.array(found), np.array(epochs)


def shown(values: Any, digits: int = 4, sign: str = "") -> str:
    """Mean and standard error."""
    values = np.asarray(values)
    error = values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():{sign}.{digits}f} ± {error:.{digits}f}"


def row(name: str, seeds: int) -> tuple[str, ...]:
    found, epochs = map(np.stack, zip(*(scores(name, seed) for seed in range(seeds)), strict=True))
    gap, gap_epochs = found[:, 0] - found[:, 1], epochs[:, 0] - epochs[:, 1]
    return name, *map(shown, found.T), shown(gap, sign="+"), shown(gap_epochs, 0, sign="+")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="2 seeds of 2 sets")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    sets, seeds = (QUICK, 2) if arguments.quick else (SETS, arguments.seeds)
    rows = [row(name, seeds) for name in sets]
    head = ("set", "ours", "scikit-learn's", "difference", "difference of epochs")
    print(table([head, *rows]))


if __name__ == "__main__":
    main()
