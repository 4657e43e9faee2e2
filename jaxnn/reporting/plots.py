"""Plots of a study, which need the extra "plot"; each returns a matplotlib Figure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxnn.functional.metrics import VALID, Metric, metric_of
from jaxnn.results.axes import axes_of
from jaxnn.results.records import Record
from jaxnn.settings.domains import Axis, Choice
from jaxnn.system.checks import one_of
from jaxnn.system.functions import short_name
from jaxnn.system.terminal import excerpt

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MOST_MARKS = 50
"""The most options that an axis labels."""

BEST = "#d1495b"

MEDIAN = "#1d3557"


def new_figure(width: float, height: float) -> "Figure":
    """Returns a figure that a notebook shows once and that pyplot does not keep."""
    try:
        from matplotlib import pyplot as plt
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "pictures need matplotlib: pip install 'jaxnn-lanes[plot]'"
        ) from None
    figure = plt.figure(figsize=(width, height), layout="constrained")
    # pyplot would keep it in memory, and show it in a notebook a second time
    plt.close(figure)
    return figure


def plain(text: str) -> str:
    """Escapes dollars, between which matplotlib expects mathematics."""
    return excerpt(text, 1000).replace("$", r"\$")


def _limits(metric: Metric) -> tuple[float | None, float | None]:
    """Of an axis: a little beyond what can be reached; None where there is no bound."""
    low, high = metric.bounds
    margin = 0.02 * (high - low) if np.isfinite(high - low) else 0.02
    return low if np.isfinite(low) else None, high + margin if np.isfinite(high) else None


def _chance(study: Record) -> float:
    """The cost of a network that knows nothing, ln C; 0 if it is not known."""
    return float(np.log(study.targets.num_classes or 1))


def _check_has_settings(name: str, study: Record) -> None:
    if not study.given:
        raise ValueError(f"{name} got a study without settings; expected one at least")


def plot_learning_curves(study: Record, curve: str | None = None) -> "Figure":
    """Plots the learning curves of all settings, with the best and the median setting marked.

    Args:
      study: a study; repetitions of a setting are averaged, and a curve ends at divergence.
      curve: the name of one of its curves, such as "valid_cost"; None is the study's metric.
    """
    _check_has_settings("plot_learning_curves", study)
    curve = study.ranked_by[0].valid if curve is None else curve
    one_of("curve", curve, study.curves)
    values = study.curves[curve].mean(axis=1)
    ranked = study.ranked
    figure = new_figure(7.5, 4.5)
    axes = figure.subplots()
    epochs = np.arange(1, values.shape[1] + 1)
    marker = "." if len(epochs) == 1 else None
    alpha = float(np.clip(25 / len(values), 0.06, 0.6))
    axes.plot(epochs, values.T, color="0.45", alpha=alpha, linewidth=0.8, marker=marker)
    marked = {"median": (ranked[len(ranked) // 2], MEDIAN)} if ranked.size > 1 else {}
    marked |= {"best": (ranked[0], BEST)} if ranked.size else {}
    for label, (number, color) in marked.items():
        text = f"{label}: setting {number}, {values[number, -1]:.3g} at the end"
        axes.plot(epochs, values[number], color=color, linewidth=2.2, marker=marker, label=text)
    if ranked.size:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, frameon=False)
    metric = metric_of(curve)
    if metric.is_logarithmic:
        finite = values[np.isfinite(values) & (values > 0)]
        # costs may span many decades; a few huge ones must not flatten the others
        if finite.size:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.set_ylim(finite.min() * 0.9, 4 * max(_chance(study), np.median(finite)))
    else:
        axes.set_ylim(*_limits(metric))
    title = f"{len(values):,} settings"
    if study.diverged.shape[1] > 1:
        title += f", means over {study.diverged.shape[1]} repetitions"
    dropped = int((study.dropped > 0).sum())
    title += f"; {dropped:,} dropped on the way" if dropped else ""
    lost = len(values) - len(ranked) - dropped
    title += f"; {lost:,} diverged or unfinished" if lost else ""
    axes.locator_params(axis="x", integer=True)
    axes.set(xlabel="epoch", ylabel=curve.replace(VALID, "validation "), title=title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def plot_slice(study: Record, params: Sequence[str] | None = None) -> "Figure":
    """Plots the values of settings against each hyperparameter, on the hyperparameter's scale.

    Dark points are settings that were trained to the end; the best is red. Light points are dropped
    settings with their last value. Values much worse than the others are drawn at the edge. A
    setting that does not use a hyperparameter, as adam does not use momentum, is left out there.
    Of `layers`, each axis is plotted by itself: "depth", "units_1" and so on.

    Args:
      study: a study of a sweep or search.
      params: the hyperparameters, or axes of them, to plot; None plots all that differ.
    """
    _check_has_settings("plot_slice", study)
    of_name = {name: axes_of(name, study.settings, study.space) for name in params or ()}
    chosen = study.axes if params is None else [one for some in of_name.values() for one in some]
    unknown = [name for name, some in of_name.items() if not some]
    if unknown or not chosen:
        raise ValueError(
            f"plot_slice got {unknown or 'a study whose settings are all equal'}; expected some of "
            f"{', '.join(one.name for one in study.axes) or 'its hyperparameters, as params'}"
        )
    values = study.reached(study.ranked_by[0].valid).mean(axis=1)
    is_known, is_dropped = np.isfinite(values), study.dropped > 0
    # the worst fifth may be far worse than the others
    ends = study.ranked_by[0].better_part
    low, high = np.quantile(values[is_known], ends) if is_known.any() else (0.0, 1.0)
    margin = 0.06 * ((high - low) or 1.0)
    shown = np.clip(values, low - margin, high + margin)
    rows = -(-len(chosen) // 4)
    columns = -(-len(chosen) // rows)
    figure = new_figure(3.1 * columns + 0.6, 3.1 * rows)
    all_axes = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    # jitter, since points of one option would lie on top of each other
    spread = np.random.default_rng(0).uniform(-1, 1, len(values))
    for axes, one in zip(all_axes, chosen, strict=False):
        axis = one.axis(study.settings, study.space)
        x = np.array(
            [
                axis.position(one.value(setting)) if one.is_used(setting) else np.nan
                for setting in study.settings
            ]
        )
        if isinstance(axis, Choice):
            x = x + 0.25 * spread / len(axis.options)
        for kind, color in ((is_known & is_dropped, "0.75"), (is_known & ~is_dropped, MEDIAN)):
            axes.scatter(x[kind], shown[kind], s=14, color=color, linewidths=0, alpha=0.8)
        if study.ranked.size:
            best = study.ranked[0]
            axes.scatter(x[best], shown[best], s=48, color=BEST, zorder=3)
        texts, places = zip(*axis_ticks(axis, one.is_count), strict=True)
        is_long = max(map(len, texts)) > 5
        axes.set_xticks(
            places,
            [*map(plain, texts)],
            rotation=30 if is_long else 0,
            ha="right" if is_long else "center",
        )
        axes.set(
            xlabel=plain(one.name),
            xlim=(-0.04, 1.04),
            ylim=(low - 1.5 * margin, high + 1.5 * margin),
        )
        axes.spines[["top", "right"]].set_visible(False)
    for axes in all_axes[len(chosen) :]:
        axes.set_visible(False)
    lost = int((~is_known).sum())
    figure.suptitle(
        f"{len(values):,} settings: validation {study.metric}"
        + (f"; {lost:,} without" if lost else "")
    )
    return figure


def plot_rungs(study: Record) -> "Figure":
    """Plots the rungs of a halving or of Hyperband: learning curves as far as they were trained.

    A light curve ends where its setting was dropped; the best setting is red. The number above a
    rung counts the settings that were trained to it, in all brackets.
    """
    _check_has_settings("plot_rungs", study)
    if not study.rungs:
        raise ValueError("plot_rungs got a study without rungs; expected one of a halving")
    values = study.curves[study.ranked_by[0].valid].mean(axis=1)
    figure = new_figure(8, 4.8)
    axes = figure.subplots()
    epochs = np.arange(1, values.shape[1] + 1)
    alpha = float(np.clip(25 / len(values), 0.1, 0.7))
    counts: dict[int, int] = {}
    for rung in study.rungs:
        counts[rung.epochs] = counts.get(rung.epochs, 0) + len(rung.entered)
    last = {number for rung in study.rungs if rung.entered == rung.kept for number in rung.kept}
    for number, curve in enumerate(values):
        color = MEDIAN if number in last else "0.6"
        axes.plot(epochs, curve, color=color, alpha=alpha if color == "0.6" else 0.8, linewidth=0.9)
    at = [*counts]
    for number in range(len(values)):
        end = int(study.dropped[number])
        if end:
            axes.plot(end, values[number, end - 1], ".", color="0.45", markersize=4)
    if study.ranked.size:
        best = study.ranked[0]
        text = f"best: setting {best}, {study.best_trial.value:.3g}"
        axes.plot(epochs, values[best], color=BEST, linewidth=2.2, label=text)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False)
    for epoch, count in counts.items():
        axes.axvline(epoch, color="0.7", linewidth=0.8, linestyle="--")
        axes.annotate(
            f"{count:,}", (epoch, 1), (0, 3), ha="center", fontsize=9,
            xycoords=("data", "axes fraction"), textcoords="offset points", color="0.3",
        )  # fmt: skip
    finite = values[np.isfinite(values)]
    metric = study.ranked_by[0]
    if metric.is_logarithmic and finite.size:
        axes.set_yscale("log")
        axes.set_ylim(finite.min() * 0.9, 4 * max(_chance(study), np.median(finite)))
    elif not metric.is_logarithmic:
        axes.set_ylim(*_limits(metric))
    axes.set_xscale("log")
    axes.set_xticks(at, [f"{epoch:,}" for epoch in at])
    axes.minorticks_off()
    axes.set(xlabel="epoch (settings trained so far above)", ylabel=f"validation {study.metric}")
    spent = study.until_stopped(study.epochs_done)[study.diverged < 0].sum()
    full = values.size * study.diverged.shape[1]
    axes.set_title(
        f"{len(values):,} settings, {spent / full:.0%} of the epochs of training all to the end",
        pad=18,
    )
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def axis_ticks(domain: Axis, is_count: bool = False) -> list[tuple[str, float]]:
    """Returns (text, position) of an axis's ticks: options, or values on the range's scale.

    Of more than MOST_MARKS options, evenly spread ones are labelled. Counts are marked at whole
    numbers, such as a depth from 0 to 3 at 0, 1, 2 and 3.
    """
    if isinstance(domain, Choice):
        count = len(domain.options)
        marked = np.linspace(0, count - 1, min(count, MOST_MARKS)).round().astype(int)
        options = [domain.options[place] for place in marked]
        shown = ["-".join(map(str, o)) or "none" if isinstance(o, tuple) else short_name(o)
                 for o in options]  # fmt: skip
        return [(t, domain.position(o)) for t, o in zip(shown, options, strict=True)]
    # NumPy has no whole numbers above 2^63
    low, high = float(domain.low), float(domain.high)
    if domain.scale == "linear":
        values = np.linspace(low, high, 5)
    else:
        near = low if domain.scale == "log" else 1 - high
        far = high if domain.scale == "log" else 1 - low
        decades = 10.0 ** np.arange(np.ceil(np.log10(near) - 1e-9), np.log10(far) + 1e-9)
        values = decades if len(decades) > 1 else np.geomspace(near, far, 4)
        values = values if domain.scale == "log" else 1 - values
    values = np.unique(values.round()) if is_count else values
    return [(f"{value:.4g}", domain.position(value)) for value in values]
