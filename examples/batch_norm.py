"""Batch norm: what it does to a layer, why b goes, and which learning rates it makes possible.

python examples/batch_norm.py
"""

from typing import Any

import course
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes

import jaxnn

OPTIMIZERS = {
    "gd": (1e-3, 1e2),
    "momentum": (1e-3, 1e2),
    "rmsprop": (1e-5, 1e0),
    "adam": (1e-5, 1e0),
}
"""Name -> the range of learning rates that is tried."""
VARIANTS: dict[str, dict[str, Any]] = {"plain": {}, "batch norm": {"batch_norm": True}}
LOOKS = dict(zip(VARIANTS, ((course.ORANGE, "s", "--"), (course.BLUE, "^", "-")), strict=True))
SIZES = (0.1, 1.0, 10.0, 100.0)
"""Deviations of a b that is added before batch norm."""
LEARNED = 0.8
"""A network has learned when it tells so much of its training pictures, used as at test time."""
HALF = np.log(6) / 2
"""Half of the cost of a network that knows nothing."""


def main(arguments: list[str] | None = None) -> int:
    lesson = course.Lesson(__doc__ or "", arguments)
    train, _ = course.small_signs(lesson.seed, 240, 6)
    figure, axes = course.canvas(2, 3)
    keys = jax.random.split(jax.random.key(lesson.seed), 8)
    layers = jax.device_get(jax.jit(jax.vmap(layer, (0, None)))(keys, train[:128]))
    normalised(lesson, layers, axes[0, 0], axes[0, 1])
    training(lesson, train, axes[0, 2], axes[1])
    return lesson.end("batch_norm", figure)


def layer(key: jax.Array, data: jaxnn.Dataset) -> dict[str, Any]:
    """What batch norm does in a first layer of 24 units, z = W x + b, on one mini-batch."""
    keys = jax.random.split(key, 5)
    state = jaxnn.init_batch_norm(24)[1]
    epsilon = 1e-5

    def normalise(z: jax.Array, gamma: Any = 1.0, beta: Any = 0.0) -> jax.Array:
        params = {"scale": jnp.broadcast_to(gamma, 24), "offset": jnp.broadcast_to(beta, 24)}
        return jaxnn.batch_norm(params, state, z, is_training=True, epsilon=epsilon)[0]

    top = jaxnn.init_dense(keys[1], 24, data.num_classes)

    def cost(b: jax.Array, has_batch_norm: bool) -> jax.Array:
        a = normalise(z + b[:, None]) if has_batch_norm else z + b[:, None]
        return jaxnn.softmax_cross_entropy(jaxnn.dense(top, jax.nn.relu(a)).T, data.y).mean()

    z = jaxnn.dense(jaxnn.init_dense(keys[0], 256, 24), data.x.reshape(len(data), -1).T)
    gamma = jax.random.uniform(keys[2], (24,), minval=0.1, maxval=5.0)
    beta = jax.random.uniform(keys[3], (24,), minval=-10.0, maxval=10.0)
    b = jax.random.normal(keys[4], (24,))
    change = lambda size: jnp.abs(normalise(z + size * b[:, None]) - normalise(z)).max()
    moved = normalise(z, gamma, beta)
    wrong = [jnp.abs(moved.mean(axis=1) - beta), jnp.abs(moved.std(axis=1) / gamma - 1)]
    restored = normalise(z, jnp.sqrt(z.var(axis=1) + epsilon), z.mean(axis=1))
    return {
        "before": z,
        "after": normalise(z),
        "any": jnp.max(jnp.stack(wrong)),
        "back": jnp.abs(restored - z).max(),
        "b": jax.vmap(change)(jnp.array(SIZES)),
        "slope with": jnp.abs(jax.grad(cost)(jnp.zeros(24), True)).max(),
        "slope without": jnp.abs(jax.grad(cost)(jnp.zeros(24), False)).max(),
    }


