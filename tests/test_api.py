"""What every public function promises: jit, grad, vmap and float64 work; imports leave no trace."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxnn
from jaxnn.functional.optimizers import DECAY_SCHEDULES, OPTIMIZERS

KEY = jax.random.key(0)
LABELS = jnp.array([0, 2, 1, 1])
TARGETS = jnp.arange(20.0).reshape(4, 5) / 8
MODEL = jaxnn.mlp(5, (4,), 3, batch_norm=True)
NUMBERS = {"momentum": 0.9, "beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8}
SCHEDULE = {"learning_rate": 0.1, "decay_rate": 0.5, "decay_every": 2.0, "decay_power": 0.3}


def model_output(x):
    params, state = MODEL.init(KEY)
    logits, state = MODEL.apply(
        params, state, x, is_training=True, key=KEY, dropout=0.2, weights=jnp.ones(4)
    )
    return jnp.sum(logits) + sum(jnp.sum(leaf) for leaf in jax.tree.leaves(state))


def evaluation(x):
    params, state = MODEL.init(KEY)
    data = jaxnn.Dataset._unchecked(x, LABELS, 3, None)
    return jaxnn.evaluate(MODEL, params, state, data)["cost"]


def normalised(x):
    out, state = jaxnn.batch_norm(*jaxnn.init_batch_norm(4), x, is_training=True)
    return jnp.sum(jnp.sin(out)) + jnp.sum(state["mean"])


def update(x):
    total = 0.0
    for name in OPTIMIZERS:
        descent = jaxnn.optimizer(name, NUMBERS, 0.1)
        updates, _ = descent.update(x, descent.init(x), x)
        total += jnp.sum(updates)
    return total


def decayed(x):
    numbers = {**SCHEDULE, "learning_rate": x[0, 0]}
    now = jnp.array(3), jnp.array(9)
    return sum(jaxnn.decayed_learning_rate(name, numbers, *now) for name in DECAY_SCHEDULES)


# name -> a scalar function of x (4, 5)
FUNCTIONS = {
    "dense": lambda x: jnp.sum(
        jaxnn.dense(jaxnn.init_dense(KEY, 4, 3), x) + jaxnn.dense({"kernel": x.T[:3]}, x)
    ),
    "dropout": lambda x: jnp.sum(jaxnn.dropout(KEY, 0.3, x) ** 2),
    "batch_norm": normalised,
    "softmax_cross_entropy": lambda x: jaxnn.softmax_cross_entropy(x, LABELS).sum(),
    "sigmoid_cross_entropy": lambda x: jaxnn.sigmoid_cross_entropy(x, jnp.ones((4, 5))).sum(),
    "squared_error": lambda x: jaxnn.squared_error(x, TARGETS).sum(),
    "absolute_error": lambda x: jaxnn.absolute_error(x, TARGETS).sum(),
    "huber_loss": lambda x: jaxnn.huber_loss(x, TARGETS, 0.5).sum(),
    "quantile_loss": lambda x: jaxnn.quantile_loss(x, TARGETS, 0.9).sum(),
    "poisson_loss": lambda x: jaxnn.poisson_loss(x, TARGETS).sum(),
    "weighted_mean": lambda x: jaxnn.weighted_mean(x[:, 0], jnp.arange(4.0)),
    "l2_penalty": lambda x: jaxnn.l2_penalty({"kernel": x}),
    "accuracy": lambda x: jaxnn.accuracy(x, LABELS, jnp.ones(4)),
    "mlp": model_output,
    "evaluate": evaluation,
    "population_statistics": lambda x: jaxnn.population_statistics(MODEL, *MODEL.init(KEY), x)[0][
        "variance"
    ].sum(),
    "optimizer": update,
    "decayed_learning_rate": decayed,
    "convolution": lambda x: (
        jaxnn.convolution(x[None, :, :, None], x[:2, :3, None, None], (1, 1), "SAME") ** 2
    ).sum(),
    "from_course": lambda x: jaxnn.from_course({"W1": x, "b1": x[:, :1]})[0]["bias"].sum(),
}
ON_THE_HOST = {
    *(
        "Dataset",
        "Fitted",
        "Model",
        "Plan",
        "Rates",
        "Run",
        "TrainingInterrupted",
        "confusion_matrix",
        "connect",
        "fit",
        "resume",
        "search",
        "zoom",
    ),
    *("generated_signs", "hold_out", "load", "load_hdf5", "load_signs", "to_course"),
    *(
        "choice",
        "course_space",
        "default_setting",
        "default_space",
        "layers",
        "lograndint",
        "loguniform",
        "randint",
        "reverseloguniform",
        "spaces",
    ),
    *(
        "sample",
        "uniform",
        "Study",
        "plan",
        "sweep",
        "plot_learning_curves",
        "plot_pareto",
        "plot_population",
        "plot_rungs",
        "plot_slice",
        "stratified_folds",
        "to_optuna",
        "Comparison",
        "Ensemble",
        "EpochInfo",
        "from_flax",
    ),
}
MAKE_PARAMETERS = {"init_dense", "init_batch_norm"}
# float64 draws other random numbers than float32, so only their slopes can be compared
DRAWS = {"dense", "dropout", "mlp", "evaluate", "population_statistics"}


def test_every_public_function_is_here():
    assert set(FUNCTIONS) | ON_THE_HOST | MAKE_PARAMETERS == set(jaxnn.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_jit_vmap_and_float64_agree_and_grad_is_the_slope(name):
    function = FUNCTIONS[name]
    x = np.random.default_rng(0).normal(size=(4, 5))
    plain = function(jnp.asarray(x))
    assert plain.dtype == jnp.float32
    stack = jnp.asarray(np.stack([x, x + 1]))
    # operation by operation above; from here on as programs, of which there are fewer to compile
    compiled = jax.jit(function)
    np.testing.assert_allclose(compiled(stack[0]), plain, rtol=1e-4, atol=1e-5)
    stacked = jax.jit(jax.vmap(function))(stack)
    np.testing.assert_allclose(stacked[0], plain, rtol=1e-4, atol=1e-5)
    with jax.enable_x64(True):
        exact = compiled(jnp.asarray(x))
        assert exact.dtype == jnp.float64
        if name not in DRAWS:
            np.testing.assert_allclose(plain, exact, rtol=1e-3, atol=1e-4)
        direction = np.random.default_rng(1).normal(size=(4, 5))
        slope = np.sum(np.asarray(jax.jit(jax.grad(function))(jnp.asarray(x))) * direction)
        ends = [compiled(jnp.asarray(x + side * 1e-6 * direction)) for side in (1, -1)]
        np.testing.assert_allclose(slope, (ends[0] - ends[1]) / 2e-6, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["init_dense", "init_batch_norm", "mlp"])
def test_making_parameters_under_jit_vmap_and_float64(name):
    make = {
        "init_dense": lambda key: jaxnn.init_dense(key, 5, 4),
        "init_batch_norm": lambda key: jaxnn.init_batch_norm(4),
        "mlp": MODEL.init,
    }[name]
    equal = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6)
    jax.tree.map(equal, jax.jit(make)(KEY), make(KEY))
    lanes = jax.vmap(make)(jax.random.split(KEY, 3)) if name != "init_batch_norm" else None
    if lanes is not None:
        alone = make(jax.random.split(KEY, 3)[1])
        jax.tree.map(lambda a, b: equal(a[1], b), lanes, alone)
    with jax.enable_x64(True):
        assert {leaf.dtype for leaf in jax.tree.leaves(make(KEY))} == {np.dtype(np.float64)}


STATE_OF_THE_PROCESS = (
    "dict(jax.config.values), dict(os.environ), logging.root.handlers[:], logging.root.level, "
    "warnings.filters[:]"
)


def test_importing_changes_no_setting_and_starts_no_device(run_python):
    code = (
        "import jax, flax, optax, h5py, rich.progress, logging, os, warnings\n"
        f"before = {STATE_OF_THE_PROCESS}\n"
        "import jaxnn\n"
        f"assert before == ({STATE_OF_THE_PROCESS})\n"
        "import jax._src.xla_bridge as bridge\n"
        "assert not bridge._backends, 'importing started a device'\n"
    )
    run_python(code)
