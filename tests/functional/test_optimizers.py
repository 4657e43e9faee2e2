import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.by_hand import NUMBERS, order_of, steps_by_hand, trained
from helpers.data import corners

import jaxnn
from jaxnn.compiled.updates import descent, learning_rate_at, num_moments
from jaxnn.functional.optimizers import (
    DECAY_SCHEDULES,
    OPTIMIZERS,
    decayed_learning_rate,
    optimizer,
)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("num_steps", [1, 3])
def test_steps_by_hand(name, num_steps):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        w, grads = rng.normal(size=5), rng.normal(size=(num_steps, 5))
        tree = lambda leaf: {"kernel": jnp.asarray(leaf)}

        @jax.jit
        def step(numbers, alpha, w, opt_state, grad):
            descent = optimizer(name, numbers, alpha)
            updates, opt_state = descent.update(grad, opt_state, w)
            return optax.apply_updates(w, updates), opt_state

        got, opt_state = tree(w), optimizer(name, NUMBERS, 0.1).init(tree(w))
        for grad in grads:
            got, opt_state = step(NUMBERS, 0.1, got, opt_state, tree(grad))
        np.testing.assert_allclose(got["kernel"], steps_by_hand(name, w, grads, 0.1), rtol=1e-12)
        assert step._cache_size() == 1


def steps_of(descent, w, grads):
    got, opt_state = w, descent.init(w)
    for grad in grads:
        updates, opt_state = descent.update(grad, opt_state, got)
        got = optax.apply_updates(got, updates)
    return got, opt_state


def mixed(names, name, switches=("weight_decay",)):
    """The common update of some optimizers, for a lane of one of them."""
    numbers = NUMBERS | {"optimizer": list(OPTIMIZERS).index(name), "clip_norm": jnp.inf}
    return descent(names, numbers, 0.1, switches)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("nesterov", optax.sgd(0.1 * (1 - 0.8), 0.8, nesterov=True)),
        ("adamw", optax.adamw(0.1, 0.85, 0.97, 1e-3, weight_decay=0.3)),
        ("lion", optax.lion(0.1, 0.85, 0.97, weight_decay=0.3)),
    ],
)
def test_optaxs_own(name, theirs):
    """Fifty steps in float64; Optax decays all leaves, here there are kernels alone."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        w = {"kernel": jnp.asarray(rng.normal(size=7))}
        grads = [{"kernel": jnp.asarray(one)} for one in rng.normal(size=(50, 7))]
        ours, _ = steps_of(optimizer(name, NUMBERS, 0.1), w, grads)
        expected, _ = steps_of(theirs, w, grads)
        np.testing.assert_allclose(ours["kernel"], expected["kernel"], rtol=1e-12)


def test_weight_decay_is_of_kernels_alone():
    params = {"kernel": jnp.ones(2), "bias": jnp.ones(2), "scale": jnp.ones(2)}
    nothing = jax.tree.map(jnp.zeros_like, params)
    for name in ("adamw", "lion"):
        descents = optimizer(name, NUMBERS, 0.1), mixed(("adamw", "gd", "lion"), name)
        for one in descents:
            updates, _ = one.update(nothing, one.init(params), params)
            np.testing.assert_allclose(updates["kernel"], -0.1 * 0.3, rtol=1e-6)
            assert not updates["bias"].any()
            assert not updates["scale"].any()
    updates, _ = (one := mixed(("adamw", "gd"), "gd")).update(nothing, one.init(params), params)
    assert not updates["kernel"].any()


@pytest.mark.parametrize("clip_norm", [0.5, 1e6, np.inf])
def test_clipping(clip_norm):
    grads = {"kernel": jnp.array([[3.0, 0.0]]), "bias": jnp.array([4.0])}
    numbers = NUMBERS | {"clip_norm": jnp.float32(clip_norm)}
    one = descent(("gd",), numbers, 1.0, ("clip_norm",))
    updates, _ = one.update(grads, one.init(grads), grads)
    scale = min(1, clip_norm / 5)
    np.testing.assert_allclose(updates["kernel"], [[-3 * scale, 0]], rtol=1e-6)
    np.testing.assert_allclose(updates["bias"], [-4 * scale], rtol=1e-6)


def test_a_norm_beyond_the_range_of_the_type_is_clipped():
    for size in (1e25, 1e-30):
        grads = {"kernel": jnp.full(4, size), "bias": jnp.zeros(2)}
        numbers = NUMBERS | {"clip_norm": jnp.float32(size / 1e3)}
        one = descent(("gd",), numbers, 1.0, ("clip_norm",))
        updates, _ = one.update(grads, one.init(grads), grads)
        np.testing.assert_allclose(updates["kernel"], -size / 2e3, rtol=1e-5)
        assert not updates["bias"].any()


def test_clipping_is_optaxs():
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        grads = {"kernel": jnp.asarray(rng.normal(size=(3, 2))), "bias": jnp.asarray([1.0, 2.0])}
        for limit in (0.1, 3.0, 100.0):
            theirs = optax.clip_by_global_norm(limit)
            expected, _ = theirs.update(grads, theirs.init(grads))
            one = descent(("gd",), {"clip_norm": limit}, -1.0, ("clip_norm",))
            found, _ = one.update(grads, one.init(grads), grads)
            close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12)
            jax.tree.map(close, found, expected)


def test_without_a_limit_a_norm_that_overflows_clips_nothing():
    grads = {"kernel": jnp.full(2, 1e25)}
    one = descent(("gd",), NUMBERS | {"clip_norm": jnp.inf}, 1.0, ("clip_norm",))
    updates, _ = one.update(grads, one.init(grads), grads)
    np.testing.assert_array_equal(updates["kernel"], -grads["kernel"])


COMPANIONS = [
    ("gd", "momentum"),
    ("gd", "rmsprop"),
    ("momentum", "rmsprop"),
    ("momentum", "nesterov"),
    ("adam", "adamw"),
    ("gd", "lion"),
    tuple(OPTIMIZERS),
]


@pytest.mark.parametrize("names", COMPANIONS, ids="-".join)
def test_the_mixed_update_equals_each_of_optaxs(names):
    """Thirty steps in float64, to 1e-12."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        w = {"kernel": jnp.asarray(rng.normal(size=7)), "bias": jnp.asarray(rng.normal(size=2))}
        grads = [jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), w)] * 30
        for name in names:
            got, _ = steps_of(mixed(names, name), w, grads)
            alone, _ = steps_of(optimizer(name, NUMBERS, 0.1), w, grads)
            close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
            jax.tree.map(close, got, alone)


