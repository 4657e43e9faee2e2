"""Batch norm: what it does to a layer, why b goes, and which learning rates it makes possible.

python examples/batch_norm.py
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from lesson import (
    BLUE,
    COLORS,
    GREY,
    ORANGE,
    Lesson,
    canvas,
    legend_below,
    mean_and_spread,
    section,
    small_signs,
)
from matplotlib.axes import Axes

import jaxnn

OPTIMIZERS = {
    "gd": (1e-3, 1e2),
    "momentum": (1e-3, 1e2),
    "rmsprop": (1e-5, 1e0),
    "adam": (1e-5, 1e0),
}
"""Name -> the range of learning rates that is tried."""
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "plain, inputs centred": {"inputs": "centred"},
    "batch norm": {"batch_norm": True},
}
LOOKS = dict(zip(VARIANTS, ((GREY, "o", ":"), (ORANGE, "s", "--"), (BLUE, "^", "-")), strict=True))
LEARNED = 0.8
"""A network has learned when it knows so much of its training pictures."""


def main(arguments: list[str] | None = None) -> int:
    lesson = Lesson(__doc__ or "", arguments)
    train, _ = small_signs(lesson.seed, 240, 6)
    figure, axes = canvas(2, 3)
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
    b = 10 * jax.random.normal(keys[4], (24,))
    moved = normalise(z, gamma, beta)
    wrong = [jnp.abs(moved.mean(axis=1) - beta), jnp.abs(moved.std(axis=1) / gamma - 1)]
    restored = normalise(z, jnp.sqrt(z.var(axis=1) + epsilon), z.mean(axis=1))
    return {
        "before": z,
        "after": normalise(z),
        "any": jnp.max(jnp.stack(wrong)),
        "back": jnp.abs(restored - z).max(),
        "b": jnp.abs(normalise(z + b[:, None]) - normalise(z)).max(),
        "slope with": jnp.abs(jax.grad(cost)(jnp.zeros(24), True)).max(),
        "slope without": jnp.abs(jax.grad(cost)(jnp.zeros(24), False)).max(),
    }


def normalised(lesson: Lesson, layers: dict[str, Any], before: Axes, after: Axes) -> None:
    section("z of the first hidden layer, 24 units, a mini-batch of 128 pictures, 8 networks")
    for name in ("before", "after"):
        means, deviations = layers[name].mean(axis=2), layers[name].std(axis=2)
        print(
            f"  {name}: means {mean_and_spread(means)}, deviations {mean_and_spread(deviations)} "
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
    lesson.claim(
        f"why b goes: one of deviation 10 changes nothing, to {layers['b'].max():.0e}",
        layers["b"].max() < 1e-3,
    )
    lesson.claim(
        f"and its gradient is 0, to {layers['slope with'].max():.0e}; without batch norm the "
        f"largest is {mean_and_spread(layers['slope without'])}",
        layers["slope with"].max() < 1e-5 and layers["slope without"].min() > 1e-2,
    )
    for axes, name in ((before, "before"), (after, "after")):
        for unit, color in zip(range(0, 24, 4), COLORS, strict=True):
            z = layers[name][0, unit]
            axes.hist(z, 16, histtype="stepfilled", color=color, alpha=0.3)
            axes.hist(z, 16, histtype="step", color=color, linewidth=1.5)
        axes.set(xlabel=f"z {name} normalising", ylabel="pictures")
    before.set_title("Six units of a layer, before")
    after.set_title("and after: mean 0, deviation 1")


def training(lesson: Lesson, train: jaxnn.Dataset, rates_axes: Axes, below: Any) -> None:
    places, seeds, epochs = (11, 2, 20) if lesson.is_quick else (21, 5, 40)
    names = ["gd", "adam"] if lesson.is_quick else list(OPTIMIZERS)
    rates = {name: np.geomspace(*OPTIMIZERS[name], places) for name in names}
    settings = [
        {"optimizer": name, "learning_rate": float(rate), "hidden": (24, 24), **variant}
        for name in names
        for variant in VARIANTS.values()
        for rate in rates[name]
    ]
    study = jaxnn.sweep(
        settings, train, train, epochs=epochs, seeds=seeds, seed=lesson.seed, progress=False
    )
    # cost and accuracy of an epoch's mini-batches, as the network met them
    shape = (len(names), len(VARIANTS), places, seeds, epochs)
    cost = np.nan_to_num(study.curves["cost"].reshape(shape), nan=np.inf)
    accuracy = np.nan_to_num(study.curves["accuracy"].reshape(shape), nan=0.0)[..., -1]
    decades = 5 * (accuracy > LEARNED).sum(axis=2) / (places - 1)
    best = np.take_along_axis(cost, cost[..., -1:].argmin(axis=2, keepdims=True), axis=2)[:, :, 0]
    section(
        f"Raw pixels, 24-24 units, {epochs} epochs, {seeds} networks at each of {places} learning "
        f"rates; learned: {LEARNED:.0%} of the training pictures"
    )
    print(
        "  (in training mode, by the statistics of each mini-batch: on raw pixels running "
        "averages lag far behind at such rates, and predictions need population statistics)"
    )
    for name, spans, costs in zip(names, decades, best[..., -1], strict=True):
        for variant, span, end in zip(VARIANTS, spans, costs, strict=True):
            print(
                f"  {name:8} {variant:21}  learns over {mean_and_spread(span, 2)} decades of "
                f"rates; cost at the best rate {mean_and_spread(end)}"
            )
    for index, variant in ((0, "raw"), (1, "centred")):
        lesson.claim(
            f"every optimizer learns over more decades of learning rates than without, {variant} "
            f"inputs: {mean_and_spread(decades[:, 2], 1)} against "
            f"{mean_and_spread(decades[:, index], 1)}",
            (decades[:, 2].mean(axis=1) > decades[:, index].mean(axis=1)).all(),
        )
    known = np.log(6) / 2
    needed = np.where(best.min(axis=-1) < known, (best < known).argmax(axis=-1) + 1, epochs)
    lesson.claim(
        "half of the first cost is reached sooner than on raw inputs without, by every optimizer: "
        f"after {mean_and_spread(needed[:, 2], 1)} epochs at the best rate, against "
        f"{mean_and_spread(needed[:, 0], 1)}",
        (needed[:, 2].mean(axis=1) < needed[:, 0].mean(axis=1)).all(),
    )
    lesson.claim(
        f"by gd also sooner than on centred inputs: {mean_and_spread(needed[0, 2], 1)} against "
        f"{mean_and_spread(needed[0, 1], 1)} (by adam {mean_and_spread(needed[-1, 2], 1)} against "
        f"{mean_and_spread(needed[-1, 1], 1)})",
        needed[0, 2].mean() < needed[0, 1].mean(),
    )
    draw_rates(rates_axes, rates["gd"], accuracy[0])
    draw_curves(below[0], best[0], "gd")
    draw_curves(below[1], best[-1], "adam")
    draw_spans(below[2], names, decades)


def draw_rates(axes: Axes, rates: np.ndarray, accuracy: np.ndarray) -> None:
    """Accuracy (variants, rates, seeds) against the learning rate."""
    for (variant, (color, marker, style)), values in zip(LOOKS.items(), accuracy, strict=True):
        axes.plot(
            rates, values.mean(axis=1), color=color, marker=marker, linestyle=style, label=variant
        )
        axes.fill_between(rates, values.min(axis=1), values.max(axis=1), color=color, alpha=0.2)
    axes.axhline(1 / 6, color="0.7", linewidth=0.8)
    axes.set(xscale="log", ylim=(0, 1.03), xlabel="learning rate", ylabel="training accuracy")
    axes.set_title("gd: rates that learn (band: all seeds)")
    legend_below(axes, 3)


def draw_curves(axes: Axes, best: np.ndarray, name: str) -> None:
    """Cost (variants, seeds, epochs) at the best learning rate."""
    epochs = np.arange(1, best.shape[2] + 1)
    for (variant, (color, _, style)), values in zip(LOOKS.items(), best, strict=True):
        axes.plot(epochs, values.T, color=color, linestyle=style, linewidth=1, alpha=0.7)
        axes.plot([], [], color=color, linestyle=style, label=variant)
    axes.set(ylim=(0, 2), xlabel="epoch", ylabel="training cost")
    axes.set_title(f"{name}, each at its best rate")
    legend_below(axes, 3)


def draw_spans(axes: Axes, names: list[str], decades: np.ndarray) -> None:
    """Decades (optimizers, variants, seeds) of learning rates that learn."""
    for index, (variant, (color, *_)) in enumerate(LOOKS.items()):
        place = np.arange(len(names)) + 0.27 * (index - 1)
        spans = decades[:, index]
        axes.bar(place, spans.mean(axis=1), 0.25, color=color, label=variant)
        axes.errorbar(place, spans.mean(axis=1), spans.std(axis=1), fmt="none", color="black")
    axes.set_xticks(range(len(names)), names)
    axes.set(ylabel="decades of rates that learn", title="Batch norm forgives the learning rate")
    legend_below(axes, 3)


if __name__ == "__main__":
    raise SystemExit(main())
