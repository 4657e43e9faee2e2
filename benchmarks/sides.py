"""How networks are trained with other libraries, and in JAX by hand: what ours is timed against.

PyTorch has a file of its own, `torch_sides.py`.

Each function takes a problem and settings, builds everything, and returns a function that trains
for a number of epochs and waits for the end. All have the data in memory in float32, shuffle it
anew for every epoch, take the last, smaller mini-batch as a step, and use the threads that their
library chooses, or its GPU.
"""

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from measuring import is_installed
from problems import Problem

import jaxnn

Setting = dict[str, Any]
Train = Callable[[int], Any]
"""Trains for a number of epochs and waits for the end."""
Build = Callable[[Problem, list[Setting]], Train]

DEFAULTS: Setting = {
    "activation": "relu",
    "batch_norm": False,
    "batch_size": 32,
    "l2": 0.0,
    "momentum": 0.9,
    "optimizer": "adam",
}


class Side(NamedTuple):
    """A way to train, as a table of results names it."""

    name: str
    needs: str
    """The module that it imports."""
    build: Build
    is_grouped: bool = False
    """It trains settings of equal structure together, and otherwise one by one."""
    compiles: bool = False
    """It compiles each structure."""


def installed(sides: Iterable[Side]) -> list[Side]:
    """The sides that can run here; it prints which ones cannot."""
    found = []
    for side in sides:
        if is_installed(side.needs):
            found.append(side)
        else:
            print(f"{side.name}: left out, {side.needs} is not installed")
    return found


def only(settings: list[Setting]) -> Setting:
    """The setting of a side that trains one by one, with all it needs."""
    (setting,) = settings
    return DEFAULTS | setting


def jaxnn_sweep(problem: Problem, settings: list[Setting], **options: Any) -> Train:
    return lambda epochs: jaxnn.sweep(settings, *problem, epochs=epochs, progress=False, **options)


def jaxnn_fit(problem: Problem, settings: list[Setting]) -> Train:
    (setting,) = settings
    return lambda epochs: jaxnn.fit(setting, *problem, epochs=epochs, progress=False)


def jax_vmap(problem: Problem, settings: list[Setting]) -> Train:
    """Relu networks and Adam as most JAX code has them, under `jax.vmap`."""
    first = DEFAULTS | settings[0]
    init = functools.partial(_init_plain, problem.pairs(first["hidden"]))
    rates = jnp.array([setting["learning_rate"] for setting in settings])
    return _lanes(problem, first["batch_size"], init, _plain_step, rates)


def jitted_step(problem: Problem, settings: list[Setting]) -> Train:
    """The same step of one network, called from a loop in Python."""
    full = only(settings)
    x, y = map(jnp.asarray, problem.arrays())
    rate, size = full["learning_rate"], full["batch_size"]
    state = _init_plain(problem.pairs(full["hidden"]), jax.random.key(0), rate)
    step = jax.jit(
        lambda state, rows, x, y: _plain_step(state, rate, x[rows], y[rows]), donate_argnums=0
    )
    rng = np.random.default_rng(0)

    def train(epochs: int) -> None:
        nonlocal state
        for _ in range(epochs):
            order = rng.permutation(len(x))
            for start in range(0, len(x), size):
                state = step(state, order[start : start + size], x, y)
        jax.block_until_ready(state)

    return train


def _init_plain(pairs: list[tuple[int, int]], key: jax.Array, rate: Any) -> Any:
    """Weights (in, out), and Adam's moments."""
    params = [
        (jax.random.normal(jax.random.fold_in(key, i), (n, m)) * (2 / n) ** 0.5, jnp.zeros(m))
        for i, (n, m) in enumerate(pairs)
    ]
    return params, optax.adam(rate).init(params)


def _plain_step(state: Any, rate: Any, x: jax.Array, y: jax.Array) -> Any:
    params, opt_state = state

    def cost(params: Any) -> jax.Array:
        a = x
        for w, b in params[:-1]:
            a = jax.nn.relu(a @ w + b)
        w, b = params[-1]
        return optax.softmax_cross_entropy_with_integer_labels(a @ w + b, y).mean()

    updates, opt_state = optax.adam(rate).update(jax.grad(cost)(params), opt_state)
    return optax.apply_updates(params, updates), opt_state


