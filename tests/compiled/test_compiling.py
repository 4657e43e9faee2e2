"""What compiles beside something else is compiled once, and is the program that is used."""

from collections import Counter

import jax
import pytest
from helpers.data import halves

import jaxnn


@pytest.fixture
def compiled():
    """Counts XLA's compilations by the name of the function."""
    names = Counter()

    def on_event(event, duration, fun_name="", **more):
        if event.endswith("backend_compile_duration"):
            names[fun_name.removeprefix("jit(").removesuffix(")")] += 1

    jax.monitoring.register_event_duration_secs_listener(on_event)
    yield names
    jax.monitoring.unregister_event_duration_listener(on_event)


def test_a_network_compiles_two_programs(compiled):
    data = halves(50, 4)
    # a structure that no other test has
    jaxnn.fit({"hidden": (7, 11, 3)}, data, 0.2, epochs=3)
    assert compiled["init_train_state"] == compiled["train_epochs"] == 1
    jaxnn.fit({"hidden": (7, 11, 3), "learning_rate": 0.1}, data, 0.2, epochs=2, seed=1)
    assert compiled["init_train_state"] == compiled["train_epochs"] == 1


def test_lanes_compile_two_programs(compiled):
    data, settings = halves(50, 4), [{"hidden": (7, 11, 3), "learning_rate": 0.1}] * 3
    jaxnn.sweep(settings, data, 0.2, epochs=3, chunk=2)
    assert compiled["init_lanes"] == compiled["train_lanes"] == 1
    jaxnn.sweep(settings, data, 0.2, epochs=2, chunk=2, seed=5)
    assert compiled["init_lanes"] == compiled["train_lanes"] == 1
