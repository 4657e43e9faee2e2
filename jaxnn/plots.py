"""Pictures of a study; they need the extra "plot". Each returns a matplotlib Figure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from jaxnn.settings import HYPERPARAMETERS
from jaxnn.spaces import Choice, Domain, Range
from jaxnn.studies import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BEST, _MEDIAN = "#d1495b", "#1d3557"


def _figure(width: float, height: float) -> "Figure":
    """A figure that pyplot has made, so that a notebook draws it, and then let go of."""
    try:
        from matplotlib import pyplot as plt
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "pictures need matplotlib: pip install 'jaxnn-lanes[plot]'"
        ) from None
    figure = plt.figure(figsize=(width, height), layout="constrained")
    # pyplot would keep it for good, and show it in a notebook a second time
    plt.close(figure)
    return figure


def plot_learning_curves(study: Study, curve: str | None = None) -> "Figure":
    """Curves of all settings over the epochs, with the best and the median one marked.

    Args:
      study: repetitions of a setting are averaged; a curve ends where a network diverged.
      curve: "cost", "accuracy", "valid_cost" or "valid_accuracy"; None is the study's metric.
    """
    curve = f"valid_{study.metric}" if curve is None else curve
    if curve not in study.curves:
        raise ValueError(f"curve got {curve!r}; expected one of {', '.join(study.curves)}")
    values = study.curves[curve].mean(axis=1)
    ranked = study.ranked
    figure = _figure(7.5, 4.5)
    axes = figure.subplots()
    epochs = np.arange(1, values.shape[1] + 1)
    marker = "." if len(epochs) == 1 else None
    alpha = float(np.clip(25 / len(values), 0.06, 0.6))
    axes.plot(epochs, values.T, color="0.45", alpha=alpha, linewidth=0.8, marker=marker)
    places = (("best", 0, _BEST), ("median", len(ranked) // 2, _MEDIAN)) if ranked.size else ()
    for label, place, color in places:
        number = ranked[place]
        text = f"{label}: setting {number}, {values[number, -1]:.3g} at the end"
        axes.plot(epochs, values[number], color=color, linewidth=2.2, marker=marker, label=text)
    if ranked.size:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, frameon=False)
    if curve.endswith("cost"):
        finite = values[np.isfinite(values) & (values > 0)]
        # costs of a wild search span many decades; a few huge ones must not squash the rest
        if finite.size:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.set_ylim(finite.min() * 0.9, 4 * max(np.log(study.num_classes), np.median(finite)))
    else:
        axes.set_ylim(0, 1.02)
    title = f"{len(values):,} settings"
    if study.diverged.shape[1] > 1:
        title += f", means over {study.diverged.shape[1]} repetitions"
    lost = len(values) - len(ranked)
    title += f"; {lost:,} diverged or unfinished" if lost else ""
    axes.locator_params(axis="x", integer=True)
    axes.set(xlabel="epoch", ylabel=curve.replace("valid_", "validation "), title=title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


Stretch = tuple[int, Mapping[str, np.ndarray], bool]
"""Epochs that were done at its end, curves by name, and whether it stands or was undone."""


def draw_run(
    stretches: Sequence[Stretch], edits: Sequence[tuple[int, str]], axes: "Axes | None" = None
) -> "Figure":
    """The curves of one network that was trained in stretches, with the edits between them."""
    axes = _figure(8, 4.5).subplots() if axes is None else axes
    for end, curves, stands in stretches:
        for name, values in curves.items():
            epochs = np.arange(end - len(values), end) + 1
            color = _BEST if name.startswith("valid") else _MEDIAN
            style = {"linewidth": 2} if stands else {"linewidth": 1.2, "linestyle": ":"}
            axes.plot(epochs, values, color=color, alpha=1 if stands else 0.6, **style)
    names = list(stretches[0][1]) if stretches else []
    for name in names:
        color = _BEST if name.startswith("valid") else _MEDIAN
        axes.plot([], [], color=color, linewidth=2, label=name.replace("valid_", "validation "))
    if not all(stands for *_, stands in stretches):
        axes.plot([], [], color="0.4", linewidth=1.2, linestyle=":", label="undone")
    known = [v for _, curves, _ in stretches for v in curves.values()]
    finite = np.concatenate([np.empty(0), *known])
    finite = finite[np.isfinite(finite) & (finite > 0)]
    is_cost = all(name.endswith("cost") for name in names)
    if is_cost and finite.size:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        # one stretch that blew up must not squash the others
        axes.set_ylim(finite.min() * 0.8, min(finite.max() * 1.3, 20 * np.median(finite)))
    texts: dict[int, list[str]] = {}
    for epoch, text in edits:
        texts.setdefault(epoch, []).append(text)
    for epoch, lines in texts.items():
        axes.axvline(epoch + 0.5, color="0.5", linewidth=0.9, linestyle="--")
        axes.annotate(
            "\n".join(lines), (epoch + 0.5, 1), (2, -2), xycoords=("data", "axes fraction"),
            textcoords="offset points", rotation=90, va="top", fontsize=7.5, color="0.3",
            bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5},
        )  # fmt: skip
    axes.locator_params(axis="x", integer=True)
    axes.set(
        xlabel="epoch", ylabel="cost" if is_cost else names[0].replace("valid_", "validation ")
    )
    if names:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return cast("Figure", axes.figure)


def plot_parallel_coordinate(study: Study) -> "Figure":
    """One line a setting through the values of its hyperparameters, each on its own scale.

    Bright lines are the best tenth, the best of all is red. Settings without a value are dotted;
    values outside of a range, and the worst fifth of the results, are drawn at its end.
    """
    if not study.varied:
        raise ValueError("plot_parallel_coordinate got a study whose settings are all equal")
    domains = {name: _domain(study, name) for name in study.varied}
    positions = np.array(
        [[d.position(setting[name]) for name, d in domains.items()] for setting in study.settings]
    )
    values = study.values.mean(axis=1)
    is_ranked = np.isfinite(values)
    order = study.ranked[::-1]
    # the worst fifth may be far away: it is drawn at the end of the axis
    ends = (0.0, 0.8) if study.metric == "cost" else (0.2, 1.0)
    low, high = np.quantile(values[order], ends) if order.size else (0.0, 1.0)
    span = (high - low) or 1.0
    columns = [*domains, f"validation {study.metric}"]
    points = np.clip(np.column_stack([positions, (values - low) / span]), -0.03, 1.03)
    figure = _figure(1.6 * len(columns) + 1.5, 4.8)
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    axes = figure.subplots()
    x = np.arange(len(columns))
    # coloured by rank: values crowd at the good end
    goodness = np.linspace(0, 1, len(order))
    colors = colormaps["viridis"](goodness)
    colors[:, 3] = np.clip(20 / len(points) + 0.8 * goodness**4, 0, 0.9)
    lines = [np.column_stack([x, points[number]]) for number in order]
    axes.add_collection(LineCollection(lines, colors=colors, linewidths=1.1))
    if order.size:
        axes.plot(x, points[order[-1]], color=_BEST, linewidth=2.4)
    lost = [np.column_stack([x[:-1], point[:-1]]) for point in points[~is_ranked]]
    axes.add_collection(LineCollection(lost, colors="0.4", linestyles=":", linewidths=0.8))
    box = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.8}
    for index, name in enumerate(columns):
        axes.axvline(index, color="0.25", linewidth=0.8)
        ticks = (
            _ticks(domains[name])
            if name in domains
            else [(f"{low + u * span:.3g}", u) for u in (0.0, 0.25, 0.5, 0.75, 1.0)]
        )
        for text, position in ticks:
            axes.text(index + 0.03, position, text, fontsize=8, va="center", bbox=box)
    title = f"{len(points):,} settings: bright is good, the best is red"
    title += f"; dotted: {(~is_ranked).sum():,} without a value" if lost else ""
    axes.set(title=title, ylim=(-0.04, 1.04), xlim=(-0.15, len(columns) - 0.55), yticks=[])
    axes.set_xticks(x, columns)
    axes.tick_params(axis="x", length=0)
    axes.spines[:].set_visible(False)
    return figure


def _domain(study: Study, name: str) -> Domain:
    """What a hyperparameter was drawn from; without a space, a domain that spans what was tried."""
    values = sorted({setting[name] for setting in study.settings}, key=_sort_key)
    domain = (study.space or {}).get(name)
    if isinstance(domain, Range):
        return domain
    if isinstance(domain, Choice) and all(value in domain.options for value in values):
        return domain
    rule = HYPERPARAMETERS.get(name)
    if not (rule is None or rule.is_number) or len(values) == 1:
        return Choice(tuple(values))
    low, high = values[0], values[-1]
    if name in ("momentum", "beta1", "beta2") and low >= 0.5:
        return Range(low, high, "reverse log")
    return Range(low, high, "log" if low > 0 and high / low >= 30 else "linear")


def _sort_key(value: Any) -> Any:
    return (len(value), value) if isinstance(value, tuple) else value


def _ticks(domain: Domain) -> list[tuple[str, float]]:
    """Text and position of an axis's marks: every option, or round values on the range's scale."""
    if isinstance(domain, Choice):
        shown = ["-".join(map(str, o)) or "none" if isinstance(o, tuple) else str(o)
                 for o in domain.options]  # fmt: skip
        return [(t, domain.position(o)) for t, o in zip(shown, domain.options, strict=True)]
    if domain.scale == "linear":
        values = np.linspace(domain.low, domain.high, 5)
    else:
        near = domain.low if domain.scale == "log" else 1 - domain.high
        far = domain.high if domain.scale == "log" else 1 - domain.low
        decades = 10.0 ** np.arange(np.ceil(np.log10(near) - 1e-9), np.log10(far) + 1e-9)
        values = decades if len(decades) > 1 else np.geomspace(near, far, 4)
        values = values if domain.scale == "log" else 1 - values
    return [(f"{value:.4g}", domain.position(value)) for value in values]
