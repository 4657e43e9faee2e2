"""Optuna's storages: opened or refused before work starts, and retried where they fail."""

import contextlib
import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import Any

from jaxnn.with_optuna.urls import Secrets, named
from jaxnn.with_optuna.urls import shown as shown

PATIENCE = 120.0
"""Seconds for which failing calls of a storage are retried; then the search ends."""

_RETRY_AFTER = 1.0

_OPENING = 5.0

_IDLE = 30
"""Seconds after which a server ends the idle transaction of a frozen process."""


def import_optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError:
        raise ModuleNotFoundError("this needs Optuna: pip install 'jaxnn-lanes[optuna]'") from None
    return optuna


class Patient:
    """A storage of Optuna whose failing calls are retried for a while.

    A failed call may have been carried out nevertheless, such as when the connection broke before
    the answer came. A retry may then insert a trial twice, one of which is superfluous to `Ledger`,
    or finish a trial twice, for which `Worker` checks. No error that it raises shows hidden parts
    of a URL.

    Attributes:
      plain: the storage itself.
      is_given_up: a function that tells when to stop retrying.
      say: a function that shows a message to the user.
    """

    def __init__(self, storage: Any):
        self.plain = storage
        self._secrets, self._has_failed = Secrets(storage), False
        self.is_given_up: Callable[[], bool] = lambda: False
        self.say: Callable[[str], None] = lambda text: None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.plain, name)
        if name.startswith("_") or not callable(found):
            return found
        return lambda *arguments, **options: self.attempt(lambda: found(*arguments, **options))

    def attempt(self, call: Callable[[], Any]) -> Any:
        """Makes a call, and retries it while the storage fails."""
        optuna, start, has_told = import_optuna(), time.monotonic(), False
        answers = (
            optuna.exceptions.UpdateFinishedTrialError,
            optuna.exceptions.DuplicatedStudyError,
            ValueError,
            LookupError,
            TypeError,
        )
        while True:
            try:
                return call()
            except Exception as error:
                # every kind of storage raises its own errors
                failure, is_answer = error, isinstance(error, answers)
                self._has_failed |= not is_answer and time.monotonic() - start > PATIENCE
                is_last = is_answer or self._has_failed or self.is_given_up()
                if is_last and not self._secrets.are_shown_by(error):
                    raise
            if is_last:
                # outside the handler, which would attach the original error
                raise optuna.exceptions.StorageInternalError(self._secrets.told(failure))
            if not has_told:
                cause = self._secrets.told(failure.__cause__ or failure)
                self.say(f"The storage fails: {cause}. It is tried for {PATIENCE:.0f} s.")
                has_told = True
            time.sleep(_RETRY_AFTER)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silences Optuna's messages about a study that the user does not see."""
    optuna = import_optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def open_study(storage: Any, name: str | None, sampler: Any, direction: str) -> Any:
    """Creates a study in a storage, or loads the one of that name.

    Raises:
      ModuleNotFoundError: the URL's driver is missing.
      ValueError: the storage cannot be reached, or its study has another direction.
    """
    study = refused_or(
        storage,
        lambda: import_optuna().create_study(
            storage=Patient(_opened(storage)),
            sampler=sampler,
            study_name=name,
            direction=direction,
            load_if_exists=name is not None,
        ),
    )
    directions = refused_or(storage, lambda: [one.name.lower() for one in study.directions])
    if directions != [direction]:
        raise ValueError(
            f"name got {name!r}, a study of the direction {directions[0]!r}; expected the "
            f"direction {direction!r}: give the metric that it was begun with, or another name"
        )
    return study


def open_storage(storage: Any) -> Patient:
    """Opens a storage without retries, whose errors show no hidden parts of a URL.

    Raises:
      ModuleNotFoundError, ValueError: as `open_study` does.
    """
    opened = Patient(refused_or(storage, lambda: _opened(storage)))
    opened.is_given_up = lambda: True
    return opened


def refused_or(storage: Any, call: Callable[[], Any]) -> Any:
    """Returns the result of a call that opens a storage; turns its errors into messages.

    Raises:
      ModuleNotFoundError: the URL's driver is missing.
      ValueError: any other error; neither it nor its traceback shows hidden parts of the URL.
    """
    optuna, start, secrets = import_optuna(), time.monotonic(), Secrets(storage)
    while True:
        try:
            return call()
        except optuna.exceptions.DuplicatedStudyError:
            raise
        except Exception as error:
            failure = error
        # processes that start together may all try to create the tables
        if time.monotonic() - start > _OPENING or not _is_race(failure):
            break
        time.sleep(_RETRY_AFTER / 4)
    cause = None if secrets.are_shown_by(failure) else failure
    if isinstance(failure, ImportError):
        extra = "postgresql" if str(storage).startswith("postgres") else "optuna"
        driver = secrets.told(failure.__cause__ or failure)
        raise ModuleNotFoundError(
            f"storage got {named(storage)}, whose driver is missing ({driver}): "
            f"pip install 'jaxnn-lanes[{extra}]', or the driver that the URL names"
        ) from None
    raise ValueError(
        f"storage got {named(storage)}, which cannot be opened ({secrets.told(failure)}); expected "
        "None, a URL such as 'sqlite:///trials.db' or 'postgresql://user@host/database' of a "
        "server that runs, or a storage of Optuna"
    ) from cause


def _is_race(error: BaseException) -> bool:
    text = str(error)
    return any(part in text for part in ("already exists", "duplicate key", "locked", "UNIQUE"))


def _opened(storage: Any) -> Any:
    opened = import_optuna().storages.get_storage(_with_driver(storage))
    engine = getattr(getattr(opened, "_backend", None), "engine", None)
    if isinstance(storage, str) and engine is not None and engine.dialect.name == "postgresql":
        _release_locks(engine)
    return opened


def _with_driver(storage: Any) -> Any:
    """Adds an installed driver to a URL without one, since SQLAlchemy's default varies."""
    if isinstance(storage, str) and storage.startswith("postgresql://"):
        for driver in ("psycopg2", "psycopg"):
            if importlib.util.find_spec(driver) is not None:
                return storage.replace("postgresql", f"postgresql+{driver}", 1)
    return storage


def _release_locks(engine: Any) -> None:
    """Makes the server end idle transactions, so that a frozen process blocks nobody."""
    import sqlalchemy

    def limit(connection: Any, record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET idle_in_transaction_session_timeout = {_IDLE * 1000}")
        connection.commit()

    sqlalchemy.event.listen(engine, "connect", limit)
    # connections that are open already have no limit
    engine.dispose()
