"""Hosts: the processes of one job on JAX's distributed runtime, and what they tell each other.

Lanes need nothing from each other while they train. Processes meet before, to agree on the plan,
and at the end of a stretch, to share its curves. A meeting is a collective: every process makes the
same calls in the same order, and waits for the others.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

HEARTBEAT = 20
"""Seconds without a sign of life after which a process counts as lost; JAX's own are 100."""

_PIECE = 2**26
"""Bytes that a process sends at a time: on a GPU they go through its memory."""


def connect(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    **more: Any,
) -> None:
    """Joins this process to a job of several, whose `sweep` and `search` share their lanes.

    `jax.distributed.initialize` with a heartbeat of 20 s: when a process is lost, the others end
    after that time and not after 100 s, and the same call goes on from its `directory`, on as many
    processes as there are then. To be called first, before JAX is used.

    In such a job every process makes the same calls with the same data, and gets the same study.

    Args:
      coordinator_address: "host:port" of process 0, which the others can reach.
      num_processes, process_id: how many there are, and which this is, from 0. All three may be
        left out where JAX finds them itself (Slurm, Open MPI, Kubernetes, Cloud TPU).
      more: further arguments of `jax.distributed.initialize`.

    >>> connect("localhost:9911", num_processes=1, process_id=0)  # doctest: +SKIP
    >>> jax.process_count()
    1
    """
    more.setdefault("heartbeat_timeout_seconds", HEARTBEAT)
    jax.distributed.initialize(coordinator_address, num_processes, process_id, **more)


def is_first() -> bool:
    """Whether this is the process that the others agree with."""
    return jax.process_index() == 0


def num_devices() -> list[int]:
    """Of each process."""
    owners = [device.process_index for device in jax.devices()]
    return [owners.count(process) for process in range(jax.process_count())]


def exchange(message: bytes) -> list[bytes]:
    """What every process says, in their order."""
    if jax.process_count() == 1:
        return [message]
    from jax.experimental.multihost_utils import process_allgather

    # as bytes: without x64 JAX would cut longer numbers
    size = np.frombuffer(np.int64(len(message)).tobytes(), np.uint8)
    sizes = np.asarray(process_allgather(size)).copy().view(np.int64)[:, 0]
    # few lengths, since each is compiled
    longest = 1 << max(10, int(sizes.max() - 1).bit_length())
    said = [bytearray() for _ in sizes]
    for start in range(0, int(sizes.max()), _PIECE):
        piece = np.frombuffer(message[start : start + _PIECE], np.uint8)
        rows = process_allgather(np.pad(piece, (0, min(longest, _PIECE) - len(piece))))
        for text, size, row in zip(said, sizes, np.asarray(rows), strict=True):
            text += row[: max(0, min(_PIECE, size - start))].tobytes()
    return [bytes(text) for text in said]


def from_first(message: bytes) -> bytes:
    """What the first process says; what the others are given does not matter."""
    if jax.process_count() == 1:
        return message
    from jax.experimental.multihost_utils import broadcast_one_to_all

    length = np.frombuffer(np.int64(len(message)).tobytes(), np.uint8)
    size = int(np.asarray(broadcast_one_to_all(length)).copy().view(np.int64)[0])
    said = np.zeros(1 << max(10, (size - 1).bit_length()), np.uint8)
    if is_first():
        said[:size] = np.frombuffer(message, np.uint8)
    return np.asarray(broadcast_one_to_all(said))[:size].tobytes()


@contextlib.contextmanager
def raised_together() -> Iterator[None]:
    """An error of one process is one of all: none is left to wait for it.

    Raises:
      ValueError: another process has raised one; it says which.
    """
    error: Exception | None = None
    try:
        yield
    except Exception as raised:
        error = raised
    said = exchange(b"" if error is None else f"{error or type(error).__name__}".encode())
    if error is not None:
        raise error
    for process, text in enumerate(said):
        if text:
            raise ValueError(f"process {process} of {len(said)}: {text.decode()}")
