"""Forks: a process that is forked from one that has used JAX cannot use it, and is told so.

JAX works with threads, of which a fork has none: its calls would wait for them for ever.
"""

import os

_user: int | None = None
"""The process that was the first to use JAX by way of this package."""


def check_fork(name: str) -> None:
    """To be called by what uses JAX, before it does.

    Raises:
      RuntimeError: this process was forked from one that had called it.
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
