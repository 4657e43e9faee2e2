"""Regularisation: what l2, dropout and learning-rate decay do to a network that overfits.

python examples/regularisation.py
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from lesson import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    Lesson,
    canvas,
    legend_below,
    mean_and_spread,
    section,
    small_signs,
)
from matplotlib.axes import Axes
from scipy.special import stdtrit

import jaxnn

BASE = {"optimizer": "adam", "inputs": "centred", "batch_size": 16}
GOOD_RATE, HIGH_RATE = 3e-3, 0.05
COLORS = {"l2": BLUE, "dropout": ORANGE, "decay": GREEN}
MARKERS = {"l2": "o", "dropout": "s", "decay": "^"}


class Form(NamedTuple):
    """How much is trained, and the values of l2 and dropout."""

    hidden: tuple[int, ...]
    epochs: int
    num_data: int
    num_train: int
    num_valid: int
    l2: tuple[float, ...]
    dropout: tuple[float, ...]


FULL = Form(
    *((64, 32), 40, 6, 480, 240),
    l2=(0, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1),
    dropout=(0, 0.1, 0.2, 0.3, 0.4, 0.5),
)
QUICK = Form((64, 32), 25, 2, 160, 128, l2=(0, 1e-3, 1e-2, 3e-2, 1e-1), dropout=(0, 0.25, 0.5))


class Measured(NamedTuple):
    """What came of each setting; arrays are (settings, networks), the networks by data set.

    `values` are those of the trained networks with dropout off, `curves` have an epoch axis more.
    `rows` has the numbers of the settings: of "l2" and "dropout" by value; of "decay" and, from
    the high learning rate, "high" by schedule. The first of each but "high" is the base.
    """

    form: Form
    rows: dict[str, list[int]]
    values: dict[str, np.ndarray]
    curves: dict[str, np.ndarray]

    def by_data(self, name: str, rows: list[int]) -> np.ndarray:
        """Means (rows, data sets)."""
        return self.values[name][rows].reshape(len(rows), self.form.num_data, -1).mean(axis=2)


def main(arguments: list[str] | None = None) -> int:
    lesson = Lesson(__doc__ or "", arguments)
    measured = train_all(lesson, QUICK if lesson.is_quick else FULL)
    figure, axes = canvas(2, 3)
    l2(lesson, measured)
    dropout(lesson, measured)
    decay(lesson, measured)
    gains = worth(lesson, measured)
    draw_costs(measured, "l2", axes[0, 0])
    draw_costs(measured, "dropout", axes[0, 1])
    draw_weights(measured, axes[0, 2])
    draw_rates(measured, axes[1, 0])
    draw_curves(measured, axes[1, 1])
    draw_worth(gains, axes[1, 2])
    return lesson.end("regularisation", figure)


def schedules(epochs: int) -> dict[str, dict[str, float]]:
    """The five: all but "none" end at about a sixteenth of the first learning rate."""
    return {
        "none": {},
        "inverse": {"decay_rate": 1.0, "decay_every": epochs / 15},
        "exponential": {"decay_rate": 0.5, "decay_every": epochs / 4},
        "inverse_sqrt": {"decay_rate": 1.0, "decay_every": epochs / 255},
        "staircase": {"decay_rate": 0.5, "decay_every": epochs / 5},
    }


def train_all(lesson: Lesson, form: Form) -> Measured:
    """Every setting on several sets of pictures, from the same two seeds on each."""
    base = BASE | {"hidden": form.hidden, "learning_rate": GOOD_RATE}
    settings: list[dict[str, Any]] = [base]
    rows: dict[str, list[int]] = {"l2": [0], "dropout": [0], "decay": [0], "high": []}

    def add(family: str, setting: dict[str, Any]) -> None:
        rows[family].append(len(settings))
        settings.append(base | setting)

    for value in form.l2[1:]:
        add("l2", {"l2": value})
    for value in form.dropout[1:]:
        add("dropout", {"dropout": value})
    for name, numbers in schedules(form.epochs).items():
        schedule = {"decay_schedule": name, **numbers}
        add("high", schedule | {"learning_rate": HIGH_RATE})
        if name != "none":
            add("decay", schedule)
    values, curves = [], []
    for number in range(form.num_data):
        seed = 1000 * lesson.seed + number
        train, held_out = small_signs(seed, form.num_train, 2 * form.num_valid)
        valid, test = held_out[: form.num_valid], held_out[form.num_valid :]
        study = jaxnn.sweep(
            settings, train, valid, epochs=form.epochs, seeds=2, seed=seed, progress=False
        )
        values.append(measure(study, {"train": train, "valid": valid, "test": test}))
        curves.append(study.curves)
    join = lambda dicts: {name: np.concatenate([d[name] for d in dicts], 1) for name in dicts[0]}
    return Measured(form, rows, join(values), join(curves))


def measure(study: jaxnn.Study, parts: dict[str, jaxnn.Dataset]) -> dict[str, np.ndarray]:
    """Cost, accuracy and gap with dropout off, and the sum of squared kernels, of all networks."""
    evaluate = jax.jit(jaxnn.evaluate, static_argnums=0)
    values: dict[str, np.ndarray] = {}
    for place in np.ndindex(study.diverged.shape):
        fitted = study.fitted(*place)
        found = {"kernels": 2 * jaxnn.l2_penalty(fitted.params)}
        for part, data in parts.items():
            data = data.normalised(fitted.inputs)
            results = evaluate(fitted.model, fitted.params, fitted.state, data)
            found |= {f"{part} {name}": value for name, value in results.items()}
        found["gap"] = found["valid cost"] - found["train cost"]
        for name, value in found.items():
            values.setdefault(name, np.empty(study.diverged.shape))[place] = value
    return values


def print_table(measured: Measured, rows: list[int], labels: list[str]) -> None:
    columns = ["train cost", "valid cost", "gap", "train accuracy", "valid accuracy", "kernels"]
    print(f"  {'':13}" + "".join(f"{name:>16}" for name in columns))
    for row, label in zip(rows, labels, strict=True):
        cells = {name: measured.values[name][row] for name in columns}
        texts = (mean_and_spread(v, 0 if n == "kernels" else 3) for n, v in cells.items())
        print(f"  {label:13}" + "".join(f"{text:>16}" for text in texts))


def l2(lesson: Lesson, measured: Measured) -> None:
    rows, values = measured.rows["l2"], measured.form.l2
    kernels, gap, cost = (measured.values[name][rows] for name in ("kernels", "gap", "valid cost"))
    section(f"l2 (kernels: their sum of squares; {gap.shape[1]} networks in each row)")
    print_table(measured, rows, [f"l2 {value:g}" for value in values])
    lesson.claim(
        f"each step of l2 shrinks the kernels, from {mean_and_spread(kernels[0], 0)} to "
        f"{mean_and_spread(kernels[-1], 1)}",
        (np.diff(kernels.mean(axis=1)) < 0).all(),
    )
    at = values.index(1e-2)
    lesson.claim(
        f"l2 0.01 narrows the gap between training and validation cost in every network: "
        f"{mean_and_spread(gap[0])} without, {mean_and_spread(gap[at])} with",
        (gap[at] < gap[0]).all(),
    )
    best = int(cost.mean(axis=1).argmin())
    lesson.claim(
        f"too little overfits, too much underfits: validation cost {mean_and_spread(cost[0])} at "
        f"0, {mean_and_spread(cost[best])} at {values[best]:g}, {mean_and_spread(cost[-1])} at "
        f"{values[-1]:g}",
        0 < best < len(rows) - 1,
    )


def dropout(lesson: Lesson, measured: Measured) -> None:
    rows = measured.rows["dropout"]
    section("Dropout of hidden units")
    print_table(measured, rows, [f"dropout {value:g}" for value in measured.form.dropout])
    gap, kernels = measured.values["gap"][rows], measured.values["kernels"]
    shown = measured.curves["accuracy"][rows[-1], :, -1]
    true = measured.values["train accuracy"][rows[-1]]
    lesson.claim(
        f"dropout 0.5 narrows the gap in every network: {mean_and_spread(gap[0])} without, "
        f"{mean_and_spread(gap[-1])} with",
        (gap[-1] < gap[0]).all(),
    )
    lesson.claim(
        f"the training accuracy that its curve shows, {mean_and_spread(shown)}, is too low: units "
        f"are dropped in it; with all of them the network has {mean_and_spread(true)}",
        (shown < true).all(),
    )
    at = measured.rows["l2"][measured.form.l2.index(1e-2)]
    left = [mean_and_spread(kernels[row] / kernels[0], 2) for row in (rows[-1], at)]
    lesson.claim(
        f"it does so in another way than l2, with large weights: {left[0]} of the kernels' sum of "
        f"squares is left, with l2 0.01 {left[1]}",
        kernels[rows[-1]].min() > kernels[at].max(),
    )


def fluctuation(curves: np.ndarray) -> np.ndarray:
    """How far the costs of the last eight epochs lie from the straight line through them."""
    tail, time = curves[..., -8:], np.arange(8) - 3.5
    tail = tail - tail.mean(axis=-1, keepdims=True)
    slope = (tail * time).sum(axis=-1, keepdims=True) / (time**2).sum()
    return (tail - slope * time).std(axis=-1)


def decay(lesson: Lesson, measured: Measured) -> None:
    rows, names = measured.rows["high"], list(schedules(1))
    section(f"Learning-rate decay from {HIGH_RATE:g}, which is too high to settle")
    print_table(measured, rows, names)
    moves = np.median(fluctuation(measured.curves["cost"][rows]), axis=1)
    print("  in the last eight epochs the training cost moves by (median)")
    print("    " + ", ".join(f"{m:.5f} ({n})" for n, m in zip(names, moves, strict=True)))
    lesson.claim(
        f"with decay the cost comes to rest: it moves {moves[0] / moves[1:].max():.0f} to "
        f"{moves[0] / moves[1:].min():.0f} times less",
        moves[0] > 3 * moves[1:].max(),
    )
    cost = measured.values["valid cost"]
    gain = (cost[rows[0]] - cost[rows[1:]]).mean(axis=0)
    lesson.claim(
        f"and ends at a lower validation cost, by {mean_and_spread(gain)} (mean of the four)",
        gain.mean() > 0,
    )
    best = rows[1:][int(cost[rows[1:]].mean(axis=1).argmin())]
    lesson.claim(
        f"it repairs a rate that is too high, it does not replace the search for a good one: "
        f"{GOOD_RATE:g} all the time ends at {mean_and_spread(cost[0])}, the best schedule from "
        f"{HIGH_RATE:g} at {mean_and_spread(cost[best])}",
        cost[0].mean() < cost[best].mean(),
    )


def half_width(gains: np.ndarray) -> float:
    """Of the 95 % interval of a mean over data sets, by Student's t."""
    return float(stdtrit(len(gains) - 1, 0.975) * gains.std(ddof=1) / len(gains) ** 0.5)


