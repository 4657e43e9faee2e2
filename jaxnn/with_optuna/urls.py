"""URLs of storages: which parts may be shown, and which messages repeat a hidden part.

Only parts that are known to be harmless are shown: people misspell URLs, and drivers accept
passwords in many places.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, unquote_plus

_KINDS = "sqlite|postgresql|postgres|mysql|mariadb|mssql|oracle|cockroachdb|rediss|redis"

_DRIVERS = (
    "aiomysql|aioodbc|aiosqlite|asyncmy|asyncpg|cx_oracle|cymysql|mariadbconnector|mysqlconnector|"
    "mysqldb|oracledb|oracledb_async|pg8000|psycopg|psycopg2|psycopg2cffi|psycopg_async|pymssql|"
    "pymysql|pyodbc|pysqlcipher|pysqlite"
)
"""Drivers of SQLAlchemy; any other word may be a misplaced password."""

_URL = re.compile(
    rf"(?P<kind>(?:{_KINDS})(?:\+(?:{_DRIVERS}))?)://"
    r"(?:(?P<user>[\w.-]*)(?P<password>:[^:/?#@\[\]\s]*)?(?P<at>@))?"
    r"(?P<host>[\w.-]*|\[[0-9a-f:.]+\])(?::(?P<port>\d{1,5}))?"
    r"(?:/(?P<database>[^?#@]*))?(?:\?(?P<query>[^\s]*))?",
    re.IGNORECASE,
)
"""A URL without ambiguity; other characters in a password have to be quoted."""

_NAME = re.compile(r"[\w.$-]*")

_FILE = re.compile(r"(?:/?[A-Za-z]:(?=[/\\]))?[\w ./\\~+,()-]*|:memory:")

_ADDRESS = re.compile(r"localhost|.*[.:].*", re.IGNORECASE)

_OPTIONS = {"user", "password", "passwd", "host", "port", "sslmode", "charset", "driver", "timeout"}
"""Names in a query that many messages contain, so they are not secret; their values are."""


def shown(storage: Any) -> Any:
    """Returns a storage as it may be shown and saved: only the harmless parts of a URL.

    >>> shown("postgresql://me:secret@host/trials?sslmode=require")
    'postgresql://me:***@host/trials?***'
    >>> shown("postgresql:/me:secret@host/trials")
    'postgresql:***'
    """
    return _parts(storage)[0] if isinstance(storage, str) else storage


def named(storage: Any) -> str:
    """Returns a storage for a message; only the type of an object, whose text may be secret."""
    is_plain = storage is None or isinstance(storage, str | bool | int | float)
    return repr(shown(storage)) if is_plain else f"<{type(storage).__name__}>"


def _parts(url: str) -> tuple[str, list[str]]:
    """Returns a URL as it may be shown, and its hidden parts."""
    found = _URL.fullmatch(url)
    if found is not None:
        pattern = _FILE if found["kind"].lower().startswith("sqlite") else _NAME
        if not pattern.fullmatch(found["database"] or ""):
            found = None
    if found is None:
        kind = re.match(rf"(?:{_KINDS})\b", url, re.IGNORECASE)
        start = kind.end() if kind else 0
        return f"{url[:start]}:***" if kind else "***", [url[start:]]
    text, hidden = found["kind"] + "://", []
    if found["at"]:
        # without a password it may be a token, sometimes written as "token:"
        is_user = len(found["password"] or "") > 1
        text += f"{found['user']}:***@" if is_user else "***@"
        hidden.append(found["password"][1:] if is_user else found["user"])
    text += found["host"]
    if found["port"]:
        # after a plain word it may be the password of a URL without a host
        is_port = found["at"] or _ADDRESS.fullmatch(found["host"])
        text += f":{found['port']}" if is_port else ":***"
        hidden += [] if is_port else [found["port"]]
    if found["database"] is not None:
        text += f"/{found['database']}"
    if found["query"] is not None:
        text += "?***"
        for option in found["query"].split("&"):
            name, _, value = option.partition("=")
            hidden += [value] if name.lower() in _OPTIONS else [name, value]
    return text, hidden


class Secrets:
    """The hidden parts of a storage's URL, and checks whether a text repeats one of them.

    Args:
      storage: a URL, or a storage of Optuna that was made from one.
    """

    def __init__(self, storage: Any):
        forms = {
            form for part in _hidden(storage) for form in (part, unquote(part), unquote_plus(part))
        }
        # libraries split URLs in different ways
        words = {word for form in forms for word in re.findall(r"\w+", form)}
        self._texts = sorted({text.casefold() for text in forms | words if text.strip()})

    def are_in(self, text: str) -> bool:
        for form in (text, unquote(text)):
            folded = form.casefold()
            for secret in self._texts:
                # a short secret is part of many words, so only whole words count
                edges = ("(?<!\\w)", "(?!\\w)") if len(secret) < 4 else ("", "")
                if re.search(re.escape(secret).join(edges), folded):
                    return True
        return False

    def are_shown_by(self, error: BaseException | None) -> bool:
        """Whether an error shows a hidden part, or its cause, context or notes do."""
        seen: list[BaseException] = []
        waiting = [error]
        while waiting:
            one = waiting.pop()
            if one is None or any(one is other for other in seen):
                continue
            seen.append(one)
            if any(map(self.are_in, (_text(one), repr(one), *getattr(one, "__notes__", ())))):
                return True
            waiting += [one.__cause__, one.__context__]
        return False

    def told(self, error: BaseException) -> str:
        """Returns an error's text, or only its type if the text repeats a hidden part."""
        text = " ".join(_text(error).split())
        if self.are_in(text):
            return f"{type(error).__name__}, whose text repeats hidden parts of the URL"
        return text or type(error).__name__


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def _hidden(storage: Any) -> list[str]:
    if isinstance(storage, str):
        return _parts(storage)[1]
    found: list[str] = []
    for holder in (storage, getattr(storage, "_backend", None)):
        for name in ("url", "_url"):
            url = getattr(holder, name, None)
            found += _parts(url)[1] if isinstance(url, str) else []
        found += _strings(getattr(holder, "engine_kwargs", None))
    return found


def _strings(value: Any) -> list[str]:
    """Returns all text in nested arguments, without the names of options."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return []
    items: Iterable[Any] = value
    return [text for item in items for text in _strings(item)]
