"""Batch norm at test time: one picture at a time, by running averages or the whole training set.

python examples/test_time.py
"""

from typing import Any, NamedTuple

import course
import jax
import numpy as np
from matplotlib.axes import Axes

import jaxnn

DECAYS = (0.9, 0.99, 0.999)
LOOKS = dict(
    zip(DECAYS, ((course.BLUE, "-"), (course.ORANGE, "--"), (course.RED, "-.")), strict=True)
)
SETTING = {"hidden": (24, 24), "batch_norm": True, "learning_rate": 3e-3}
INPUTS = ("centred", "raw")
STEPS_AN_EPOCH = 8


class Trained(NamedTuple):
    """Networks of one way to treat inputs, and what they know of the held-out pictures."""

    train: jaxnn.Dataset
    valid: jaxnn.Dataset
    fitted: dict[float, list[jaxnn.Fitted]]
    """By decay, one a seed."""
    accuracy: dict[float, np.ndarray]
    """(seeds, epochs), with running averages of each decay."""
    marks: list[int]
    population: np.ndarray
    """(seeds, marks), with population statistics, after so many epochs."""


def main(arguments: list[str] | None = None) -> int:
    lesson = course.Lesson(__doc__ or "", arguments)
    trained, raw = (train_all(lesson, inputs) for inputs in INPUTS)
    figure, axes = course.canvas(1, 4, 4.0, 3.6)
    one_at_a_time(lesson, trained, axes[0, 0])
    accuracy_over_steps(lesson, trained, axes[0, 1])
    raw_pixels(lesson, trained, raw, axes[0, 1])
    forgetting(lesson, axes[0, 2], axes[0, 3])
    return lesson.end("test_time", figure)


def train_all(lesson: course.Lesson, inputs: str) -> Trained:
    train, valid = course.small_signs(lesson.seed, 32 * STEPS_AN_EPOCH, 240)
    seeds = 6 if lesson.is_quick else 8
    marks = [1, 2, 4, 8, 16, 32, 64] if lesson.is_quick else [1, 2, 4, 8, 16, 32, 64, 128]
    settings = [{**SETTING, "inputs": inputs, "batch_norm_decay": decay} for decay in DECAYS]
    population = []
    # the networks as they were then: a number of epochs compiles nothing
    for epochs in marks:
        study = jaxnn.sweep(
            settings, train, valid, epochs=epochs, seeds=seeds, seed=lesson.seed, progress=False
        )
        ones = [study.fitted(0, k).with_population_statistics(train) for k in range(seeds)]
        population.append([one.score(valid) for one in ones])
    fitted = {
        decay: [study.fitted(number, k) for k in range(seeds)]
        for number, decay in enumerate(DECAYS)
    }
    accuracy = dict(zip(DECAYS, study.curves["valid_accuracy"], strict=True))
    return Trained(train, valid, fitted, accuracy, marks, np.array(population).T)


def one_at_a_time(lesson: course.Lesson, trained: Trained, axes: Axes) -> None:
    course.section("One picture at a time")
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
        f"{gaps[0]:.0e}): accuracy {course.spread(own)}, chance is {1 / 6:.3f}",
        gaps[0] < 1e-5 and np.max(own) < 0.25,
    )
    lesson.claim(
        f"with running averages each is seen as among all others (logits differ by {gaps[1]:.0e}): "
        f"accuracy {course.spread(averaged)}",
        gaps[1] < 1e-3 and np.min(averaged) > 2 * np.max(own),
    )
    names = ("its own", "running\naverages", "population")
    values = (own, averaged, trained.population[:, -1])
    for place, color in enumerate((course.GREY, course.BLUE, course.GREEN)):
        found = np.asarray(values[place])
        axes.bar(place, np.mean(found), 0.6, color=color)
        axes.scatter(np.full(len(found), place), found, color="black", s=10, zorder=3)
    axes.axhline(1 / 6, color="0.5", linestyle=":", linewidth=1)
    axes.text(0, 0.19, "chance", ha="center", fontsize=8, color="0.3")
    axes.set_xticks(range(3), names)
    axes.set(ylim=(0, 1), ylabel="accuracy on held-out pictures")
    axes.set_title("One picture at a time, statistics:")


