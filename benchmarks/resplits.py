"""How good are the networks that a search finds on the real pictures? Ten times, all shown.

    python benchmarks/resplits.py --data FOLDER     (the course's SIGNS files; 20 minutes)
    python benchmarks/resplits.py --data FOLDER --prepare none

Per round all 1,200 pictures are split anew, stratified, into 1,080 and 120. A halving looks for the
best setting of an MLP with batch norm on 864 of the 1,080, by the other 216; the best one is
trained anew on all 1,080, and so are the ten best that the last rung trained to the end, whose
probabilities are averaged. Then the 120 are looked at, once. Pictures are prepared in one of two
ways:

- shifted: averages over 4x4 pixels, so 16x16x3, and of the training pictures four more copies,
  shifted by 4 pixels up, down, left and right;
- none: as they are, 64x64x3, in the row space of the training pictures.

43 of the course's pictures are copies of others, and a copy may fall on either side of a split.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from measuring import table, table_row

import jaxnn

SPACE = {
    "hidden": jaxnn.choice([(128, 64), (256, 128)]),
    "batch_norm": True,
    "inputs": jaxnn.choice(["centred", "standardised"]),
    "dropout": jaxnn.uniform(0.0, 0.5),
    "l2": jaxnn.loguniform(1e-5, 1e-1),
    "learning_rate": jaxnn.loguniform(3e-3, 3e-1),
    "momentum": jaxnn.reverseloguniform(0.8, 0.99),
    "optimizer": "momentum",
    "decay_schedule": "exponential",
    "decay_rate": jaxnn.uniform(0.9, 0.99),
}
HEAD = ["split", "validation", "best, test", "together, test", "search, s", "refit, s"]
BLOCK = 4
SHIFTS = [(0, 0), (-BLOCK, 0), (BLOCK, 0), (0, -BLOCK), (0, BLOCK)]


def shifted(data: jaxnn.Dataset) -> jaxnn.Dataset:
    """The pictures and their shifted copies, whose edge is repeated where nothing comes in."""
    x = np.pad(data.x, ((0, 0), (BLOCK, BLOCK), (BLOCK, BLOCK), (0, 0)), mode="edge")
    height, width = data.x.shape[1:3]
    copies = [
        x[:, BLOCK + down : BLOCK + down + height, BLOCK + right : BLOCK + right + width]
        for down, right in SHIFTS
    ]
    labels = np.tile(np.asarray(data.y), len(copies))
    return jaxnn.Dataset(np.concatenate(copies), labels, num_classes=data.num_classes)


def averaged(data: jaxnn.Dataset) -> jaxnn.Dataset:
    """Pictures (N, H, W, 3) as averages over blocks of pixels."""
    x = np.asarray(data.x)
    x = x.reshape(len(x), x.shape[1] // BLOCK, BLOCK, x.shape[2] // BLOCK, BLOCK, 3)
    return jaxnn.Dataset(x.mean(axis=(2, 4)), data.y, num_classes=data.num_classes)


def one_round(pictures: jaxnn.Dataset, seed: int, is_shifted: bool) -> list[float]:
    """Validation accuracy, then test accuracy of the best alone, of all together, and seconds."""
    outside = averaged if is_shifted else lambda data: data
    training = (lambda data: averaged(shifted(data))) if is_shifted else outside
    whole, test = jaxnn.hold_out(pictures, 0.1, seed=seed)
    train, valid = jaxnn.hold_out(whole, 0.2, seed=seed)
    start = time.monotonic()
    study = jaxnn.search(
        SPACE,
        training(train),
        outside(valid),
        num_settings=64,
        min_epochs=4 if is_shifted else 5,
        max_epochs=25 if is_shifted else 60,
        factor=2.5,
        row_space=not is_shifted,
        seed=seed,
        progress=False,
    )
    found = time.monotonic()
    together = study.refit(training(whole), top=10, progress=False)
    end = time.monotonic()
    test = outside(test)
    alone = together.members[0].score(test)
    return [study.best_value, alone, together.score(test), found - start, end - found]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", metavar="FOLDER", type=Path, required=True)
    parser.add_argument("--prepare", choices=["shifted", "none"], default="shifted")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    train, test, _ = jaxnn.load_signs(options.data)
    print(table([HEAD]))
    rows = []
    for seed in range(options.rounds):
        rows.append(one_round(train + test, seed, options.prepare == "shifted"))
        show(str(seed), rows[-1])
    show("mean", np.mean(rows, axis=0))
    show("deviation", np.std(rows, axis=0, ddof=1))


def show(name: str, row: np.ndarray | list[float]) -> None:
    scores, seconds = row[:3], row[3:]
    cells = [*(f"{score:.3f}" for score in scores), *(f"{some:.0f}" for some in seconds)]
    print(table_row([name, *cells]), flush=True)


if __name__ == "__main__":
    main()
