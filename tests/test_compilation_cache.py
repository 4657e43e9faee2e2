"""The tests keep compiled programs between runs: bits must not depend on it."""

import os

import jax
import numpy as np
import pytest
from helpers.comparisons import assert_same
from helpers.data import corners
from jax.experimental.compilation_cache import compilation_cache

import jaxnn

SETTINGS = [
    {"hidden": (6, 3), "optimizer": "adam", "batch_norm": True},
    {"hidden": (4,), "optimizer": "momentum", "dropout": 0.2, "activation": "tanh"},
]
NAMES = (
    "jax_enable_compilation_cache",
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
)


@pytest.fixture
def cached_in():
    """Sets the folder of the cache, or None for no cache; all is put back after the test."""
    before = {name: getattr(jax.config, name) for name in NAMES}
    quick = "jax_disable_most_optimizations"
    before[quick] = jax.config.read(quick)

    def use(values):
        for name, value in values.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()

    yield lambda folder: use(dict(zip(NAMES, (folder is not None, folder, 0.0), strict=True)))
    use(before)


@pytest.fixture
def hits():
    """Programs that were read from the cache."""
    hits = []

    def listen(event, **_):
        if event == "/jax/compilation_cache/cache_hits":
            hits.append(event)

    jax.monitoring.register_event_listener(listen)
    yield hits
    jax.monitoring.unregister_event_listener(listen)


@pytest.mark.slow
@pytest.mark.numbers
def test_bits_with_and_without_the_cache_are_equal(cached_in, hits, tmp_path):
    """A mixed sweep without a cache, with an empty one, and with what that one has left."""

    def train(folder):
        cached_in(folder)
        jax.clear_caches()
        hits.clear()
        study = jaxnn.sweep(SETTINGS, corners(60), 0.25, epochs=5, seeds=2, chunk=2)
        assert len(study.plan.programs) == 1
        return study, len(hits), len(list(tmp_path.glob("*-cache")))

    without, num_hits, num_written = train(None)
    assert num_hits == num_written == 0
    written, num_hits, num_written = train(str(tmp_path))
    assert num_hits < num_written
    read, num_hits, num_now = train(str(tmp_path))
    assert num_hits >= num_now == num_written, "something was compiled again"
    assert_same(written, without)
    assert_same(read, without)


def test_programs_compiled_otherwise_are_others(cached_in, hits, tmp_path):
    """The programs of quick runs, which round differently, are not those of the others."""
    # another function each time, which has to be compiled
    f = lambda: jax.jit(lambda x: jax.numpy.tanh(x @ x.T).sum())(np.eye(3, dtype=np.float32))
    cached_in(str(tmp_path))
    for is_fast in (True, False):
        jax.config.update("jax_disable_most_optimizations", is_fast)
        f()
    assert hits == []
    f()
    assert len(hits) >= 1


@pytest.mark.slow
def test_what_a_person_has_set_counts(run_python, monkeypatch, tmp_path):
    """Options of JAX in the environment win, and processes that tests start inherit them."""
    code = "import conftest, jax; print(jax.config.jax_compilation_cache_dir)"
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    assert run_python(code).stdout == f"{tmp_path}\n"
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    assert f".jax_cache{os.sep}{jax.__version__}" in run_python(code).stdout
