"""Softmax regression: straight boundaries, hidden layers that bend them, and two classes.

python examples/softmax_regression.py
"""

from typing import Any, NamedTuple

import course
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

import jaxnn

MARKERS = "osD^vP"
HIDDEN = (24, 24)


class Learned(NamedTuple):
    """Networks that were trained on the same kind of points, one a seed."""

    data: list[jaxnn.Dataset]
    fitted: list[jaxnn.Fitted]

    def accuracy(self) -> np.ndarray:
        return np.array([one.score(data) for one, data in zip(self.fitted, self.data, strict=True)])


def main(arguments: list[str] | None = None) -> int:
    lesson = course.Lesson(__doc__ or "", arguments)
    classes = (4,) if lesson.is_quick else (3, 4, 5, 6)
    by_hand(lesson)
    slope(lesson)
    two_classes(lesson)
    figure, axes = course.canvas(2, len(classes), 3.6, 3.7)
    boundaries(lesson, classes, axes)
    return lesson.end("softmax_regression", figure)


def by_hand(lesson: course.Lesson) -> None:
    course.section("The course's numbers")
    y_hat = jax.nn.softmax(jnp.array([5.0, 2.0, -1.0, 3.0]))
    print(f"  softmax of [5, 2, -1, 3]: {', '.join(f'{share:.3f}' for share in y_hat)}")
    lesson.claim(
        "it is [0.842, 0.042, 0.002, 0.114], and adds up to 1",
        np.allclose(y_hat, [0.842, 0.042, 0.002, 0.114], atol=5e-4) and abs(y_hat.sum() - 1) < 1e-6,
    )
    cost = jaxnn.softmax_cross_entropy(jnp.log(jnp.array([[0.3, 0.2, 0.1, 0.4]])), jnp.array([1]))
    lesson.claim(
        f"a cat that is given 0.2 costs -log 0.2 = {-np.log(0.2):.4f}: {float(cost[0]):.4f}",
        abs(float(cost[0]) + np.log(0.2)) < 1e-5,
    )


def slope(lesson: course.Lesson) -> None:
    course.section("dZ = y_hat - y")
    rng = np.random.default_rng(lesson.seed)
    z, labels = 5 * rng.normal(size=(800, 6)), rng.integers(6, size=800)
    cost = lambda z: jaxnn.softmax_cross_entropy(z, jnp.asarray(labels)).sum()
    dz = jax.jit(jax.grad(cost))(jnp.asarray(z, float))
    y_hat = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    gap = np.abs(dz - (y_hat - np.eye(6)[labels])).max()
    lesson.claim(
        f"jax.grad of the cost of 800 examples is y_hat - y by NumPy, to {gap:.0e}", gap < 1e-5
    )


def two_classes(lesson: course.Lesson) -> None:
    course.section("Two classes: logistic regression")
    rate, steps = 0.1, 300
    far: dict[str, list[float]] = {"prediction": [], "cost": [], "path": []}

    @jax.jit
    def logistic(w: Any, x: jax.Array, y: jax.Array) -> Any:
        """Gradient descent with twice the rate on one row of weights, from `w`."""
        descent = jaxnn.optimizer("gd", {}, 2 * rate)

        def cost(w: Any) -> jax.Array:
            return jaxnn.sigmoid_cross_entropy(jaxnn.dense(w, x.T)[0], y.astype(float)).mean()

        def step(w: Any, nothing: None) -> tuple[Any, jax.Array]:
            updates, _ = descent.update(jax.grad(cost)(w), descent.init(w))
            return jax.tree.map(jnp.add, w, updates), cost(w)

        return jax.lax.scan(step, w, None, length=steps)

    as_one_row = lambda layer: jax.tree.map(lambda rows: np.diff(rows, axis=0), layer)
    for seed in range(lesson.seed, lesson.seed + 4):
        data = blobs(seed, 2)
        setting = {"optimizer": "gd", "learning_rate": rate, "batch_size": len(data)}
        fitted = jaxnn.fit(setting, data, epochs=steps, seed=seed, progress=False)
        first, _ = fitted.model.init(jax.random.key(seed))
        w, costs = logistic(as_one_row(first[0]), data.x, data.y)
        row = as_one_row(fitted.params[0])
        far["path"] += [np.abs(w[name] - row[name]).max() for name in row]
        far["cost"].append(np.abs(costs - fitted.curves["cost"]).max())
        sigmoid = 1 / (1 + np.exp(-(row["kernel"] @ np.asarray(data.x).T + row["bias"])[0]))
        far["prediction"].append(np.abs(fitted.predict_proba(data.x)[:, 1] - sigmoid).max())
    lesson.claim(
        "softmax over two logits is the sigmoid of their difference, to "
        f"{max(far['prediction']):.0e}",
        max(far["prediction"]) < 1e-5,
    )
    lesson.claim(
        f"and learns like it: after {steps} steps W[1] - W[0] is what logistic regression with "
        f"twice the rate comes to, to {max(far['path']):.0e}, the costs on the way to "
        f"{max(far['cost']):.0e} (four data sets)",
        max(far["path"]) < 1e-3 and max(far["cost"]) < 1e-4,
    )


