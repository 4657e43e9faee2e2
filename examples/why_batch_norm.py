"""Why batch norm works: shifted inputs, layers that hold still, and the noise of mini-batches.

python examples/why_batch_norm.py
"""

from typing import Any, NamedTuple

import course
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes

import jaxnn

PLAIN, BATCH_NORM = 0, 1
NAMES = ("plain", "batch norm")
LOOKS = ((course.GREY, "--", "s"), (course.BLUE, "-", "o"))


class Trained(NamedTuple):
    """The same sweep, stopped after more and more epochs.

    Setting 2 i is plain, 2 i + 1 has batch norm; both have the mini-batch size `sizes[i]`.
    """

    train: jaxnn.Dataset
    valid: jaxnn.Dataset
    hidden: tuple[int, ...]
    sizes: tuple[int, ...]
    seeds: range
    studies: dict[int, jaxnn.Study]

    def networks(self, kind: int, size: int, epochs: int | None = None) -> list[jaxnn.Fitted]:
        """One network a seed, plain or with batch norm; with population statistics where it has."""
        study = self.studies[max(self.studies) if epochs is None else epochs]
        number = 2 * self.sizes.index(size) + kind
        found = [study.fitted(number, repeat) for repeat in range(len(self.seeds))]
        return [one.with_population_statistics(self.train) if kind else one for one in found]


def main(arguments: list[str] | None = None) -> int:
    lesson = course.Lesson(__doc__ or "", arguments)
    trained = train_all(lesson)
    figure, axes = course.canvas(2, 3)
    shifted_inputs(lesson, trained, axes[0, 0], axes[0, 1])
    moving_layers(lesson, trained, axes[0, 2], axes[1, 0])
    noise(lesson, trained, axes[1, 1])
    regularisation(lesson, trained, axes[1, 2])
    return lesson.end("why_batch_norm", figure)


def train_all(lesson: course.Lesson) -> Trained:
    train, valid = course.small_signs(lesson.seed, 240, 240)
    hidden, sizes = ((24,), (8, 32)) if lesson.is_quick else ((32, 16), (8, 32, 120))
    settings = [
        {"batch_norm": has, "batch_size": size, "hidden": hidden, "inputs": "centred",
         "learning_rate": 3e-3}
        for size in sizes
        for has in (False, True)
    ]  # fmt: skip
    seeds = range(lesson.seed, lesson.seed + (4 if lesson.is_quick else 8))
    marks = (1, 2, 4, 8, 16, 32)
    plan = jaxnn.plan(settings, train, seeds=len(seeds), epochs=marks[-1])
    studies = {
        epochs: jaxnn.sweep(
            settings, train, valid, epochs=epochs, seeds=len(seeds), seed=lesson.seed, plan=plan,
            progress=False,
        )
        for epochs in marks
    }  # fmt: skip
    return Trained(train, valid, hidden, sizes, seeds, studies)


def shifted_inputs(lesson: course.Lesson, trained: Trained, pictures: Axes, axes: Axes) -> None:
    course.section("Covariate shift: trained on these pictures, tested on darker ones")
    strengths = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    ways = {name: np.empty((len(strengths), len(trained.seeds))) for name in (*NAMES, "again")}
    for row, strength in enumerate(strengths):
        darker = jaxnn.Dataset((1 - strength) * trained.valid.x, trained.valid.y, 6)
        for kind, name in enumerate(NAMES):
            ways[name][row] = [one.score(darker) for one in trained.networks(kind, 32)]
        # no label is used
        again = (one.with_population_statistics(darker) for one in trained.networks(1, 32))
        ways["again"][row] = [one.score(darker) for one in again]
    for name, values in ways.items():
        half = course.spread(values[-1])
        print(f"  {name}: {course.spread(values[0])}, darker by half {half}")
    lost = {name: values[0] - values[-1] for name, values in ways.items()}
    lesson.claim(
        f"half of the light costs {course.spread(lost['plain'])} without and "
        f"{course.spread(lost['batch norm'])} with batch norm",
        lost["plain"].mean() > 0.1 and lost["batch norm"].mean() > 0.1,
    )
    lesson.claim(
        "with statistics taken again on the darker pictures, without a label, it loses "
        f"{course.spread(lost['again'])}",
        lost["again"].mean() < lost["batch norm"].mean() / 3,
    )
    first = np.hstack([*np.asarray(trained.valid.x[:3])])
    shown = np.vstack([first, 0.5 * first])
    pictures.imshow(shown, cmap="gray", vmin=0, vmax=1, aspect="auto")
    pictures.set(xticks=[], yticks=[], ylabel="held-out pictures")
    pictures.set_title("Trained on, and darker by half")
    for name, (color, style, marker) in zip(ways, (*LOOKS, (course.GREEN, "-", "^")), strict=True):
        label = "statistics taken again" if name == "again" else name
        mean, spread = ways[name].mean(axis=1), ways[name].std(axis=1)
        axes.errorbar(100 * np.array(strengths), mean, spread, color=color, linestyle=style,
                      marker=marker, label=label)  # fmt: skip
    axes.axhline(1 / 6, color="0.6", linewidth=0.8, linestyle=":")
    axes.set(ylim=(0, 1), xlabel="darker by, %", ylabel="accuracy on held-out pictures")
    axes.set_title("A shift that labels need not undo")
    course.legend_below(axes)


