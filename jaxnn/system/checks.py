"""Checks that several entry points share: of values, paths, memory, forks and extras."""

import contextlib
import functools
import os
from collections.abc import Iterable, Iterator
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnn.system.terminal import excerpt

try:
    import resource
except ImportError:  # pragma: no cover
    # Windows has no such limits
    resource = None  # type: ignore[assignment]


def brief(value: Any) -> str:
    """Returns any value as text for a message; long text is cut short.

    >>> brief("abc"), len(brief(10**10_000)) < 250
    ("'abc'", True)
    """
    try:
        text = repr(value)
    except Exception:
        # Python refuses whole numbers of more than 4,300 digits; a user's __repr__ may raise
        text = f"<{type(value).__name__} that cannot be shown>"
    return excerpt(text, 200)


PLAIN = {type(None), bool, int, float, str}
"""The types of plain values besides tuples of them."""


def plain(name: str, value: Any) -> Any:
    """Returns the value as plain Python: None, a bool, an int, a float, text, or a tuple of them.

    NumPy scalars, fractions and enumerations could be trained with, but not saved or compared. A
    list becomes a tuple, so that its owner cannot change it later. Functions stay as they are.

    Raises:
      ValueError: the value has no plain form.

    >>> plain("hidden", [np.int64(25), 12]), plain("l2", np.float64(0.5))
    ((25, 12), 0.5)
    """
    if type(value) in PLAIN or (type(value) is tuple and PLAIN.issuperset(map(type, value))):
        return value
    if isinstance(value, tuple | list):
        # a list may contain itself
        with contextlib.suppress(RecursionError):
            return tuple([plain(name, item) for item in value])
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, str):
        # not str(value): an enumeration returns the name of its member
        return str.__str__(value)
    if isinstance(value, Integral):
        return int(value)
    with contextlib.suppress(OverflowError):
        if isinstance(value, Real):
            return float(value)
    if callable(value):
        return value
    raise ValueError(
        f"{name} got {brief(value)}; expected numbers, text, True, False, None, or tuples of them"
    )


def whole_number(name: str, value: Any, least: int = 0) -> int:
    """Returns the value as a Python int.

    Raises:
      ValueError: it is not a whole number from `least` up to 2^31 - 1.

    >>> whole_number("seed", -1)
    Traceback (most recent call last):
    ValueError: seed got -1; expected a whole number >= 0 and below 2^31
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or not least <= int(value) < 2**31:
        raise ValueError(
            f"{name} got {brief(value)}; expected a whole number >= {least} and below 2^31"
        )
    return int(value)


def either(name: str, value: Any, *allowed: str) -> None:
    """Raises ValueError unless the value is one of some words.

    >>> either("metric", "auc", "accuracy", "cost")
    Traceback (most recent call last):
    ValueError: metric got 'auc'; expected 'accuracy' or 'cost'
    """
    if not isinstance(value, str) or value not in allowed:
        words = " or ".join(filter(None, [", ".join(map(repr, allowed[:-1])), repr(allowed[-1])]))
        raise ValueError(f"{name} got {brief(value)}; expected {words}")


def one_of(name: str, value: Any, allowed: Iterable[str]) -> None:
    """Raises ValueError unless the value is one of some words.

    >>> one_of("init", "ones", ["he_normal", "he_uniform"])
    Traceback (most recent call last):
    ValueError: init got 'ones'; expected one of he_normal, he_uniform
    """
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} got {brief(value)}; expected one of {', '.join(allowed)}")


def as_path(name: str, value: Any) -> Path:
    """Returns the value as a path.

    Raises:
      ValueError: it is not a path.

    >>> as_path("path", 5)
    Traceback (most recent call last):
    ValueError: path got 5; expected a path
    """
    # open() takes a number for the descriptor of an open file
    if isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str):
        return Path(value)
    raise ValueError(f"{name} got {brief(value)}; expected a path")


def check_fits(num_bytes: int, what: str, room: int | None = None) -> None:
    """Raises ValueError if something needs more bytes than the whole memory.

    This catches a mistyped number or a damaged file, which ask for far more than any machine has.
    What passes may still fail later, because other data are in memory as well.

    Args:
      what: the beginning of the message, such as "epochs got 10: their curves".
      room: the bytes available; None is the host's memory.
    """
    room = host_memory() if room is None else room
    if num_bytes > room:
        size = f"{num_bytes / 1e9:,.0f} GB" if num_bytes < 10**18 else "more than 10^9 GB"
        raise ValueError(
            f"{what} would take {size}; expected less than the {room / 1e9:,.0f} GB of memory here"
        )


def device_memory() -> int:
    """Returns the bytes of the device's memory, or of the host's for a CPU."""
    device = jax.local_devices()[0]
    own = None if device.platform == "cpu" else (device.memory_stats() or {}).get("bytes_limit")
    return int(own) if own else host_memory()


def host_memory() -> int:
    """Returns the bytes that the process may use: the machine's memory or the process's limit."""
    if resource is None:  # pragma: no cover
        return _physical_memory()
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return _physical_memory() if soft == resource.RLIM_INFINITY else min(soft, _physical_memory())


@functools.cache
def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # pragma: no cover
        # not every system reports its memory; 16 TB then refuses only absurd sizes
        return 2**44


_user: int | None = None
"""The first process that used JAX through this package."""


def check_fork(name: str) -> None:
    """Refuses to use JAX in a forked process; every entry point calls it first.

    Raises:
      RuntimeError: this process was forked from one that had already called this function.
    """
    global _user
    process = os.getpid()
    if _user is None:
        _user = process
    if _user != process:
        raise RuntimeError(
            f"{name} was called in process {process}, forked from {_user}, which had used JAX "
            "before: there it would hang, since JAX's threads are not forked; expected a process "
            'that was started anew, as multiprocessing.get_context("spawn") or "forkserver" does'
        )


@contextlib.contextmanager
def needs(extra: str, library: str) -> Iterator[None]:
    """Wraps the import of an optional library: its error names the extra that installs it.

    Raises:
      ModuleNotFoundError: the library is not installed.

    >>> with needs("sklearn", "scikit-learn"):
    ...     raise ModuleNotFoundError
    Traceback (most recent call last):
    ModuleNotFoundError: this needs scikit-learn: pip install 'jaxnn-lanes[sklearn]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"this needs {library}: pip install 'jaxnn-lanes[{extra}]'", name=error.name
        ) from error