def blobs(seed: int, num_classes: int) -> jaxnn.Dataset:
    """A cloud of points for each class, side by side on a circle."""
    return points(seed, num_classes, turn=0.0, spread=0.35)


def arms(seed: int, num_classes: int) -> jaxnn.Dataset:
    """The arms of a spiral, one for each class."""
    return points(seed, num_classes, turn=3.0, spread=0.12)


def points(seed: int, num_classes: int, turn: float, spread: float) -> jaxnn.Dataset:
    rng = np.random.default_rng(seed)
    labels = np.arange(60 * num_classes) % num_classes
    along = rng.uniform(0.15, 1, len(labels)) if turn else np.full(len(labels), 0.7)
    angle = 2 * np.pi * labels / num_classes + turn * along
    x = 2 * along[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return jaxnn.Dataset(x + spread * rng.normal(size=x.shape), labels, num_classes)


def bend(fitted: jaxnn.Fitted, seed: int) -> float:
    """How far log-odds of two classes are from linear, on random stretches of the plane.

    The middle of a stretch against the mean of its ends, as a share of the ends' difference.
    """
    rng = np.random.default_rng(seed)
    ends = rng.uniform(-2, 2, (2, 500, 2))
    odds = []
    for x in (*ends, ends.mean(axis=0)):
        z, _ = jax.jit(fitted.model.apply)(fitted.params, fitted.state, x.astype(np.float32))
        odds.append(np.asarray(z)[:, 1:] - np.asarray(z)[:, :1])
    away = np.abs(odds[2] - (odds[0] + odds[1]) / 2)
    return float(np.median(away) / np.median(np.abs(odds[1] - odds[0])))


def boundaries(lesson: course.Lesson, classes: tuple[int, ...], axes: Any) -> None:
    course.section(f"Boundaries, four data sets for each of {', '.join(map(str, classes))} classes")
    seeds = range(lesson.seed, lesson.seed + 4)

    def learn(make: Any, num_classes: int, hidden: tuple[int, ...]) -> Learned:
        setting = {"hidden": hidden, "learning_rate": 0.02}
        data = [make(seed, num_classes) for seed in seeds]
        fitted = [
            jaxnn.fit(setting, one, epochs=150, seed=seed, progress=False)
            for seed, one in zip(seeds, data, strict=True)
        ]
        return Learned(data, fitted)

    bends: dict[tuple[int, ...], list[float]] = {(): [], HIDDEN: []}
    gains, clouds = [], []
    for column, num_classes in enumerate(classes):
        straight = learn(blobs, num_classes, ())
        straight_on_arms, bent = (learn(arms, num_classes, hidden) for hidden in ((), HIDDEN))
        for found in (straight, straight_on_arms, bent):
            hidden = found.fitted[0].setting["hidden"]
            bends[hidden] += [bend(f, seed) for f, seed in zip(found.fitted, seeds, strict=True)]
        gains.append(bent.accuracy() - straight_on_arms.accuracy())
        clouds.append(straight.accuracy())
        print(
            f"  {num_classes}: clouds {course.spread(straight.accuracy())}; arms of a spiral "
            f"{course.spread(straight_on_arms.accuracy())}, with hidden layers "
            f"{course.spread(bent.accuracy())}"
        )
        draw_regions(axes[0, column], straight, f"{num_classes} classes, hidden=()")
        draw_regions(axes[1, column], bent, f"{num_classes} classes, hidden={HIDDEN}")
    straightest, most_bent = max(bends[()]), min(bends[HIDDEN])
    lesson.claim(
        f"hidden=(): log-odds are linear, so boundaries are straight, to {straightest:.0e}; hidden "
        f"layers bend them, by {most_bent:.2f} at least",
        straightest < 1e-4 and most_bent > 0.01,
    )
    lesson.claim(
        f"straight boundaries are enough for clouds side by side: accuracy {course.spread(clouds)}",
        np.min(clouds) > 0.8,
    )
    lesson.claim(
        f"but not for the arms of a spiral: hidden layers gain {course.spread(gains)}",
        np.min(gains) > 0.1,
    )


def draw_regions(axes: Axes, learned: Learned, title: str) -> None:
    data, fitted = learned.data[0], learned.fitted[0]
    side = np.linspace(-2.6, 2.6, 200)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    seen = fitted.predict(grid).reshape(200, 200)
    colors = ListedColormap(course.COLORS[: data.num_classes])
    axes.pcolormesh(side, side, seen, cmap=colors, alpha=0.3, vmin=0, vmax=data.num_classes - 1,
                    rasterized=True)  # fmt: skip
    for label, marker in zip(range(data.num_classes), MARKERS, strict=False):
        x = np.asarray(data.x)[np.asarray(data.y) == label]
        axes.scatter(
            x[:, 0],
            x[:, 1],
            s=9,
            color=course.COLORS[label],
            marker=marker,
            edgecolors="white",
            lw=0.3,
        )
    axes.set(aspect="equal", xlim=side[[0, -1]], ylim=side[[0, -1]])
    axes.set(xlabel="x1", ylabel="x2", title=title)


if __name__ == "__main__":
    raise SystemExit(main())
