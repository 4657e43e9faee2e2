"""How good is what a search returns after 15, 30, 60 and 120 seconds, against what others find?

    taskset -c 0 python benchmarks/anytime.py --out runs.jsonl          (extra `bench`; hours)
    taskset -c 0 python benchmarks/anytime.py --problems vehicle --seeds 0 --sides ours optuna
    python benchmarks/anytime.py --show runs.jsonl                      tables of what was written
    python benchmarks/anytime.py --quick

Each side gets four fifths of a table, stratified, and so many seconds on one core, compiling
included and imports not. It may hold out what it likes to validate. Then it predicts the last
fifth, which nobody looked at: accuracy and log-loss. Ten tables of classes, `sets.CLASSES`, which
played no part when `jaxnn.default_space` was tuned.

- jaxnn: `search(None, rest, seconds=s)`, with five folds or, from 2,500 examples on, a fifth held
  out; and then its best network as it was trained, or its greedy ensemble.
- scikit-learn: HalvingRandomSearchCV over MLPClassifier, a fifth to validate, epochs as the
  resource; first eight candidates, then as many as the rest of the seconds is expected to hold. The
  better of both, which it trains anew on all examples.
- Optuna + PyTorch: trials one by one, TPE and median pruning, AdamW, dropout; the best network.
- RealMLP (pytabkit): its tuned defaults from one seed after the other, averaged. Where the first
  one takes longer there is no answer, which ranks last.

All treat inputs as their users would: standardised, or RealMLP's own way. Rows of runs are added to
`--out`; those that it has are not run again.
"""

import argparse
import itertools
import json
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import sets
from measuring import table

import jaxnn

SECONDS = (15, 30, 60, 120)
EPOCHS = 54
"""The most epochs of a network of Optuna + PyTorch and scikit-learn."""


