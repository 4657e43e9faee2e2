"""Regression: quantiles as lanes, a loss of one's own, and a search on real targets.

python examples/regression.py      (extras plot and sklearn)
"""

from collections.abc import Callable
from typing import Any

import course
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from sklearn.datasets import load_diabetes

import jaxnn

NETWORK = {
    "hidden": (24, 24),
    "activation": "tanh",
    "optimizer": "adamw",
    "learning_rate": 1e-2,
    "decay_schedule": "cosine",
    "batch_size": 64,
    "inputs": "standardised",
}
QUANTILES = tuple(tenth / 10 for tenth in range(1, 10))
BETWEEN = tuple((2 * twentieth + 1) / 20 for twentieth in range(9))
"""0.05, 0.15 and so on: quantiles that the first call did not know."""


def main(arguments: list[str] | None = None) -> int:
    lesson = course.Lesson(__doc__ or "", arguments)
    figure, axes = course.canvas(2, 3)
    quantiles(lesson, axes[0, 0], axes[1, 0])
    outliers(lesson, axes[0, 1], axes[1, 1])
    search(lesson, axes[0, 2], axes[1, 2])
    return lesson.end("regression", figure)


def curve(x: Any) -> Any:
    return 30 + 10 * np.sin(1.5 * x)


def noise_at(x: Any) -> Any:
    """The deviation of the noise, which grows from left to right."""
    return 1 + 6 * (x + 3) / 6


def skewed(seed: int, count: int) -> jaxnn.Dataset:
    """A curve with noise that grows and has a long tail upwards: what is usual for costs."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-3, 3, count)
    # of a gamma distribution with mean 1.5 and deviation sqrt(1.5)
    noise = (rng.gamma(1.5, 1, count) - 1.5) / np.sqrt(1.5)
    return jaxnn.Dataset(x[:, None], curve(x) + noise_at(x) * noise)


def with_wrong_readings(seed: int, count: int) -> jaxnn.Dataset:
    """The curve with little noise, where every sixth reading is that of a broken sensor."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-3, 3, count)
    is_wrong = rng.random(count) < 1 / 6
    y = np.where(is_wrong, rng.uniform(40, 90, count), curve(x) + rng.normal(0, 1, count))
    return jaxnn.Dataset(x[:, None], y)


def compiled_by(call: Callable[[], Any]) -> tuple[Any, int]:
    """What a call returns, and how many programs JAX compiles in it."""
    found = []

    def listen(event: str, duration_secs: float, **more: Any) -> None:
        if event.endswith("backend_compile_duration"):
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    result = call()
    return result, len(found)


def mean_of(study: jaxnn.Study, number: int, x: Any) -> np.ndarray:
    """The mean of the predictions of a setting's repetitions, in the targets' own units."""
    repeats = range(study.diverged.shape[1])
    return np.mean([study.fitted(number, repeat).predict(x) for repeat in repeats], axis=0)


