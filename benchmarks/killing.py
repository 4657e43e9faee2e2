"""Processes that are started, waited for and killed, for tests and benchmarks."""

import hashlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

import jaxnn

Process = subprocess.Popen[str]


def start(*arguments: Any, **options: Any) -> Process:
    """Starts this Python; what it prints is kept, unless options of Popen say otherwise."""
    kept: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *map(str, arguments)], **kept | options)


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


def wait_until(is_so: Callable[[], Any], process: Process) -> None:
    """Returns when something is so, or the process has ended."""
    while process.poll() is None and not is_so():
        time.sleep(0.01)


def kill(process: Process) -> bool:
    """SIGKILL, which no process can catch, and waits for it; False if it had ended before."""
    process.kill()
    return process.wait() == -signal.SIGKILL


def ended(processes: Sequence[Process], timeout: float | None = None) -> list[tuple[str, str]]:
    """Waits until all have ended; returns what each has printed, and written as errors.

    Raises:
      subprocess.TimeoutExpired: one went on for `timeout` seconds; all were killed.
    """
    try:
        return [process.communicate(timeout=timeout) for process in processes]
    finally:
        for process in processes:
            kill(process)


def printed(processes: Sequence[Process], timeout: float | None = None) -> list[str]:
    """Waits until all have ended; returns what each has printed.

    Raises:
      subprocess.TimeoutExpired: one went on for `timeout` seconds; all were killed.
      RuntimeError: one failed.
    """
    said = ended(processes, timeout)
    for process, (_, errors) in zip(processes, said, strict=True):
        if process.returncode:
            raise RuntimeError(f"a process failed with {process.returncode}: {errors}")
    return [out for out, _ in said]


def bits(study: jaxnn.Study) -> str:
    """SHA-256 of all that a study says, and of all its networks."""
    sha = hashlib.sha256(repr((study.settings, study.rungs)).encode())
    arrays = [*study.curves.values(), study.diverged, study.epochs_done, study.ends, study.dropped]
    arrays.append(study.kept_epochs)
    for number, repeat in np.argwhere(study.places[..., 0] >= 0).tolist():
        fitted = study.fitted(number, repeat)
        arrays += map(np.asarray, jax.tree.leaves((fitted.params, fitted.state)))
    for array in arrays:
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()
