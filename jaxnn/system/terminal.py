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
"""Characters of a text that are shown; text from files may be far longer."""

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, with which text could move the cursor, change its direction or end a line."""


def visible(text: str) -> str:
    r"""Returns the text with its control characters escaped.

    >>> visible("a\x1b[2J")
    'a\\x1b[2J'
    """
    return _UNSEEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def excerpt(text: str, most: int = MOST_SHOWN) -> str:
    """Returns the text with control characters escaped, cut to at most `most` characters.

    >>> excerpt("abcdef", 3)
    'abc...'
    """
    return visible(text) if len(text) <= most else f"{visible(text[:most])}..."


class PlainConsole(Console):
    """A console of rich that interprets no markup in names, notes and values.

    The package shows everything through this class, so code that makes tables need not escape
    anything. Highlighting is off: its time grows with the square of the text's length.
    """

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(excerpt(text), **options)


def as_text(renderable: Any, width: int = _WIDTH) -> str:
    """Renders without colours, using only characters that stdout can encode."""
    encoding = getattr(sys.stdout, "encoding", None)
    text = _rendered(renderable, io.StringIO(), width)
    if has_bytes_for(text, encoding):
        return text
    return encodable(_rendered(renderable, _AsciiText(), width), encoding)


class _AsciiText(io.StringIO):
    """A stream whose encoding makes rich draw boxes with -, + and |."""

    encoding = "ascii"


def _rendered(renderable: Any, file: io.StringIO, width: int) -> str:
    console = PlainConsole(file=file, width=width, color_system=None, force_jupyter=False)
    console.print(renderable)
    return file.getvalue()


def show(renderable: Any) -> None:
    """Prints a renderable to stdout, with colours on a terminal."""
    console = PlainConsole()
    if console.is_jupyter or (console.is_terminal and console.encoding.startswith("utf")):
        console.print(renderable)
    else:
        print(as_text(renderable, console.width if console.is_terminal else _WIDTH), end="")


def as_html(renderable: Any) -> str:
    """Renders as HTML for a notebook."""
    console = PlainConsole(record=True, file=io.StringIO(), width=_WIDTH, force_jupyter=False)
    console.print(renderable)
    layout = '<pre style="line-height:normal;font-family:monospace">{code}</pre>'
    return console.export_html(inline_styles=True, code_format=layout)


def counted(number: int, noun: str) -> str:
    """Returns a count with its noun, such as "1 epoch" or "1,500 epochs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Returns a time as text, such as "4.2 s", "51 s", "12 min" or "3.1 h"."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def call_text(function: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """Returns a call as text, without arguments at their default; long values are cut short.

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
    """Returns the text of a value, cut between two of its items if it is too long.

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
    """Warns with the line that called the package as the warning's place.

    Args:
      is_over: whether an error would lose what was trained. Where warnings are errors, the message
        is then printed to stderr instead.
    """
    message, level, frame = excerpt(message), 1, sys._getframe()
    while (
        frame.f_globals.get("__name__", "").split(".")[0] in ("jaxnn", "contextlib")
        and frame.f_back
    ):
        level, frame = level + 1, frame.f_back
    try:
        warnings.warn(message, category, stacklevel=level)
    except Warning:
        if not is_over:
            raise
        tell(f"jaxnn: {message}")
    except Exception:
        # a closed stderr or a failing warnings hook must not end training
        tell(f"jaxnn: {message}")


_PLAIN = {" ± ": " +-", "±": "+-", "…": "."}
"""Replacements for the package's own characters; the first and the last keep their width."""


def encodable(text: str, encoding: str | None) -> str:
    r"""Returns the text with characters replaced that an encoding lacks; None is UTF-8.

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
        # a stream with an encoding that Python does not know
        return True
    return True


def tell(line: str) -> None:
    """Prints a line to stderr; errors of the stream are ignored."""
    stream = _SafeStderr()
    stream.write(f"{line}\n")
    stream.flush()


def console_on_stderr() -> Console:
    """Returns a console of rich that writes to stderr and ignores its errors, as `tell` does."""
    return Console(file=cast(IO[str], _SafeStderr()))


class _SafeStderr:
    """The current stderr; writing to it never raises.

    It may be closed, full, without a reader, or any object that a program has put there.
    """

    def __init__(self) -> None:
        # while rich shows something live, sys.stderr is a proxy for the true stream
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