class Task(NamedTuple):
    """What a side gets: examples to train with in any way, and inputs to predict."""

    rest: jaxnn.Dataset
    inputs: np.ndarray
    seed: int
    budgets: tuple[int, ...]

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (N, D) and classes (N,)."""
        return np.asarray(self.rest.original, np.float32), np.asarray(self.rest.y)

    @property
    def split(self) -> tuple[np.ndarray, ...]:
        """Standardised by the training part: x, y, x and y to validate, inputs to predict."""
        from sklearn.model_selection import train_test_split
        from sklearn.preprocessing import StandardScaler

        x, y = self.arrays
        x, x_valid, y, y_valid = train_test_split(
            x, y, test_size=0.2, stratify=y, random_state=self.seed
        )
        scale = StandardScaler().fit(x).transform
        return scale(x), y, scale(x_valid), y_valid, scale(self.inputs)


class Answer(NamedTuple):
    """What a side predicts after a budget in seconds.

    Attributes:
      budget: the budget.
      name: the name of the answer.
      seconds: what it took.
      probabilities: (N, K); None if there is nothing yet.
    """

    budget: int
    name: str
    seconds: float
    probabilities: np.ndarray | None


Side = Callable[[Task], Iterator[Answer]]


def ours(task: Task) -> Iterator[Answer]:
    import jax

    for budget in task.budgets:
        jax.clear_caches()
        start = time.perf_counter()
        study = jaxnn.search(
            None, task.rest, seconds=budget, seed=task.seed, order_seed=task.seed, progress=False,
            **sets.validated(task.rest),
        )  # fmt: skip
        best = study.fitted().predict_proba(task.inputs)
        yield Answer(budget, "jaxnn, best", time.perf_counter() - start, best)
        together = study.ensemble(method="greedy").predict_proba(task.inputs)
        yield Answer(budget, "jaxnn, greedy", time.perf_counter() - start, together)


def scikit_learn(task: Task) -> Iterator[Answer]:
    from scipy.stats import loguniform
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV, StratifiedShuffleSplit
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = task.arrays
    layers = [(a,) * depth for depth in (1, 2, 3) for a in (16, 32, 64, 128, 256)]
    space = {
        "mlpclassifier__hidden_layer_sizes": layers,
        "mlpclassifier__activation": ["relu", "tanh"],
        "mlpclassifier__batch_size": [16, 32, 64, 128],
        "mlpclassifier__learning_rate_init": loguniform(1e-4, 1e-1),
        "mlpclassifier__alpha": loguniform(1e-6, 1e0),
    }

    def searched(count: int, seed: int) -> Any:
        network = make_pipeline(StandardScaler(), MLPClassifier(random_state=seed))
        split = StratifiedShuffleSplit(1, test_size=0.2, random_state=task.seed)
        search = HalvingRandomSearchCV(
            network, space, n_candidates=count, factor=3, resource="mlpclassifier__max_iter",
            min_resources=max(1, EPOCHS // 3 ** int(np.log(count) / np.log(3))),
            max_resources=EPOCHS, cv=split, random_state=seed, error_score=0.0,
        )  # fmt: skip
        with warnings.catch_warnings():
            # of epochs that did not suffice
            warnings.simplefilter("ignore")
            return search.fit(x, y)

    for budget in task.budgets:
        start = time.perf_counter()
        found = [searched(8, 1000 * task.seed)]
        spent = time.perf_counter() - start
        # a fifth longer than equally many candidates took was seen where these are larger
        count = int(8 * (budget - spent) / (1.2 * spent))
        if count >= 8 and spent < budget:
            found.append(searched(count, 1000 * task.seed + 1))
        best = max(found, key=lambda one: one.best_score_)
        found_by_best = best.predict_proba(task.inputs)
        yield Answer(budget, "scikit-learn", time.perf_counter() - start, found_by_best)


def optuna(task: Task) -> Iterator[Answer]:
    import optuna
    import torch
    from torch import nn

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    torch.manual_seed(task.seed)
    start = time.perf_counter()
    x, y, x_valid, y_valid, inputs = map(torch.from_numpy, task.split)
    num_classes = int(y.max()) + 1
    best, value = None, (0.0, 0.0)

    def objective(trial: optuna.Trial) -> float:
        nonlocal best, value
        units = trial.suggest_int("units", 16, 256, log=True)
        widths = [x.shape[1], *[units] * trial.suggest_int("depth", 1, 3)]
        activation = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU}[
            trial.suggest_categorical("activation", ["relu", "tanh", "silu"])
        ]
        dropout = trial.suggest_float("dropout", 0.0, 0.5)
        hidden: list[Any] = []
        for pair in itertools.pairwise(widths):
            hidden += [nn.Linear(*pair), activation(), nn.Dropout(dropout)]
        network = nn.Sequential(*hidden, nn.Linear(widths[-1], num_classes))
        descent = torch.optim.AdamW(
            network.parameters(),
            lr=trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
            weight_decay=trial.suggest_float("weight_decay", 1e-6, 1e0, log=True),
            fused=True,
        )
        size = trial.suggest_categorical("batch_size", [16, 32, 64, 128])
        accuracy = 0.0
        for epoch in range(EPOCHS):
            network.train()
            for rows in torch.randperm(len(x)).split(size):
                descent.zero_grad()
                nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
                descent.step()
            if epoch % 5 == 3:
                network.eval()
                with torch.no_grad():
                    logits = network(x_valid)
                accuracy = float((logits.argmax(dim=1) == y_valid).float().mean())
                cost = float(nn.functional.cross_entropy(logits, y_valid))
                trial.report(accuracy, epoch)
                if trial.should_prune():
                    raise optuna.TrialPruned
        if best is None or (accuracy, -cost) > value:
            with torch.no_grad():
                best = torch.softmax(network(inputs).double(), dim=1).numpy()
            value = accuracy, -cost
        return accuracy

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=task.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=5),
    )
    budgets = [*task.budgets]
    while budgets:
        before = best
        study.optimize(objective, n_trials=1)
        while budgets and time.perf_counter() - start > budgets[0]:
            yield Answer(budgets[0], "Optuna + PyTorch", float(budgets[0]), before)
            del budgets[0]


def realmlp(task: Task) -> Iterator[Answer]:
    import logging

    import torch
    from pytabkit import RealMLP_TD_Classifier

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    threads = torch.get_num_threads()
    start, found, budgets = time.perf_counter(), list[np.ndarray](), [*task.budgets]
    while budgets:
        before = np.mean(found, axis=0) if found else None
        network = RealMLP_TD_Classifier(
            device="cpu", random_state=100 * task.seed + len(found), n_cv=1, n_refit=0,
            val_fraction=0.2, n_threads=threads, verbosity=0,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network.fit(*task.arrays)
            found.append(network.predict_proba(task.inputs))
        while budgets and time.perf_counter() - start > budgets[0]:
            yield Answer(budgets[0], "RealMLP", float(budgets[0]), before)
            del budgets[0]


SIDES: dict[str, Side] = {
    "ours": ours,
    "sklearn": scikit_learn,
    "optuna": optuna,
    "realmlp": realmlp,
}


def measured(probabilities: np.ndarray | None, y: np.ndarray) -> tuple[float, float]:
    """Accuracy and log-loss; of no answer 0 and infinity."""
    if probabilities is None:
        return 0.0, float("inf")
    own = probabilities[np.arange(len(y)), y]
    accuracy = float((probabilities.argmax(axis=1) == y).mean())
    return accuracy, float(-np.log(np.maximum(own, 1e-7)).mean())


Row = dict[str, Any]


def rows_in(path: Path | None) -> list[Row]:
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(
    problems: Sequence[str], seeds: Sequence[int], sides: Sequence[str], budgets: tuple[int, ...],
    out: Path | None,
) -> list[Row]:  # fmt: skip
    rows = rows_in(out)
    done = {(row["set"], row["seed"], row["side"]) for row in rows}
    for seed in seeds:
        for name in problems:
            rest, test = sets.parts({**sets.TUNING, **sets.CLASSES}[name], seed)
            task = Task(rest, np.asarray(test.original, np.float32), seed, budgets)
            for side in sides:
                if (name, seed, side) in done:
                    continue
                new = []
                for answer in SIDES[side](task):
                    accuracy, loss = measured(answer.probabilities, np.asarray(test.y))
                    new.append(
                        {
                            "set": name, "seed": seed, "side": side, "name": answer.name,
                            "budget": answer.budget, "seconds": round(answer.seconds, 1),
                            "accuracy": round(accuracy, 5), "loss": round(loss, 5),
                        }
                    )  # fmt: skip
                    print(*new[-1].values(), flush=True)
                rows += new
                if out is not None:
                    with out.open("a") as file:
                        file.writelines(json.dumps(row) + "\n" for row in new)
    return rows


def shown(rows: Sequence[Row], measure: str) -> str:
    """Mean of each answer by set and budget, and its mean rank over sets and seeds."""
    names = [*dict.fromkeys(row["name"] for row in rows)]
    budgets = sorted({row["budget"] for row in rows})
    values: dict[tuple[str, int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    by_run: dict[tuple[int, str, int], dict[str, float]] = defaultdict(dict)
    for row in rows:
        values[row["set"], row["budget"]][row["name"]].append(row[measure])
        by_run[row["budget"], row["set"], row["seed"]][row["name"]] = row[measure]
    lines = [["set", "seconds", *names]]
    for (name, budget), found in values.items():
        means = [f"{np.mean(found[one]):.3f}" if found[one] else "" for one in names]
        lines.append([name, str(budget), *means])
    sign = -1 if measure == "accuracy" else 1
    ranks = [["mean rank", "seconds", *names]]
    for budget in budgets:
        of_runs = [found for (own, _, _), found in by_run.items() if own == budget]
        whole = [found for found in of_runs if len(found) == len(names)]
        if whole:
            each = np.array([[sign * found[one] for one in names] for found in whole])
            # equal values share the mean of their ranks
            less = (each[:, None, :] < each[:, :, None]).sum(axis=2)
            same = (each[:, None, :] == each[:, :, None]).sum(axis=2)
            means = (less + (same + 1) / 2).mean(axis=0)
            ranks.append([f"{len(whole)} runs", str(budget), *(f"{one:.2f}" for one in means)])
    return f"{table(lines)}\n\n{table(ranks)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    known = [*sets.CLASSES, *sets.TUNING]
    parser.add_argument("--problems", nargs="+", choices=known, default=[*sets.CLASSES])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=[*SIDES])
    parser.add_argument("--budgets", nargs="+", type=int, default=SECONDS)
    parser.add_argument("--out", type=Path, help="a file of JSON lines, to which runs are added")
    parser.add_argument("--show", nargs="+", type=Path, help="only show such files")
    parser.add_argument("--quick", action="store_true", help="one table, 10 seconds, two sides")
    given = parser.parse_args()
    if given.quick:
        given.problems, given.seeds, given.budgets = ["vehicle"], [0], [10]
        given.sides = ["ours", "sklearn"]
    if given.show:
        rows = [row for path in given.show for row in rows_in(path)]
    else:
        rows = run(given.problems, given.seeds, given.sides, tuple(given.budgets), given.out)
    for measure in ("accuracy", "loss"):
        print(f"\n{measure}\n{shown(rows, measure)}")


if __name__ == "__main__":
    main()
