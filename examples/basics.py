"""The course's first exercises in a framework, in JAX: each printed, and the table that maps them.

python examples/basics.py
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

import jaxnn


def squared_error(prediction: float, label: float) -> jax.Array:
    """The loss of one example, (y_hat - y)^2: a value, where TensorFlow 1 gave a graph."""
    return jnp.square(jnp.asarray(prediction) - label)


def product(a: float, b: float) -> jax.Array:
    """2 * 10: computed as it is written, no session."""
    return jnp.multiply(a, b)


def doubled(x: jax.Array) -> jax.Array:
    """A function of x takes the place of a placeholder; its argument that of the feed_dict."""
    return 2 * x


def linear_function() -> jax.Array:
    """Y = W X + b with the course's random W (4, 3), X (3, 1), b (4, 1)."""
    rng = np.random.RandomState(1)
    x, w, b = rng.randn(3, 1), rng.randn(4, 3), rng.randn(4, 1)
    return jaxnn.dense({"kernel": jnp.asarray(w), "bias": jnp.asarray(b[:, 0])}, jnp.asarray(x))


def sigmoid(z: float) -> jax.Array:
    return jax.jit(jax.nn.sigmoid)(float(z))


def sigmoid_cost() -> jax.Array:
    """Cross-entropy at logits that are sigmoids themselves, as the exercise has it."""
    logits = jax.nn.sigmoid(jnp.array([0.2, 0.4, 0.7, 0.9]))
    return jaxnn.sigmoid_cross_entropy(logits, jnp.array([0.0, 0.0, 1.0, 1.0]))


def one_hot(labels: list[int], num_classes: int) -> jax.Array:
    """One column an example, as in the course: axis 0 is the class."""
    return jax.nn.one_hot(jnp.array(labels), num_classes, axis=0)


def means() -> list[jax.Array]:
    """Over everything, down the columns, along the rows, and with the dimension kept."""
    a = jnp.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    return [a.mean(), a.mean(0), a.mean(1), a.mean(1, keepdims=True)]


EXERCISES: list[tuple[str, Callable[[], object]]] = [
    ("loss (36 - 39)^2", lambda: squared_error(36, 39)),
    ("2 * 10", lambda: product(2, 10)),
    ("2 x at x = 3", lambda: jax.jit(doubled)(3)),
    ("its derivative at x = 3", lambda: jax.grad(doubled)(3.0)),
    ("W X + b", linear_function),
    ("sigmoid(0)", lambda: sigmoid(0)),
    ("sigmoid(12)", lambda: sigmoid(12)),
    ("sigmoid cost", sigmoid_cost),
    ("one-hot of [1, 2, 3, 0, 2, 1]", lambda: one_hot([1, 2, 3, 0, 2, 1], 4).astype(int)),
    ("ones", lambda: jnp.ones(3)),
    ("zeros", lambda: jnp.zeros(3)),
    *(
        (f"mean of [[1, 2, 3], [1, 2, 3]], {name}", lambda index=index: means()[index])
        for index, name in enumerate(["all", "axis 0", "axis 1", "axis 1, dimension kept"])
    ),
]

TRANSLATIONS = [
    ("graph: tf.constant, tf.add, ...", "a Python function of arrays; jax.jit compiles it"),
    ("session: sess.run(y)", "call the function; y.block_until_ready() to time it"),
    ("placeholder", "an argument of the function"),
    ("feed_dict={x: 3}", "the value of the argument: f(3)"),
    ("Variable, initializer", "params, state = model.init(jax.random.key(seed))"),
    ("global_variables_initializer", "nothing to run: init returns the arrays"),
    ("reset_default_graph", "nothing to reset: functions keep nothing between calls"),
    ("set_random_seed", "a key is passed on: jax.random.key(seed)"),
    ("optimizer.minimize(cost)", "jax.grad(cost), then an Optax update"),
    ("tf.one_hot(..., axis=0)", "jax.nn.one_hot(..., axis=0)"),
    ("one run of many models", "jax.vmap over their parameters"),
]


def main() -> None:
    for title, exercise in EXERCISES:
        value = np.array2string(np.asarray(exercise()), precision=8, suppress_small=True)
        separator = "\n" if "\n" in value else " "
        print(f"{title}:{separator}{value}")
    width = max(len(old) for old, _ in TRANSLATIONS)
    print(f"\n{'TensorFlow 1':{width}}  ->  JAX")
    for old, new in TRANSLATIONS:
        print(f"{old:{width}}  ->  {new}")


if __name__ == "__main__":
    main()
