"""How long do candidates x folds take in scikit-learn's way, and as lanes?

    python benchmarks/search_cv.py              (extra `sklearn`; two minutes for all but the last
                                                 set, which takes more than seven)
    python benchmarks/search_cv.py --quick
    python benchmarks/search_cv.py --problems digits wine

32 candidates (learning rate, alpha, hidden units) on five folds, mini-batches of 64, Adam, at most
50 epochs, refit of the best; standardised inputs; the same candidates and folds on both sides:

- SweepSearchCV over our network, in a process that has compiled nothing of it, and a second time;
- RandomizedSearchCV over scikit-learn's network, a process on every core.

Digits, breast cancer and wine of scikit-learn, its diabetes with targets of deviation 1, and
make_classification with 20,000 examples of 50 features. All training stops where the cost falls no
more; networks that start elsewhere may stop elsewhere.

Typical output (two cores of an AMD EPYC with AVX-512, JAX 0.10.2, scikit-learn 1.9.1; the drawn
examples were not yet run to the end):

    |  | ours, s | again | scikit-learn, s | ratio | mean scores | correlation |
    | --- | --- | --- | --- | --- | --- | --- |
    | digits | 10.2 | 6.9 | 32.4 | 3.2 | 0.960 and 0.962 | 0.981 |
    | breast cancer | 5.5 | 2.2 | 10.8 | 2.0 | 0.970 and 0.971 | 0.887 |
    | wine | 4.8 | 1.5 | 4.3 | 0.9 | 0.949 and 0.962 | 0.881 |
    | diabetes | 5.2 | 1.7 | 7.9 | 1.5 | 0.400 and 0.399 | 0.777 |

Wine has 178 examples: compiling takes 3 of our 5 seconds there, and scikit-learn is as fast.
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


def drawn() -> Arrays:
    x, y = datasets.make_classification(20_000, 50, n_informative=20, n_classes=4, random_state=0)
    return x, y


PROBLEMS: dict[str, Callable[[], Arrays]] = {
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "diabetes": diabetes,
    "20,000 drawn": drawn,
}


def compared(name: str, count: int, epochs: int) -> list[str]:
    """Returns a row of the table."""
    x, y = PROBLEMS[name]()
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
    parser.add_argument("--quick", action="store_true", help="wine, 4 candidates, 5 epochs")
    arguments = parser.parse_args()
    names = ["wine"] if arguments.quick else arguments.problems
    count, epochs = (4, 5) if arguments.quick else (32, 50)
    warnings.simplefilter("ignore")
    print(f"JAX {jax.__version__}, scikit-learn {sklearn.__version__}")
    head = ["", "ours, s", "again", "scikit-learn, s", "ratio", "mean scores", "correlation"]
    print(table([head, *(compared(name, count, epochs) for name in names)]))


if __name__ == "__main__":
    main()