def quantiles(lesson: course.Lesson, bands: Axes, below: Axes) -> None:
    seeds, epochs = 3, 60 if lesson.is_quick else 120
    train, test = skewed(lesson.seed, 1500), skewed(lesson.seed + 1000, 5000)
    x, y = test.original[:, 0], test.original_y
    course.section(
        f"Nine quantiles, {seeds} networks each, 1,500 examples whose noise grows and is skewed"
    )

    def trained(values: tuple[float, ...]) -> jaxnn.Study:
        settings = [NETWORK | {"loss": "quantile", "quantile": value} for value in values]
        return jaxnn.sweep(
            settings, train, test, epochs=epochs, seeds=seeds, seed=lesson.seed, progress=False
        )

    study = trained(QUANTILES)
    programs = len(study.plan.programs)
    further, compiled = compiled_by(lambda: trained(BETWEEN))
    lesson.claim(
        f"they are {len(QUANTILES) * seeds} lanes of {programs} program, and nine further "
        f"quantiles compile {compiled}",
        programs == 1 and compiled == 0,
    )
    found, between = (
        np.array([mean_of(one, number, test.x) for number in range(9)]) for one in (study, further)
    )
    share = (y < found).mean(axis=1)
    print("  quantile                      " + "".join(f"{value:7.1f}" for value in QUANTILES))
    print("  share of test examples below  " + "".join(f"{value:7.3f}" for value in share))
    off = np.abs(share - QUANTILES).max()
    lesson.claim(
        f"of 5,000 other examples each has its share below it, to {off:.3f} at most", off < 0.04
    )
    widths = found[-1] - found[0]
    wide, narrow = widths[x > 1.5].mean(), widths[x < -1.5].mean()
    noisier = noise_at(2.25) / noise_at(-2.25)
    lesson.claim(
        f"the band from 0.1 to 0.9 is {wide / narrow:.1f} times as wide in the right quarter as in "
        f"the left one; the noise is {noisier:.1f} times as large",
        0.7 < wide / narrow / noisier < 1.4,
    )
    up, down = (found[-1] - found[4]).mean(), (found[4] - found[0]).mean()
    lesson.claim(
        f"it is skewed as the noise is: {up:.1f} from the median up, {down:.1f} down", up > down
    )
    crossed = (np.diff(found, axis=0) < 0).mean()
    print(f"  neighbours that cross, since each network knows its own quantile only: {crossed:.1%}")
    draw_bands(bands, test, found)
    draw_shares(below, share, (y < between).mean(axis=1))


def draw_bands(axes: Axes, test: jaxnn.Dataset, found: np.ndarray) -> None:
    x, y = test.original[:, 0], test.original_y
    order = np.argsort(x)
    axes.scatter(x[:700], y[:700], s=3, color=course.GREY, lw=0)
    for which in range(4):
        axes.fill_between(
            x[order], found[which, order], found[-1 - which, order],
            color=course.BLUE, alpha=0.2, lw=0,
        )  # fmt: skip
    axes.plot(x[order], found[4, order], color=course.BLUE, lw=1.8, label="median")
    axes.plot(x[order], curve(x[order]), color=course.RED, lw=1.2, ls="--", label="mean, as drawn")
    axes.fill_between([], [], color=course.BLUE, alpha=0.35, lw=0, label="0.1, 0.2, ..., 0.9")
    axes.set(xlabel="x", ylabel="y", ylim=(np.quantile(y, 0.0005), 1.12 * np.quantile(y, 0.999)))
    axes.set_title("Nine quantiles: lanes of one program")
    axes.legend(loc="upper left", frameon=False, fontsize=8, ncols=3)


def draw_shares(axes: Axes, share: np.ndarray, between: np.ndarray) -> None:
    axes.plot([0, 1], [0, 1], color=course.GREY, lw=0.8)
    axes.plot(QUANTILES, share, "o", color=course.BLUE, label="nine quantiles")
    axes.plot(
        BETWEEN, between, "o", color=course.BLUE, mfc="white", label="nine more: nothing compiles"
    )
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="quantile", ylabel="share of test examples below")
    axes.set_title("Each has its share of examples below it")


def cauchy(outputs: jax.Array, targets: jax.Array, scale: jax.Array) -> jax.Array:
    """A loss of one's own (B,): squared for errors far below the scale, nearly flat far above."""
    return scale**2 * jnp.log1p(((outputs - targets) / scale) ** 2) / 2


