"""Text for people: tables in a terminal or a notebook, counts in words, and warnings."""

import contextlib
import inspect
import io
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import IO, Any, cast

from rich.console import Console
from rich.text import Text

_WIDTH = 120

MOST_SHOWN = 10_000
"""Characters of a text that are shown: files and names may hold far longer ones."""

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, by which text could move the cursor, change its order or end a line."""


def visible(text: str) -> str:
    r"""The text with its control characters written out.

    >>> visible("a\x1b[2J")
    'a\\x1b[2J'
    """
    return _UNSEEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def excerpt(text: str, most: int = MOST_SHOWN) -> str:
    """The text as it is shown: visible, and cut short if it is long.

    >>> excerpt("abcdef", 3)
    'abc...'
    """
    return visible(text) if len(text) <= most else f"{visible(text[:most])}..."


class PlainConsole(Console):
    """A console to which text is text: names, notes and values are no markup, whoever wrote them.

    All that the package shows through rich goes through one of these, so what makes tables need not
    escape anything. Nothing is highlighted, which takes a time that grows as the square of a text.
    """

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(excerpt(text), **options)


def as_text(renderable: Any, width: int = _WIDTH) -> str:
    """What rich makes of it, without colours, of signs that stdout has."""
    encoding = getattr(sys.stdout, "encoding", None)
    text = _rendered(renderable, io.StringIO(), width)
    if has_bytes_for(text, encoding):
        return text
    return encodable(_rendered(renderable, _AsciiText(), width), encoding)


class _AsciiText(io.StringIO):
    """Has rich draw boxes of -, + and |."""

    encoding = "ascii"


def _rendered(renderable: Any, file: io.StringIO, width: int) -> str:
    console = PlainConsole(file=file, width=width, color_system=None, force_jupyter=False)
    console.print(renderable)
    return file.getvalue()


def show(renderable: Any) -> None:
    """Prints it to stdout, with colours on a terminal."""
    console = PlainConsole()
    if console.is_jupyter or (console.is_terminal and console.encoding.startswith("utf")):
        console.print(renderable)
    else:
        print(as_text(renderable, console.width if console.is_terminal else _WIDTH), end="")


def as_html(renderable: Any) -> str:
    """What rich makes of it, for a notebook."""
    console = PlainConsole(record=True, file=io.StringIO(), width=_WIDTH, force_jupyter=False)
    console.print(renderable)
    layout = '<pre style="line-height:normal;font-family:monospace">{code}</pre>'
    return console.export_html(inline_styles=True, code_format=layout)


def counted(number: int, noun: str) -> str:
    """Such as "1 epoch" or "1,500 epochs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Such as "4.2 s", "51 s", "12 min" or "3.1 h"."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def call_text(function: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """A call as text, without what is left at its default; long values are cut short.

    >>> call_text(counted, {"number": 3, "noun": "lane"})
    "jaxnn.counted(number=3, noun='lane')"
    """
    shown = []
    for name, parameter in inspect.signature(function).parameters.items():
        value = arguments[name]
        if value is parameter.default:
            continue
        is_plain = isinstance(value, bool | int | float | str | Mapping | type(None))
        text = repr(value) if is_plain else f"<{type(value).__name__}>"
        if not is_plain and hasattr(value, "__len__"):
            text = f"<{type(value).__name__} of {len(value):,}>"
        shown.append(f"{name}={_cut(text, 600)}")
    return f"jaxnn.{function.__name__}({', '.join(shown)})"


_CLOSING = {"(": ")", "[": "]", "{": "}"}


def _cut(text: str, longest: int) -> str:
    """The text of a value, cut between two of its items if it is too long.

    >>> _cut("{'a': (1, 2), 'b': [10, 20, 30]}", 27)
    "{'a': (1, 2), 'b': [10, ...]}"
    """
    if len(text) <= longest:
        return text
    open_ones: list[str] = []
    head, end = text[:longest], "..."
    # a string is one piece, whatever is in it
    for piece in re.finditer(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|, |.""", text, re.DOTALL):
        if piece.end() > longest:
            break
        if piece[0] in _CLOSING:
            open_ones.append(_CLOSING[piece[0]])
        elif open_ones and piece[0] == open_ones[-1]:
            open_ones.pop()
        elif piece[0] == ", ":
            head, end = text[: piece.end()], "..." + "".join(reversed(open_ones))
    return head + end


def warn_caller(message: str, is_over: bool = False, category: type[Warning] = UserWarning) -> None:
    """A warning that points to the line that called the package.

    Args:
      is_over: whether something was trained that an error would lose. Where warnings are errors,
        this one is then only printed to stderr.
    """
    message, level, frame = excerpt(message), 1, sys._getframe()
    while frame.f_globals["__name__"].split(".")[0] in ("jaxnn", "contextlib") and frame.f_back:
        level, frame = level + 1, frame.f_back
    try:
        warnings.warn(message, category, stacklevel=level)
    except Warning:
        if not is_over:
            raise
        tell(f"jaxnn: {message}")
    except Exception:
        # a stderr that is closed, or a way to show warnings that fails: nothing ends by that
        tell(f"jaxnn: {message}")


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
