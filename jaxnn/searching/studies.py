"""Studies: the record of a search, with what can be made of it."""

import copy
import os
from typing import Any, Self

import jax
import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.data.splits import checked_data
from jaxnn.engine.devices import train_to_ends
from jaxnn.engine.feeds import empty_record
from jaxnn.engine.jobs import open_job
from jaxnn.engine.options import Folds, Options
from jaxnn.formats.layout import save_record
from jaxnn.results import uncertainty
from jaxnn.results.records import Record
from jaxnn.results.reports import report
from jaxnn.results.summaries import summary
from jaxnn.results.uncertainty import Comparison
from jaxnn.system.arrays import own
from jaxnn.system.checks import whole_number
from jaxnn.system.terminal import as_html, show
from jaxnn.training.fitted import Ensemble, Fitted
from jaxnn.training.recipes import recipes


class Study(Record):
    __doc__ = Record.__doc__

    @classmethod
    def of(cls, record: Record) -> Self:
        """The study of a record, whose arrays it has in common."""
        return cls(**vars(record))

    def fitted(self, number: int | None = None, repeat: int = 0) -> Fitted:
        """A network of the study; without a number the best setting's.

        Raises:
          ValueError: there is no such setting or repetition, or its network is not here: it was
            not trained to an end, or another process of the job has it.
        """
        number = self.best_trial.number if number is None else whole_number("number", number)
        repeat = whole_number("repeat", repeat)
        num_settings, num_repeats = self.diverged.shape
        if number >= num_settings or repeat >= num_repeats:
            raise ValueError(
                f"fitted got setting {number}, repetition {repeat}; expected below {num_settings} "
                f"and {num_repeats}"
            )
        index, lane = self.places[number, repeat]
        if index < 0:
            raise ValueError(
                f"setting {number} has no network here: it was not trained to an end (an "
                "interrupt, short memory), or another process of the job has it, which shares "
                "the best alone"
            )
        chunk = self.chunks[index]
        if not chunk.networks.is_here:
            raise ValueError(
                "the study was loaded without its model, which is code that the file does not "
                "hold; expected load(path, model)"
            )
        setting = self.settings[number]
        inputs = self.treatments[setting["inputs"], repeat // (num_repeats // self.folds)]
        padded = jax.tree.map(lambda leaf: leaf[lane], (chunk.params, chunk.state))
        params, state = chunk.networks.own_part(setting, *padded)
        step = int(self.diverged[number, repeat])
        done = int(self.epochs_done[number, repeat])
        return Fitted(
            model=chunk.networks.own_model(setting),
            # copies: what is written to a network's arrays does not change the study
            params=jax.tree.map(own, inputs.lifted(params)),
            state=jax.tree.map(own, state),
            inputs=copy.deepcopy(inputs.statistics),
            setting=dict(setting),
            curves={
                name: curve[number, repeat, :done].copy() for name, curve in self.curves.items()
            },
            diverged=None if step < 0 else step,
            input_shape=self.input_shape,
            num_classes=self.num_classes,
            is_mlp=chunk.networks.is_mlp,
        )

    def ensemble(self, top: int = 10) -> Ensemble:
        """The networks of the best settings, the first repetition of each, as one.

        Settings that were dropped on the way do not count: after a halving there may be fewer.

        Raises:
          ValueError: no setting has a value.
        """
        return Ensemble([self.fitted(number) for number in self._best(top)])

    def refit(
        self,
        data: Dataset,
        top: int | None = None,
        *,
        seed: int = 0,
        order_seed: int = 0,
        progress: bool | None = None,
    ) -> Any:
        """The best setting trained anew, on all data that may be used: usually `train + valid`.

        For as many epochs as its value came from, in the same space of features.

        Args:
          data: the examples.
          top: None trains the best setting; a number that many of the best, in one sweep, or as
            many as were trained to the end.
          seed, order_seed, progress: as in `fit`.

        Returns:
          a `Fitted`, or with `top` an `Ensemble`.

        Raises:
          ValueError: bad input, or no setting has a value.
          TrainingInterrupted: on Ctrl-C or SIGTERM.
        """
        rows = self._best(1 if top is None else top)
        options = Options(
            model=self.model,
            seed=seed,
            order_seed=order_seed,
            row_space=self.plan.row_space,
            progress=progress,
        )
        parts: Folds = [checked_data(data, None, order_seed)]
        train, _ = parts[0]
        given = [self.given[row] for row in rows]
        # for as long as what was kept was trained, on the mean
        ends = [round(float(self.kept_epochs[row].mean())) + 1 for row in rows]
        prepared = recipes(given, train, options.model)
        plan = options.plan(prepared, train, max(ends))
        study = empty_record(Study, options, parts, plan, epochs=max(ends))
        with open_job(study, options, parts, sum(ends)) as job:
            train_to_ends(job, job.add(given, prepared, plan, ends=ends))
        members = [study.fitted(index) for index in range(len(rows))]
        return members[0] if top is None else Ensemble(members)

    def _best(self, top: int) -> list[int]:
        """Rows of the best settings; ValueError if none has a value."""
        best = self.ranked[: whole_number("top", top, 1)]
        return best.tolist() or [self.best_trial.number]

    def compare(self, first: int, second: int) -> Comparison:
        """Whether two settings differ, by their values on common seeds and folds.

        Repetitions of two settings share first seeds, mini-batches and folds, so their differences
        are compared: a paired t-test. It tells nothing of how the validation set was drawn, except
        with folds; and the winner of many is partly lucky.

        Raises:
          ValueError: one has no value, or there is a single repetition.
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
        low, high = self.ranked_by[0].bounds
        most = high - low
        low, high = np.clip(found.interval, -most, most).tolist()
        return found._replace(interval=(low, high))

    def to_dicts(self) -> list[dict[str, Any]]:
        """One flat dict a setting, with the columns of Optuna's `trials_dataframe`."""
        names = list(dict.fromkeys(name for setting in self.given for name in setting))
        return [trial.row(names) for trial in self.trials]

    def to_dataframe(self) -> Any:
        """`to_dicts` as a pandas DataFrame; needs the extra "pandas"."""
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
        """Prints the best settings, their spread over repetitions, and what to look at."""
        show(summary(self, top))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the study with all its networks to an HDF5 file; `load` brings it back.

        Raises:
          OSError: the disk is full, or the folder cannot be written to; an older file stays.
        """
        save_record(self, path)

    def report(self, path: str | os.PathLike[str]) -> None:
        """Writes the study as one page that opens offline; needs the extra "report".

        What `summary` prints, learning curves, parallel coordinates, a table of all settings that
        sorts, why some have no value, the plan, the machine, and the call that made the study.

        Args:
          path: of the page, such as "report.html".

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
