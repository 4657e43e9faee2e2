"""Memory: what the machine has, compared with what a call asks for before anything is made."""

import functools
import os

import jax

try:
    import resource
except ImportError:  # pragma: no cover
    # Windows has no such limits
    resource = None  # type: ignore[assignment]


def check_fits(num_bytes: int, what: str, room: int | None = None) -> None:
    """ValueError if something takes more bytes than there are at all, however little is in use.

    What fits here may still be too much beside all else: that is the machine's to say. A slip of
    the keyboard, or a file that lies, asks for far more.

    Args:
      what: is said first, such as "epochs got 10: their curves".
      room: bytes that there are; None is the host's memory.
    """
    room = host_memory() if room is None else room
    if num_bytes > room:
        size = f"{num_bytes / 1e9:,.0f} GB" if num_bytes < 10**18 else "more than 10^9 GB"
        raise ValueError(
            f"{what} would take {size}; expected less than the {room / 1e9:,.0f} GB of memory here"
        )


def device_memory() -> int:
    """Bytes of the device, or of the host where the device has none of its own."""
    device = jax.local_devices()[0]
    own = None if device.platform == "cpu" else (device.memory_stats() or {}).get("bytes_limit")
    return int(own) if own else host_memory()


def host_memory() -> int:
    """Bytes that the process may use: those of the machine, or fewer where it was given a limit."""
    if resource is None:  # pragma: no cover
        return _physical_memory()
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return _physical_memory() if soft == resource.RLIM_INFINITY else min(soft, _physical_memory())


@functools.cache
def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # pragma: no cover
        # not every system tells; then what no machine has is refused alone
        return 2**44