def accuracy_over_steps(lesson: course.Lesson, trained: Trained, axes: Axes) -> None:
    course.section("While the weights move: accuracy with averages of each decay")
    weights = [
        [np.asarray(leaf) for leaf in jax.tree.leaves([fitted.params for fitted in ones])]
        for ones in trained.fitted.values()
    ]
    lesson.claim(
        f"the decay changes the averages alone: all {sum(leaf.size for leaf in weights[0]):,} "
        "parameters of the networks are the same to the bit",
        all(map(np.array_equal, weights[0] * 2, weights[1] + weights[2])),
    )
    middle, late = slice(7, 24), slice(-20, None)
    for decay, accuracy in trained.accuracy.items():
        print(
            f"  {decay}: {course.spread(accuracy[:, middle].mean(axis=1))} in epochs 8 to 24, "
            f"{course.spread(accuracy[:, late].mean(axis=1))} in the last 20"
        )
    early = {decay: curve[:, middle].mean(axis=1) for decay, curve in trained.accuracy.items()}
    ahead = [early[0.9] - early[decay] for decay in (0.99, 0.999)]
    lesson.claim(
        "up to step 200 only decay 0.9 has had time to forget its start: it is ahead of 0.99 by "
        f"{course.spread(ahead[0])}, of 0.999 by {course.spread(ahead[1])}",
        min(gap.mean() for gap in ahead) > 0.03,
    )
    gaps = [behind(trained, decay, 8, 32).mean(axis=1) for decay in (0.99, 0.9)]
    lesson.claim(
        "population statistics need no memory: after 8, 16 and 32 epochs they are ahead of decay "
        f"0.99 by {course.spread(gaps[0])} (of 0.9 by {course.spread(gaps[1])})",
        gaps[0].mean() > 0.03,
    )
    # the same weights: what differs is due to the averages
    jumps = [np.diff(trained.accuracy[d][:, late], axis=1).std(axis=1) for d in (0.9, 0.99)]
    lesson.claim(
        "0.9 averages less, which does not show in accuracy: in the last 20 epochs it moves from "
        f"one to the next by {course.spread(jumps[0])} with 0.9, by {course.spread(jumps[1])} "
        "with 0.99",
        0.6 < jumps[0].mean() / jumps[1].mean() < 1.6,
    )
    for decay, accuracy in trained.accuracy.items():
        steps = STEPS_AN_EPOCH * np.arange(1, accuracy.shape[1] + 1)
        color, style = LOOKS[decay]
        axes.plot(steps, accuracy.mean(axis=0), color=color, linestyle=style, label=f"{decay}")
    marks = STEPS_AN_EPOCH * np.array(trained.marks)
    axes.plot(marks, trained.population.mean(axis=0), "D-", color=course.GREEN, label="population")
    axes.set(xscale="log", ylim=(0, 1), xlabel="step", ylabel="accuracy on held-out pictures")
    axes.set_title("A long memory starts late")


def behind(trained: Trained, decay: float, first: int, last: int) -> np.ndarray:
    """How far running averages are behind population statistics, (seeds, marks)."""
    chosen = [place for place, mark in enumerate(trained.marks) if first <= mark <= last]
    epochs = np.array(trained.marks)[chosen] - 1
    return trained.population[:, chosen] - trained.accuracy[decay][:, epochs]


def lag(trained: Trained) -> np.ndarray:
    """Largest distance of a running mean from the population's, in deviations, first layer."""
    distances = []
    for fitted in trained.fitted[0.9]:
        running, whole = fitted.state[0], fitted.with_population_statistics(trained.train).state[0]
        distance = np.abs(running["mean"] - whole["mean"]) / np.sqrt(whole["variance"])
        distances.append(float(distance.max()))
    return np.array(distances)


