"""Options of all tests, and what they are given: processes, Ctrl-C, fast compiling."""

import os
import platform
import signal
import subprocess
import sys
import zlib
from importlib.metadata import version
from pathlib import Path

import pytest


def _machine():
    """Names the processor: a program that is compiled for one may not run on another."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = platform.processor()
    lines = {line for line in text.splitlines() if line.startswith(("model name", "flags"))}
    return f"{platform.machine()}-{zlib.crc32(repr(sorted(lines) or text).encode()):08x}"


# before JAX is imported, which reads them; processes that tests start inherit them. Workers of a
# run share what they have compiled, and so do later runs; what a person has set counts
_CACHE = Path(__file__).parents[1] / ".jax_cache" / f"{version('jax')}-{_machine()}"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import hypothesis  # noqa: E402
import jax  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
pytest.register_assert_rewrite("helpers")

# every draw is the same in each run; "ci" counts where slow tests are asked for
hypothesis.settings.register_profile("dev", max_examples=30, derandomize=True, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=500, derandomize=True, deadline=None)

_LEFT_OUT = pytest.StashKey[int]()


def pytest_configure(config):
    config.stash[_LEFT_OUT] = 0
    is_short = config.option.markexpr == "not slow"
    hypothesis.settings.load_profile("dev" if is_short else "ci")


def pytest_deselected(items):
    for item in items:
        if item.get_closest_marker("slow"):
            item.config.stash[_LEFT_OUT] += 1


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Each worker has left out the same ones."""
    node.config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash[_LEFT_OUT]


def pytest_terminal_summary(terminalreporter, config):
    if count := config.stash[_LEFT_OUT]:
        terminalreporter.write_line(
            f"{count} slow tests were left out (processes, kills, fuzz, pages, many programs):"
            ' run these with -m slow, all with -m "".'
        )


def _compiled_fast():
    """Compiles in half the time, to slower code; for tests of many structures."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
    if not before:
        # no other test shall meet the slower programs, which round differently
        jax.clear_caches()


compiled_fast = pytest.fixture(_compiled_fast, name="compiled_fast")
# for tests that share programs
module_compiled_fast = pytest.fixture(_compiled_fast, scope="module", name="module_compiled_fast")

# folders in which it is not the numbers of a program that are tested, but what is done with them
_NOT_NUMBERS = {"disk", "estimators", "formats", "results", "system", "watching", "with_optuna"}


@pytest.fixture(autouse=True, scope="module")
def _fast_in_some_folders(request):
    yield from _compiled_fast() if request.path.parent.name in _NOT_NUMBERS else [None]


@pytest.fixture
def run_python():
    """Runs code in a process of its own, which must succeed; returns what it printed."""

    def run(code, *arguments):
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done

    return run


@pytest.fixture
def ctrl_c():
    """Ctrl-C as in a terminal; a process started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