def test_the_mixed_update_keeps_the_moments_that_are_needed():
    shapes = lambda *names: [
        leaf is not None for leaf in mixed(names, names[0]).init(jnp.ones(3))[1:]
    ]
    assert shapes("gd", "momentum") == [True, False]
    assert shapes("gd", "rmsprop") == [False, True]
    assert shapes("momentum", "rmsprop") == [True, True]
    counts = [num_moments((name,)) for name in OPTIMIZERS]
    assert counts == [0, 1, 1, 1, 2, 2, 1]
    for name in OPTIMIZERS:
        leaves = jax.tree.leaves(optimizer(name, NUMBERS, 0.1).init(jnp.ones((2, 2))))
        assert sum(leaf.shape == (2, 2) for leaf in leaves) == num_moments((name,))


def test_an_infinite_gradient_passes_gd_and_rmsprop_as_it_does_alone():
    w, grads = jnp.zeros(2), jnp.array([[jnp.inf, 1.0], [1.0, 1.0]])
    for name in ("gd", "rmsprop"):
        both = mixed(tuple(OPTIMIZERS), name), optimizer(name, NUMBERS, 0.1)
        states = [one.init(w) for one in both]
        for grad in grads:
            got, first = both[0].update(grad, states[0], w)
            expected, second = both[1].update(grad, states[1], w)
            states = [first, second]
            np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_a_gradient_whose_square_overflows_does_not_reach_gd_and_momentum():
    w, grads = jnp.zeros(2), jnp.full((3, 2), 1e25)
    for name in ("gd", "momentum"):
        got, state = steps_of(mixed(tuple(OPTIMIZERS), name), w, grads)
        alone, _ = steps_of(optimizer(name, NUMBERS, 0.1), w, grads)
        np.testing.assert_allclose(got, alone, rtol=1e-5)
        assert np.isfinite(state.square).all()


@pytest.mark.parametrize(
    ("schedule", "rate", "every", "expected"),
    [
        ("none", 1.0, 1.0, [0.2, 0.2, 0.2, 0.2, 0.2]),
        # the course's table for alpha_0 = 0.2 and a decay rate of 1
        ("inverse", 1.0, 1.0, [0.2, 0.1, 0.2 / 3, 0.05, 0.04]),
        ("exponential", 0.95, 1.0, [0.2 * 0.95**t for t in range(5)]),
        ("inverse_sqrt", 1.0, 1.0, [0.2 / np.sqrt(1 + t) for t in range(5)]),
        ("staircase", 0.5, 2.0, [0.2, 0.2, 0.1, 0.1, 0.05]),
        ("inverse", 3.0, 2.0, [0.2 / (1 + 1.5 * t) for t in range(5)]),
        ("power", 3.0, 2.0, [0.2 / (1 + 1.5 * t) ** 0.3 for t in range(5)]),
        # after three plateaus
        ("plateau", 0.5, 1.0, [0.2 / 8] * 5),
    ],
)
def test_decay_schedules(schedule, rate, every, expected):
    numbers = {"learning_rate": 0.2, "decay_rate": rate, "decay_every": every}
    numbers |= {"decay_power": 0.3, "plateaus": 3.0}
    got = [decayed_learning_rate(schedule, numbers, jnp.int32(epoch)) for epoch in range(5)]
    np.testing.assert_allclose(np.array(got), expected, rtol=1e-6)
    # as data: the schedule's place in its table
    numbers |= {"decay_schedule": jnp.int32([*DECAY_SCHEDULES].index(schedule)), "epochs": 10.0}
    got = [learning_rate_at(tuple(DECAY_SCHEDULES), numbers, epoch, ()) for epoch in range(5)]
    np.testing.assert_allclose(np.array(got), expected, rtol=1e-6)
    # whole epochs
    between = decayed_learning_rate(schedule, numbers, 3.75)
    np.testing.assert_allclose(between, expected[3], rtol=1e-6)


