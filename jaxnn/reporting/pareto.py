"""The Pareto front of a study: the best settings of each size of network."""

from typing import TYPE_CHECKING

import numpy as np

from jaxnn.reporting.plots import BEST, new_figure
from jaxnn.results.records import Record
from jaxnn.results.trials import Trial
from jaxnn.system.checks import one_of
from jaxnn.training.recipes import networks_of
from jaxnn.training.sizes import SIZES

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sizes(study: Record, size: str) -> np.ndarray:
    """Returns the size (S,) of each setting's network, see `jaxnn.training.sizes`.

    Raises:
      ValueError: the size is unknown, or the study was loaded without its model.
    """
    one_of("size", size, SIZES)
    shape = study.input_shape
    return np.array(
        [
            SIZES[size].of(networks_of(one, study.model, shape, study.targets), one, shape)
            for one in study.settings
        ]
    )


def pareto(study: Record, size: str = "parameters") -> list[Trial]:
    """Returns the settings that none beats in both value and size, see `Study.pareto`."""
    counts, losses, found = sizes(study, size), study.losses()[0], list[int]()
    # of equal size the better ranked one comes first
    ranked = study.ranked
    for number in ranked[np.argsort(counts[ranked], kind="stable")].tolist():
        if not found or losses[number] < losses[found[-1]]:
            found.append(number)
    return [study.trial(number) for number in found]


def plot_pareto(study: Record, size: str = "parameters") -> "Figure":
    """Plots each setting's value over the size of its network, and the Pareto front in red.

    Args:
      study, size: see `Study.pareto`.

    Raises:
      ValueError: no setting has a value, the size is unknown, or the study was loaded without its
        model.
    """
    if not study.ranked.size:
        raise ValueError(f"plot_pareto got a study without a value: {study.failures()}")
    counts, values = sizes(study, size), study.values.mean(axis=1)
    front = [trial.number for trial in pareto(study, size)]
    figure = new_figure(8, 4.8)
    axes = figure.subplots()
    ranked = study.ranked
    axes.plot(counts[ranked], values[ranked], ".", color="0.6", markersize=6)
    axes.plot(counts[front], values[front], "o-", color=BEST, markersize=5, drawstyle="steps-post")
    for number in front:
        axes.annotate(
            f"{number}", (counts[number], values[number]), (0, 5), ha="center", fontsize=8,
            textcoords="offset points", color="0.3",
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set(xlabel=SIZES[size].words, ylabel=f"validation {study.metric}")
    axes.set_title("numbers of the settings that none beats in both", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
