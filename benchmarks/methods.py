"""What the methods of `search` are worth against training everything to the end.

    python benchmarks/methods.py                    all three; half an hour
    python benchmarks/methods.py --only halving

- halving: against all of the same 128 settings trained to the end, drawn SIGNS (864 pictures to
  train, 216 to validate, 1,080 more that neither search sees) in the row space: one structure for
  60 and for 200 epochs, and the mixed space of benchmarks/mixed.py for 60. Compiling is told apart:
  where a search compiles it is called again, and the seconds are the second call's.
- coarse: coarse_to_fine against one random round of as many settings and epochs, digits.
- optuna: 256 trials in batches of 64 through SQLite against "random", SIGNS shapes in pixels, ten
  and twenty epochs; then another process reads them.

The winner of a search has the largest of many noisy validation scores, and the more networks are
trained to the end the more of it is luck. So the score on pictures that no search saw is shown as
well.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
from mixed import SPACE as MIXED
from problems import digits

import jaxnn

ONE = {
    "hidden": (25, 12),
    "inputs": "centred",
    "batch_norm": True,
    "learning_rate": jaxnn.loguniform(1e-4, 1e-1),
    "beta1": jaxnn.reverseloguniform(0.8, 0.99),
    "l2": jaxnn.loguniform(1e-6, 1e-1),
}


def timed(*arguments: Any, **options: Any) -> tuple[jaxnn.Study, float]:
    """A search, and its seconds without compiling: a second call's, if the first compiles."""
    start = time.perf_counter()
    study = jaxnn.search(*arguments, progress=False, **options)
    first = time.perf_counter()
    if study.compile_seconds < 0.5:
        return study, first - start
    jaxnn.search(*arguments, progress=False, **options)
    return study, time.perf_counter() - first


def mean_and_error(values: Any) -> str:
    """In points of accuracy, that is percent."""
    values = 100 * np.asarray(values)
    return f"{values.mean():+.2f} ± {values.std(ddof=1) / len(values) ** 0.5:.2f} points"


def halving(
    name: str, space: dict[str, Any], seeds: int, epochs: int, min_epochs: int, factor: float
) -> None:
    losses, shares = [], []
    for seed in range(seeds):
        train, valid = jaxnn.hold_out(jaxnn.generated_signs(seed)[0], 0.2)
        unseen = jaxnn.generated_signs(1000 + seed)[0]
        options: dict[str, Any] = {"num_settings": 128, "max_epochs": epochs, "seed": seed}
        found = []
        for method in ("sobol", "halving"):
            study, seconds = timed(
                space, train, valid, method=method, min_epochs=min_epochs, factor=factor,
                row_space=True, **options,
            )  # fmt: skip
            # up to ten best (a halving may end with fewer), each by itself: less of a winner's luck
            top = [study.fitted(number).score(unseen) for number in study.ranked[:10]]
            found.append(
                (study.best_value, top[0], float(np.mean(top)), seconds, study.compile_seconds)
            )
            print(
                f"{name} seed {seed} {method:8}: validation {found[-1][0]:.3f}, unseen "
                f"{found[-1][1]:.3f}, unseen of the ten best {found[-1][2]:.3f}; {seconds:.1f} s, "
                f"and compiling {study.compile_seconds:.1f} s",
                flush=True,
            )
        losses.append(np.subtract(found[1][:3], found[0][:3]))
        shares.append(found[1][3] / found[0][3])
    for what, values in zip(
        ("validation", "unseen", "unseen, ten best"), np.transpose(losses), strict=True
    ):
        print(f"{name}: halving against all, {what}: {mean_and_error(values)}")
    print(f"{name}: share of the wall time, median {np.median(shares):.3f}", flush=True)


def coarse(seeds: int) -> None:
    space = {
        "hidden": (64, 32),
        "optimizer": "momentum",
        "learning_rate": jaxnn.loguniform(1e-5, 1e1),
        "momentum": jaxnn.reverseloguniform(0.5, 0.999),
        "l2": jaxnn.loguniform(1e-6, 1e0),
        "dropout": jaxnn.uniform(0.0, 0.8),
    }
    gains: dict[str, list[tuple[float, float]]] = {"random": [], "sobol": []}
    for seed in range(seeds):
        rest, unseen = jaxnn.hold_out(digits(), 0.3, seed=seed)
        scores = {}
        for method in ("coarse_to_fine", *gains):
            study = jaxnn.search(
                space, rest, 0.2, method=method, num_settings=48, max_epochs=20, seed=seed,
                progress=False,
            )  # fmt: skip
            scores[method] = study.best_value, study.fitted().score(unseen)
        print(
            f"seed {seed}, validation and unseen:",
            ", ".join(f"{m} {v:.3f} {u:.3f}" for m, (v, u) in scores.items()),
            flush=True,
        )
        for method, found in gains.items():
            found.append(tuple(np.subtract(scores["coarse_to_fine"], scores[method])))
    for method, found in gains.items():
        for what, values in zip(("validation", "unseen"), np.transpose(found), strict=True):
            print(f"coarse_to_fine against {method}, {what}: {mean_and_error(values)}")


def with_optuna() -> None:
    train, valid = jaxnn.hold_out(jaxnn.generated_signs(0)[0], 0.1)
    # compiles, so that none of the others does
    timed(ONE, train, valid, method="optuna", batch=64, num_settings=64, max_epochs=1)
    with tempfile.TemporaryDirectory() as folder:
        storage = f"sqlite:///{folder}/trials.db"
        for epochs in (10, 20):
            options: dict[str, Any] = {"num_settings": 256, "max_epochs": epochs}
            _, by_chance = timed(ONE, train, valid, method="random", **options)
            _, asked = timed(
                ONE, train, valid, method="optuna", batch=64, storage=storage,
                name=f"{epochs} epochs", **options,
            )  # fmt: skip
            print(
                f"256 trials of {epochs} epochs through SQLite {asked:.1f} s, random "
                f"{by_chance:.1f} s: {asked / by_chance:.2f} times",
                flush=True,
            )
        code = (
            "import collections, optuna; "
            f"trials = optuna.load_study(study_name='10 epochs', storage={storage!r}).trials; "
            "print(collections.Counter(trial.state.name for trial in trials))"
        )
        print("read by another process:", end=" ", flush=True)
        subprocess.run([sys.executable, "-c", code], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", choices=["halving", "coarse", "optuna"])
    parser.add_argument("--seeds", type=int, help="5 of halving, 10 of coarse")
    options = parser.parse_args()
    if options.only in (None, "halving"):
        seeds = options.seeds or 5
        halving("one structure, 60 epochs", ONE, seeds, 60, min_epochs=5, factor=2.5)
        halving("one structure, 200 epochs", ONE, seeds, 200, min_epochs=13, factor=2)
        halving("mixed, 60 epochs", MIXED, seeds, 60, min_epochs=7, factor=2.5)
    if options.only in (None, "coarse"):
        coarse(options.seeds or 10)
    if options.only in (None, "optuna"):
        with_optuna()


if __name__ == "__main__":
    main()
