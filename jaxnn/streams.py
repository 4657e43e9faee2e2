"""The user's streams: what they cannot show is replaced, and what they do not take is left out."""

import contextlib
import sys
from typing import IO, Any, cast

from rich.console import Console

_PLAIN = {" ± ": " +-", "±": "+-", "…": "."}
"""Stands for what the package writes; the first and the last are as wide as before."""


def encodable(text: str, encoding: str | None) -> str:
    r"""A text without what an encoding has no bytes for; None has some for everything.

    >>> encodable("0.91 ± 0.02, é", "ascii")
    '0.91 +-0.02, \\xe9'
    """
    encoding = encoding or "utf-8"
    if has_bytes_for(text, encoding):
        return text
    for sign, plain in _PLAIN.items():
        if not has_bytes_for(sign, encoding):
            text = text.replace(sign, plain)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def has_bytes_for(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    except LookupError:
        # a stream of its own kind
        return True
    return True


def tell(line: str) -> None:
    """Prints a line to stderr; where nobody can read it, nothing happens."""
    stream = _SafeStderr()
    stream.write(f"{line}\n")
    stream.flush()


def console_on_stderr() -> Console:
    """A console of rich that writes to stderr as `tell` does."""
    return Console(file=cast(IO[str], _SafeStderr()))


class _SafeStderr:
    """What stderr is now: closed, full or without a reader, it stops nothing.

    It may be anything that a program has put there, so any error is caught.
    """

    def __init__(self) -> None:
        # while rich shows something live, its own stands there before the true one
        self._stream: Any = getattr(sys.stderr, "rich_proxied_file", sys.stderr)

    @property
    def encoding(self) -> str | None:
        return getattr(self._stream, "encoding", None)

    def write(self, text: str) -> int:
        with contextlib.suppress(Exception):
            self._stream.write(encodable(text, self.encoding))
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(Exception):
            self._stream.flush()

    def isatty(self) -> bool:
        with contextlib.suppress(Exception):
            return bool(self._stream.isatty())
        return False
