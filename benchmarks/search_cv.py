"""How long do candidates x folds take in scikit-learn's way, and as lanes?

    python benchmarks/search_cv.py              (extra `sklearn`; five minutes)
    python benchmarks/search_cv.py --quick

scikit-learn's digits, a Pipeline of StandardScaler and a search of 32 candidates (learning rate,
alpha, hidden units) on five stratified folds, 50 epochs, mini-batches of 64, Adam, no early
stopping, refit of the best; the same candidates and folds on both sides:

- SweepSearchCV over JaxMLPClassifier, compiling included, and a second time;
- RandomizedSearchCV over MLPClassifier, a process on every core.
"""

import argparse
import warnings
from typing import Any

import jax
import numpy as np
import sklearn
from measuring import seconds
from scipy.stats import loguniform
from sklearn.datasets import load_digits
from sklearn.model_selection import RandomizedSearchCV, StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxnn.estimators import JaxMLPClassifier, SweepSearchCV

SPACE = {
    "learning_rate_init": loguniform(1e-4, 1e-1),
    "alpha": loguniform(1e-5, 1e1),
    "hidden_layer_sizes": [(32,), (64,), (64, 32)],
}


def timed(search: Any) -> float:
    x, y = load_digits(return_X_y=True)
    with warnings.catch_warnings():
        # scikit-learn's networks warn that 50 epochs did not suffice
        warnings.simplefilter("ignore")
        return seconds(lambda: make_pipeline(StandardScaler(), search).fit(x, y))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="4 candidates, 5 epochs")
    quick = parser.parse_args().quick
    count, epochs = (4, 5) if quick else (32, 50)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    options: dict[str, Any] = {"n_iter": count, "cv": folds, "random_state": 0}
    network: dict[str, Any] = {"batch_size": 64, "max_iter": epochs, "random_state": 0}
    ours = SweepSearchCV(JaxMLPClassifier(**network), SPACE, **options)
    peer = MLPClassifier(n_iter_no_change=epochs, **network)
    theirs = RandomizedSearchCV(peer, SPACE, n_jobs=-1, **options)
    print(f"JAX {jax.__version__}, scikit-learn {sklearn.__version__}")
    sides = {"SweepSearchCV": ours, "SweepSearchCV, again": ours, "RandomizedSearchCV": theirs}
    for name, search in sides.items():
        print(f"{name}: {timed(search):.1f} s, best mean accuracy {search.best_score_:.4f}")
    same = ours.cv_results_["params"] == theirs.cv_results_["params"]
    scores = (one.cv_results_["mean_test_score"] for one in (ours, theirs))
    correlation = np.corrcoef(*scores)[0, 1]
    print(f"same candidates: {same}; correlation of their scores {correlation:.3f}")


if __name__ == "__main__":
    main()
