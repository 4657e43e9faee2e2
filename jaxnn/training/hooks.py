"""Hooks: a user's function that is called for every epoch."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxnn.functional.metrics import COST
from jaxnn.system.signals import ENDS
from jaxnn.system.terminal import warn_caller


class EpochInfo(NamedTuple):
    """An epoch of a network.

    Attributes:
      number: the number of its setting; 0 for `fit` and `Run`.
      repeat: the index of its repetition or fold; 0 for `fit` and `Run`.
      epoch: the epoch, counted from 1.
      setting: a copy of the setting as it was given.
      values: the metrics, such as cost and accuracy, and with validation data valid_cost and so on.

    >>> from jaxnn import Dataset, fit
    >>> x, costs = np.random.default_rng(0).normal(size=(64, 2)), {}
    >>> tell = lambda info: costs.update({info.epoch: info.values["cost"]})
    >>> fitted = fit({}, Dataset(x, (x[:, 0] > 0) * 1), epochs=3, on_epoch=tell)
    >>> [*costs.values()] == fitted.curves["cost"].tolist()
    True
    """

    number: int
    repeat: int
    epoch: int
    setting: Mapping[str, Any]
    values: dict[str, float]


OnEpoch = Callable[[EpochInfo], Any]


def check_on_epoch(on_epoch: Any) -> None:
    """Raises ValueError unless on_epoch is None or a function."""
    if on_epoch is not None and not callable(on_epoch):
        raise ValueError(f"on_epoch got {on_epoch!r}; expected a function of an EpochInfo, or None")


class Hook:
    """Calls `on_epoch(info)` on the host, between compiled calls, until it raises an error.

    After an error it is not called again; `failure` describes the error, and training goes on.
    KeyboardInterrupt, SystemExit and GeneratorExit end training, as Ctrl-C does, and are kept in
    `interrupt`.

    Raises:
      ValueError: on_epoch is neither None nor a function.
    """

    def __init__(self, on_epoch: OnEpoch | None):
        check_on_epoch(on_epoch)
        self._on_epoch = on_epoch
        self.failure = ""
        self.interrupt: BaseException | None = None

    def warn(self) -> None:
        """Warns of the function's error, once."""
        if self.failure:
            warn_caller(self.failure, is_over=True)
            self.failure = ""

    @property
    def is_on(self) -> bool:
        return self._on_epoch is not None

    def __call__(
        self,
        number: int,
        repeat: int,
        setting: Mapping[str, Any],
        done: int,
        curves: Mapping[str, np.ndarray],
    ) -> None:
        """Calls the function for the epochs after `done`, except those after divergence."""
        if self._on_epoch is None:
            return
        for index in np.flatnonzero(np.isfinite(curves[COST.name])):
            values = {name: float(curve[index]) for name, curve in curves.items()}
            info = EpochInfo(
                number=number,
                repeat=repeat,
                epoch=done + int(index) + 1,
                setting=dict(setting),
                values=values,
            )
            try:
                self._on_epoch(info)
            except ENDS as error:
                self.interrupt = error
                return
            except Exception as error:
                self._on_epoch = None
                self.failure = (
                    f"on_epoch raised {said(error)}, at epoch {info.epoch} of "
                    f"setting {number}; it was not called again, and training went on."
                )
                return


def said(error: BaseException) -> str:
    """Returns type and text of a user's error, or its type alone if its `__str__` raises."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__
