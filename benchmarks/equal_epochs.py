"""Which method of `search` finds the best network in equally many epochs?

    python benchmarks/equal_epochs.py              (ten seeds, five minutes)
    python benchmarks/equal_epochs.py --quick

"halving" of 64 settings to 54 epochs against "hyperband", "population", "sobol", "coarse_to_fine"
with as many settings as take as many epochs of all networks together. A seed splits the data anew:
30 % are unseen, a quarter of the rest validates. Numbers are tuned (learning rate, beta1, l2,
dropout, mini-batch) and one of two structures. Data: the digits and breast cancer of scikit-learn,
and 2,000 examples of its make_classification (40 features, 10 of them informative, four classes).

Shown are the accuracy and the cost on unseen examples of the best setting's network, as it was
trained, and the difference from halving with its standard error over the seeds.

Ten seeds, two cores of an AMD EPYC with AVX-512, JAX 0.10.2, 28 November 2026: no method differs
from halving by two standard errors, in accuracy or cost, so halving stays the default.

| accuracy, minus halving | settings | digits | breast cancer | made |
| --- | --- | --- | --- | --- |
| halving itself | 64 | 0.9692 | 0.9684 | 0.6707 |
| hyperband | 26 | -0.0002 ± 0.0045 | -0.0047 ± 0.0032 | -0.0030 ± 0.0055 |
| population | 8 | +0.0019 ± 0.0036 | -0.0000 ± 0.0037 | +0.0030 ± 0.0053 |
| sobol | 8 | -0.0007 ± 0.0041 | -0.0012 ± 0.0030 | -0.0023 ± 0.0066 |
| coarse_to_fine | 8 | -0.0028 ± 0.0038 | -0.0012 ± 0.0035 | -0.0063 ± 0.0076 |

| cost, minus halving | digits | breast cancer | made |
| --- | --- | --- | --- |
| halving itself | 0.174 | 0.183 | 1.006 |
| hyperband | -0.028 ± 0.027 | -0.004 ± 0.015 | -0.004 ± 0.064 |
| population | -0.025 ± 0.030 | +0.005 ± 0.049 | +0.024 ± 0.119 |
| sobol | +0.004 ± 0.025 | -0.015 ± 0.044 | +0.048 ± 0.148 |
| coarse_to_fine | -0.006 ± 0.032 | -0.027 ± 0.044 | +0.037 ± 0.144 |
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from measuring import log_loss, table
from sklearn import datasets

import jaxnn
from jaxnn.methods.budgets import Budget
from jaxnn.methods.table import METHODS

SPACE = {
    "inputs": "standardised",
    "learning_rate": jaxnn.loguniform(1e-4, 1e-1),
    "beta1": jaxnn.reverseloguniform(0.8, 0.99),
    "l2": jaxnn.loguniform(1e-6, 1e-1),
    "dropout": jaxnn.uniform(0.0, 0.5),
    "hidden": jaxnn.choice([(64,), (64, 32)]),
    "batch_size": jaxnn.choice([16, 32, 64]),
}
COUNTS: dict[str, Any] = {"num_settings": 64, "max_epochs": 54, "min_epochs": 2}


def made() -> tuple[np.ndarray, np.ndarray]:
    x, y = datasets.make_classification(
        2000, 40, n_informative=10, n_classes=4, flip_y=0.05, random_state=0
    )
    return x, y


PROBLEMS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "digits": lambda: datasets.load_digits(return_X_y=True),
    "breast cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "made": made,
}


def work(method: str, counts: dict[str, Any]) -> float:
    """The epochs of all networks together."""
    more: dict[str, Any] = {"factor": 3, "rounds": 3, "batch": 32}
    budget = Budget(**counts, **more, patience=None, limit=None, stop_after=None, seed=0)
    return sum(count * epochs for count, epochs in METHODS[method].rungs(budget))


def counts_of(method: str) -> dict[str, Any]:
    """Counts with which a method trains for as many epochs as the halving."""
    whole = work("halving", COUNTS)
    least = 3 if method == "coarse_to_fine" else 1
    numbers = range(least, 2 * COUNTS["num_settings"])
    best = min(numbers, key=lambda n: abs(work(method, {**COUNTS, "num_settings": n}) - whole))
    return {**COUNTS, "num_settings": best}


def mean_and_error(values: np.ndarray) -> str:
    return f"{values.mean():+.4f} ± {values.std(ddof=1) / len(values) ** 0.5:.4f}"


def compared(name: str, methods: list[str], seeds: int, counts: dict[str, dict[str, Any]]) -> None:
    data = jaxnn.Dataset(*PROBLEMS[name]())
    found = np.empty((len(methods), seeds, 2))
    for seed in range(seeds):
        rest, unseen = jaxnn.hold_out(data, 0.3, seed=seed)
        for place, method in enumerate(methods):
            study = jaxnn.search(
                SPACE, rest, 0.25, method=method, seed=seed, progress=False, **counts[method]
            )
            fitted = study.fitted()
            probabilities = fitted.predict_proba(unseen.original)
            loss = log_loss(probabilities, np.asarray(unseen.y), 1e-12)
            found[place, seed] = fitted.score(unseen), loss
    rows = [["", "settings", "accuracy", "minus halving", "cost", "minus halving"]]
    for method, values in zip(methods, found, strict=True):
        accuracy, costs = values.T
        less = (values - found[0]).T
        rows.append(
            [
                method, str(counts[method]["num_settings"]),
                f"{accuracy.mean():.4f}", mean_and_error(less[0]),
                f"{costs.mean():.4f}", mean_and_error(less[1]),
            ]
        )  # fmt: skip
    print(f"\n{name}\n{table(rows)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="two seeds, digits, two methods")
    options = parser.parse_args()
    methods = ["halving", "hyperband", "population", "sobol", "coarse_to_fine"]
    methods = methods[:2] if options.quick else methods
    counts = {method: counts_of(method) for method in methods}
    for name in [*PROBLEMS][: 1 if options.quick else None]:
        compared(name, methods, 2 if options.quick else options.seeds, counts)


if __name__ == "__main__":
    main()