@pytest.mark.parametrize("warmup", [0, 1.4, 3])
def test_cosine_is_optaxs(warmup):
    """Eight epochs of five steps."""
    numbers = {"learning_rate": 0.2, "warmup": jnp.float32(warmup)}
    theirs = optax.warmup_cosine_decay_schedule(0.0, 0.2, round(5 * warmup), 40)
    got = [decayed_learning_rate("cosine", numbers, step / 5, 8) for step in range(41)]
    expected = [theirs(step) for step in range(41)]
    np.testing.assert_allclose(np.array(got), expected, rtol=1e-5, atol=1e-7)


def test_a_warm_up_comes_before_the_schedule():
    numbers = {"learning_rate": 0.2, "decay_rate": 1.0, "decay_every": 1.0, "warmup": 2.0}
    got = [decayed_learning_rate("inverse", numbers, now) for now in (0, 0.5, 1.5, 2, 2.5, 3, 4.5)]
    np.testing.assert_allclose(got, [0, 0.05, 0.15, 0.2, 0.2, 0.1, 0.2 / 3], rtol=1e-6)


def test_missing_numbers_are_named():
    with pytest.raises(ValueError, match="numbers lack beta2, epsilon, which 'adam' uses"):
        optimizer("adam", {"beta1": 0.9}, 0.1)
    optimizer("adamw", {"beta1": 0.9, "beta2": 0.9, "epsilon": 1e-8}, 0.1)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="optimizer got 'sgd'; expected one of gd, momentum"):
        optimizer("sgd", NUMBERS, 0.1)
    for schedule in ("linear", None, 7):
        with pytest.raises(
            ValueError, match=f"decay_schedule got {schedule!r}; expected one of none"
        ):
            decayed_learning_rate(schedule, {}, 0)
    with pytest.raises(ValueError, match="epochs got None; expected the number of epochs in all"):
        decayed_learning_rate("cosine", {"learning_rate": 0.1}, 0)


@pytest.mark.parametrize("warmup", [0.0, 0.5])
@pytest.mark.parametrize("schedule", DECAY_SCHEDULES)
def test_three_steps_an_epoch_by_hand(schedule, warmup):
    """Within one epoch, and over three; momentum, so that a step depends on those before."""
    with jax.enable_x64(True):
        data = corners(24)
        setting = {"decay_schedule": schedule, "warmup": warmup, "learning_rate": 0.5}
        setting |= {"optimizer": "momentum", "hidden": (3,), "activation": "tanh", "batch_size": 8}
        for epochs in (1, 3):
            found = jaxnn.fit(setting, data, epochs=epochs)
            x, y = np.asarray(data.x), np.asarray(data.y)
            expected, _ = trained(found.setting, x, y, 3, epochs=epochs, seed=0)
            close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
            jax.tree.map(close, found.params, expected)


@pytest.mark.parametrize(
    ("warmup", "factors"),
    [
        # (1 + cos(pi t)) / 2 at t = 0, 1/3, 2/3 of the only epoch
        (0.0, [1, 3 / 4, 1 / 4]),
        # up within half of it, then down from t = (2/3 - 1/2) / (1/2)
        (0.5, [0, 2 / 3, 3 / 4]),
    ],
)
def test_three_steps_of_cosine_within_an_epoch(warmup, factors):
    """The biases of softmax regression on inputs of 0, by the course's formula."""
    with jax.enable_x64(True):
        data = jaxnn.Dataset(np.zeros((6, 2)), [0, 1, 0, 1, 0, 1], 2)
        setting = {"optimizer": "gd", "learning_rate": 0.5, "decay_schedule": "cosine"}
        rates = [
            float(decayed_learning_rate("cosine", {"learning_rate": 0.5, "warmup": warmup}, t, 1.0))
            for t in (0, 1 / 3, 2 / 3)
        ]
        np.testing.assert_allclose(rates, 0.5 * np.array(factors), rtol=1e-12, atol=1e-16)
        fitted = jaxnn.fit({**setting, "warmup": warmup, "batch_size": 2}, data, epochs=1)
        order, bias = order_of(0, 0, 6), np.zeros(2)
        for step, rate in enumerate(rates):
            y_hat = np.exp(bias) / np.exp(bias).sum()
            labels = np.eye(2)[np.asarray(data.y)[order[2 * step : 2 * step + 2]]]
            bias -= rate * (y_hat - labels.mean(0))
        np.testing.assert_allclose(fitted.params[0]["bias"], bias, rtol=1e-12)


def test_all_schedules_start_at_alpha():
    numbers = {"learning_rate": 0.3, "decay_rate": 0.7, "decay_every": 4.0, "decay_power": 0.2}
    for schedule in DECAY_SCHEDULES:
        assert decayed_learning_rate(schedule, numbers, 0, 9) == pytest.approx(0.3)
