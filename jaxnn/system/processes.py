"""The processes of a job on JAX's distributed runtime.

Lanes need nothing from each other while they train. Processes meet before, to agree on the plan,
and at the end of a stretch, to share its curves. A meeting is a collective: every process makes the
same calls in the same order, and waits for the others. It says which meeting it is, so that
processes that make other calls are told, and not left to wait.
"""

import contextlib
import dataclasses
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

HEARTBEAT = 20
"""Seconds without a sign of life after which a process counts as lost; JAX's own are 100."""

_PIECE = 2**26
"""Bytes that all processes together send at a time: they go through the memory of a device."""

_HEAD = 64
"""Bytes that come first: the length of a message, and the name of the meeting."""


def connect(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    **more: Any,
) -> None:
    """Joins this process to a job of several, whose `sweep` and `search` share their lanes.

    `jax.distributed.initialize` with a heartbeat of 20 s: when a process dies, the others end after
    that time and not after 100 s, and the same call goes on from its `directory`, on as many
    processes as there are then. To be called first, before JAX is used.

    In such a job every process calls `sweep` and `search` with the same arguments, and waits for
    the others; each gets the same study, with the networks of the best settings, up to 1 GB. `fit`,
    `Run` and `study.refit` stay a process's own. What must happen once, such as a report, is for
    `if jax.process_index() == 0`.

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


@dataclasses.dataclass(frozen=True)
class Hosts:
    """The processes that make a call together, and which of them this is."""

    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that the others agree with."""
        return self.index == 0

    def exchange(self, meeting: str, message: bytes) -> list[bytes]:
        """What every process says, in their order.

        Raises:
          ValueError: another process is at another meeting.
        """
        if self.count == 1:
            return [message]
        name = meeting.encode()[: _HEAD - 8].ljust(_HEAD - 8)
        heads = _waited(lambda: _gathered(np.int64(len(message)).tobytes() + name))
        names = [head[8:].decode().strip() for head in heads]
        for process, other in enumerate(names):
            if other != names[0]:
                raise ValueError(
                    "the processes of a job make the same calls with the same kinds of arguments, "
                    f"but process 0 is at {names[0]!r} and process {process} at {other!r}"
                )
        sizes = [int(np.frombuffer(head[:8], np.int64)[0]) for head in heads]
        longest, piece = max(sizes), max(_PIECE // self.count, 1024)
        said = [bytearray() for _ in sizes]
        for start in range(0, longest, piece):
            # few lengths, since each is compiled
            length = 1 << (min(piece, longest - start) - 1).bit_length()
            own = message[start : start + piece].ljust(length)
            for text, size, row in zip(said, sizes, _waited(lambda: _gathered(own)), strict=True):  # noqa: B023
                text += row[: max(0, min(piece, size - start))]
        return [bytes(text) for text in said]

    def from_first(self, meeting: str, message: bytes) -> bytes:
        """What the first process says; what the others are given does not matter."""
        return self.exchange(meeting, message if self.is_first else b"")[0]

    @contextlib.contextmanager
    def raised_together(self, meeting: str) -> Iterator[None]:
        """An error of one process is one of all: none is left to wait for it.

        Raises:
          ValueError: another process has raised something; it says what.
        """
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
        if self.count == 1:
            if error is not None:
                raise error
            return
        text = "" if error is None else f"{type(error).__name__}: {error!s}"
        said = self.exchange(meeting, text.encode(errors="replace"))
        if error is not None:
            raise error
        for process, other in enumerate(said):
            if other:
                raise ValueError(f"process {process} of {self.count}: {other.decode()}")


ALONE = Hosts()


def all_hosts() -> Hosts:
    """The processes of this job; one where there is no other."""
    return Hosts(jax.process_index(), jax.process_count())


def _gathered(row: bytes) -> list[bytes]:
    """The rows of all processes, which are as long as each other.

    `multihost_utils.process_allgather` does this where all processes have as many devices as each
    other, which a job need not; and it puts a copy on each device, where one a process is enough.
    """
    own = np.frombuffer(row, np.uint8)[None]
    mesh, gather = _gather()
    (device,) = (one for one in mesh.devices.flat if one.process_index == jax.process_index())
    rows = jax.make_array_from_single_device_arrays(
        (mesh.size, own.shape[1]),
        NamedSharding(mesh, PartitionSpec("process")),
        [jax.device_put(own, device)],
    )
    return [one.tobytes() for one in np.asarray(gather(rows).addressable_data(0))]


@functools.cache
def _gather() -> tuple[Mesh, Callable[[jax.Array], jax.Array]]:
    """A device of each process, however many it has, and the program that gathers on them."""
    first = {device.process_index: device for device in reversed(jax.devices())}
    mesh = Mesh([first[process] for process in sorted(first)], ("process",))
    return mesh, jax.jit(lambda rows: rows, out_shardings=NamedSharding(mesh, PartitionSpec()))


def _waited(call: Callable[[], list[bytes]]) -> list[bytes]:
    """The call's result, waited for so that signals are heard: inside a collective none is."""
    results: list[list[bytes]] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:
            errors.append(error)

    # a process that is told to end does not wait for it
    thread = threading.Thread(target=run, name="jaxnn meeting", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    if errors:
        raise errors[0]
    return results[0]
