"""Libraries that come with an extra, such as "sklearn", and are named where they are missing."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def needs(extra: str, library: str) -> Iterator[None]:
    """Around imports of a library: without it, the error names the extra that brings it.

    Raises:
      ModuleNotFoundError: the library is not installed.

    >>> with needs("sklearn", "scikit-learn"):
    ...     raise ModuleNotFoundError
    Traceback (most recent call last):
    ModuleNotFoundError: this needs scikit-learn: pip install 'jaxnn-lanes[sklearn]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"this needs {library}: pip install 'jaxnn-lanes[{extra}]'", name=error.name
        ) from error
