"""What others find in so many seconds: searches and networks that users would pick instead of ours.

`anytime.py` says how they are compared.
"""

import itertools
import math
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import jaxnn

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
        # as PyTorch wants them
        return np.asarray(self.rest.original, np.float32), np.asarray(self.rest.y, np.int64)

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

    def rungs(count: int) -> tuple[int, int]:
        """The epochs of the first rung, and of all networks of a search and its refit."""
        most = min(3, int(np.log(count + 0.5) / np.log(3)))
        least = EPOCHS // 3**most
        each = (int(np.ceil(count / 3**rung)) * least * 3**rung for rung in range(most + 1))
        return least, sum(each) + EPOCHS

    def searched(count: int, seed: int) -> Any:
        network = make_pipeline(StandardScaler(), MLPClassifier(random_state=seed))
        split = StratifiedShuffleSplit(1, test_size=0.2, random_state=task.seed)
        search = HalvingRandomSearchCV(
            network, space, n_candidates=count, factor=3, resource="mlpclassifier__max_iter",
            min_resources=rungs(count)[0], max_resources=EPOCHS, cv=split, random_state=seed,
            error_score=0.0,
        )  # fmt: skip
        with warnings.catch_warnings():
            # of epochs that did not suffice
            warnings.simplefilter("ignore")
            return search.fit(x, y)

    for budget in task.budgets:
        start = time.perf_counter()
        found = [searched(27, 1000 * task.seed)]
        spent = time.perf_counter() - start
        # its candidates vary in size, so it may take longer than is expected
        most = (budget - spent) / (1.2 * spent) * rungs(27)[1]
        counts = [count for count in range(27, 2000) if rungs(count)[1] <= most]
        if counts:
            found.append(searched(counts[-1], 1000 * task.seed + 1))
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
    # ((accuracy, -cost), probabilities of the inputs) of each trial that was not pruned
    ended: list[tuple[tuple[float, float], np.ndarray]] = []

    def objective(trial: optuna.Trial) -> float:
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
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(descent, EPOCHS)
        accuracy, cost = 0.0, math.inf
        for epoch in range(EPOCHS):
            network.train()
            for rows in torch.randperm(len(x)).split(size):
                descent.zero_grad()
                nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
                descent.step()
            schedule.step()
            if epoch % 5 == 3:
                network.eval()
                with torch.no_grad():
                    logits = network(x_valid)
                accuracy = float((logits.argmax(dim=1) == y_valid).float().mean())
                cost = float(nn.functional.cross_entropy(logits, y_valid))
                trial.report(accuracy, epoch)
                if trial.should_prune():
                    raise optuna.TrialPruned
        with torch.no_grad():
            found = torch.softmax(network(inputs).double(), dim=1).numpy()
        ended.append(((accuracy, -cost), found))
        return accuracy

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=task.seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=5),
    )
    budgets = [*task.budgets]
    while budgets:
        before = [*ended]
        study.optimize(objective, n_trials=1)
        while budgets and time.perf_counter() - start > budgets[0]:
            best = [one for _, one in sorted(before, key=lambda one: one[0])[-10:]]
            for name, some in (("Optuna + PyTorch", best[-1:]), ("its ten best", best)):
                found = np.mean(some, axis=0) if some else None
                yield Answer(budgets[0], name, float(budgets[0]), found)
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
