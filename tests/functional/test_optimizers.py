import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.by_hand import NUMBERS, steps_by_hand

from jaxnn.compiled.updates import mixed_optimizer
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

        @jax.jit
        def step(numbers, alpha, w, opt_state, grad):
            descent = optimizer(name, numbers, alpha)
            updates, opt_state = descent.update(grad, opt_state, w)
            return optax.apply_updates(w, updates), opt_state

        got, opt_state = jnp.asarray(w), optimizer(name, NUMBERS, 0.1).init(jnp.asarray(w))
        for grad in grads:
            got, opt_state = step(NUMBERS, 0.1, got, opt_state, jnp.asarray(grad))
        np.testing.assert_allclose(got, steps_by_hand(name, w, grads, 0.1), rtol=1e-12)
        assert step._cache_size() == 1


def steps_of(descent, w, grads):
    got, opt_state = w, descent.init(w)
    for grad in grads:
        updates, opt_state = descent.update(grad, opt_state, got)
        got = optax.apply_updates(got, updates)
    return got, opt_state


COMPANIONS = [("gd", "momentum"), ("gd", "rmsprop"), ("momentum", "rmsprop"), tuple(OPTIMIZERS)]


@pytest.mark.parametrize("names", COMPANIONS, ids="-".join)
def test_the_mixed_update_equals_each_of_optaxs(names):
    """Thirty steps in float64, to 1e-12."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        w, grads = jnp.asarray(rng.normal(size=7)), jnp.asarray(rng.normal(size=(30, 7)))
        for name in names:
            numbers = NUMBERS | {"optimizer": list(OPTIMIZERS).index(name)}
            mixed, _ = steps_of(mixed_optimizer(names, numbers, 0.1), w, grads)
            alone, _ = steps_of(optimizer(name, NUMBERS, 0.1), w, grads)
            np.testing.assert_allclose(mixed, alone, rtol=1e-12, atol=1e-12)


def test_the_mixed_update_keeps_the_moments_that_are_needed():
    w = jnp.ones(3)
    state = lambda *names: mixed_optimizer(names, NUMBERS | {"optimizer": 0}, 0.1).init(w)
    shapes = lambda *names: [leaf is not None for leaf in state(*names)[1:]]
    assert shapes("gd", "momentum") == [True, False]
    assert shapes("gd", "rmsprop") == [False, True]
    assert shapes("momentum", "rmsprop") == [True, True]


def test_an_infinite_gradient_passes_gd_and_rmsprop_as_it_does_alone():
    w, grads = jnp.zeros(2), jnp.array([[jnp.inf, 1.0], [1.0, 1.0]])
    for name in ("gd", "rmsprop"):
        numbers = NUMBERS | {"optimizer": list(OPTIMIZERS).index(name)}
        mixed, alone = (
            mixed_optimizer(tuple(OPTIMIZERS), numbers, 0.1),
            optimizer(name, NUMBERS, 0.1),
        )
        states = mixed.init(w), alone.init(w)
        for grad in grads:
            got, first = mixed.update(grad, states[0])
            expected, second = alone.update(grad, states[1])
            states = first, second
            np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_a_gradient_whose_square_overflows_does_not_reach_gd_and_momentum():
    w, grads = jnp.zeros(2), jnp.full((3, 2), 1e25)
    for name in ("gd", "momentum"):
        numbers = NUMBERS | {"optimizer": list(OPTIMIZERS).index(name)}
        mixed, state = steps_of(mixed_optimizer(tuple(OPTIMIZERS), numbers, 0.1), w, grads)
        alone, _ = steps_of(optimizer(name, NUMBERS, 0.1), w, grads)
        np.testing.assert_allclose(mixed, alone, rtol=1e-5)
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
    ],
)
def test_decay_schedules(schedule, rate, every, expected):
    numbers = {"learning_rate": 0.2, "decay_rate": rate, "decay_every": every}
    got = [decayed_learning_rate(schedule, numbers, jnp.int32(epoch)) for epoch in range(5)]
    np.testing.assert_allclose(np.array(got), expected, rtol=1e-6)
    # as data: the schedule's place in its table
    place = jnp.int32(list(DECAY_SCHEDULES).index(schedule))
    got = [decayed_learning_rate(place, numbers, jnp.int32(epoch)) for epoch in range(5)]
    np.testing.assert_allclose(np.array(got), expected, rtol=1e-6)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="optimizer got 'sgd'; expected one of gd, momentum"):
        optimizer("sgd", NUMBERS, 0.1)
    for schedule in ("cosine", None, 7):
        with pytest.raises(
            ValueError, match=f"decay_schedule got {schedule!r}; expected one of none"
        ):
            decayed_learning_rate(schedule, {}, 0)


def test_all_schedules_start_at_alpha():
    numbers = {"learning_rate": 0.3, "decay_rate": 0.7, "decay_every": 4.0}
    for schedule in DECAY_SCHEDULES:
        assert decayed_learning_rate(schedule, numbers, 0) == pytest.approx(0.3)