def verdict(gains: np.ndarray, unit: str = "") -> str:
    width = half_width(gains)
    text = f"{gains.mean():+.3f} ± {width:.3f}{unit}"
    return text if abs(gains.mean()) > width else f"{text}, cannot be told from 0"


def worth(lesson: Lesson, measured: Measured) -> dict[str, np.ndarray]:
    """Changes (2, data sets) of test cost and accuracy by each family against none of them.

    In each data set the value of a family is the one with the least validation cost; the test
    pictures played no part in that.
    """
    num_data = measured.form.num_data
    tests = {}
    for family in COLORS:
        rows = measured.rows[family][1:]
        chosen = measured.by_data("valid cost", rows).argmin(axis=0)
        tests[family] = np.array(
            [
                measured.by_data(f"test {name}", rows)[chosen, np.arange(num_data)]
                for name in ("cost", "accuracy")
            ]
        )
    none = np.array([measured.by_data(f"test {name}", [0])[0] for name in ("cost", "accuracy")])
    section(
        f"What each is worth, from {GOOD_RATE:g}, its value chosen by validation: other pictures, "
        f"{num_data} data sets, 95 % intervals"
    )
    texts = [mean_and_spread(row) for row in none]
    print(f"  none: cost {texts[0]}, accuracy {texts[1]}")
    gains = {family: test - none for family, test in tests.items()}
    pairs = [("dropout", "l2"), ("decay", "l2"), ("decay", "dropout")]
    between = {f"{a} against {b}": tests[a] - tests[b] for a, b in pairs}
    for family, (cost, accuracy) in (gains | between).items():
        print(f"  {family}: cost {verdict(cost)}; accuracy {verdict(accuracy)}")
    lesson.claim(
        "l2 and dropout lower the test cost, each in every data set",
        max(gains["l2"][0].max(), gains["dropout"][0].max()) < 0,
    )
    fall = {name: 1 - tests[name].mean(axis=1)[0] / none.mean(axis=1)[0] for name in tests}
    fewer = {name: gains[name][1].mean() / (1 - none[1].mean()) for name in tests}
    lesson.claim(
        "they mend the confidence more than the decisions: "
        + ", ".join(
            f"with {name} the cost falls by {fall[name]:.0%}, the errors by {fewer[name]:.0%}"
            for name in ("l2", "dropout")
        ),
        all(fall[name] > fewer[name] for name in ("l2", "dropout")),
    )
    return gains