def raw_pixels(lesson: course.Lesson, centred: Trained, raw: Trained, axes: Axes) -> None:
    course.section(
        "On raw pixels, whose mean is far from 0: each step of the weights moves the mean of z"
    )
    lags = [lag(raw), lag(centred)]
    lesson.claim(
        f"averages of decay 0.9 lag behind by {course.spread(lags[0], 1)} deviations of a unit "
        f"(largest of 24), on centred inputs by {course.spread(lags[1], 2)}",
        lags[0].mean() > 5 * lags[1].mean(),
    )
    gaps = [behind(one, 0.9, 8, 128).mean(axis=1) for one in (raw, centred)]
    lesson.claim(
        f"there population statistics are ahead of decay 0.9 by {course.spread(gaps[0])} from "
        f"epoch 8 on; on centred inputs by {course.spread(gaps[1])}",
        gaps[0].mean() > 0.1 and abs(gaps[1].mean()) < 0.03,
    )
    accuracy = raw.accuracy[0.9].mean(axis=0)
    steps = STEPS_AN_EPOCH * np.arange(1, len(accuracy) + 1)
    axes.plot(steps, accuracy, ":", color=course.GREY, linewidth=1, label="0.9, raw pixels")
    course.legend_below(axes, 3)


def forgetting(lesson: course.Lesson, memory: Axes, noise: Axes) -> None:
    course.section("How many steps the averages need: batch norm fed with mini-batches of mean 100")
    batch, far, num_streams = 16, 100.0, 64
    # the longest memory takes most of the time: the small form leaves it out
    decays = (0.5, *(DECAYS[:2] if lesson.is_quick else DECAYS))
    settled = 1500 if lesson.is_quick else 14_000

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
    for decay in decays:
        means = np.asarray(over_streams(keys, decay))
        steps.append((means > 0.99 * far).argmax(axis=1) + 1)
        expected.append(np.log(0.01) / np.log(decay))
        # of a mean over mini-batches of 16 numbers of deviation 1
        # the mean that it should have is known, which a short stretch's own is not
        noises.append(np.sqrt(np.mean((means[:, settled:] - far) ** 2, axis=1) * batch))
        predicted.append(((1 - decay) / (1 + decay)) ** 0.5)
        print(
            f"  {decay}: within 1 % after {course.spread(steps[-1], 1)} steps, by the formula "
            f"{expected[-1]:,.1f}; then moving by {course.spread(noises[-1])} of a mini-batch's"
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
        f"0.99 needs {course.spread(ratio, 1)} times the steps of 0.9", 9 < ratio.mean() < 12
    )
    lesson.claim(
        "what a short memory costs: its average moves by sqrt((1 - d) / (1 + d)) of a mini-batch's "
        "mean, to a fifth: " + ", ".join(course.spread(found) for found in noises[:3]),
        all(
            abs(np.sqrt(np.mean(found**2)) / formula - 1) < 0.2
            for found, formula in zip(noises[:3], predicted[:3], strict=True)
        ),
    )
    memory.axhline(1, color="0.6", linewidth=0.8)
    memory.set(xscale="log", yscale="log", xlabel="step", ylabel="distance to the mean, %")
    memory.set(ylim=(1e-2, 150), title="Steps until 1 % is left (dots: formula)")
    course.legend_below(memory, 3)
    forgotten = 1 - np.array(decays)
    noise.plot(forgotten, predicted, color=course.GREY, label="sqrt((1 - d) / (1 + d))")
    noise.errorbar(forgotten, [n.mean() for n in noises], [n.std() for n in noises], fmt="o",
                   color=course.BLACK, label="measured")  # fmt: skip
    noise.set(xscale="log", yscale="log", xlabel="1 - decay", ylabel="of a mini-batch's noise")
    noise.invert_xaxis()
    noise.set_title("A short memory is noisy")
    course.legend_below(noise)


if __name__ == "__main__":
    raise SystemExit(main())
