"""Tuning: what to vary first, at random and not on a grid, each on its own scale, coarse to fine.

python examples/tuning.py
"""

import itertools
from typing import Any

import course
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

import jaxnn

# softmax regression by gradient descent with momentum; an l2 too small to matter
COMMON = {"optimizer": "momentum", "batch_size": 64, "l2": 1e-8}
WIDE = {
    "learning_rate": jaxnn.loguniform(1e-4, 1e4),
    "momentum": jaxnn.reverseloguniform(0.9, 0.9999),
}


def main(arguments: list[str] | None = None) -> int:
    lesson = course.Lesson(__doc__ or "", arguments)
    figure, axes = course.canvas(2, 3)
    print_tiers()
    random_against_grid(lesson, axes[0, 0], axes[0, 1])
    scale_of_the_learning_rate(lesson, axes[0, 2])
    scale_of_beta(lesson, axes[1, 0])
    steps_of_beta(lesson, axes[1, 1])
    coarse_to_fine(lesson, axes[1, 2])
    return lesson.end("tuning", figure)


def print_tiers() -> None:
    course.section("What to tune first, second, third: jaxnn.course_space(tier)")
    seen: dict[str, Any] = {}
    for tier in (1, 2, 3):
        space = jaxnn.course_space(tier)
        for name, domain in space.items():
            if domain != seen.get(name):
                is_range = hasattr(domain, "low")
                what = f"{domain.low:g} to {domain.high:g}, {domain.scale}" if is_range else domain
                print(f"  {tier}. {name}: {getattr(what, 'options', what)}")
        seen = space