def draw_costs(measured: Measured, name: str, axes: Axes) -> None:
    values = np.array(getattr(measured.form, name))
    x = np.where(values > 0, values, 3e-5) if name == "l2" else values
    for part, style, fill in (("train", "--", "white"), ("valid", "-", COLORS[name])):
        cost = measured.values[f"{part} cost"][measured.rows[name]]
        mean, spread = cost.mean(axis=1), cost.std(axis=1, ddof=1)
        label = {"train": "training", "valid": "validation"}[part]
        axes.plot(x, mean, style, color=COLORS[name], marker=MARKERS[name], mfc=fill, label=label)
        axes.fill_between(x, mean - spread, mean + spread, color=COLORS[name], alpha=0.15, lw=0)
    axes.set(ylim=(0, 1.9), xlabel=f"{name} (share of units)", ylabel="cost after training")
    axes.set_title("Dropout narrows the gap, too")
    if name == "l2":
        axes.set(xscale="log", xlabel="l2", title="l2: from overfitting to underfitting")
        axes.set_xticks([3e-5, *10.0 ** np.arange(-4, 0)])
        axes.set_xticklabels(["0", *(f"$10^{{{n}}}$" for n in range(-4, 0))])
        axes.minorticks_off()
    legend_below(axes)


def draw_weights(measured: Measured, axes: Axes) -> None:
    for name in ("l2", "dropout"):
        rows = measured.rows[name]
        kernels, gap = (measured.values[key][rows].mean(axis=1) for key in ("kernels", "gap"))
        x, y = 100 * kernels / kernels[0], 100 * gap / gap[0]
        axes.plot(x, y, color=COLORS[name], marker=MARKERS[name], label=name)
        for place, value in enumerate(getattr(measured.form, name)):
            if place and (name == "l2" or value in (0.25, 0.5)):
                axes.annotate(
                    *(f"{value:g}", (x[place], y[place])),
                    xytext=(6, -10), textcoords="offset points", fontsize=8, color=COLORS[name],
                )  # fmt: skip
    axes.set(xlim=(0, None), ylim=(0, None), xlabel="sum of squared kernels, % of that without")
    axes.set(ylabel="gap in cost, % of that without", title="l2 shrinks the weights for it")
    legend_below(axes)


