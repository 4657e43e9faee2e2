"""Does a greedy ensemble predict better than the best network, or than the ten best?

    python benchmarks/greedy.py                             halving alone; two minutes
    python benchmarks/greedy.py --methods halving random    3 minutes 40 on two busy cores, below
    python benchmarks/greedy.py --sizes 5 25 100            other limits of the number of networks

Four sets: digits, breast cancer, wine, and 1,000 made examples of three classes, of whose labels
10 % are drawn anew. Each is split five times into 60 % to train, 20 % to validate and 20 % to test,
stratified. A search draws settings of an MLP: 64 by halving (the default of `search`), or 32 that
are all trained to the end ("random"). Nothing is trained again. The test examples are looked at
once. The five networks that begin a greedy choice were chosen on other splits of these sets; there
limits of 5 to 100 networks made no difference beyond the errors.

Accuracy and log-loss of the test examples, means of five splits (two shared cores of an AMD EPYC;
after a halving the "ten best" are the three that it trained to the end):

| set | search | best | ten best | greedy 25 | greedy 25, 1 begins |
| --- | --- | --- | --- | --- | --- |
| digits | halving | 0.964 0.159 | 0.970 0.112 | 0.972 0.106 | 0.970 0.110 |
| digits | random | 0.965 0.131 | 0.972 0.115 | 0.973 0.103 | 0.972 0.104 |
| breast cancer | halving | 0.977 0.099 | 0.975 0.090 | 0.979 0.082 | 0.977 0.095 |
| breast cancer | random | 0.972 0.120 | 0.981 0.073 | 0.977 0.088 | 0.977 0.104 |
| wine | halving | 0.983 0.117 | 0.983 0.070 | 0.983 0.074 | 0.983 0.114 |
| wine | random | 0.972 0.149 | 0.989 0.066 | 0.978 0.073 | 0.978 0.141 |
| made | halving | 0.808 0.592 | 0.822 0.585 | 0.833 0.532 | 0.838 0.530 |
| made | random | 0.823 0.591 | 0.835 0.530 | 0.836 0.518 | 0.840 0.516 |

Greedy minus the best network, and minus the ten best, with standard errors over the splits:

| set | search | best, accuracy | best, log-loss | ten, accuracy | ten, log-loss |
| --- | --- | --- | --- | --- | --- |
| digits | halving | +0.007 ± 0.003 | -0.053 ± 0.015 | +0.001 ± 0.001 | -0.006 ± 0.008 |
| digits | random | +0.008 ± 0.004 | -0.028 ± 0.004 | +0.002 ± 0.002 | -0.012 ± 0.004 |
| breast cancer | halving | +0.002 ± 0.004 | -0.016 ± 0.007 | +0.004 ± 0.006 | -0.008 ± 0.010 |
| breast cancer | random | +0.005 ± 0.004 | -0.032 ± 0.016 | -0.004 ± 0.004 | +0.015 ± 0.007 |
| wine | halving | +0.000 ± 0.000 | -0.042 ± 0.039 | +0.000 ± 0.000 | +0.004 ± 0.005 |
| wine | random | +0.006 ± 0.006 | -0.076 ± 0.067 | -0.011 ± 0.011 | +0.007 ± 0.029 |
| made | halving | +0.025 ± 0.005 | -0.060 ± 0.026 | +0.011 ± 0.006 | -0.053 ± 0.025 |
| made | random | +0.013 ± 0.011 | -0.073 ± 0.026 | +0.001 ± 0.004 | -0.012 ± 0.007 |

Every search gains over its best network. Over the ten best there is a gain where many examples
validate (digits 359, made 200), and none where few do (breast cancer 114, wine 36).
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from measuring import log_loss, table

import jaxnn

SPACE = {
    "hidden": jaxnn.layers(depth=jaxnn.randint(1, 2), units=jaxnn.lograndint(8, 64)),
    "inputs": "standardised",
    "activation": jaxnn.choice(["relu", "tanh"]),
    "learning_rate": jaxnn.loguniform(1e-3, 1e-1),
    "l2": jaxnn.loguniform(1e-5, 1e-1),
    "dropout": jaxnn.uniform(0.0, 0.5),
    "batch_size": 64,
}
METHODS = {"halving": 64, "random": 32}
"""Method -> number of settings."""

SIDES, MEASURES = ("best", "ten"), ("accuracy", "log-loss")
EPOCHS = 27
FIRST = 10
"""The seed of the first split."""


def sets() -> dict[str, jaxnn.Dataset]:
    """Name -> examples and classes."""
    from sklearn import datasets

    made = datasets.make_classification(
        1000, 20, n_informative=8, n_redundant=4, n_classes=3, flip_y=0.1, random_state=0
    )
    loaded: dict[str, Any] = {
        "digits": datasets.load_digits(return_X_y=True),
        "breast cancer": datasets.load_breast_cancer(return_X_y=True),
        "wine": datasets.load_wine(return_X_y=True),
        "made": made,
    }
    return {name: jaxnn.Dataset(*both) for name, both in loaded.items()}


def sides(sizes: list[int]) -> dict[str, Callable[[jaxnn.Study], Any]]:
    """Name -> what makes a predictor of a study; the first is the best network."""

    def greedy(size: int, initial: int) -> Callable[[jaxnn.Study], jaxnn.Ensemble]:
        return lambda study: study.ensemble(method="greedy", size=size, initial=initial)

    return {
        "best": lambda study: study.fitted(),
        "ten best": lambda study: study.ensemble(top=10),
        **{f"greedy {size}": greedy(size, 5) for size in sizes},
        **{f"greedy {size}, 1 begins": greedy(size, 1) for size in sizes},
    }


def measured(predictor: Any, test: jaxnn.Dataset) -> tuple[float, float]:
    """Accuracy and log-loss."""
    found = predictor.predict_proba(test.original)
    return predictor.score(test), log_loss(found, np.asarray(test.original_y), 1e-12)


def difference(values: np.ndarray) -> str:
    """The mean and its standard error."""
    return f"{values.mean():+.3f} ± {values.std(ddof=1) / len(values) ** 0.5:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[25])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["halving"])
    given = parser.parse_args()
    made, start = sides(given.sizes), time.perf_counter()
    scores = [["set", "search", *made]]
    gains = [["set", "search", *(f"{one}, {by}" for one in SIDES for by in MEASURES)]]
    for name, data in sets().items():
        for method in given.methods:
            found = np.empty((given.splits, len(made), 2))
            for index, seed in enumerate(range(FIRST, FIRST + given.splits)):
                rest, test = jaxnn.hold_out(data, 0.2, seed)
                train, valid = jaxnn.hold_out(rest, 0.25, seed)
                study = jaxnn.search(
                    SPACE,
                    train,
                    valid,
                    method=method,
                    num_settings=METHODS[method],
                    max_epochs=EPOCHS,
                    seed=seed,
                    order_seed=seed,
                    progress=False,
                )
                found[index] = [measured(make(study), test) for make in made.values()]
            means = (f"{accuracy:.3f} {loss:.3f}" for accuracy, loss in found.mean(axis=0))
            scores.append([name, method, *means])
            gained = (found[:, 2] - found[:, place] for place in range(len(SIDES)))
            gains.append([name, method, *(difference(one) for both in gained for one in both.T)])
            print(f"{name}, {method}: {time.perf_counter() - start:.0f} s", flush=True)
    print(f"{table(scores)}\n\n{table(gains)}")


if __name__ == "__main__":
    main()