def outliers(lesson: course.Lesson, fits: Axes, scales: Axes) -> None:
    epochs = 60 if lesson.is_quick else 120
    data = with_wrong_readings(lesson.seed, 1500)
    train, valid = jaxnn.hold_out(data, 0.25, seed=lesson.seed)
    x = np.linspace(-3, 3, 400)[:, None]
    truth = curve(x[:, 0])
    course.section("A loss of one's own with a searched number; a sixth of all targets is wrong")
    space = NETWORK | {
        "loss": cauchy,
        "targets": "standardised",
        "scale": jaxnn.loguniform(1e-2, 1e2),
    }
    # the wrong targets are among those that validate: squared errors would tell of them alone
    study = jaxnn.search(
        space, train, valid, method="sobol", num_settings=27, max_epochs=epochs, metric="mae",
        seed=lesson.seed, progress=False,
    )  # fmt: skip
    off = lambda network: float(np.sqrt(np.mean((network.predict(x) - truth) ** 2)))
    own = np.array([off(study.fitted(number)) for number in range(len(study.settings))])
    places = np.array([setting["scale"] for setting in study.settings])
    best = study.fitted()
    named = {
        name: jaxnn.fit(NETWORK | {"loss": name}, train, valid, epochs=epochs, seed=lesson.seed)
        for name in (("squared",) if lesson.is_quick else ("squared", "absolute"))
    }
    errors = {name: off(network) for name, network in named.items()}
    print(f"  {'loss':28}rmse from the curve")
    for name, error in {**errors, f"cauchy, scale {best.setting['scale']:.3f}": off(best)}.items():
        print(f"  {name:28}{error:19.2f}")
    lesson.claim(
        f"27 scales are lanes of {len(study.plan.programs)} program; the best by validation mae is "
        f"off by {off(best):.2f}, squared error by {errors['squared']:.2f}",
        len(study.plan.programs) == 1 and off(best) < errors["squared"] / 4,
    )
    widest = own[places.argmax()]
    lesson.claim(
        f"a scale far above all errors is the squared error: off by {widest:.2f}",
        abs(widest / errors["squared"] - 1) < 0.3,
    )
    draw_fits(fits, train, x[:, 0], {"squared": named["squared"], "cauchy": best})
    draw_scales(scales, places, own, errors, best.setting["scale"])


def draw_fits(
    axes: Axes, train: jaxnn.Dataset, x: np.ndarray, networks: dict[str, jaxnn.Fitted]
) -> None:
    axes.scatter(train.original[:, 0], train.original_y, s=3, color=course.GREY, lw=0)
    looks = zip(networks.items(), ((course.ORANGE, "-"), (course.BLUE, "-")), strict=True)
    for (name, network), (color, style) in looks:
        axes.plot(x, network.predict(x[:, None]), color=color, ls=style, lw=2, label=name)
    axes.plot(x, curve(x), color=course.RED, lw=1.2, ls="--", label="as drawn")
    axes.set(xlabel="x", ylabel="y", title="A loss of one's own ignores wrong targets")
    axes.legend(loc="upper left", frameon=False, fontsize=8, ncols=3)
    axes.set_ylim(15, 102)


def draw_scales(
    axes: Axes, places: np.ndarray, own: np.ndarray, errors: dict[str, float], chosen: float
) -> None:
    order = np.argsort(places)
    axes.plot(places[order], own[order], "o-", ms=4, color=course.BLUE, label="cauchy")
    is_chosen = places == chosen
    axes.plot(places[is_chosen], own[is_chosen], "*", ms=13, color=course.BLUE, label="chosen")
    for (name, error), color in zip(errors.items(), (course.ORANGE, course.GREEN), strict=False):
        axes.axhline(error, color=color, lw=1.5, ls="--", label=name)
    axes.set(xscale="log", yscale="log", xlabel="scale, a number of the loss")
    axes.set(ylabel="rmse from the curve", title="Its number is searched like any other")
    axes.set_yticks([0.3, 1, 3], ["0.3", "1", "3"])
    axes.minorticks_off()
    axes.legend(frameon=False, fontsize=8)


LOSSES = dict(
    zip(
        ("squared", "absolute", "huber"),
        ((course.ORANGE, "s"), (course.GREEN, "^"), (course.PURPLE, "o")),
        strict=True,
    )
)


