"""Pandas against Caviar: one network watched and nudged, or many at once, in the same wall time.

python examples/pandas_vs_caviar.py
"""

import time
from typing import Any, NamedTuple

import course
import jax
import numpy as np
from matplotlib.axes import Axes

import jaxnn

COMMON = {"hidden": (32, 16), "inputs": "centred"}
RATES = jaxnn.loguniform(1e-5, 1e-1)
CHUNK = 8
STRETCHES = 12


class Data(NamedTuple):
    """Small sign pictures to train on, to choose by, and to test with at the very end."""

    train: jaxnn.Dataset
    valid: jaxnn.Dataset
    test: jaxnn.Dataset


def main(arguments: list[str] | None = None) -> int:
    lesson = course.Lesson(__doc__ or "", arguments)
    seeds = range(lesson.seed, lesson.seed + (4 if lesson.is_quick else 8))
    stretch, epochs = (20, 20) if lesson.is_quick else (40, 40)
    train, rest = course.small_signs(lesson.seed, 240 if lesson.is_quick else 480, 480)
    data = Data(train, rest[:240], rest[240:])
    guesses = [RATES.value(u) for u in np.random.default_rng(lesson.seed).random(len(seeds))]
    # each way compiles once, before the clock starts
    new_run(guesses[0], data, 0).train(stretch)
    one_chunk = seconds_of(lambda: swept(data, epochs, 4 * CHUNK, 0), times=3) / 4

    course.section(
        f"{len(seeds)} guesses of the learning rate; a person's rules for at most {STRETCHES} "
        f"stretches of {stretch} epochs; as much time for networks of {epochs} epochs"
    )
    runs, studies = [], []
    for seed, guess in zip(seeds, guesses, strict=True):
        start = time.perf_counter()
        # an edit that had to be compiled would raise
        with jax.no_tracing():
            runs.append(babysat(new_run(guess, data, seed), stretch))
        panda = time.perf_counter() - start
        count = max(1, round(panda / one_chunk)) * CHUNK
        start = time.perf_counter()
        studies.append(swept(data, epochs, count, seed))
        caviar = time.perf_counter() - start
        print(
            f"  guess {guess:.1e}, at last {runs[-1].setting['learning_rate']:.1e}: Panda "
            f"{panda:.2f} s; Caviar {caviar:.2f} s, {count} networks in place of one"
        )
    course.section("What came of it, choosing by validation accuracy")
    alone = jaxnn.sweep(
        [{**COMMON, "learning_rate": guess} for guess in guesses], data.train, data.valid,
        epochs=STRETCHES * stretch, seed=lesson.seed, chunk=CHUNK, progress=False,
    ).values[:, 0]  # fmt: skip
    by_hand, by_sweep = (
        np.array([study.best_value for study in ways])
        for ways in ([run.study() for run in runs], studies)
    )
    lesson.claim(
        f"watching pays: {course.spread(by_hand)}, the guesses left alone "
        f"{course.spread(np.nan_to_num(alone))}",
        by_hand.mean() > np.nan_to_num(alone).mean(),
    )
    lesson.claim(
        f"in the same time many are better than one: {course.spread(by_sweep)}",
        by_sweep.mean() > by_hand.mean(),
    )
    tested = [np.array([way.fitted().score(data.test) for way in ways]) for ways in (runs, studies)]
    print(
        f"  on test pictures, looked at now alone: {course.spread(tested[0])} by hand, "
        f"{course.spread(tested[1])} by sweep"
    )
    names = [
        {name for name in study.to_dicts()[0] if not name.startswith("params")}
        for study in (runs[0].study(), studies[0])
    ]
    lesson.claim("both leave a Study with the same columns", names[0] == names[1])

    most = int(np.argmax(by_hand - np.nan_to_num(alone)))
    print(f"\nThe journal of the guess that gained most, print(run):\n{runs[most]}")
    figure, axes = course.canvas(1, 3, 4.8, 4.2)
    runs[most].plot(axes=axes[0, 0])
    axes[0, 0].set_title("Panda: one network and its edits")
    draw_caviar(axes[0, 1], studies[most])
    draw_results(axes[0, 2], alone, by_hand, by_sweep)
    return lesson.end("pandas_vs_caviar", figure)


def new_run(rate: float, data: Data, seed: int) -> jaxnn.Run:
    setting = {**COMMON, "learning_rate": rate}
    return jaxnn.Run(setting, data.train, data.valid, seed=seed, progress=False)


def babysat(run: jaxnn.Run, stretch: int) -> jaxnn.Run:
    """What a person does who looks at the validation cost now and then; undone epochs count.

    Worse or not finite: back, and a third of the learning rate; done after three times in a row.
    Hardly better: three times as much. At the end a branch with a tenth of it is tried, and the
    better one kept.
    """
    before, in_vain = np.inf, 0
    while in_vain < 3 and run.epoch < STRETCHES * stretch:
        run.train(stretch)
        rate, after = run.setting["learning_rate"], run.curves["valid_cost"][-1]
        if not after < before:
            run.undo()
            run.set(learning_rate=rate / 3)
            in_vain += 1
        else:
            if after > 0.9 * before:
                run.set(learning_rate=rate * 3)
            before, in_vain = after, 0
    branch = run.branch()
    branch.set(learning_rate=run.setting["learning_rate"] / 10)
    ends = []
    for way in (run, branch):
        way.train(stretch)
        ends.append(np.nan_to_num(way.curves["valid_cost"][-1], nan=np.inf))
    return branch if ends[1] < ends[0] else run


def swept(data: Data, epochs: int, count: int, seed: int) -> jaxnn.Study:
    """As many networks as there is time for, of any learning rate and beta1."""
    space = {**COMMON, "learning_rate": RATES, "beta1": jaxnn.reverseloguniform(0.5, 0.99)}
    settings = jaxnn.sample(space, count, seed=seed)
    return jaxnn.sweep(
        settings, data.train, data.valid, epochs=epochs, seed=seed, chunk=CHUNK, progress=False
    )


def seconds_of(call: Any, times: int) -> float:
    """The least of some calls after a first one, which may compile."""
    call()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def draw_caviar(axes: Axes, study: jaxnn.Study) -> None:
    curves = study.curves["valid_cost"][:, 0]
    epochs = np.arange(1, curves.shape[1] + 1)
    axes.plot(epochs, curves.T, color=course.GREY, linewidth=0.8, alpha=0.6)
    axes.plot(
        epochs, curves[study.best_trial.number], color=course.BLUE, linewidth=2, label="the best"
    )
    axes.set(ylim=(0, 2.2), xlabel="epoch", ylabel="validation cost")
    axes.set_title(f"Caviar: {len(curves)} networks in the same time")
    course.legend_below(axes)


def draw_results(axes: Axes, *values: np.ndarray) -> None:
    looks = zip(values, (course.GREY, course.ORANGE, course.BLUE), ("v", "s", "o"), strict=True)
    for place, (found, color, marker) in enumerate(looks):
        found = np.nan_to_num(found)
        spread = np.linspace(-0.12, 0.12, len(found))
        axes.scatter(place + spread, found, color=color, marker=marker, s=28)
        axes.plot([place - 0.3, place + 0.3], [found.mean()] * 2, color="black")
    axes.set(ylabel="best validation accuracy", title="Every guess (line: mean)")
    axes.set_xticks([0, 1, 2], ["left alone", "Panda", "Caviar"])
    axes.set_xlim(-0.6, 2.6)


if __name__ == "__main__":
    raise SystemExit(main())
