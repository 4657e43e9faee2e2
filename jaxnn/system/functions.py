"""A user's functions as values of settings: their numbers, their names, and files without them."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any

from jaxnn.system.checks import brief

Function = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Missing:
    """A function that a file names but does not hold, since it is code."""

    name: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise ValueError(
            f"the function {self.name} is code that the file does not hold; expected the call that "
            "made it, with the function itself"
        )


def is_function(value: Any) -> bool:
    """Whether a value is a function that can be compared, as a part of a program's structure."""
    if not callable(value):
        return False
    try:
        hash(value)
    except TypeError:
        return False
    return True


def arguments_of(function: Any) -> list[str]:
    """Returns the names of a function's arguments; [] of what is no function."""
    if not callable(function):
        return []
    try:
        return [*inspect.signature(function).parameters]
    except (TypeError, ValueError):
        return []


def name_of(function: Function) -> str:
    """Returns the name of a function, as files and tables show it.

    >>> name_of(name_of), name_of(functools.partial(name_of))
    ('jaxnn.system.functions.name_of', 'jaxnn.system.functions.name_of')
    """
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, Missing):
        return function.name
    known = function if hasattr(function, "__qualname__") else type(function)
    name = f"{known.__module__}.{known.__qualname__}"
    code = getattr(function, "__code__", None)
    # several functions may be called lambda
    return f"{name} of line {code.co_firstlineno}" if "<lambda>" in name and code else name


@functools.lru_cache(maxsize=1024)
def own_numbers(function: Function, num_given: int) -> dict[str, float | None]:
    """Returns the numbers that a function takes after its first arguments, name -> default.

    Arguments whose default is no float are left out; None is no default.

    Raises:
      ValueError: the function does not take so many arguments.

    >>> own_numbers(lambda learning_rate, b1, eps=1e-8, nesterov=False: None, 1)
    {'b1': None, 'eps': 1e-08}
    """
    if isinstance(function, Missing):
        return {}
    try:
        parameters = [*inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):
        parameters = []
    by_position = [one for one in parameters if one.kind in _BY_POSITION]
    if len(by_position) < num_given and not any(one.kind is _STARRED for one in parameters):
        raise ValueError(
            f"{brief(function)}, which takes {len(by_position)} arguments by position; expected "
            f"{num_given} at least, and numbers by name after them"
        )
    numbers: dict[str, float | None] = {}
    for one in parameters:
        if one in by_position[:num_given] or one.kind not in _BY_NAME:
            continue
        if one.default is inspect.Parameter.empty:
            numbers[one.name] = None
        elif type(one.default) is float:
            numbers[one.name] = one.default
    return numbers


_STARRED = inspect.Parameter.VAR_POSITIONAL
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def named(value: Any) -> Any:
    """Returns the name of a function; other values as they are."""
    return name_of(value) if callable(value) else value


def short_name(value: Any) -> str:
    """Returns the last part of a function's name; other values as text."""
    return name_of(value).split(".")[-1] if callable(value) else str(value)