def search(lesson: course.Lesson, drawn: Axes, predicted: Axes) -> None:
    num_settings, epochs = (24, 30) if lesson.is_quick else (96, 60)
    # of the rows as scikit-learn has them, ten features of 442 patients
    train, test = jaxnn.hold_out(
        jaxnn.Dataset(*load_diabetes(return_X_y=True)), 0.25, seed=lesson.seed
    )
    course.section(f"scikit-learn's diabetes: {num_settings} settings on four folds, by rmse")
    space = {
        # each loss is a program
        "loss": jaxnn.choice(list(LOSSES)[:: 2 if lesson.is_quick else 1]),
        "learning_rate": jaxnn.loguniform(1e-4, 1e-1),
        "hidden": jaxnn.layers(depth=jaxnn.randint(1, 2), units=jaxnn.lograndint(8, 64)),
        "weight_decay": jaxnn.loguniform(1e-3, 1e1),
        "optimizer": "adamw",
        "decay_schedule": "cosine",
        "inputs": "standardised",
    }
    study = jaxnn.search(
        space, train, folds=4, method="sobol", num_settings=num_settings, max_epochs=epochs,
        seed=lesson.seed, progress=False,
    )  # fmt: skip
    study.summary(top=5)
    together = study.refit(train, top=5, seed=lesson.seed, progress=False)
    y, predictions = test.original_y, together.predict(test.x)
    own_units = np.sqrt(np.mean((predictions - y) ** 2))
    members = np.array([member.score(test) for member in together.members])
    print(
        f"  rmse on {len(test)} test patients: the best setting {members[0]:.1f}, the five best "
        f"together {own_units:.1f},\n  linear regression by least squares {linear(train, test):.1f}"
    )
    lesson.claim(
        f"`score` is the rmse of what `predict` says in the targets' own units, {own_units:.1f}",
        np.isclose(own_units, together.score(test)),
    )
    lesson.claim(
        f"the mean of five networks is no worse than they are on average, {members.mean():.1f}, as "
        "it must be",
        own_units <= members.mean(),
    )
    lesson.claim(
        f"it explains {1 - (own_units / y.std()) ** 2:.0%} of the variance of the test targets, "
        f"whose deviation is {y.std():.1f}",
        own_units < 0.9 * y.std(),
    )
    draw_search(drawn, study)
    draw_predictions(predicted, y, predictions)


def linear(train: jaxnn.Dataset, test: jaxnn.Dataset) -> float:
    """The rmse of linear regression by least squares."""
    with_one = lambda data: np.column_stack([data.original, np.ones(len(data))])
    weights = np.linalg.lstsq(with_one(train), train.original_y)[0]
    return float(np.sqrt(np.mean((with_one(test) @ weights - test.original_y) ** 2)))


def draw_search(axes: Axes, study: jaxnn.Study) -> None:
    rates = np.array([setting["learning_rate"] for setting in study.settings])
    for name, (color, marker) in LOSSES.items():
        rows = [setting["loss"] == name for setting in study.settings]
        values = np.array([trial.value for trial in study.trials])[rows]
        axes.scatter(rates[rows], values, color=color, marker=marker, s=18, lw=0, label=name)
    axes.set(xscale="log", xlabel="learning rate", ylabel="rmse, mean of four folds")
    axes.set_title("Diabetes: settings of three losses")
    course.legend_below(axes, 3)


def draw_predictions(axes: Axes, y: np.ndarray, predictions: np.ndarray) -> None:
    ends = [min(y.min(), predictions.min()), max(y.max(), predictions.max())]
    axes.plot(ends, ends, color=course.GREY, lw=0.8)
    axes.scatter(y, predictions, s=16, color=course.BLUE, alpha=0.6, lw=0)
    axes.set(xlabel="progression of the disease, test patients", ylabel="predicted by the five")
    axes.set_title("Predictions are in the targets' own units")


if __name__ == "__main__":
    raise SystemExit(main())
