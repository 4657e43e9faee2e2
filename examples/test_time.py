"""Batch norm at test time: one picture at a time, by running averages or the whole training set.

python examples/test_time.py
"""

from typing import Any, NamedTuple

import jax
import numpy as np
from lesson import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    Lesson,
    canvas,
    legend_below,
    mean_and_spread,
    section,
    small_signs,
)
from matplotlib.axes import Axes

import jaxnn

DECAYS = (0.9, 0.99, 0.999)
LOOKS = dict(zip(DECAYS, ((BLUE, "-"), (ORANGE, "--"), (RED, "-.")), strict=True))
SETTING = {"hidden": (24, 24), "batch_norm": True, "learning_rate": 3e-3, "inputs": "centred"}
STEPS_AN_EPOCH = 8


class Trained(NamedTuple):
    """Networks, by decay and seed, and what they know of the held-out pictures."""

    valid: jaxnn.Dataset
    fitted: dict[float, list[jaxnn.Fitted]]
    accuracy: dict[float, np.ndarray]
    """(seeds, epochs), with running averages of each decay."""
    marks: list[int]
    population: np.ndarray
    """(seeds, marks), with population statistics, after so many epochs."""


def main(arguments: list[str] | None = None) -> int:
    lesson = Lesson(__doc__ or "", arguments)
    trained = train_all(lesson)
    figure, axes = canvas(1, 4, 4.0, 3.6)
    one_at_a_time(lesson, trained, axes[0, 0])
    accuracy_over_steps(lesson, trained, axes[0, 1])
    forgetting(lesson, axes[0, 2], axes[0, 3])
    return lesson.end("test_time", figure)


def train_all(lesson: Lesson) -> Trained:
    train, valid = small_signs(lesson.seed, 32 * STEPS_AN_EPOCH, 240)
    seeds = range(lesson.seed, lesson.seed + (3 if lesson.is_quick else 8))
    marks = [1, 2, 4, 8, 16, 32, 64] if lesson.is_quick else [1, 2, 4, 8, 16, 32, 64, 128]

    def fit(seed: int, epochs: int, decay: float) -> jaxnn.Fitted:
        setting = {**SETTING, "batch_norm_decay": decay}
        return jaxnn.fit(setting, train, valid, epochs=epochs, seed=seed, progress=False)

    fitted = {decay: [fit(seed, marks[-1], decay) for seed in seeds] for decay in DECAYS}
    # the network as it was then: a number of epochs compiles nothing
    population = [
        [fit(s, e, 0.9).with_population_statistics(train).score(valid) for e in marks]
        for s in seeds
    ]
    curve = lambda one: one.curves["valid_accuracy"]
    accuracy = {decay: np.array([*map(curve, ones)]) for decay, ones in fitted.items()}
    return Trained(valid, fitted, accuracy, marks, np.array(population))


def one_at_a_time(lesson: Lesson, trained: Trained, axes: Axes) -> None:
    section("One picture at a time")
    labels, model = np.asarray(trained.valid.y), trained.fitted[0.9][0].model

    @jax.jit
    def alone(params: Any, state: Any, x: jax.Array) -> list[jax.Array]:
        """Logits of each picture by itself: with its own statistics, and with the averages."""
        one = lambda picture, is_training: model.apply(
            params, state, picture[None], is_training=is_training
        )[0][0]
        return [jax.vmap(lambda p, mode=mode: one(p, mode))(x) for mode in (True, False)]

    own, averaged, seen = [], [], []
    for fitted in trained.fitted[0.9]:
        assert fitted.inputs is not None
        x = fitted.inputs.normalise(trained.valid.x)
        by_itself, by_average = alone(fitted.params, fitted.state, x)
        at_once, _ = jax.jit(model.apply)(fitted.params, fitted.state, x)
        own.append(np.mean(np.argmax(by_itself, axis=1) == labels))
        averaged.append(np.mean(np.argmax(by_average, axis=1) == labels))
        seen.append([np.ptp(by_itself, axis=0).max(), np.abs(by_average - at_once).max()])
    gaps = np.max(seen, axis=0)
    lesson.claim(
        f"with the statistics of one picture all pictures look alike (logits differ by "
        f"{gaps[0]:.0e}): accuracy {mean_and_spread(own)}, chance is {1 / 6:.3f}",
        gaps[0] < 1e-5 and np.max(own) < 0.25,
    )
    lesson.claim(
        f"with running averages each is seen as among all others (logits differ by {gaps[1]:.0e}): "
        f"accuracy {mean_and_spread(averaged)}",
        gaps[1] < 1e-3 and np.min(averaged) > 2 * np.max(own),
    )
    names = ("its own", "running\naverages", "population")
    values = (own, averaged, trained.population[:, -1])
    for place, color in enumerate((GREY, BLUE, GREEN)):
        found = np.asarray(values[place])
        axes.bar(place, np.mean(found), 0.6, color=color)
        axes.scatter(np.full(len(found), place), found, color="black", s=10, zorder=3)
    axes.axhline(1 / 6, color="0.5", linestyle=":", linewidth=1)
    axes.text(0, 0.19, "chance", ha="center", fontsize=8, color="0.3")
    axes.set_xticks(range(3), names)
    axes.set(ylim=(0, 1), ylabel="accuracy on held-out pictures")
    axes.set_title("One picture at a time, statistics:")


