"""A study as one HTML page that works offline; needs plotly, the extra "report"."""

import base64
import hashlib
import html
import importlib.metadata
import json
import os
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import jax
import numpy as np

from jaxnn.disk.writing import write_whole
from jaxnn.functional.metrics import COST
from jaxnn.reporting.plots import axis_ticks
from jaxnn.reporting.summaries import headline, remarks, short
from jaxnn.results.axes import StudyAxis
from jaxnn.results.records import Record
from jaxnn.settings.domains import Axis
from jaxnn.settings.hyperparameters import is_used
from jaxnn.system.terminal import excerpt, visible
from jaxnn.version import __version__

MOST_CURVES = 300
"""The most learning curves on a page: a third of them are the best, the others of all ranks."""

PACKAGES = ("jax", "jaxlib", "optax", "flax", "numpy", "scipy", "h5py")


def report(study: Record, path: str | os.PathLike[str]) -> None:
    """Writes the page of a study, see `Study.report`."""
    try:
        from plotly import offline
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "report needs plotly (pip install 'jaxnn-lanes[report]')"
        ) from None
    best = "no setting has a value"
    if study.ranked.size:
        trial = study.best_trial
        setting = study.settings[trial.number]
        used = [name for name in study.varied if is_used(name, setting)]
        shown = ", ".join(f"{name} {short(setting[name])}" for name in used)
        best = f"{trial.value:.4f} by setting {trial.number}" + (f": {shown}" if shown else "")
    page = _page(
        texts={
            "metric": study.metric,
            "best": best,
            "headline": headline(study),
            "call": study.call or "not recorded",
        },
        lists={"remarks": remarks(study), "machine": environment()},
        # JSON, a script and HTML, which are escaped already
        curves=_curves(study),
        coordinates=_coordinates(study),
        table=_table(study),
        plotly=offline.get_plotlyjs(),
        plan=study.plan._repr_html_(),
    )
    # characters without UTF-8, as from a file's name, are escaped
    write_whole(path, [page.encode("utf-8", "backslashreplace")])


def _page(texts: Mapping[str, str], lists: Mapping[str, Sequence[str]], **parts: str) -> str:
    """Returns the page, whose policy lets a browser run its two scripts and load nothing else.

    The scripts may evaluate text as code, since plotly's WebGL plots do.
    """
    template = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    parts |= {name: _escaped(text) for name, text in texts.items()}
    for name, lines in lists.items():
        parts[name] = "".join(f"<li>{_escaped(line)}</li>" for line in lines)
    scripts = re.findall("<script>(.*?)</script>", template, re.DOTALL)
    hashes = [_hash(Template(script).substitute(parts)) for script in scripts]
    return Template(template).substitute(parts, hashes=" ".join(hashes))


def _escaped(text: str) -> str:
    """Escapes text for HTML, between tags or in an attribute."""
    return html.escape(excerpt(text))


def _hash(script: str) -> str:
    """Returns a script's hash for a content security policy; browsers end lines with a newline."""
    one_kind = script.replace("\r\n", "\n").replace("\r", "\n").encode()
    return f"'sha256-{base64.b64encode(hashlib.sha256(one_kind).digest()).decode()}'"


def _as_json(value: Any) -> str:
    """Returns data as JSON for a script element, which it can neither end nor begin."""
    text = json.dumps(_with_texts(value, lambda name, text: visible(text)), allow_nan=False)
    for sign in "<>&":
        # JSON has these characters in strings only
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _with_texts(value: Any, change: Callable[[str, str], str], name: str = "") -> Any:
    """Applies `change(name, text)` to each text in nested data; name is the key that holds it."""
    if isinstance(value, dict):
        return {key: _with_texts(item, change, key) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_texts(item, change, name) for item in value]
    return change(name, value) if isinstance(value, str) else value


def environment() -> list[str]:
    """Returns lines about versions and devices."""
    versions = (f"{name} {version_of(name)}" for name in PACKAGES)
    devices = ", ".join(f"{one.device_kind} ({one.platform})" for one in jax.local_devices())
    return [
        f"jaxnn {__version__}, Python {platform.python_version()}, {platform.platform()}",
        ", ".join(versions),
        f"devices: {devices}; {os.cpu_count()} CPU cores",
    ]


