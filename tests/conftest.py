"""Options of all tests, quick compiling, and what tests are given: processes, Ctrl-C."""

import gc
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

# folders whose tests all compare numbers; in others, those that do have the marker
_NUMBERS = {"compiled", "functional"}

# most of the time is compiling: this takes a third of it, and makes slower code that rounds
# otherwise. Where tests of numbers are asked for, or all, programs are compiled as users' are
_QUICK = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "XLA_FLAGS": "--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters"
    " --xla_cpu_parallel_codegen_split_count=1",
}

_LEFT_OUT = pytest.StashKey[int]()


def pytest_configure(config):
    config.stash[_LEFT_OUT] = 0
    asked = config.option.markexpr
    hypothesis.settings.load_profile("dev" if asked == "not slow" else "ci")
    are_quick = asked and "numbers" not in asked.replace("not numbers", "")
    if are_quick and not os.environ.keys() & _QUICK.keys():
        # for the processes that tests start as well; flags of XLA are read with the first program,
        # but JAX has read its own variables already
        os.environ.update(_QUICK)
        jax.config.update("jax_disable_most_optimizations", True)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name in _NUMBERS:
            item.add_marker("numbers")


def pytest_collection_finish():
    """Lets the collector leave modules and tests alone: tracing makes it look at them often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


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
