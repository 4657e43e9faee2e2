"""What does training in the row space of the data save, and what does it change?

    python benchmarks/row_space.py [--data FOLDER]     (an hour; the course's SIGNS files)
    python benchmarks/row_space.py --quick             a few minutes, to see that it runs
    python benchmarks/row_space.py --speed             one part alone, as is --accuracy

Network 12288-25-12-6, Adam, mini-batches of 32, 1,080 pictures: rotated into their row space they
have 1,080 features. Without --data the files are looked for in JAXNN_SIGNS, and without that the
pictures are drawn by the package.

Speed: microseconds a setting-step of whole calls of `jaxnn.sweep`, without what a call costs
whatever its epochs (compiling, first weights): the difference of two calls, over the epochs that
one has more. In the row space the sweep gets inputs that were rotated before, so that the rotation,
which has a line of its own, does not blur the difference. Median of five rounds, in which all
cases take turns.

Accuracy: every seed is a lane. "Learned" has a train accuracy of 0.999 or more over the last
epoch's mini-batches, "dead" a cost within 0.02 of ln C at the end. The test pictures are evaluated
on as validation set, and nothing is chosen by them.

Prints Markdown and writes results/row_space.md; a part that is not run stays there as it was.
"""

import argparse
import datetime
import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from measuring import about, results_folder, seconds, spread, table

import jaxnn
from jaxnn.data.inputs import row_space

HIDDEN = (25, 12)
SPACES = ("pixels", "row space")
LANES = {"pixels": (1, 8, 64), "row space": (1, 8, 64, 256)}
ROUNDS = 5
BATCH_SIZE = 32


class Case(NamedTuple):
    space: str
    lanes: int
    train: Callable[[int], Any]
    more: int
    """Epochs of the longer call over the shorter one's one."""

    def microseconds(self, num_steps: int) -> float:
        short, long = (seconds(partial(self.train, epochs)) for epochs in (1, 1 + self.more))
        return (long - short) / (self.more * num_steps * self.lanes) * 1e6


def case(space: str, lanes: int, data: jaxnn.Dataset, budget: float) -> Case:
    """Compiles, and finds epochs that last for about `budget` seconds."""
    rates = np.linspace(1e-4, 2e-4, lanes)
    settings = [{"hidden": HIDDEN, "learning_rate": rate} for rate in rates]
    train = lambda epochs: jaxnn.sweep(settings, data, data[:32], epochs=epochs, progress=False)
    train(1)
    more = 1
    while budget and more < 4000:
        if seconds(partial(train, 1 + more)) - seconds(partial(train, 1)) >= budget:
            break
        more *= 4
    return Case(space, lanes, train, more)


