"""How long do candidates x folds take in scikit-learn's way, and as lanes?

    python benchmarks/search_cv.py              (extra `sklearn`; two minutes for all but the last
                                                 set, which takes eight)
    python benchmarks/search_cv.py --quick
    python benchmarks/search_cv.py --problems digits wine
    python benchmarks/search_cv.py --sizes 150 300

32 candidates (learning rate, alpha, hidden units) on five folds, mini-batches of 64, Adam, at most
50 epochs, refit of the best; standardised inputs; the same candidates and folds on both sides:

- SweepSearchCV over our network, in a process that has compiled nothing of it, and a second time;
- RandomizedSearchCV over scikit-learn's network, a process on every core.

Digits, breast cancer and wine of scikit-learn, its diabetes with targets of deviation 1, and
make_classification with 20,000 examples of 50 features, or with as many as --sizes says. All
training stops where the cost falls no more; networks that start elsewhere may stop elsewhere.

Typical output (two cores of an AMD EPYC with AVX-512, JAX 0.10.2, scikit-learn 1.9.1):

    |  | ours, s | again | scikit-learn, s | ratio | mean scores | correlation |
    | --- | --- | --- | --- | --- | --- | --- |
    | digits | 10.2 | 6.9 | 32.4 | 3.2 | 0.960 and 0.962 | 0.981 |
    | breast cancer | 5.5 | 2.2 | 10.8 | 2.0 | 0.970 and 0.971 | 0.887 |
    | wine | 4.8 | 1.5 | 4.3 | 0.9 | 0.949 and 0.962 | 0.881 |
    | diabetes | 5.2 | 1.7 | 7.9 | 1.5 | 0.400 and 0.399 | 0.777 |
    | 20,000 drawn | 59.2 | 57.7 | 337.5 | 5.7 | 0.867 and 0.864 | 0.999 |

Wine has 178 examples of 13 features: compiling takes 3 of our 5 seconds there, and scikit-learn is
as fast. Of drawn sets the ratios are, in two runs beside other work on the machine:

    | examples | 100 | 150 | 200 | 300 |
    | --- | --- | --- | --- | --- |
    | ratio | 0.8 and 1.0 | 1.2 and 1.1 | 1.4 and 1.3 | 2.5 and 1.7 |

So ours is faster from about 150 examples, compiling included. The first set of a process has the
start of scikit-learn's workers in its seconds, so these were measured after another one.
"""

import argparse
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import sklearn
from measuring import seconds, table
from scipy.stats import loguniform
from sklearn import datasets
from sklearn.model_selection import KFold, RandomizedSearchCV, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from jaxnn.estimators import JaxMLPClassifier, JaxMLPRegressor, SweepSearchCV

SPACE = {
    "learning_rate_init": loguniform(1e-4, 1e-1),
    "alpha": loguniform(1e-5, 1e1),
    "hidden_layer_sizes": [(32,), (64,), (64, 32)],
}
Arrays = tuple[np.ndarray, np.ndarray]


def diabetes() -> Arrays:
    x, y = datasets.load_diabetes(return_X_y=True)
    return x, (y - y.mean()) / y.std()


def drawn(size: int) -> Arrays:
    x, y = datasets.make_classification(size, 50, n_informative=20, n_classes=4, random_state=0)
    return x, y


PROBLEMS: dict[str, Callable[[], Arrays]] = {
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "diabetes": diabetes,
    "20,000 drawn": partial(drawn, 20_000),
}


def compared(name: str, load: Callable[[], Arrays], count: int, epochs: int) -> list[str]:
    """Returns a row of the table."""
    x, y = load()
    x, is_real = StandardScaler().fit_transform(x), name == "diabetes"
    folds = (KFold if is_real else StratifiedKFold)(5, shuffle=True, random_state=0)
    options: dict[str, Any] = {"n_iter": count, "cv": folds, "random_state": 0}
    network: dict[str, Any] = {"batch_size": 64, "max_iter": epochs, "random_state": 0}
    own = (JaxMLPRegressor if is_real else JaxMLPClassifier)(**network)
    peer = (MLPRegressor if is_real else MLPClassifier)(**network)
    ours = SweepSearchCV(own, SPACE, **options)
    theirs = RandomizedSearchCV(peer, SPACE, n_jobs=-1, **options)
    jax.clear_caches()
    first, again, other = (seconds(partial(one.fit, x, y)) for one in (ours, ours, theirs))
    scores = [one.cv_results_["mean_test_score"] for one in (ours, theirs)]
    means = [float(one.mean()) for one in scores]
    return [
        name, f"{first:.1f}", f"{again:.1f}", f"{other:.1f}", f"{other / first:.1f}",
        f"{means[0]:.3f} and {means[1]:.3f}", f"{np.corrcoef(*scores)[0, 1]:.3f}",
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[], help="of drawn sets, alone")
    parser.add_argument("--quick", action="store_true", help="wine, 4 candidates, 5 epochs")
    arguments = parser.parse_args()
    problems = {name: PROBLEMS[name] for name in arguments.problems}
    if arguments.sizes:
        problems = {f"{size:,} drawn": partial(drawn, size) for size in arguments.sizes}
    if arguments.quick:
        problems = {"wine": PROBLEMS["wine"]}
    count, epochs = (4, 5) if arguments.quick else (32, 50)
    warnings.simplefilter("ignore")
    print(f"JAX {jax.__version__}, scikit-learn {sklearn.__version__}")
    head = ["", "ours, s", "again", "scikit-learn, s", "ratio", "mean scores", "correlation"]
    print(table([head, *(compared(*one, count, epochs) for one in problems.items())]))


if __name__ == "__main__":
    main()