def second_inputs(fitted: jaxnn.Fitted, x: jax.Array) -> np.ndarray:
    """What the second layer is fed with before its activation, (units, examples)."""
    assert fitted.inputs is not None
    return np.asarray(first_layer(fitted.params[0], fitted.inputs.normalise(x)))


@jax.jit
def first_layer(params: Any, x: jax.Array) -> jax.Array:
    z = jaxnn.dense(params, x.reshape(len(x), -1).T)
    if "scale" in params:
        # of all pictures at once, so that what is seen is not the lag of running averages
        z, _ = jaxnn.batch_norm(params, jaxnn.init_batch_norm(len(z))[1], z, is_training=True)
    return z


def moving_layers(lesson: course.Lesson, trained: Trained, paths: Axes, axes: Axes) -> None:
    course.section("What the second layer is fed with, from the first epoch to the last")
    marks = sorted(trained.studies)
    # mean and deviation of each unit over the pictures: (kinds, marks, 2, seeds, units)
    seen = []
    for kind in (PLAIN, BATCH_NORM):
        layers = [
            [second_inputs(one, trained.train.x) for one in trained.networks(kind, 32, epochs)]
            for epochs in marks
        ]
        seen.append([[np.array([f(z, axis=1) for z in zs]) for f in (np.mean, np.std)]
                     for zs in layers])  # fmt: skip
    mean, deviation = np.moveaxis(np.array(seen), 2, 0)
    # in deviations of the first epoch, and as a factor
    moved = np.abs(mean - mean[:, :1]) / deviation[:, :1]
    wider = np.abs(np.log(deviation / deviation[:, :1]))
    moved, wider = moved.mean(axis=-1), wider.mean(axis=-1)
    for name, m, w in zip(NAMES, moved[:, -1], wider[:, -1], strict=True):
        print(
            f"  {name}: a unit's mean moves by {course.spread(m)} of its deviation, the "
            f"deviation by a factor of {course.spread(np.exp(w), 2)}"
        )
    lesson.claim(
        "with batch norm the deviations hold still: factor "
        f"{np.exp(wider[1, -1].mean()):.2f}, without {np.exp(wider[0, -1].mean()):.2f}",
        wider[1, -1].mean() < wider[0, -1].mean() / 2,
    )
    lesson.claim(
        f"and the means: {course.spread(moved[1, -1])} of a deviation, without "
        f"{course.spread(moved[0, -1])}",
        moved[1, -1].mean() < moved[0, -1].mean(),
    )
    for kind, (color, style, _) in enumerate(LOOKS):
        for unit in range(3):
            centre, width = mean[kind, :, 0, unit], deviation[kind, :, 0, unit]
            paths.plot(marks, centre, color=color, linestyle=style)
            paths.fill_between(marks, centre - width, centre + width, color=color, alpha=0.08)
    paths.set(xscale="log", xlabel="epoch", ylabel="z of the first layer")
    paths.set_xticks(marks, [str(mark) for mark in marks])
    paths.set_title("What layer 2 is fed with (3 units)")
    for name, (color, style, marker), m, w in zip(NAMES, LOOKS, moved, wider, strict=True):
        axes.plot(marks, np.exp(w.mean(axis=1)), color=color, linestyle=style, marker=marker,
                  label=f"{name}, deviation")  # fmt: skip
        axes.plot(marks, 1 + m.mean(axis=1), color=color, linestyle=":", marker=marker,
                  label=f"{name}, 1 + mean")  # fmt: skip
    axes.set(xscale="log", xlabel="epoch", ylabel="change")
    axes.set_xticks(marks, [str(mark) for mark in marks])
    axes.set_title("Their change since epoch 1, all units")
    course.legend_below(axes)