def speed(train: jaxnn.Dataset, quick: bool) -> str:
    """Seconds of the rotation, and the table of microseconds a setting-step."""
    rounds, budget = (1, 0.0) if quick else (ROUNDS, 2.0)
    rotation = row_space(train)
    assert rotation is not None
    rotating = np.median([seconds(partial(row_space, train)) for _ in range(min(rounds, 3))])
    data = {"pixels": train, "row space": rotation.project(train)}
    projecting = seconds(lambda: np.asarray(rotation.project(train).x))
    cases = [
        case(space, lanes, data[space], budget)
        for space in SPACES
        for lanes in (LANES[space][:2] if quick else LANES[space])
    ]
    num_steps = -(-len(train) // BATCH_SIZE)
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for one in cases:
            us = one.microseconds(num_steps)
            found.setdefault((one.space, one.lanes), []).append(us)
    widths = [math.prod(data[space].x.shape[1:]) for space in SPACES]
    rows = [["lanes", f"pixels, {widths[0]:,} features", f"row space, {widths[1]:,}", "saves"]]
    for lanes in sorted({one.lanes for one in cases}):
        pixels, rotated = both = [found.get((space, lanes)) for space in SPACES]
        saves = f"{np.median(np.divide(pixels, rotated)):.1f} x" if pixels and rotated else ""
        rows.append([str(lanes), *(spread(us) if us else "" for us in both), saves])
    return (
        f"Microseconds a setting-step (least to most of the rounds):\n\n{table(rows)}\n\n"
        f"Finding the row space takes {rotating:.1f} s, once for a sweep and kind of inputs, and "
        f"rotating {len(train):,} pictures {projecting:.2f} s."
    )


def settings_of_table() -> list[dict[str, Any]]:
    return [
        {"hidden": HIDDEN, "learning_rate": rate, "batch_norm": batch_norm, "inputs": inputs}
        for rate in (1e-4, 1e-3)
        for batch_norm in (False, True)
        for inputs in ("raw", "centred")
    ]


def accuracy(train: jaxnn.Dataset, test: jaxnn.Dataset, epochs: int, seeds: int) -> str:
    """The table of what training in either space comes to, all seeds."""
    settings = settings_of_table()
    found: dict[tuple[int, str], list[str]] = {}
    for space in SPACES:
        study = jaxnn.sweep(
            settings, train, test, epochs=epochs, seeds=seeds, row_space=space == "row space"
        )
        for number in range(len(settings)):
            ends = {name: curve[number, :, -1] for name, curve in study.curves.items()}
            learned = int((ends["accuracy"] >= 0.999).sum())
            dead = int((abs(ends["cost"] - math.log(train.num_classes)) < 0.02).sum())
            tests = ends["valid_accuracy"]
            median = f"{np.median(tests):.3f} ({tests.min():.3f} to {tests.max():.3f})"
            found[number, space] = [f"{learned} of {seeds}", str(dead), median]
    rows = [["rate", "batch norm", "inputs", "trained in", "learned", "dead"]]
    rows[0].append("test accuracy, median")
    for number, setting in enumerate(settings):
        has_norm = "yes" if setting["batch_norm"] else "no"
        for space in SPACES:
            cells = [f"{setting['learning_rate']:g}", has_norm, setting["inputs"], space]
            rows.append(cells + found[number, space])
    return f"{epochs} epochs, {seeds} seeds:\n\n{table(rows)}"


def machine() -> str:
    parts = about()
    versions = ", ".join(f"{name} {version}" for name, version in parts["versions"].items())
    return (
        f"{datetime.date.today()}; {parts['cpu']}, {parts['cores']} cores, {parts['device']}; "
        f"Python {parts['python']}, {versions}."
    )


def sections(path: Path) -> dict[str, str]:
    """The parts of an earlier results file by their headings."""
    text = path.read_text() if path.exists() else ""
    parts = (part.partition("\n") for part in text.split("\n## ")[1:])
    return {title: body.strip() for title, _, body in parts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="FOLDER", help="the course's SIGNS files")
    parser.add_argument("--epochs", type=int, default=300, help="of the accuracies (300)")
    parser.add_argument("--seeds", type=int, default=16, help="of the accuracies (16)")
    parser.add_argument("--quick", action="store_true", help="2 epochs, 2 seeds, few lanes")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--speed", action="store_true", help="the first part alone")
    part.add_argument("--accuracy", action="store_true", help="the second part alone")
    options = parser.parse_args()
    folder = options.data or os.environ.get("JAXNN_SIGNS")
    train, test, _ = jaxnn.load_signs(folder) if folder else jaxnn.generated_signs(0)
    epochs, seeds = (2, 2) if options.quick else (options.epochs, options.seeds)
    source = "The course's pictures" if folder else "Pictures drawn by the package"
    out = results_folder(None, options.quick)
    path = out / "row_space.md"

    parts = sections(path)
    about_run = f"{source}, {len(train):,} to train and {len(test):,} to test; {machine()}"
    print(about_run, flush=True)
    if not options.accuracy:
        parts["Speed"] = f"{speed(train, options.quick)}\n\n{about_run}"
        print(f"\n{parts['Speed']}", flush=True)
    if not options.speed:
        parts["Accuracy"] = f"{accuracy(train, test, epochs, seeds)}\n\n{about_run}"
        print(f"\n{parts['Accuracy']}", flush=True)
    question = __doc__.splitlines()[0]
    titles = [title for title in ("Speed", "Accuracy") if title in parts]
    body = "\n\n".join(f"## {title}\n\n{parts[title]}" for title in titles)
    path.write_text(f"# {question}\n\n`python benchmarks/row_space.py`, see there.\n\n{body}\n")
    print(f"\nwritten to {out}")


if __name__ == "__main__":
    main()
