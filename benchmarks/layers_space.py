"""Does Optuna's TPE find better networks over `layers` than over a `choice` of tuples?

    python benchmarks/layers_space.py             (extra `optuna`; ten seeds)
    python benchmarks/layers_space.py --quick

scikit-learn's digits, three tenths of them never seen by a search; learning rate 10^-4 to 10^-1,
and one to three hidden layers of 16 to 256 units each, as

- layers: depth and the units of each layer are parameters in order, units on a logarithmic scale;
- choice: a name for each of 39 tuples. All 16 to 256 units in each layer would be 14 million
  tuples, so units are those of a coarse grid, 16, 64 and 256: 3 + 9 + 27. TPE learns of each tuple
  by itself. Before it has learned anything, it draws three layers in 27 of 39 trials, where
  `layers` draws them in a third.

Each side has as many trials (64 in batches of 8, the first ten at random), epochs (20) and seeds,
and the same data. Settings are ranked by validation cost: many reach the same accuracy. "random"
draws from the same two spaces. Its difference is due to the space, and what TPE's differs by from
that to what TPE makes of it. Standard errors are over the seeds; the differences are paired.

Typical output ends with (two cores of an AMD EPYC, JAX 0.10.2, Optuna 5.0):

    optuna of layers: best cost 0.0629 ± 0.0075, unseen 0.9768 ± 0.0020
    optuna of choice: best cost 0.0585 ± 0.0067, unseen 0.9744 ± 0.0018
    random of layers: best cost 0.0728 ± 0.0085, unseen 0.9763 ± 0.0018
    random of choice: best cost 0.0698 ± 0.0082, unseen 0.9709 ± 0.0032
    optuna: layers less choice, cost +0.0044 ± 0.0038, unseen +0.0024 ± 0.0018
    random: layers less choice, cost +0.0030 ± 0.0050, unseen +0.0054 ± 0.0028

TPE is better than random draws, over either space. Which space it gets makes no difference beyond
its error: the coarse grid has large layers more often, which fit the validation part a little
better, and `layers` is a little more accurate on unseen pictures.
"""

import argparse
import itertools
from typing import Any

import numpy as np
import optuna
from problems import digits

import jaxnn

RATE = jaxnn.loguniform(1e-4, 1e-1)
GRID = (16, 64, 256)
TUPLES = [one for depth in (1, 2, 3) for one in itertools.product(GRID, repeat=depth)]
SPACES: dict[str, dict[str, Any]] = {
    "layers": {
        "learning_rate": RATE,
        "hidden": jaxnn.layers(depth=jaxnn.randint(1, 3), units=jaxnn.lograndint(16, 256)),
    },
    "choice": {"learning_rate": RATE, "hidden": jaxnn.choice(TUPLES)},
}
METHODS = ("optuna", "random")


def shown(values: Any, sign: str = "") -> str:
    """Mean and standard error, which a single seed does not have."""
    values = np.asarray(values)
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return f"{values.mean():{sign}.4f} ± {error:.4f}"


def results(seed: int, **options: Any) -> dict[tuple[str, str], tuple[float, float]]:
    """(method, space) -> validation cost of the best, and its accuracy on unseen pictures."""
    rest, unseen = jaxnn.hold_out(digits(), 0.3, seed=seed)
    found = {}
    for method, space in itertools.product(METHODS, SPACES):
        study = jaxnn.search(
            SPACES[space], rest, 0.2, method=method, metric="cost", seed=seed, order_seed=seed,
            progress=False, **options,
        )  # fmt: skip
        found[method, space] = study.best_value, study.fitted().score(unseen)
        hidden = "-".join(map(str, study.best_params["hidden"]))
        print(
            f"seed {seed}, {method:6} of {space}: cost {study.best_value:.4f}, unseen "
            f"{found[method, space][1]:.4f}, {hidden}; {study.seconds:.1f} s",
            flush=True,
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="2 seeds of 16 trials, 3 epochs")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seeds, trials, epochs = (2, 16, 3) if arguments.quick else (arguments.seeds, 64, 20)
    options = {"num_settings": trials, "batch": 8, "max_epochs": epochs}
    print(f"{len(TUPLES)} tuples; Optuna {optuna.__version__}", flush=True)
    found = [results(seed, **options) for seed in range(seeds)]
    for method, space in itertools.product(METHODS, SPACES):
        costs, scores = zip(*(one[method, space] for one in found), strict=True)
        print(f"{method} of {space}: best cost {shown(costs)}, unseen {shown(scores)}")
    for method in METHODS:
        gaps = [np.subtract(one[method, "layers"], one[method, "choice"]) for one in found]
        cost, score = (shown(one, "+") for one in zip(*gaps, strict=True))
        print(f"{method}: layers less choice, cost {cost}, unseen {score}")


if __name__ == "__main__":
    main()
