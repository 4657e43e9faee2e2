import subprocess
import sys

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


def _compiled_fast():
    """Compiles in half the time, to slower code; for tests of many structures."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    # no other test shall meet the slower programs, which round differently
    jax.clear_caches()


compiled_fast = pytest.fixture(_compiled_fast, name="compiled_fast")
# for tests that share programs
module_compiled_fast = pytest.fixture(_compiled_fast, scope="module", name="module_compiled_fast")


@pytest.fixture
def run_python():
    """Runs code in a process of its own, which must succeed; returns what it printed."""

    def run(code, *arguments):
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done

    return run
