"""`Study`: the record of a sweep or search, with methods that fit, save and report."""

import os
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.engine.feeds import held_out_of
from jaxnn.formats.layout import save_record
from jaxnn.reporting.lineages import schedules
from jaxnn.reporting.pareto import pareto
from jaxnn.reporting.reports import report
from jaxnn.reporting.summaries import summary
from jaxnn.results import uncertainty
from jaxnn.results.choosing import choose
from jaxnn.results.predictions import network_of
from jaxnn.results.records import Record
from jaxnn.results.trials import Trial
from jaxnn.results.uncertainty import Comparison
from jaxnn.searching.finalists import best_rows, greedy_ensemble, trained_anew
from jaxnn.system.checks import either, whole_number
from jaxnn.system.terminal import as_html, show, warn_caller
from jaxnn.training.ensembles import Ensemble
from jaxnn.training.fitted import Fitted


class Study(Record):
    __doc__ = Record.__doc__

    @classmethod
    def of(cls, record: Record, folds: Sequence[Any] = ()) -> Self:
        """Returns a study that shares the arrays of a record, with its validation examples."""
        return cls(**{**vars(record), "held_out": held_out_of(folds) or record.held_out})

    def fitted(self, number: int | None = None, repeat: int = 0) -> Fitted:
        """Returns a network of the study.

        Args:
          number: the number of the setting; None is the best setting.
          repeat: the repetition, from 0.

        Raises:
          ValueError: there is no such setting or repetition, or its network is not here: it was
            not trained to the end, or another process of the job has it.
        """
        number = self.best_trial.number if number is None else whole_number("number", number)
        repeat = whole_number("repeat", repeat)
        return network_of(self, number, repeat)

    def ensemble(
        self,
        top: int = 10,
        *,
        method: str = "best",
        size: int = 25,
        initial: int = 5,
        data: Dataset | Sequence[Dataset] | None = None,
        metric: str | None = None,
    ) -> Ensemble:
        """Returns networks of the study as an ensemble, without training.

        | method | its members |
        | --- | --- |
        | "best" | the first repetition of each of the `top` best settings |
        | "greedy" | networks chosen among those of all settings and repetitions, also of settings \
          that a halving dropped. The `initial` best begin, or the best one alone if that would be \
          better. Each step adds, with replacement, the network with which the averaged prediction \
          of the validation examples is best; the ensemble is that of the best step. `weights` \
          are the shares of the members, and `chosen` says what was gained |

        With folds a greedy choice adds a setting (and repetition) as one network for each fold,
        equally weighted, and judges it by its out-of-fold predictions. In a job of several
        processes it is made among the networks that this process has.

        Args:
          top: the number of settings. Dropped settings do not count, so after a halving there may
            be fewer.
          size: the most networks of a greedy choice, counted as often as they were chosen.
          initial: how many of the best networks begin a greedy choice. More of them, at equal
            weights, fit a small validation set less closely.
          data: the validation examples of a greedy choice; None takes those of the search. A study
            that was loaded does not have them. With folds it is a list of the held-out parts.
          metric: the metric that a greedy choice optimises, ties by cost; None is the cost: -log of
            the averaged probability of the true class or labels, or the loss of the averaged
            predictions of real targets.

        Raises:
          ValueError: bad input, or no setting has a value.

        Source: Caruana, Niculescu-Mizil, Crew and Ksikes, Ensemble Selection from Libraries of
        Models, ICML 2004.

        >>> from jaxnn import Dataset, sweep
        >>> x = np.random.default_rng(0).normal(size=(64, 2))
        >>> data = Dataset(x, (x[:, 0] > 0) * 1)
        >>> study = sweep([{}, {"learning_rate": 0.1}], data, 0.25, epochs=5)
        >>> len(study.ensemble(top=2).members)
        2
        >>> greedy = study.ensemble(method="greedy", initial=1)
        >>> greedy.chosen.numbers, greedy.chosen.num_candidates, greedy.weights.sum().item()
        ((1,), 2, 1.0)
        """
        either("method", method, "best", "greedy")
        if method == "best":
            _check_unused(method, data=data, metric=metric)
            return Ensemble([self.fitted(row) for row in best_rows(self, top)])
        return greedy_ensemble(self, choose(self, data, size, initial, metric))

    def refit(
        self,
        data: Dataset,
        top: int | None = None,
        *,
        method: str = "best",
        size: int = 25,
        initial: int = 5,
        valid: Dataset | Sequence[Dataset] | None = None,
        metric: str | None = None,
        seed: int = 0,
        order_seed: int = 0,
        progress: bool | None = None,
    ) -> Any:
        """Trains the best setting again, usually on `train + valid`.

        It trains for as many epochs as the network that gave the setting's value, and in the row
        space if the study did. On the examples that the search trained and validated on, it uses
        the search's programs, which are compiled, unless new ones take less time with compiling.
        After `keep="best"`, in the row space, with folds and with a model of one's own it compiles.
        A copy in a population is trained with its last numbers throughout, and a warning says so.

        Args:
          data: the examples.
          top: None trains the best setting; a number trains that many of the best in one sweep, or
            as many as were trained to the end.
          method, size, initial, metric: as in `ensemble`; a greedy choice trains each of its
            settings once and weights it by its share.
          valid: the `data` of a greedy choice.
          seed, order_seed, progress: as in `fit`.

        Returns:
          a `Fitted`, or with `top` or a greedy choice an `Ensemble`.

        Raises:
          ValueError: bad input, or no setting has a value.
          TrainingInterrupted: on Ctrl-C or SIGTERM.
        """
        either("method", method, "best", "greedy")
        weights: dict[int, int] | None = None
        if method == "best":
            _check_unused(method, valid=valid, metric=metric)
        else:
            _check_unused(method, top=top)
            weights = choose(self, valid, size, initial, metric, "valid").by_setting
        rows = best_rows(self, 1 if top is None else top) if weights is None else [*weights]
        if copies := [row for row in rows if self.parent[row] >= 0]:
            warn_caller(
                f"settings {copies} of a population went on from others: refit trains them with "
                "their last numbers throughout, not with the schedules that led there"
            )
        members = trained_anew(
            self, rows, data, seed=seed, order_seed=order_seed, progress=progress
        )
        if weights is not None:
            return Ensemble(members, [*weights.values()])
        return members[0] if top is None else Ensemble(members)

    @property
    def best_params(self) -> dict[str, Any]:
        return self.best_trial.params

    @property
    def best_value(self) -> float:
        return self.best_trial.value

    def pareto(self, size: str = "parameters") -> list[Trial]:
        """Returns the settings that none beats in both value and size, smallest network first.

        Args:
          size: "parameters", "multiply_adds" of a prediction for one example, or "megabytes" of
            parameters.

        Raises:
          ValueError: the size is unknown, or the study was loaded without its model.
        """
        return pareto(self, size)

    def schedules(self, number: int | None = None) -> dict[str, np.ndarray]:
        """Returns the schedules that a population found for a setting: name -> (E,).

        These are the numbers that changed on the way from its first ancestor, for each epoch of
        training; NaN after its last one. {} if it went on from no other setting.

        Args:
          number: the number of the setting; None is the best setting.
        """
        number = self.best_trial.number if number is None else whole_number("number", number)
        if number >= len(self.given):
            raise ValueError(f"schedules got setting {number}; expected below {len(self.given)}")
        return schedules(self, number)

    def compare(self, first: int, second: int) -> Comparison:
        """Tests whether two settings differ, by a paired t-test.

        Repetitions of two settings share seeds, mini-batches and folds, so the test uses their
        differences. Without folds it ignores the variance due to the choice of validation set, and
        it makes no correction for choosing the best of many settings.

        Args:
          first, second: the numbers of the settings.

        Raises:
          ValueError: a setting has no value, or there is only one repetition.
        """
        values = self.values
        for number in (first, second):
            if whole_number("number", number) >= len(values):
                raise ValueError(f"compare got setting {number}; expected below {len(values)}")
            if not np.isfinite(values[number]).all():
                raise ValueError(f"compare got setting {number}, which was not trained to its end")
        if values.shape[1] < 2:
            raise ValueError("compare got one repetition; expected seeds or folds of two at least")
        found = uncertainty.compare(values[first], values[second], self.folds)
        low, high = self.bounds
        most = high - low
        low, high = np.clip(found.interval, -most, most).tolist()
        return found._replace(interval=(low, high))

    def to_dicts(self) -> list[dict[str, Any]]:
        """Returns a flat dict for each setting, with the columns of Optuna's `trials_dataframe`.

        Beside the column of a domain of several axes, such as "params_hidden" of `layers`, are
        those of its axes: "params_depth" and so on, None where a setting does not use one.
        """
        given = list(dict.fromkeys(name for setting in self.given for name in setting))
        parts = {name: self.parts_of(name) for name in given}
        names = [one for name in given for one in (name, *[part.name for part in parts[name]])]
        split = [part for some in parts.values() for part in some]
        return [
            trial.row(names, {part.name: part.value(full) for part in split})
            for trial, full in zip(self.trials, self.settings, strict=True)
        ]

    def to_dataframe(self) -> Any:
        """Returns `to_dicts` as a pandas DataFrame; needs the extra "pandas"."""
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise ModuleNotFoundError(
                "to_dataframe needs pandas (pip install 'jaxnn-lanes[pandas]'); "
                "to_dicts gives the same rows without it"
            ) from None
        return pd.DataFrame(self.to_dicts())

    def __repr__(self) -> str:
        num_settings, num_repeats = self.diverged.shape
        return f"<Study of {num_settings:,} settings x {num_repeats:,}; summary() prints the best>"

    def summary(self, top: int = 10) -> None:
        """Prints the best settings, their spread over repetitions, and advice."""
        show(summary(self, top))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the study with all its networks to an HDF5 file, which `load` reads.

        Raises:
          OSError: the disk is full, or the folder cannot be written to; an existing file stays.
        """
        save_record(self, path)

    def report(self, path: str | os.PathLike[str]) -> None:
        """Writes the study as one HTML page that works offline; needs the extra "report".

        The page has the summary, learning curves, parallel coordinates, a sortable table of all
        settings with the reasons for missing values, the plan, the machine, and the call that made
        the study.

        Args:
          path: the path of the page, such as "report.html".

        >>> import tempfile
        >>> from jaxnn import Dataset, sweep
        >>> x = np.random.default_rng(0).normal(size=(64, 2))
        >>> data = Dataset(x, (x[:, 0] > 0) * 1)
        >>> study = sweep([{}, {"learning_rate": 0.1}], data, 0.25, epochs=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     study.report(f"{folder}/report.html")
        """
        report(self, path)

    def _repr_html_(self) -> str:
        return as_html(summary(self, 10))


def _check_unused(method: str, **given: Any) -> None:
    """Raises ValueError if there is an argument that a method of `ensemble` does not use."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} came with method={method!r}, which does not use it")
