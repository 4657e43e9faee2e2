"""A call of `sweep`, `search` or `Run` as a value: its arguments, its options, its text."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from jaxnn.engine.options import Options
from jaxnn.system.terminal import call_text

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Call:
    """What a function was called with.

    Attributes:
      function: as the user knows it.
      arguments: all of them by name, defaults included.
    """

    function: Callable[..., Any]
    arguments: Mapping[str, Any]

    @classmethod
    def of(cls, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "Call":
        """The call function(*args, **kwargs). TypeError if it has no such arguments."""
        bound = inspect.signature(function).bind(*args, **kwargs)
        bound.apply_defaults()
        return cls(function, dict(bound.arguments))

    @property
    def options(self) -> Options:
        """Those among the arguments. ValueError if one is bad."""
        return Options.among(self.arguments)

    def text(self, **shown: Any) -> str:
        """The call as text; `shown` are arguments of which other values are to be seen."""
        return call_text(self.function, {**self.arguments, **shown})


def entry(
    function: Callable[Concatenate[Call, Arguments], Result],
) -> Callable[Arguments, Result]:
    """Gives a function its own call, as a first argument that users do not see.

    >>> @entry
    ... def double(call, number, times=2):
    ...     return call.text(), number * times
    >>> double(3, times=4)
    ('jaxnn.double(number=3, times=4)', 12)
    """

    @functools.wraps(function)
    def called(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return function(Call.of(called, *args, **kwargs), *args, **kwargs)

    signature = inspect.signature(function)
    _, *parameters = signature.parameters.values()
    called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return called