def version_of(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "-"


def _figure(traces: list[Any], **layout: Any) -> str:
    """Returns a plotly figure as JSON for the page."""
    from plotly import graph_objects

    figure = json.loads(graph_objects.Figure(traces, layout).to_json())
    escaped = lambda name, text: html.escape(excerpt(text), quote=False) if name in _TEXTS else text
    return _as_json(_with_texts(figure, escaped))


_TEXTS = ("label", "name", "text", "ticktext")
"""Keys whose text plotly reads as HTML: <b>, <br>, links."""


def _curves(study: Record) -> str:
    from plotly import graph_objects

    if not study.given:
        return "null"
    name = study.ranked_by[0].valid
    values = study.curves[name].mean(axis=1)
    ranking = study.ranking
    spread = np.linspace(0, len(ranking) - 1, 2 * MOST_CURVES // 3).round().astype(int)
    chosen = [*dict.fromkeys([*ranking[: MOST_CURVES // 3].tolist(), *ranking[spread].tolist()])]
    # one trace for all curves, with a gap after each
    x, y, shown = [], [], []
    for number in chosen:
        known = np.flatnonzero(np.isfinite(values[number]))
        x += [*(known + 1).tolist(), None]
        y += [*values[number][known].round(5).tolist(), None]
        shown += [number] * (len(known) + 1)
    hover = "setting %{customdata}, epoch %{x}: %{y:.4f}<extra></extra>"
    traces = [
        graph_objects.Scattergl(
            x=x, y=y, customdata=shown, mode="lines", hovertemplate=hover, name="others",
            line={"color": "rgba(110, 120, 135, 0.35)", "width": 1},
        )
    ]  # fmt: skip
    if study.ranked.size:
        number = int(study.ranked[0])
        curve = values[number]
        traces.append(
            graph_objects.Scattergl(
                x=np.arange(1, len(curve) + 1).tolist(), y=curve.round(5).tolist(),
                customdata=[number] * len(curve), mode="lines", hovertemplate=hover,
                name=f"best: setting {number}", line={"color": "#d1495b", "width": 2.5},
            )
        )  # fmt: skip
    axis = {"title": f"validation {study.metric}"}
    finite = np.array([value for value in y if value is not None])
    if study.ranked_by[0].is_logarithmic and (finite > 0).any():
        axis["type"] = "log"
    return _figure(
        traces, xaxis={"title": "epoch"}, yaxis=axis, hovermode="closest",
        title=f"{len(chosen):,} of {len(values):,} settings" if len(chosen) < len(values) else None,
    )  # fmt: skip


def _coordinates(study: Record) -> str:
    from plotly import graph_objects

    reached, axes = study.reached(study.ranked_by[0].valid).mean(axis=1), study.axes
    rows = np.flatnonzero(np.isfinite(reached))
    if not len(rows) or not axes:
        return "null"
    settings = [study.settings[row] for row in rows]
    dimensions = [_dimension(one, one.axis(study.settings, study.space), settings) for one in axes]
    ends = [_end(study, row) for row in rows.tolist()]
    # settings that were not trained to the end have their last value
    kinds = {end: place for place, end in enumerate(sorted({*ends}))}
    if len(kinds) > 1:
        dimensions.append(
            {"label": "trained", "values": [kinds[end] for end in ends],
             "tickvals": [*range(len(kinds))], "ticktext": [text for _, text in kinds]}
        )  # fmt: skip
    values = reached[rows]
    dimensions.append({"label": study.metric, "values": values.tolist()})
    metric = study.ranked_by[0]
    # values far worse than the others would leave them a single colour
    low, high = np.quantile(values, metric.better_part)
    line = {"color": values.tolist(), "colorscale": "Viridis", "showscale": True,
            "reversescale": not metric.is_higher_better,
            "cmin": float(low), "cmax": float(high)}  # fmt: skip
    return _figure([graph_objects.Parcoords(dimensions=dimensions, line=line)])


def _dimension(one: StudyAxis, axis: Axis, settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns an axis of the coordinates; settings without a value there lie below its others."""
    ticks, low = axis_ticks(axis, one.is_count), 0 if all(map(one.has, settings)) else -0.1
    ticks = ticks if low == 0 else [("-", low), *ticks]
    positions = [
        axis.position(one.value(setting)) if one.has(setting) else low for setting in settings
    ]
    texts, places = zip(*ticks, strict=True)
    return {"label": one.name, "values": positions, "range": [low, 1],
            "tickvals": list(places), "ticktext": list(texts)}  # fmt: skip


def _end(study: Record, number: int) -> tuple[int, str]:
    """Returns how far a setting was trained, as a sort key and text."""
    if study.dropped[number]:
        dropped = int(study.dropped[number])
        return dropped, f"dropped after epoch {dropped:,}"
    if study.is_complete[number].all():
        return study.num_epochs + 2, "to the end"
    return study.num_epochs + 1, "interrupted"


def _table(study: Record) -> str:
    """Returns the table of all settings as JSON, which the page shows and sorts."""
    axes = study.axes
    head = ["rank", "setting", study.metric, "± error", COST.name, "epochs", "state"]
    head += [one.name for one in axes]
    ranks = {int(number): rank for rank, number in enumerate(study.ranked, 1)}
    rows = []
    for number in study.ranking.tolist():
        trial, setting = study.trial(number), study.settings[number]
        state = {"COMPLETE": "complete", "RUNNING": "not trained to the end"}.get(trial.state, "")
        steps = [step for step in trial.diverged if step is not None]
        if steps:
            state = f"diverged at step {min(steps):,}"
        elif not state:
            state = f"dropped after epoch {study.dropped[number]:,}"
        values = [trial.value, trial.standard_error, trial.cost]
        known = [round(value, 5) if np.isfinite(value) else None for value in values]
        own = [_cell(one.value(setting)) if one.is_used(setting) else "-" for one in axes]
        rows.append([ranks.get(number), number, *known, trial.epochs, state, *own])
    return _as_json({"head": head, "rows": rows})


def _cell(value: Any) -> Any:
    """Returns a value for the table; numbers stay numbers, so that the table can sort them."""
    return value if isinstance(value, int | float) and not isinstance(value, bool) else short(value)
