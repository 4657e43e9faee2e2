"""Studies: every setting of a search with its curves, its value and its networks, in memory."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.data.inputs import Treatment
from jaxnn.functional.types import Model, ModelFn
from jaxnn.planning.plans import Plan
from jaxnn.results import statistics
from jaxnn.results.trials import Chunk, Rung, Trial
from jaxnn.results.uncertainty import Comparison
from jaxnn.settings.domains import Domain
from jaxnn.system.terminal import as_html, show
from jaxnn.training.fitted import Ensemble, Fitted


@dataclasses.dataclass(eq=False, repr=False)
class Study:
    """The settings of a search with all that came of them; S settings, K repetitions, E epochs.

    `sweep` and `search` fill its arrays as they train. With folds a setting is trained on each:
    repetition k of fold f has index f * (K / folds) + k.

    Attributes:
      given, settings: each setting as it came, and with every default written out.
      space: what the settings were sampled from, or None.
      model: the pair of functions in place of `mlp`, or what makes it; or None.
      metric: "accuracy" or "cost", on the validation set.
      plan: which settings share a program.
      treatments: what is done to inputs, by the setting's `inputs` and the fold.
      curves: name -> (S, K, E): cost, accuracy, valid_cost, valid_accuracy; NaN where a network had
        diverged or was not trained.
      diverged: (S, K), the step whose cost was not finite, or -1.
      epochs_done: (S, K), how many were trained; all of them if it diverged.
      ends: (S, K), where training was to end: E, or earlier by `patience`.
      dropped: (S,), epochs after which a search dropped the setting, or 0.
      kept_epochs: (S, K), the epoch, from 0, whose network was kept: the last, or the best one;
        it tells nothing of a network that diverged.
      places: (S, K, 2), index of the chunk and of the lane in it; -1 where nothing was trained.
      folds: of cross-validation; 1 is none.
      select: "mean" ranks by mean values, "lower_bound" by the worse end of their 95 % intervals.
      rungs: of a halving.
      seconds, compile_seconds: wall time of the search; what first calls took beyond later ones,
        summed over programs, of which several may be compiled side by side.
      notes: what the user should know of how it was trained.
      call: the call that made it, as text.
    """

    given: list[Mapping[str, Any]]
    settings: list[dict[str, Any]]
    model: Model | ModelFn | None
    metric: str
    plan: Plan
    treatments: dict[tuple[str, int], Treatment]
    input_shape: tuple[int, ...]
    num_classes: int
    curves: dict[str, np.ndarray]
    diverged: np.ndarray
    epochs_done: np.ndarray
    ends: np.ndarray
    dropped: np.ndarray
    kept_epochs: np.ndarray
    places: np.ndarray
    space: Mapping[str, Any] | None = None
    folds: int = 1
    select: str = "mean"
    rungs: list[Rung] = dataclasses.field(default_factory=list)
    chunks: list[Chunk] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    compile_seconds: float = 0.0
    call: str = ""

    def grow(self, given: list[Mapping[str, Any]], settings: list[dict[str, Any]]) -> None:
        """Makes room for further settings, of which nothing is trained yet."""
        self.given += given
        self.settings += settings
        epochs = self.num_epochs

        def longer(array: np.ndarray, value: float) -> np.ndarray:
            new = np.full((len(settings), *array.shape[1:]), value, array.dtype)
            return np.concatenate([array, new])

        self.curves = {name: longer(curve, np.nan) for name, curve in self.curves.items()}
        self.diverged, self.places = longer(self.diverged, -1), longer(self.places, -1)
        self.epochs_done, self.dropped = longer(self.epochs_done, 0), longer(self.dropped, 0)
        self.ends, self.kept_epochs = longer(self.ends, epochs), longer(self.kept_epochs, 0)

    def take_over(self, past: "Study") -> None:
        """Adds the chunks, notes and times of a study of the same search; lanes come apart."""
        self.chunks += past.chunks
        self.notes += [note for note in past.notes if note not in self.notes]
        self.treatments |= past.treatments
        # of processes that worked side by side the longest
        self.seconds = max(self.seconds, past.seconds)
        self.compile_seconds = max(self.compile_seconds, past.compile_seconds)

    @property
    def num_epochs(self) -> int:
        """E, at most."""
        return self.curves["cost"].shape[2]

    @property
    def is_complete(self) -> np.ndarray:
        """(S, K): trained to its end."""
        return np.greater_equal(self.epochs_done, self.ends)

    @property
    def values(self) -> np.ndarray:
        """(S, K): the metric on the validation set; NaN unless trained to the end, and finite."""
        return np.where(self.is_complete, self.reached(f"valid_{self.metric}"), np.nan)

    def reached(self, name: str, rows: Any = slice(None)) -> np.ndarray:
        """(S, K), or some rows of it: a curve at the epoch whose network was kept."""
        index = self.kept_epochs[rows][..., None]
        value, cost = (
            np.take_along_axis(self.curves[curve][rows], index, axis=-1)[..., 0]
            for curve in (name, "valid_cost")
        )
        # a last step may blow a network up that no further step could mark as diverged
        return np.where((self.diverged[rows] < 0) & np.isfinite(cost), value, np.nan)

    @property
    def ranking(self) -> np.ndarray:
        """Numbers of the settings, best first; ties by the other metric, then by number.

        What was not trained to the end comes after what was, and in the order of its epochs.
        """
        return statistics.ranking(self)

    def losses(self, epochs: slice | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(S,) twice: what ranks the settings, the less the better, and what breaks ties.

        By what was reached so far, or by the mean over some epochs; NaN where a repetition diverged
        or was not trained.
        """
        return statistics.losses(self, epochs)

    @property
    def ranked(self) -> np.ndarray:
        """The part of the ranking that has a value."""
        ranking = self.ranking
        return ranking[np.isfinite(self.values[ranking]).all(axis=1)]

    @property
    def trials(self) -> list[Trial]:
        """Every setting with its value, by number."""
        return [self.trial(number) for number in range(len(self.given))]

    def trial(self, number: int) -> Trial:
        """A setting with its value."""
        return statistics.trial(self, number)

    def compare(self, first: int, second: int) -> Comparison:
        """Whether two settings differ, by their values on common seeds and folds.

        Repetitions of two settings share first seeds, mini-batches and folds, so their differences
        are compared: a paired t-test. It tells nothing of how the validation set was drawn, except
        with folds; and the winner of many is partly lucky.

        Raises:
          ValueError: one has no value, or there is a single repetition.
        """
        return statistics.comparison(self, first, second)

    def contenders(self) -> list[int]:
        """Numbers of the settings that cannot be told apart from the best, best first.

        Each is compared with the best by itself, on a level of 95 %.
        """
        return statistics.contenders(self)

    @property
    def best_trial(self) -> Trial:
        """The first of the ranking. ValueError if no setting was trained to the end and finite."""
        if not self.ranked.size:
            from jaxnn.results.summaries import failures

            raise ValueError(
                f"none of the {len(self.given)} settings has a value, so there is no best one: "
                f"{failures(self)}"
            )
        return self.trial(int(self.ranked[0]))

    @property
    def best_params(self) -> dict[str, Any]:
        return self.best_trial.params

    @property
    def best_value(self) -> float:
        return self.best_trial.value

    def fitted(self, number: int | None = None, repeat: int = 0) -> Fitted:
        """A network of the study; without a number the best setting's.

        Raises:
          ValueError: there is no such setting or repetition, or its network is not here: it was
            not trained to an end, or another process of the job has it.
        """
        # what is made of a study lies below it
        from jaxnn.searching.networks import network

        return network(self, number, repeat)

    def ensemble(self, top: int = 10) -> Ensemble:
        """The networks of the best settings, the first repetition of each, as one.

        Settings that were dropped on the way do not count: after a halving there may be fewer.

        Raises:
          ValueError: no setting has a value.
        """
        from jaxnn.searching.networks import ensemble

        return ensemble(self, top)

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
        from jaxnn.searching.networks import refitted

        return refitted(self, data, top, seed, order_seed, progress)

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

    @property
    def varied(self) -> list[str]:
        """Names of the hyperparameters that differ between the settings."""
        first = self.settings[0] if self.settings else {}
        return [n for n in first if any(setting[n] != first[n] for setting in self.settings)]

    def domain(self, name: str) -> Domain:
        """What a hyperparameter was drawn from; without a space what spans the values tried."""
        return statistics.span(self, name)

    def __repr__(self) -> str:
        num_settings, num_repeats = self.diverged.shape
        return f"<Study of {num_settings:,} settings x {num_repeats:,}; summary() prints the best>"

    def summary(self, top: int = 10) -> None:
        """Prints the best settings, their spread over repetitions, and what to look at."""
        from jaxnn.results.summaries import summary

        show(summary(self, top))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the study with all its networks to an HDF5 file; `load` brings it back.

        Raises:
          OSError: the disk is full, or the folder cannot be written to; an older file stays.
        """
        from jaxnn.formats.layout import save_study

        save_study(self, path)

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
        from jaxnn.results.reports import report

        report(self, path)

    def _repr_html_(self) -> str:
        from jaxnn.results.summaries import summary

        return as_html(summary(self, 10))
