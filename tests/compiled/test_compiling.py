"""What compiles beside something else is compiled once, and is the program that is used."""

from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers.data import halves

import jaxnn
from jaxnn.compiled import compiling as programs_of
from jaxnn.compiled import steps


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


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux counts mappings there")
def test_programs_are_dropped_before_there_are_too_many(monkeypatch):
    """And compile again, to the same bits; nothing is dropped below the limit."""
    data, setting = halves(50, 4), {"hidden": (6, 2)}
    first = jaxnn.fit(setting, data, 0.2, epochs=2)
    monkeypatch.setattr(programs_of, "_BETWEEN", 1)
    programs_of._traces.append(None)
    programs_of.make_room()
    assert steps.train_epochs._cache_size() > 0
    programs_of._traces.append(None)
    programs_of.make_room(share=0.0)
    assert steps.train_epochs._cache_size() == 0
    again = jaxnn.fit(setting, data, 0.2, epochs=2)
    jax.tree.map(np.testing.assert_array_equal, again.params, first.params)
