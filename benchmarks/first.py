"""How long does a person wait for the first result, in a new process?

    python benchmarks/first.py              (extra `sklearn`; six minutes on two cores)
    python benchmarks/first.py --quick      (two epochs, once: that it works)

scikit-learn's digits, 64-32-16-10, Adam, mini-batches of 32, 30 epochs. Every time is of a new
process, the sides in turns, five rounds; a ratio is of one round or one process, and the median is
shown with the least and the most. Compiled programs are kept nowhere, unless it says so.

- fit: the whole process, from `python` to its exit: `jaxnn.fit` over scikit-learn's MLPClassifier
  with the same hyperparameters, and over itself with JAX's cache of compiled programs filled;
- sweep: the first of 64 settings over the second in the same process;
- refit: `study.refit(data, top=10)` after a search of 64, over the same call again;
- sizes: a search of 64 settings of two mini-batch sizes over one of one size.

Typical output (two quiet cores of an AMD EPYC with AVX-512, Python 3.11.7, JAX 0.10.2, scikit-learn
1.9.1, whose process took 1.7 s):

    a new process with `fit`, over scikit-learn: 2.16 (2.03 to 2.27)
    the same, JAX's cache filled: 1.73 (1.54 to 1.79)
    the first sweep of 64 over the second: 3.87 (3.34 to 5.18)
    `refit(top=10)` over the same call again: 0.96 (0.87 to 1.02)
    a search of two mini-batch sizes over one of one: 1.18 (1.05 to 1.28)

Where the 3.6 s of `fit` go: 1.0 scikit-learn's import, 0.5 JAX's, 0.3 Optax's and ours, 0.2 the
device and the data, 0.2 tracing and lowering, 0.9 compiling, 0.3 the interpreter's exit. Without
tracing and compiling it would take 1.5 times scikit-learn's 1.7 s.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
from measuring import seconds, spread, table

import jaxnn

STRUCTURE = {"hidden": (32, 16), "batch_size": 32}
SPACE = {**STRUCTURE, "learning_rate": jaxnn.loguniform(1e-4, 1e-1)}


def digits() -> tuple[jaxnn.Dataset, jaxnn.Dataset]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    data = jaxnn.Dataset((x / 16).astype(np.float32), y, num_classes=10)
    return data[:1437], data[1437:]


def fit(epochs: int) -> list[float]:
    train, _ = digits()
    jaxnn.fit({**STRUCTURE, "learning_rate": 1e-3}, train, epochs=epochs, progress=False)
    return []


def sweep(epochs: int) -> list[float]:
    settings, (train, valid) = jaxnn.sample(SPACE, 64, seed=0), digits()
    run = lambda: jaxnn.sweep(settings, train, valid, epochs=epochs, progress=False).diverged
    return [seconds(run), seconds(run)]


def refit(epochs: int) -> list[float]:
    settings, (train, valid) = jaxnn.sample(SPACE, 64, seed=0), digits()
    study = jaxnn.sweep(settings, train, valid, epochs=epochs, progress=False)
    both = train + valid
    run = lambda: study.refit(both, top=10, progress=False).members[0].params
    return [seconds(run), seconds(run)]


def one_size(epochs: int) -> list[float]:
    return _search(epochs, 32)


def two_sizes(epochs: int) -> list[float]:
    return _search(epochs, jaxnn.choice([32, 64]))


def _search(epochs: int, batch_size: Any) -> list[float]:
    (train, valid), space = digits(), {**SPACE, "batch_size": batch_size}
    options: dict[str, Any] = {"num_settings": 64, "max_epochs": epochs, "progress": False}
    run = lambda: jaxnn.search(space, train, valid, method="random", **options).diverged
    return [seconds(run)]


CASES = {one.__name__: one for one in (fit, sweep, refit, one_size, two_sizes)}

# a person who uses scikit-learn does not import JAX
PEER = """
import warnings
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
warnings.simplefilter("ignore")
x, y = load_digits(return_X_y=True)
long = {{"max_iter": {epochs}, "n_iter_no_change": {epochs}}}
network = MLPClassifier((32, 16), batch_size=32, alpha=0, **long)
network.fit(x[:1437] / 16, y[:1437])
"""


def process(arguments: list[str], **environment: str) -> tuple[float, list[float]]:
    """Seconds of a new process, and those that it measured itself."""
    found = {name: value for name, value in os.environ.items() if "COMPILATION_CACHE" not in name}
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**found, **environment},
    )
    spent = time.perf_counter() - start
    return spent, json.loads(done.stdout or "[]")


def measure(epochs: int, rounds: int) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {"scikit-learn": [], "fit, cache filled": []}
    with tempfile.TemporaryDirectory() as folder:
        cache = {
            "JAX_COMPILATION_CACHE_DIR": folder,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        }
        ours = lambda name: [__file__, "--case", name, "--epochs", str(epochs)]
        process(ours("fit"), **cache)
        for _ in range(rounds):
            found["scikit-learn"].append(process(["-c", PEER.format(epochs=epochs)])[0])
            found["fit, cache filled"].append(process(ours("fit"), **cache)[0])
            for name in CASES:
                spent, own = process(ours(name))
                found.setdefault(name, []).append(own or spent)
    return found


def show(found: dict[str, list[Any]]) -> None:
    times = {name: np.array(values) for name, values in found.items()}
    one, two = times["one_size"][:, 0], times["two_sizes"][:, 0]
    rows = {
        "a new process with `fit`, over scikit-learn": times["fit"] / times["scikit-learn"],
        "the same, JAX's cache filled": times["fit, cache filled"] / times["scikit-learn"],
        "the first sweep of 64 over the second": times["sweep"][:, 0] / times["sweep"][:, 1],
        "`refit(top=10)` over the same call again": times["refit"][:, 0] / times["refit"][:, 1],
        "a search of two mini-batch sizes over one of one": two / one,
    }
    print(table([("what", "times"), *((name, spread(values, 2)) for name, values in rows.items())]))
    print()
    for name, values in times.items():
        print(f"{name}: {' and '.join(spread(one, 2) for one in np.atleast_2d(values.T))} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two epochs, one round")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--epochs", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        print(json.dumps(CASES[asked.case](asked.epochs)))
    else:
        show(measure(*((2, 1) if asked.quick else (30, 5))))


if __name__ == "__main__":
    main()