SCHEDULE_LOOKS = {
    "none": (GREY, "-"),
    "inverse": (BLUE, "-"),
    "exponential": (ORANGE, "--"),
    "inverse_sqrt": (PURPLE, "-."),
    "staircase": (GREEN, "-"),
}


def draw_rates(measured: Measured, axes: Axes) -> None:
    epochs = jnp.arange(measured.form.epochs)
    for name, numbers in schedules(len(epochs)).items():
        color, style = SCHEDULE_LOOKS[name]
        given = {"learning_rate": HIGH_RATE, "decay_rate": 1.0, "decay_every": 1.0, **numbers}
        rates = jaxnn.decayed_learning_rate(name, given, epochs) * np.ones(len(epochs))
        drawstyle = "steps-post" if name == "staircase" else "default"
        axes.plot(
            epochs, rates, color=color, linestyle=style, drawstyle=drawstyle, label=name, lw=1.8
        )
    axes.set(yscale="log", xlabel="epoch", ylabel="learning rate")
    axes.set_title("Five schedules of the learning rate")
    legend_below(axes, 3)


def draw_curves(measured: Measured, axes: Axes) -> None:
    epochs = np.arange(measured.form.epochs)
    looks = zip(measured.rows["high"], SCHEDULE_LOOKS.values(), strict=True)
    for row, (color, style) in looks:
        axes.plot(epochs, measured.curves["cost"][row, 0], color=color, linestyle=style, lw=1.6)
    good = measured.curves["cost"][0, 0]
    axes.plot(epochs, good, color=BLACK, linestyle=":", label=f"{GOOD_RATE:g} all the time")
    axes.set(yscale="log", xlabel="epoch", ylabel="training cost of one network")
    axes.set_title(f"From {HIGH_RATE:g}: with decay it comes to rest")
    legend_below(axes, 3)


def draw_worth(gains: dict[str, np.ndarray], axes: Axes) -> None:
    for name, (cost, accuracy) in gains.items():
        color, marker = COLORS[name], MARKERS[name]
        points = 100 * accuracy
        axes.scatter(cost, points, color=color, marker=marker, s=16, alpha=0.5, lw=0)
        axes.errorbar(
            cost.mean(), points.mean(), half_width(points), half_width(cost),
            color=color, marker=marker, markersize=9, capsize=3, label=name,
        )  # fmt: skip
    axes.axhline(0, color=RED, lw=0.8)
    axes.axvline(0, color=RED, lw=0.8)
    axes.set(xlabel="change of test cost (left: better)")
    axes.set_ylabel("change of accuracy, points (up: better)")
    axes.set_title("Worth: cost more than accuracy")
    legend_below(axes, 3)


if __name__ == "__main__":
    raise SystemExit(main())
