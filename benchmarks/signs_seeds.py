"""How much of a lottery is the course's network? Every seed, none picked.

    python benchmarks/signs_seeds.py --data FOLDER     (the course's SIGNS files; half an hour)

Trains 12288-25-12-6 with Adam, learning rate 1e-4, mini-batches of 32, for 1,500 epochs with the
seeds 0 to 7: as the course has it, with the training mean subtracted from the inputs, and with
batch norm. Then the course's own setting with gradient descent, and a larger network with batch
norm. Prints Markdown tables; results/signs_seeds.md keeps them.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import jaxnn

COURSE = {"hidden": (25, 12), "learning_rate": 1e-4}
VARIANTS = {
    "plain": COURSE,
    "centred inputs": {**COURSE, "inputs": "centred"},
    "batch norm": {**COURSE, "batch_norm": True},
}


def verdict(train_accuracy: float, cost: float, num_classes: int) -> str:
    """Whether the cost stayed at ln C ("dead") or training stopped halfway ("stuck")."""
    if not cost <= np.log(num_classes) - 0.05:  # NaN too
        return "dead"
    return "stuck" if train_accuracy < 0.99 else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="FOLDER", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    train, test, classes = jaxnn.load_signs(options.data)

    def row(name: str, setting: dict, epochs: int, seed: int) -> tuple[float, float]:
        start = time.monotonic()
        fitted = jaxnn.fit(setting, train, epochs=epochs, seed=seed)
        seconds = time.monotonic() - start
        cost, scores = fitted.curves["cost"][-1], (fitted.score(train), fitted.score(test))
        remark = verdict(scores[0], cost, len(classes))
        print(
            f"| {name} | {seed} | {cost:.4f} | {scores[0]:.3f} | {scores[1]:.3f} | {remark} "
            f"| {seconds:.0f} |",
            flush=True,
        )
        return scores

    print("| network | seed | cost | train | test | | seconds |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, setting in VARIANTS.items():
        scores = [row(name, setting, options.epochs, seed) for seed in range(options.seeds)]
        means = np.mean(scores, axis=0)
        print(f"| {name} | mean | | {means[0]:.3f} | {means[1]:.3f} | | |")
    row("gradient descent", {**COURSE, "optimizer": "gd"}, options.epochs, 1)
    wide = {"hidden": (128, 64), "batch_norm": True}
    scores = [row("128-64, batch norm, 60 epochs", wide, 60, seed) for seed in range(5)]
    print(f"| 128-64, batch norm, 60 epochs | mean | | | {np.mean(scores, 0)[1]:.3f} | | |")

    print("\n128-64, batch norm, 60 epochs, test: running averages, population statistics")
    for seed in range(min(options.seeds, 5)):
        fitted = jaxnn.fit(wide, train, epochs=min(options.epochs, 60), seed=seed)
        population = fitted.with_population_statistics(train)
        print(f"seed {seed}: {fitted.score(test):.3f} {population.score(test):.3f}", flush=True)

    epochs = min(options.epochs, 200)
    print("\ncentred inputs, test accuracy on the way, all seeds")
    curves = [
        jaxnn.fit(VARIANTS["centred inputs"], train, test, epochs=epochs, seed=seed).curves
        for seed in range(options.seeds)
    ]
    for epoch in (20, 40, 60, 100, 200):
        accuracies = [curve["valid_accuracy"][epoch - 1] for curve in curves if epoch <= epochs]
        if accuracies:
            print(f"epoch {epoch}: {np.round(accuracies, 3)} mean {np.mean(accuracies):.3f}")


if __name__ == "__main__":
    main()
