"""Regularisation: what l2, dropout and learning-rate decay do to a network that overfits.

python examples/regularisation.py
"""

import course
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from regularisation_networks import (
    FULL,
    GOOD_RATE,
    HIGH_RATE,
    QUICK,
    Measured,
    schedules,
    train_all,
)
from scipy.special import stdtrit

import jaxnn

COLORS = {"l2": course.BLUE, "dropout": course.ORANGE, "decay": course.GREEN}
MARKERS = {"l2": "o", "dropout": "s", "decay": "^"}


def main(arguments: list[str] | None = None) -> int:
    lesson = course.Lesson(__doc__ or "", arguments)
    measured = train_all(lesson, QUICK if lesson.is_quick else FULL)
    figure, axes = course.canvas(2, 3)
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


def print_table(measured: Measured, rows: list[int], labels: list[str]) -> None:
    columns = ["train cost", "valid cost", "gap", "train accuracy", "valid accuracy", "kernels"]
    print(f"  {'':13}" + "".join(f"{name:>16}" for name in columns))
    for row, label in zip(rows, labels, strict=True):
        cells = {name: measured.values[name][row] for name in columns}
        texts = (course.spread(v, 0 if n == "kernels" else 3) for n, v in cells.items())
        print(f"  {label:13}" + "".join(f"{text:>16}" for text in texts))


def l2(lesson: course.Lesson, measured: Measured) -> None:
    rows, values = measured.rows["l2"], measured.form.l2
    kernels, gap, cost = (measured.values[name][rows] for name in ("kernels", "gap", "valid cost"))
    course.section(f"l2 (kernels: their sum of squares; {gap.shape[1]} networks in each row)")
    print_table(measured, rows, [f"l2 {value:g}" for value in values])
    lesson.claim(
        f"each step of l2 shrinks the kernels, from {course.spread(kernels[0], 0)} to "
        f"{course.spread(kernels[-1], 1)}",
        (np.diff(kernels.mean(axis=1)) < 0).all(),
    )
    at = values.index(1e-2)
    lesson.claim(
        f"l2 0.01 narrows the gap between training and validation cost in every network: "
        f"{course.spread(gap[0])} without, {course.spread(gap[at])} with",
        (gap[at] < gap[0]).all(),
    )
    best = int(cost.mean(axis=1).argmin())
    lesson.claim(
        f"too little overfits, too much underfits: validation cost {course.spread(cost[0])} at "
        f"0, {course.spread(cost[best])} at {values[best]:g}, {course.spread(cost[-1])} at "
        f"{values[-1]:g}",
        0 < best < len(rows) - 1,
    )


def dropout(lesson: course.Lesson, measured: Measured) -> None:
    rows = measured.rows["dropout"]
    course.section("Dropout of hidden units")
    print_table(measured, rows, [f"dropout {value:g}" for value in measured.form.dropout])
    gap, kernels = measured.values["gap"][rows], measured.values["kernels"]
    shown = measured.curves["accuracy"][rows[-1], :, -1]
    true = measured.values["train accuracy"][rows[-1]]
    lesson.claim(
        f"dropout 0.5 narrows the gap in every network: {course.spread(gap[0])} without, "
        f"{course.spread(gap[-1])} with",
        (gap[-1] < gap[0]).all(),
    )
    lesson.claim(
        f"the training accuracy that its curve shows, {course.spread(shown)}, is too low: units "
        f"are dropped in it; with all of them the network has {course.spread(true)}",
        (shown < true).all(),
    )
    at = measured.rows["l2"][measured.form.l2.index(1e-2)]
    left = [course.spread(kernels[row] / kernels[0], 2) for row in (rows[-1], at)]
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


def decay(lesson: course.Lesson, measured: Measured) -> None:
    rows, names = measured.rows["high"], list(schedules(1))
    course.section(f"Learning-rate decay from {HIGH_RATE:g}, which is too high to settle")
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
        f"and ends at a lower validation cost, by {course.spread(gain)} (mean of the four)",
        gain.mean() > 0,
    )
    best = rows[1:][int(cost[rows[1:]].mean(axis=1).argmin())]
    lesson.claim(
        f"it repairs a rate that is too high, it does not replace the search for a good one: "
        f"{GOOD_RATE:g} all the time ends at {course.spread(cost[0])}, the best schedule from "
        f"{HIGH_RATE:g} at {course.spread(cost[best])}",
        cost[0].mean() < cost[best].mean(),
    )


def half_width(gains: np.ndarray) -> float:
    """Of the 95 % interval of a mean over data sets, by Student's t."""
    return float(stdtrit(len(gains) - 1, 0.975) * gains.std(ddof=1) / len(gains) ** 0.5)


def verdict(gains: np.ndarray, unit: str = "") -> str:
    width = half_width(gains)
    text = f"{gains.mean():+.3f} ± {width:.3f}{unit}"
    return text if abs(gains.mean()) > width else f"{text}, cannot be told from 0"


def worth(lesson: course.Lesson, measured: Measured) -> dict[str, np.ndarray]:
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
    course.section(
        f"What each is worth, from {GOOD_RATE:g}, its value chosen by validation: other pictures, "
        f"{num_data} data sets, 95 % intervals"
    )
    texts = [course.spread(row) for row in none]
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
    course.legend_below(axes)


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
    course.legend_below(axes)


SCHEDULE_LOOKS = {
    "none": (course.GREY, "-"),
    "inverse": (course.BLUE, "-"),
    "exponential": (course.ORANGE, "--"),
    "inverse_sqrt": (course.PURPLE, "-."),
    "staircase": (course.GREEN, "-"),
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
    course.legend_below(axes, 3)


def draw_curves(measured: Measured, axes: Axes) -> None:
    epochs = np.arange(measured.form.epochs)
    looks = zip(measured.rows["high"], SCHEDULE_LOOKS.values(), strict=True)
    for row, (color, style) in looks:
        axes.plot(epochs, measured.curves["cost"][row, 0], color=color, linestyle=style, lw=1.6)
    good = measured.curves["cost"][0, 0]
    axes.plot(epochs, good, color=course.BLACK, linestyle=":", label=f"{GOOD_RATE:g} all the time")
    axes.set(yscale="log", xlabel="epoch", ylabel="training cost of one network")
    axes.set_title(f"From {HIGH_RATE:g}: with decay it comes to rest")
    course.legend_below(axes, 3)


def draw_worth(gains: dict[str, np.ndarray], axes: Axes) -> None:
    for name, (cost, accuracy) in gains.items():
        color, marker = COLORS[name], MARKERS[name]
        points = 100 * accuracy
        axes.scatter(cost, points, color=color, marker=marker, s=16, alpha=0.5, lw=0)
        axes.errorbar(
            cost.mean(), points.mean(), half_width(points), half_width(cost),
            color=color, marker=marker, markersize=9, capsize=3, label=name,
        )  # fmt: skip
    axes.axhline(0, color=course.RED, lw=0.8)
    axes.axvline(0, color=course.RED, lw=0.8)
    axes.set(xlabel="change of test cost (left: better)")
    axes.set_ylabel("change of accuracy, points (up: better)")
    axes.set_title("Worth: cost more than accuracy")
    course.legend_below(axes, 3)


if __name__ == "__main__":
    raise SystemExit(main())
