"""What the scripts of the course share: their arguments, claims, data and the look of pictures."""

import argparse
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import jaxnn
from jaxnn.data.signs import generated_pictures

# Okabe and Ito's colours, which colour-blind eyes tell apart
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, BLACK, GREY = "#cc79a7", "#56b4e9", "#222222", "#8a8a8a"
COLORS = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED)


class Lesson:
    """One script's run: what the user asked for, and what was claimed.

    Attributes:
      seed: of everything that is drawn.
      is_quick: a small form, for tests: fewer seeds, fewer epochs.
    """

    def __init__(self, description: str, arguments: list[str] | None = None):
        parser = argparse.ArgumentParser(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        add = parser.add_argument
        add("--seed", metavar="N", type=int, default=0, help="of everything that is drawn (0)")
        add("--out", metavar="FOLDER", type=Path, default=Path("out"), help="for pictures (out)")
        add("--quick", action="store_true", help="a small form that ends within ten seconds")
        options = parser.parse_args(arguments)
        self.seed, self.is_quick, self._out = options.seed, options.quick, options.out
        self._claims: list[bool] = []
        self._start = time.perf_counter()
        print(description.strip().splitlines()[0])

    def claim(self, text: str, holds: Any) -> None:
        """Prints a statement together with whether the numbers of this run bear it out."""
        self._claims.append(bool(holds))
        print(f"  [{'holds' if holds else 'DOES NOT HOLD'}] {text}")

    def end(self, name: str, figure: Figure) -> int:
        """Writes the picture; the exit status, 1 if a claim does not hold."""
        self._out.mkdir(parents=True, exist_ok=True)
        path = self._out / f"{name}.png"
        figure.savefig(path, dpi=110, bbox_inches="tight")
        plt.close(figure)
        held = sum(self._claims)
        seconds = time.perf_counter() - self._start
        print(f"{held} of {len(self._claims)} claims hold; {seconds:.0f} s; picture: {path}")
        return int(held < len(self._claims))


def section(title: str) -> None:
    print(f"\n{title}")


def spread(values: Any, digits: int = 3) -> str:
    """Such as "0.812 ± 0.020": the mean and the standard deviation, over seeds."""
    values = np.asarray(values, float)
    return f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"


def canvas(rows: int, columns: int, width: float = 4.2, height: float = 3.4) -> Any:
    """A figure and an array (rows, columns) of axes without frames."""
    matplotlib.use("agg")
    size = (width * columns, height * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for one in axes.flat:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def legend_below(axes: Axes, columns: int = 2) -> None:
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=columns, frameon=False, fontsize=8
    )


def small_signs(
    seed: int, num_train: int = 480, num_valid: int = 240
) -> tuple[jaxnn.Dataset, jaxnn.Dataset]:
    """Drawn pictures of hands that show 0 to 5, shrunk to 16 x 16 grey pixels."""
    x_train, y_train, x_valid, y_valid = generated_pictures(seed, num_train, num_valid)
    shrink = lambda x: x.reshape(len(x), 16, 4, 16, 4, 3).mean(axis=(2, 4, 5)) / 255
    return (
        jaxnn.Dataset(shrink(x_train), y_train, 6),
        jaxnn.Dataset(shrink(x_valid), y_valid, 6),
    )