def flax_vmap(problem: Problem, settings: list[Setting]) -> Train:
    """Flax (linen) and Optax under `jax.vmap`, each lane with its learning rate and momentum."""
    from flax import linen

    first = DEFAULTS | settings[0]
    has_norm = first["batch_norm"]
    layers: list[Any] = []
    for units in first["hidden"]:
        norm = [linen.BatchNorm(use_running_average=False, momentum=0.9)] if has_norm else []
        activation = getattr(linen, first["activation"])
        layers += [linen.Dense(units, use_bias=not has_norm), *norm, activation]
    network = linen.Sequential([*layers, linen.Dense(problem.train.num_classes)])
    descents: dict[str, Callable[[Any, Any], optax.GradientTransformation]] = {
        "gd": lambda rate, beta: optax.sgd(rate),
        "momentum": lambda rate, beta: optax.chain(
            optax.ema(beta, debias=False), optax.scale_by_learning_rate(rate)
        ),
        "rmsprop": lambda rate, beta: optax.rmsprop(rate, 0.9),
        "adam": lambda rate, beta: optax.adam(rate),
    }
    descent = descents[first["optimizer"]]
    two = jnp.zeros((2, problem.features))

    def init(key: jax.Array, numbers: list[jax.Array]) -> Any:
        statistics = dict(network.init(key, two))
        params = statistics.pop("params")
        return params, statistics, descent(*numbers).init(params)

    def step(state: Any, numbers: list[jax.Array], x: jax.Array, y: jax.Array) -> Any:
        params, statistics, opt_state = state

        def cost(params: Any) -> Any:
            variables = {"params": params, **statistics}
            logits, new = network.apply(variables, x, mutable=["batch_stats"])
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean(), new

        grads, statistics = jax.grad(cost, has_aux=True)(params)
        updates, opt_state = descent(*numbers).update(grads, opt_state, params)
        return optax.apply_updates(params, updates), statistics, opt_state

    numbers = [
        jnp.array([(DEFAULTS | setting)[key] for setting in settings])
        for key in ("learning_rate", "momentum")
    ]
    return _lanes(problem, first["batch_size"], init, step, numbers)


def _lanes(
    problem: Problem,
    size: int,
    init: Callable[[jax.Array, Any], Any],
    step: Callable[[Any, Any, jax.Array, jax.Array], Any],
    numbers: Any,
) -> Train:
    """Trains lanes side by side, an epoch of steps jitted; `numbers` have a row for each lane."""
    x, y = map(jnp.asarray, problem.arrays())
    keys = jax.random.split(jax.random.key(0), len(jax.tree.leaves(numbers)[0]))
    state = jax.jit(jax.vmap(init))(keys, numbers)
    lanes_step = jax.vmap(step, in_axes=(0, 0, None, None))

    @functools.partial(jax.jit, donate_argnums=0)
    def epoch(state: Any, numbers: Any, x: jax.Array, y: jax.Array, key: jax.Array) -> Any:
        body = lambda state, rows: (lanes_step(state, numbers, x[rows], y[rows]), None)
        order, full = jax.random.permutation(key, len(x)), len(x) // size * size
        state, _ = jax.lax.scan(body, state, order[:full].reshape(-1, size))
        return body(state, order[full:])[0] if full < len(x) else state

    def train(epochs: int) -> None:
        nonlocal state
        for index in range(epochs):
            state = epoch(state, numbers, x, y, jax.random.key(index))
        jax.block_until_ready(state)

    return train


def scikit_learn(problem: Problem, settings: list[Setting]) -> Train:
    """MLPClassifier: Adam in place of RMSprop, relu of leaky relu, and never batch norm.

    The rate is always 1e-4, since it raises an error where weights overflow.
    """
    from sklearn.neural_network import MLPClassifier

    setting = only(settings)
    optimizer, (x, y) = setting["optimizer"], problem.arrays()
    build = functools.partial(
        MLPClassifier,
        setting["hidden"],
        activation="tanh" if setting["activation"] == "tanh" else "relu",
        solver="sgd" if optimizer in ("gd", "momentum") else "adam",
        momentum=setting["momentum"] if optimizer == "momentum" else 0.0,
        nesterovs_momentum=False,
        batch_size=setting["batch_size"],
        learning_rate_init=1e-4,
        tol=0.0,
        n_iter_no_change=10**9,
    )

    def train(epochs: int) -> None:
        with warnings.catch_warnings():
            # of epochs that did not suffice
            warnings.simplefilter("ignore")
            build(max_iter=epochs).fit(x, y)

    return train


def keras_fit(problem: Problem, settings: list[Setting]) -> Train:
    """Relu networks and Adam by `Model.fit`."""
    import keras

    setting, (x, y) = only(settings), problem.arrays()
    layers = [keras.layers.Dense(units, "relu") for units in setting["hidden"]]
    model = keras.Sequential([*layers, keras.layers.Dense(problem.train.num_classes)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(setting["learning_rate"]), loss)
    return lambda epochs: model.fit(x, y, setting["batch_size"], epochs, verbose=0)