def normalised(lesson: course.Lesson, layers: dict[str, Any], before: Axes, after: Axes) -> None:
    course.section(
        "z of the first hidden layer, 24 units, a mini-batch of 128 pictures, 8 networks"
    )
    for name in ("before", "after"):
        means, deviations = layers[name].mean(axis=2), layers[name].std(axis=2)
        print(
            f"  {name}: means {course.spread(means)}, deviations {course.spread(deviations)} "
            f"(over units); means from {means.min():.2f} to {means.max():.2f}"
        )
    off = np.abs(layers["after"].mean(axis=2)).max()
    far = np.abs(layers["after"].var(axis=2) - 1).max()
    lesson.claim(
        f"after it every mean is 0, to {off:.0e}, and every variance 1, to {far:.0e} (the epsilon)",
        off < 1e-5 and far < 1e-2,
    )
    lesson.claim(
        f"any gamma and beta become the deviation and the mean, to {layers['any'].max():.0e}",
        layers["any"].max() < 1e-2,
    )
    lesson.claim(
        "gamma = sqrt(variance + epsilon) and beta = mean give z back, to "
        f"{layers['back'].max():.0e}",
        layers["back"].max() < 1e-4,
    )
    changes = layers["b"].max(axis=0)
    pairs = zip(SIZES, changes, strict=True)
    found = ", ".join(f"{size:g}: {change:.0e}" for size, change in pairs)
    lesson.claim(
        f"why b goes: adding one changes z by rounding only (size of b: largest change; {found})",
        (changes / SIZES).max() < 1e-4,
    )
    lesson.claim(
        f"and its gradient is 0, to {layers['slope with'].max():.0e}; without batch norm the "
        f"largest is {course.spread(layers['slope without'])}",
        layers["slope with"].max() < 1e-5 and layers["slope without"].min() > 1e-2,
    )
    for axes, name in ((before, "before"), (after, "after")):
        for unit, color in zip(range(0, 24, 4), course.COLORS, strict=True):
            z = layers[name][0, unit]
            axes.hist(z, 16, histtype="stepfilled", color=color, alpha=0.3)
            axes.hist(z, 16, histtype="step", color=color, linewidth=1.5)
        axes.set(xlabel=f"z {name} normalising", ylabel="pictures")
    before.set_title("Six units of a layer, before")
    after.set_title("and after: mean 0, deviation 1")


def training(lesson: course.Lesson, train: jaxnn.Dataset, rates_axes: Axes, below: Any) -> None:
    seeds, places, epochs = 3 if lesson.is_quick else 6, 21, 40
    names = ["gd", "adam"] if lesson.is_quick else list(OPTIMIZERS)
    rates = {name: np.geomspace(*OPTIMIZERS[name], places) for name in names}
    # On raw pixels the running averages lag behind the weights (test_time.py), and a plain network
    # suffers from the inputs' mean: centred, the two differ in batch norm alone.
    settings = [
        {"optimizer": name, "learning_rate": float(rate), "hidden": (24, 24), "inputs": "centred"}
        | variant
        for name in names
        for variant in VARIANTS.values()
        for rate in rates[name]
    ]
    study = jaxnn.sweep(
        settings, train, train, epochs=epochs, seeds=seeds, seed=lesson.seed, progress=False
    )
    # "valid": all training pictures after each epoch, by running averages, as `predict` would;
    # the curves of training are by each mini-batch's own statistics, and flatter batch norm
    shape = (len(names), len(VARIANTS), places, seeds, epochs)
    cost = np.nan_to_num(study.curves["valid_cost"].reshape(shape), nan=np.inf)
    accuracy = np.nan_to_num(study.curves["valid_accuracy"].reshape(shape), nan=0.0)[..., -1]
    learned = accuracy > LEARNED
    course.section(
        f"{epochs} epochs, 24-24 units, centred inputs, {seeds} networks at each of {places} "
        f"learning rates; learned: {LEARNED:.0%} of the training pictures, as at test time"
    )
    decades, lowest, highest = spans(learned, [rates[name] for name in names])
    for index, name in enumerate(names):
        for which, variant in enumerate(VARIANTS):
            low, high = 10 ** np.nanmean([lowest, highest], axis=3)[:, index, which]
            print(
                f"  {name:8} {variant:10} learns over {course.spread(decades[index, which], 2)} "
                f"decades of rates, {low:.1e} to {high:.1e}"
            )
    compared = ", ".join(
        f"{name} {course.spread(after, 1)} against {course.spread(before, 1)}"
        for name, (before, after) in zip(names, decades, strict=True)
    )
    lesson.claim(
        f"with batch norm every optimizer learns over more decades of rates: {compared}",
        (decades[:, 1].mean(axis=1) > decades[:, 0].mean(axis=1) + 0.1).all(),
    )
    down = lowest[:, 0] - lowest[:, 1]
    up = highest[:, 1] - highest[:, 0]
    lesson.claim(
        f"by gd the smallest rate that learns is smaller, by {course.spread(down[0], 2)} "
        f"decades; the largest moves up by less, {course.spread(up[0], 2)} decades",
        np.nanmean(down[0]) > max(0.5, np.nanmean(up[0])),
    )
    lesson.claim(
        f"by adam the largest rate that learns is larger, by {course.spread(up[-1], 2)} decades",
        np.nanmean(up[-1]) > 0,
    )
    # each network at the rate that brings it there first; a rate that never does counts as never
    is_there = cost < HALF
    needed = np.where(is_there.any(axis=-1), is_there.argmax(axis=-1) + 1.0, np.inf).min(axis=2)
    for name, (before, after) in zip(names, needed, strict=True):
        print(
            f"  {name:8} halves the first cost after {course.spread(before, 1)} epochs, with "
            f"batch norm after {course.spread(after, 1)}"
        )
    mean = needed.mean(axis=2)
    lesson.claim(
        f"gd at its best rate is there in {mean[0, 1] / mean[0, 0]:.0%} of the epochs (over "
        f"networks {course.spread(needed[0, 1] / needed[0, 0], 2)})",
        mean[0, 1] < 0.7 * mean[0, 0],
    )
    lesson.claim(
        f"adam at its best rate is not there sooner: {course.spread(needed[-1, 1], 1)} epochs "
        f"against {course.spread(needed[-1, 0], 1)} without batch norm",
        mean[-1, 1] > mean[-1, 0] - 0.5,
    )
    draw_rates(rates_axes, rates["gd"], accuracy[0])
    for axes, index in ((below[0], 0), (below[1], -1)):
        soonest = is_there.sum(axis=-1).mean(axis=-1)[index].argmax(axis=-1)
        curves = cost[index, [0, 1], soonest]
        draw_curves(axes, curves, names[index], rates[names[index]][soonest])
    draw_spans(below[2], names, lowest, highest)


