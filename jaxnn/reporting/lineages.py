"""Lineages of a population: which settings went on from which, and the schedules found."""

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxnn.reporting.plots import BEST, new_figure
from jaxnn.results.records import Record
from jaxnn.settings.domains import Range
from jaxnn.settings.hyperparameters import HYPERPARAMETERS
from jaxnn.settings.traced import is_traced

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def lineage(study: Record, number: int) -> list[tuple[int, int]]:
    """Returns (setting, epoch from which it trained) of a setting and its ancestors, oldest first.

    A setting that went on from no other is its own lineage.
    """
    found = [(number, int(study.born[number]))]
    while (parent := int(study.parent[found[-1][0]])) >= 0:
        found.append((parent, int(study.born[parent])))
    return found[::-1]


def schedules(study: Record, number: int) -> dict[str, np.ndarray]:
    """Returns name -> (E,) of the numbers that change in a lineage, see `Study.schedules`."""
    rows = lineage(study, number)
    settings = [study.settings[row] for row, _ in rows]
    names = [
        name
        for name, value in settings[-1].items()
        if is_traced(name) and any(one.get(name) != value for one in settings)
    ]
    found = {name: np.full(study.num_epochs, np.nan) for name in names}
    for (_, begin), setting in zip(rows, settings, strict=True):
        for name in names:
            found[name][begin:] = setting[name]
    end = int(study.until_stopped(study.epochs_done)[number].max())
    for values in found.values():
        values[end:] = np.nan
    return found


def plot_population(study: Record, name: str = "learning_rate") -> "Figure":
    """Plots a number of each setting of a population, while it trained.

    A line begins where its setting went on from another one, at the dot on that one's line. The
    lineage of the best setting is red.

    Args:
      study: the study of a population.
      name: the number.

    Raises:
      ValueError: the study has no population, or settings have no such number.
    """
    if not (study.parent >= 0).any():
        raise ValueError(
            "plot_population got a study in which no setting went on from another; expected one of "
            "method='population'"
        )
    if name not in HYPERPARAMETERS or not is_traced(name):
        raise ValueError(f"name got {name!r}; expected a number, such as 'learning_rate'")
    number = int(study.ranked[0]) if study.ranked.size else -1
    rows = lineage(study, number) if number >= 0 else []
    ends = np.where(study.dropped > 0, study.dropped, study.epochs_done.max(axis=1))
    # an ancestor belongs to it until the next one begins
    red = {row: int(end) for (row, _), (_, end) in itertools.pairwise(rows)}
    red |= {number: int(ends[number])} if rows else {}
    figure = new_figure(8, 4.8)
    axes = figure.subplots()
    for row, setting in enumerate(study.settings):
        begin, value, parent = int(study.born[row]), setting[name], int(study.parent[row])
        axes.plot([begin, ends[row]], [value, value], color="0.7", linewidth=0.9)
        style: dict[str, Any] = {"color": "0.7"}
        if row in red:
            style = {"color": BEST, "zorder": 3}
            axes.plot([begin, red[row]], [value, value], linewidth=2.2, **style)
        if parent >= 0:
            before = study.settings[parent][name]
            axes.plot([begin, begin], [before, value], linewidth=0.9, linestyle=":", **style)
            axes.plot(begin, before, ".", markersize=4, **style)
    domain = study.domain(name)
    if isinstance(domain, Range) and domain.scale == "log":
        axes.set_yscale("log")
    axes.locator_params(axis="x", integer=True)
    axes.set(xlabel="epoch", ylabel=name)
    count, copies = len(study.given), int((study.parent >= 0).sum())
    axes.set_title(f"{count - copies:,} settings, {copies:,} copies of better ones", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
