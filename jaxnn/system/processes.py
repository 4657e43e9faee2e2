"""The processes of a job on JAX's distributed runtime.

Lanes are independent while they train. The processes communicate before training, to agree on the
plan, and after each stretch of training, to share its curves. A meeting is a collective operation:
every process calls it in the same order and waits for the others. Each meeting has a name, so that
processes whose calls differ get an error and do not wait for ever.
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
"""Seconds without a heartbeat after which a process counts as lost; JAX's default is 100."""

_PIECE = 2**26
"""Bytes that all processes together send at a time, since they pass through device memory."""

_HEAD = 64
"""Bytes of the header: the length of the message and the name of the meeting."""


def connect(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    **more: Any,
) -> None:
    """Joins this process to a job of several, whose `sweep` and `search` share their lanes.

    Calls `jax.distributed.initialize` with a heartbeat of 20 s: when a process dies, the others end
    after 20 s instead of 100. The same call then resumes from its `directory`, on any number of
    processes. Call it first, before JAX is used.

    In such a job every process calls `sweep` and `search` with the same arguments and waits for the
    others. Each gets the same study, with the networks of the best settings, up to 1 GB. `fit`,
    `Run` and `study.refit` train in the calling process alone. Guard what must happen once, such as
    writing a report, by `if jax.process_index() == 0`.

    Args:
      coordinator_address: "host:port" of process 0, which the others can reach.
      num_processes: the number of processes.
      process_id: the index of this one, from 0. All three may be left out where JAX finds them
        itself (Slurm, Open MPI, Kubernetes, Cloud TPU).
      more: further arguments of `jax.distributed.initialize`.

    >>> connect("localhost:9911", num_processes=1, process_id=0)  # doctest: +SKIP
    >>> jax.process_count()
    1
    """
    more.setdefault("heartbeat_timeout_seconds", HEARTBEAT)
    jax.distributed.initialize(coordinator_address, num_processes, process_id, **more)


@dataclasses.dataclass(frozen=True)
class Hosts:
    """The processes that make a call together, and the index of this one."""

    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is process 0, whose decisions the others take over."""
        return self.index == 0

    def exchange(self, meeting: str, message: bytes) -> list[bytes]:
        """Sends a message to all processes and returns theirs, in the order of the processes.

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
            # powers of two, since each length is compiled
            length = 1 << (min(piece, longest - start) - 1).bit_length()
            own = message[start : start + piece].ljust(length)
            for text, size, row in zip(said, sizes, _waited(lambda: _gathered(own)), strict=True):  # noqa: B023
                text += row[: max(0, min(piece, size - start))]
        return [bytes(text) for text in said]

    def from_first(self, meeting: str, message: bytes) -> bytes:
        """Returns the message of process 0; the messages of the others are ignored."""
        return self.exchange(meeting, message if self.is_first else b"")[0]

    @contextlib.contextmanager
    def raised_together(self, meeting: str) -> Iterator[None]:
        """Raises an error of one process in all of them, so that none waits for it.

        Raises:
          ValueError: another process raised an error, whose text is in the message.
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
    """Returns the processes of this job, which may be this one alone."""
    return Hosts(jax.process_index(), jax.process_count())


def _gathered(row: bytes) -> list[bytes]:
    """Returns the rows of all processes; all have the same length.

    `multihost_utils.process_allgather` needs the same number of devices in each process, and copies
    the result to each device. Here one device of each process takes part.
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
    """Returns a mesh of one device of each process, and the program that gathers on it."""
    first = {device.process_index: device for device in reversed(jax.devices())}
    mesh = Mesh([first[process] for process in sorted(first)], ("process",))
    return mesh, jax.jit(lambda rows: rows, out_shardings=NamedSharding(mesh, PartitionSpec()))


def _waited(call: Callable[[], list[bytes]]) -> list[bytes]:
    """Runs a call in a thread and waits for it, since Python handles no signal in a collective."""
    results: list[list[bytes]] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(call())
        except Exception as error:
            errors.append(error)

    # a daemon: a process that is told to end does not wait for the thread
    thread = threading.Thread(target=run, name="jaxnn meeting", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    if errors:
        raise errors[0]
    return results[0]