def spans(learned: np.ndarray, rates: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Decades of rates that learn, and log10 of the lowest and highest, each (names, variants, K).

    A network for which no rate learns has 0 decades, and NaN as its ends.
    """
    logs = np.log10(rates)[:, None, :, None]
    step = logs[0, 0, 1, 0] - logs[0, 0, 0, 0]
    has_any = learned.any(axis=2)
    low = np.where(learned, logs, np.inf).min(axis=2)
    high = np.where(learned, logs, -np.inf).max(axis=2)
    low, high = (np.where(has_any, ends, np.nan) for ends in (low, high))
    return step * learned.sum(axis=2), low, high


def draw_rates(axes: Axes, rates: np.ndarray, accuracy: np.ndarray) -> None:
    """Accuracy (variants, rates, seeds) against the learning rate."""
    for (variant, (color, marker, style)), values in zip(LOOKS.items(), accuracy, strict=True):
        axes.plot(
            rates, values.mean(axis=1), color=color, marker=marker, linestyle=style, label=variant
        )
        axes.fill_between(rates, values.min(axis=1), values.max(axis=1), color=color, alpha=0.2)
    axes.axhline(LEARNED, color="0.7", linewidth=0.8)
    axes.set(xscale="log", ylim=(0, 1.03), xlabel="learning rate")
    axes.set_ylabel("accuracy on training set")
    axes.set_title("gd: rates that learn (band: all seeds)")
    course.legend_below(axes)


def draw_curves(axes: Axes, curves: np.ndarray, name: str, rates: np.ndarray) -> None:
    """Cost (variants, seeds, epochs) at one learning rate a variant."""
    epochs = np.arange(1, curves.shape[2] + 1)
    looks = zip(LOOKS.items(), curves, rates, strict=True)
    for (variant, (color, _, style)), values, rate in looks:
        axes.plot(epochs, values.T, color=color, linestyle=style, linewidth=1, alpha=0.7)
        axes.plot([], [], color=color, linestyle=style, label=f"{variant}, rate {rate:.2g}")
    axes.axhline(HALF, color="0.7", linewidth=0.8)
    axes.set(ylim=(0, 2), xlabel="epoch", ylabel="cost on training set")
    axes.set_title(f"{name}, each at a good rate")
    course.legend_below(axes)


def draw_spans(axes: Axes, names: list[str], lowest: np.ndarray, highest: np.ndarray) -> None:
    """From the lowest to the highest learning rate that learns, (optimizers, variants, seeds)."""
    for index, (variant, (color, *_)) in enumerate(LOOKS.items()):
        place = np.arange(len(names)) + 0.36 * (index - 0.5)
        ends = [np.nanmean(values[:, index], axis=1) for values in (lowest, highest)]
        axes.barh(place, 10 ** ends[1] - 10 ** ends[0], 0.32, left=10 ** ends[0], color=color,
                  label=variant)  # fmt: skip
        for values in (lowest[:, index], highest[:, index]):
            axes.plot(10**values, np.tile(place[:, None], values.shape[1]), "k|", markersize=6)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel="learning rates that learn (ticks: networks)")
    axes.set_title("Batch norm forgives the learning rate")
    course.legend_below(axes)


if __name__ == "__main__":
    raise SystemExit(main())