def noise(lesson: course.Lesson, trained: Trained, axes: Axes) -> None:
    course.section("The same picture in other company: its normalised z over random mini-batches")
    sizes, draws, most = np.array([4, 8, 16, 32, 64, 128]), 200, 128

    def normalised(params: Any, z: jax.Array, size: jax.Array, key: jax.Array) -> jax.Array:
        """The z of picture 0 in a mini-batch of `size`: the rest of 128 has no weight."""
        others = jax.random.choice(key, len(z.T) - 1, (most - 1,), replace=False) + 1
        rows = jnp.concatenate([jnp.zeros(1, int), others])
        state = jaxnn.init_batch_norm(len(z))[1]
        weights = (jnp.arange(most) < size).astype(z.dtype)
        out, _ = jaxnn.batch_norm(params, state, z[:, rows], is_training=True, weights=weights)
        return out[:, 0]

    keys = jax.random.split(jax.random.key(lesson.seed), draws)
    over = jax.jit(jax.vmap(jax.vmap(normalised, (None, None, None, 0)), (None, None, 0, None)))
    found = []
    for one in trained.networks(BATCH_NORM, 32):
        assert one.inputs is not None
        kernel = {"kernel": one.params[0]["kernel"]}
        z = first_layer(kernel, one.inputs.normalise(trained.train.x))
        z = over(one.params[0], z, sizes, keys)
        found.append(np.asarray(z).std(axis=1).mean(axis=1))
    slopes = [np.polyfit(np.log(sizes[1:]), np.log(values[1:]), 1)[0] for values in found]
    for size, values in zip(sizes, np.array(found).T, strict=True):
        print(f"  {size:3}: it moves by {course.spread(values)}")
    lesson.claim(
        f"the noise falls as 1 / sqrt(mini-batch size): exponent {course.spread(slopes, 2)}",
        -0.7 < np.mean(slopes) < -0.4,
    )
    for values, color in zip(found, course.COLORS * 2, strict=False):
        axes.plot(sizes, values, "o-", color=color, linewidth=1, markersize=4)
    # mini-batches are drawn from 240 pictures without replacement
    shape = (1 / sizes - 1 / len(trained.train)) ** 0.5
    axes.plot(sizes, np.mean(found, axis=0)[2] * shape / shape[2], "--", color="black",
              label="sqrt(1 / size - 1 / 240)")  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="mini-batch size", ylabel="deviation of z")
    axes.set_xticks(sizes, [str(size) for size in sizes], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_title("Noise: one picture among others")
    course.legend_below(axes)


def regularisation(lesson: course.Lesson, trained: Trained, axes: Axes) -> None:
    course.section("What that noise does: cost after training, population statistics")

    def cost(fitted: jaxnn.Fitted, data: jaxnn.Dataset) -> float:
        right = fitted.predict_proba(data.x)[np.arange(len(data)), np.asarray(data.y)]
        return float(-np.log(right + 1e-12).mean())

    # (kinds, sizes, train or valid, seeds)
    costs = np.array(
        [
            [
                [[cost(one, data) for one in trained.networks(kind, size)]
                 for data in (trained.train, trained.valid)]
                for size in trained.sizes
            ]
            for kind in (PLAIN, BATCH_NORM)
        ]
    )  # fmt: skip
    for kind, name in enumerate(NAMES):
        for index, size in enumerate(trained.sizes):
            fitted, held_out = costs[kind, index]
            print(
                f"  {name}, mini-batches of {size}: training {course.spread(fitted)}, held out "
                f"{course.spread(held_out)}, gap {course.spread(held_out - fitted)}"
            )
    by_heart = costs[:, 0, 0] / costs[:, 1, 0]
    lesson.claim(
        "mini-batches of 8 take four times the steps of 32, and without batch norm leave "
        f"{by_heart[0].mean():.2f} of their training cost; with it the noise holds against that: "
        f"{by_heart[1].mean():.2f}",
        by_heart[1].mean() > 3 * by_heart[0].mean(),
    )
    gaps = costs[BATCH_NORM, :, 1] - costs[BATCH_NORM, :, 0]
    print(
        "  a slight, unintended regulariser: from mini-batches of 32 to 8 its gap changes by "
        f"{course.spread(gaps[0] - gaps[1])}"
    )
    for kind, (color, style, marker) in enumerate(LOOKS):
        for part, look, label in ((0, style, "training"), (1, ":", "held out")):
            values = costs[kind, :, part]
            mean, spread = values.mean(axis=1), values.std(axis=1)
            axes.errorbar(trained.sizes, mean, spread, color=color, linestyle=look, marker=marker,
                          label=f"{NAMES[kind]}, {label}")  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="mini-batch size", ylabel="cost after training")
    axes.set_xticks(trained.sizes, [str(size) for size in trained.sizes])
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    axes.set_title("Noise hinders learning by heart")
    course.legend_below(axes)


if __name__ == "__main__":
    raise SystemExit(main())