def valley(seed: int, size: float) -> jaxnn.Dataset:
    """Two classes; four features of deviations from `size` to `size / 50`, as raw data often has.

    The cost is a long, narrow valley: the large features limit the learning rate, the small ones
    need a high one.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(128, 4))
    labels = x.sum(axis=1) + 0.5 * rng.normal(size=128) > 0
    return jaxnn.Dataset(size * x * np.geomspace(1, 0.02, 4), labels.astype(int))


def curves_of(
    lesson: course.Lesson, settings: list[dict[str, Any]], size: float, epochs: int
) -> np.ndarray:
    """Cost of each setting (settings, epochs) in a valley, two steps an epoch."""
    data = valley(lesson.seed, size)
    settings = [{**COMMON, **setting} for setting in settings]
    study = jaxnn.sweep(settings, data, data, epochs=epochs, seed=lesson.seed, progress=False)
    return study.curves["valid_cost"][:, 0]


def settled(curves: np.ndarray) -> np.ndarray:
    """Mean of the last ten epochs; infinite where the network diverged."""
    cost = curves[:, -10:].mean(axis=1)
    return np.where(np.isfinite(cost), cost, np.inf)


def drawn(
    lesson: course.Lesson, space: dict[str, Any], n: int, search: int
) -> list[dict[str, Any]]:
    return jaxnn.sample(space, n, seed=search + 1000 * lesson.seed, method="random")


def random_against_grid(lesson: course.Lesson, points: Axes, found: Axes) -> None:
    space = {"learning_rate": jaxnn.loguniform(1e-6, 1e0), "l2": jaxnn.loguniform(1e-10, 1e-7)}
    searches, rng = 40 if lesson.is_quick else 200, np.random.default_rng(lesson.seed)
    settings: list[dict[str, Any]] = []
    for search in range(searches):
        settings += drawn(lesson, space, 25, search)
        # a grid that nobody has moved to where the best is
        places = (np.arange(5)[:, None] + rng.random(2)) / 5
        settings += [
            {name: space[name].value(u) for name, u in zip(space, pair, strict=True)}
            for pair in itertools.product(*places.T)
        ]
    cost = settled(curves_of(lesson, settings, 100, 50)).reshape(searches, 2, 25)
    best = cost.min(axis=2)
    gain = best[:, 1] - best[:, 0]
    error = gain.std(ddof=1) / searches**0.5
    tried = [len({s["learning_rate"] for s in settings[n : n + 25]}) for n in (0, 25)]
    course.section(f"25 settings at random or on a 5 x 5 grid, {searches} searches each")
    lesson.claim(
        f"a grid tries {tried[1]} learning rates, chance {tried[0]}: the second hyperparameter, an "
        "l2 below 1e-7, does not matter, which nobody knows before",
        tried[0] > 4 * tried[1] and moved_along(cost[:, 1], 2) < moved_along(cost[:, 1], 1) / 5,
    )
    lesson.claim(
        f"chance finds more: best cost {course.spread(best[:, 0])}, on a grid "
        f"{course.spread(best[:, 1])}, lower by {gain.mean():.3f} ± {error:.3f} (standard error)",
        gain.mean() > 2 * error,
    )
    for method, color, marker, label in (
        (1, course.ORANGE, "s", "grid"),
        (0, course.BLUE, "o", "random"),
    ):
        shown = settings[25 * method : 25 * method + 25]
        x, y = ([setting[name] for setting in shown] for name in space)
        points.scatter(x, y, color=color, marker=marker, s=22, label=label)
        points.scatter(x, np.full(25, 4e-11), color=color, marker="|", s=90, clip_on=False)
        place = 1 - method + np.random.default_rng(0).uniform(-0.15, 0.15, searches)
        found.scatter(place, best[:, method], color=color, marker=marker, s=14)
        found.plot([0.75 - method, 1.25 - method], [best[:, method].mean()] * 2, color="black")
    points.set(xscale="log", yscale="log", xlabel="learning rate (marks: values tried)")
    points.set(ylabel="l2", title="25 settings: a grid tries 5 learning rates")
    course.legend_below(points)
    found.set(xticks=[0, 1], xticklabels=["grid", "random"], xlim=(-0.6, 1.6), yscale="log")
    found.yaxis.set_major_formatter("{x:g}")
    found.yaxis.set_minor_formatter("{x:g}")
    found.set(ylabel="best cost of a search", title="Chance finds better settings (line: mean)")


def moved_along(cost: np.ndarray, axis: int) -> float:
    """How far the cost (searches, 25) moves along an axis of the grid: 1 the rate, 2 the l2."""
    grid = np.minimum(cost, 3).reshape(-1, 5, 5)
    return float(np.ptp(grid.mean(axis=3 - axis), axis=1).mean())


def scale_of_the_learning_rate(lesson: course.Lesson, axes: Axes) -> None:
    searches, budget = 40 if lesson.is_quick else 200, 8
    rates = np.array(
        [
            setting["learning_rate"]
            for domain in (jaxnn.loguniform(1e-4, 1.0), jaxnn.uniform(1e-4, 1.0))
            for search in range(searches)
            for setting in drawn(lesson, {"learning_rate": domain}, budget, search)
        ]
    )
    cost = settled(curves_of(lesson, [{"learning_rate": rate} for rate in rates], 100, 50))
    best = cost.reshape(2, searches, budget).min(axis=2)
    above = (rates.reshape(2, -1) > 0.1).mean(axis=1)
    course.section(f"{budget} learning rates on the scale 10^r or evenly, {searches} searches each")
    lesson.claim(
        f"evenly {above[1]:.0%} of them lie above 0.1, on the scale 10^r {above[0]:.0%}",
        above[1] > 0.8 and above[0] < 0.35,
    )
    gain = best[1] - best[0]
    lesson.claim(
        f"the best cost on the scale 10^r is {course.spread(best[0])}, evenly "
        f"{course.spread(best[1])}",
        gain.mean() > 2 * gain.std(ddof=1) / searches**0.5,
    )
    half = 50 * budget
    looks = (
        (course.BLUE, "o", "10^r", slice(half)),
        (course.ORANGE, "s", "linear", slice(-half, None)),
    )
    for color, marker, label, rows in looks:
        axes.scatter(rates[rows], cost[rows], color=color, marker=marker, s=8, label=label)
    axes.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="cost")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title("Even draws miss the good rates")
    course.legend_below(axes)


def scale_of_beta(lesson: course.Lesson, axes: Axes) -> None:
    # a learning rate so high that only long averages hold it
    searches, budget, rate = 60 if lesson.is_quick else 200, 6, 1000.0
    settings = [
        setting
        for beta in (jaxnn.reverseloguniform(0.9, 0.999), jaxnn.uniform(0.9, 0.999))
        for search in range(searches)
        for setting in drawn(lesson, {"learning_rate": rate, "momentum": beta}, budget, search)
    ]
    best = settled(curves_of(lesson, settings, 1, 200)).reshape(2, searches, budget).min(axis=2)
    windows = 1 / (1 - np.array([setting["momentum"] for setting in settings]).reshape(2, -1))
    course.section(
        f"{budget} betas on the scale 1 - 10^r or evenly from 0.9 to 0.999, {searches} searches"
    )
    long = (windows > 100).mean(axis=1)
    lesson.claim(
        f"evenly {long[1]:.0%} of them average over more than 100 steps, on the scale 1 - 10^r "
        f"{long[0]:.0%}",
        long[1] < 0.2 and long[0] > 0.4,
    )
    gain = best[1] - best[0]
    lesson.claim(
        f"where only long averages hold a high learning rate, the best cost is "
        f"{course.spread(best[0])} on the scale 1 - 10^r, {course.spread(best[1])} evenly",
        gain.mean() > 2 * gain.std(ddof=1) / searches**0.5,
    )
    bins = np.geomspace(10, 1000, 13).tolist()
    axes.hist(windows[0], bins, color=course.BLUE, alpha=0.75, label="1 - 10^r")
    axes.hist(windows[1], bins, histtype="step", color=course.ORANGE, linewidth=2.2, label="linear")
    axes.set(xscale="log", xlabel="averaging window 1 / (1 - beta), steps", ylabel="betas drawn")
    axes.set_title("Even draws of beta leave long windows out")
    course.legend_below(axes)


def measured_window(beta: float) -> int:
    """Steps after which momentum has taken up 1 - 1/e of a gradient that stays the same."""
    descent = jaxnn.optimizer("momentum", {"momentum": beta}, 1.0)

    def step(state: Any, nothing: None) -> tuple[Any, jax.Array]:
        update, state = descent.update(jnp.ones(()), state)
        return state, -update

    _, taken_up = jax.lax.scan(step, descent.init(jnp.ones(())), None, 4000)
    return int(np.argmax(np.asarray(taken_up) > 1 - np.exp(-1))) + 1


def steps_of_beta(lesson: course.Lesson, axes: Axes) -> None:
    betas = (0.9, 0.9005, 0.999, 0.9995)
    rates = [3.0, 10.0, 30.0]
    settings = [{"learning_rate": rate, "momentum": beta} for beta in betas for rate in rates]
    curves = np.log(curves_of(lesson, settings, 1, 200)).reshape(len(betas), len(rates), -1)
    windows = [measured_window(beta) for beta in betas]
    course.section("Two steps of 0.0005 in beta")
    for beta, window in zip(betas, windows, strict=True):
        print(f"  beta {beta:g}: 1 / (1 - beta) = {1 / (1 - beta):,.0f}, measured {window:,} steps")
    lesson.claim(
        "the measured window is 1 / (1 - beta), to a tenth",
        all(
            abs(window * (1 - beta) - 1) < 0.1 for beta, window in zip(betas, windows, strict=True)
        ),
    )
    apart = [np.abs(curves[n + 1] - curves[n]).mean(axis=1) for n in (0, 2)]
    lesson.claim(
        f"from 0.9990 to 0.9995 the curves move by {course.spread(100 * apart[1], 1)} %, from "
        f"0.9000 to 0.9005 by {course.spread(100 * apart[0], 2)} % (three learning rates)",
        apart[1].min() > 20 * apart[0].max(),
    )
    looks = ((course.GREEN, "-"), (course.PURPLE, ":"), (course.BLUE, "-"), (course.ORANGE, "--"))
    for beta, curve, (color, style) in zip(betas, curves[:, 1], looks, strict=True):
        width = 3 if style == ":" else 1.8
        label = f"beta = {beta:.4f}"
        axes.plot(np.exp(curve), color=color, linestyle=style, linewidth=width, label=label)
    axes.set(ylim=(0, None), xlabel="epoch", ylabel="cost")
    axes.set_title("0.0005 more changes much near 1 only")
    course.legend_below(axes)


def coarse_to_fine(lesson: course.Lesson, axes: Axes) -> None:
    searches, rounds, budget = 8 if lesson.is_quick else 40, 3, 16
    best, typical = np.empty((searches, 2)), np.empty((searches, rounds))

    def searched(space: dict[str, Any], n: int, seed: int) -> jaxnn.Study:
        # a valley of its own for each search
        data = valley(seed // 10, 1)
        settings = jaxnn.sample(COMMON | space, n, seed=seed, method="random")
        return jaxnn.sweep(settings, data, data, epochs=100, metric="cost", progress=False)

    for search in range(searches):
        seed = 10 * (search + 1000 * lesson.seed)
        spaces, studies = [WIDE], []
        for number in range(rounds):
            studies.append(searched(spaces[-1], budget, seed + number))
            spaces.append(jaxnn.zoom(spaces[-1], studies[-1], top=0.2))
        typical[search] = [np.nanmedian(study.values) for study in studies]
        at_once = searched(WIDE, rounds * budget, seed)
        best[search] = min(study.best_value for study in studies), at_once.best_value
    course.section(
        f"Coarse to fine: {rounds} rounds of {budget} settings, each in the zoom of the one "
        f"before; {searches} searches, each in a valley of its own"
    )
    lesson.claim(
        "the median cost of a setting falls from round to round: "
        + ", ".join(course.spread(column) for column in typical.T),
        (np.diff(typical.mean(axis=0)) < 0).all(),
    )
    gain = best[:, 1] - best[:, 0]
    error = gain.std(ddof=1) / searches**0.5
    lesson.claim(
        f"the best cost, {course.spread(best[:, 0])}, is no worse than that of "
        f"{rounds * budget} settings in one round, {course.spread(best[:, 1])}: lower by "
        f"{gain.mean():.3f} ± {error:.3f} (standard error)",
        gain.mean() > -error,
    )
    looks = zip(
        studies, spaces, (course.GREY, course.SKY, course.BLUE), ("o", "^", "D"), strict=False
    )
    for number, (study, space, color, marker) in enumerate(looks, 1):
        x, y = (
            np.array([s[name] for s in study.settings]) for name in ("learning_rate", "momentum")
        )
        axes.scatter(x, 1 - y, color=color, marker=marker, s=20, label=f"round {number}")
        rate, beta = space["learning_rate"], space["momentum"]
        corner, size = (rate.low, 1 - beta.high), (rate.high - rate.low, beta.high - beta.low)
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=color, linewidth=1.5))
    axes.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="1 - beta")
    axes.invert_yaxis()
    axes.set_title("Coarse to fine: jaxnn.zoom(space, study)")
    course.legend_below(axes, 3)


if __name__ == "__main__":
    raise SystemExit(main())