def accuracy_over_steps(lesson: Lesson, trained: Trained, axes: Axes) -> None:
    section("While the weights move: accuracy with averages of each decay")
    kernels = [
        np.array([fitted.params[0]["kernel"] for fitted in ones])
        for ones in trained.fitted.values()
    ]
    lesson.claim(
        "the decay changes the averages alone: the weights are the same to the bit",
        all(np.array_equal(kernels[0], other) for other in kernels[1:]),
    )
    middle, late = slice(7, 24), slice(-20, None)
    for decay, accuracy in trained.accuracy.items():
        print(
            f"  {decay}: {mean_and_spread(accuracy[:, middle].mean(axis=1))} in epochs 8 to 24, "
            f"{mean_and_spread(accuracy[:, late].mean(axis=1))} in the last 20"
        )
    early = {decay: accuracy[:, middle].mean() for decay, accuracy in trained.accuracy.items()}
    lesson.claim(
        "up to step 200 decay 0.9 alone has forgotten its start, and is ahead of 0.99 by "
        f"{early[0.9] - early[0.99]:.3f}, of 0.999 by {early[0.9] - early[0.999]:.3f}",
        early[0.9] > max(early[0.99], early[0.999]) + 0.03,
    )
    after = trained.marks.index(16)
    gap = [trained.population[:, after] - trained.accuracy[d][:, 15] for d in (0.99, 0.9)]
    lesson.claim(
        "population statistics need no memory: after 16 epochs they are ahead of decay 0.99 by "
        f"{mean_and_spread(gap[0])} (of 0.9 by {mean_and_spread(gap[1])})",
        gap[0].mean() > 0.02,
    )
    for decay, accuracy in trained.accuracy.items():
        steps = STEPS_AN_EPOCH * np.arange(1, accuracy.shape[1] + 1)
        color, style = LOOKS[decay]
        axes.plot(steps, accuracy.mean(axis=0), color=color, linestyle=style, label=f"{decay}")
    marks = STEPS_AN_EPOCH * np.array(trained.marks)
    axes.plot(marks, trained.population.mean(axis=0), "D-", color=GREEN, label="population")
    axes.set(xscale="log", ylim=(0, 1), xlabel="step", ylabel="accuracy on held-out pictures")
    axes.set_title("A long memory starts late")
    legend_below(axes, 4)


def forgetting(lesson: Lesson, memory: Axes, noise: Axes) -> None:
    section("How many steps the averages need: batch norm fed with mini-batches of mean 100")
    batch, far, settled, num_streams = 64, 100.0, 14_000, 16

    def running_means(key: jax.Array, decay: float) -> jax.Array:
        """The running mean after each step, (steps,), from 0 towards 100."""
        params, state = jaxnn.init_batch_norm(1)

        def step(state: Any, key: jax.Array) -> tuple[Any, jax.Array]:
            z = far + jax.random.normal(key, (1, batch))
            _, state = jaxnn.batch_norm(params, state, z, is_training=True, decay=decay)
            return state, state["mean"][0]

        return jax.lax.scan(step, state, jax.random.split(key, settled + 2000))[1]

    keys = jax.random.split(jax.random.key(lesson.seed), num_streams)
    over_streams = jax.jit(jax.vmap(running_means, (0, None)))
    steps, expected, noises, predicted = [], [], [], []
    for decay in (0.5, *DECAYS):
        means = np.asarray(over_streams(keys, decay))
        steps.append((means > 0.99 * far).argmax(axis=1) + 1)
        expected.append(np.log(0.01) / np.log(decay))
        # of a mean over mini-batches of 64 numbers of deviation 1
        # the mean that it should have is known, which a short stretch's own is not
        noises.append(np.sqrt(np.mean((means[:, settled:] - far) ** 2, axis=1) * batch))
        predicted.append(((1 - decay) / (1 + decay)) ** 0.5)
        print(
            f"  {decay}: within 1 % after {mean_and_spread(steps[-1], 1)} steps, by the formula "
            f"{expected[-1]:,.1f}; then moving by {mean_and_spread(noises[-1])} of a mini-batch's"
        )
        if decay in LOOKS:
            color, style = LOOKS[decay]
            memory.plot(np.abs(means[0] - far), color=color, linestyle=style, label=f"{decay}")
            memory.plot(expected[-1], 1, "o", color=color)
    lesson.claim(
        "the first value counts less than 1 % after ln 0.01 / ln decay steps, to a tenth",
        all(abs(s[1:].mean() / e - 1) < 0.1 for s, e in zip(steps[1:], expected[1:], strict=True)),
    )
    ratio = steps[2] / steps[1]
    lesson.claim(
        f"0.99 needs {mean_and_spread(ratio, 1)} times the steps of 0.9", 9 < ratio.mean() < 12
    )
    lesson.claim(
        "what a short memory costs: its average moves by sqrt((1 - d) / (1 + d)) of a mini-batch's "
        "mean, to a fifth: " + ", ".join(mean_and_spread(found) for found in noises[:3]),
        all(abs(n.mean() / p - 1) < 0.2 for n, p in zip(noises[:3], predicted[:3], strict=True)),
    )
    memory.axhline(1, color="0.6", linewidth=0.8)
    memory.set(xscale="log", yscale="log", xlabel="step", ylabel="distance to the mean, %")
    memory.set(ylim=(1e-2, 150), title="Steps until 1 % is left (dots: formula)")
    legend_below(memory, 3)
    forgotten = 1 - np.array((0.5, *DECAYS))
    noise.plot(forgotten, predicted, color=GREY, label="sqrt((1 - d) / (1 + d))")
    noise.errorbar(forgotten, [n.mean() for n in noises], [n.std() for n in noises], fmt="o",
                   color=BLACK, label="measured")  # fmt: skip
    noise.set(xscale="log", yscale="log", xlabel="1 - decay", ylabel="of a mini-batch's noise")
    noise.invert_xaxis()
    noise.set_title("A short memory is noisy")
    legend_below(noise)


if __name__ == "__main__":
    raise SystemExit(main())
