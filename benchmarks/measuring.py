"""Time, the machine, and the tables and pictures of what was measured.

Machines are noisy: what is compared is timed in one run, the sides in turns, round after round, and
a ratio is the median over the rounds. A first call compiles, and is left out or timed by itself.
"""

import importlib.util
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

RESULTS = Path(__file__).parent / "results"


def seconds(call: Callable[[], Any]) -> float:
    """Of a call, until the arrays that it returns are there."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def best_of(repeats: int, call: Callable[[], Any]) -> float:
    """The least seconds of a call, after one more that compiles."""
    seconds(call)
    return min(seconds(call) for _ in range(repeats))


class Machine:
    """Rates of a large product and of large arrays, the better of JAX and PyTorch."""

    def __init__(self, size: int = 2048, floats: int = 2**25):
        square = jnp.ones((size, size))
        b, c = jnp.ones(floats), jnp.zeros(floats)
        triad = jax.jit(lambda b, c: b + 3.0 * c)
        runs: dict[str, list[Callable[[], Any]]] = {
            "gemm": [lambda: square @ square],
            "memory": [lambda: triad(b, c)],
        }
        if is_installed("torch") and jax.default_backend() == "cpu":
            import torch

            ts, tb, tc = torch.ones(size, size), torch.ones(floats), torch.ones(floats)
            out, out_long = torch.empty_like(ts), torch.empty_like(tb)
            runs["gemm"].append(lambda: torch.mm(ts, ts, out=out))
            runs["memory"].append(lambda: torch.add(tb, tc, alpha=3.0, out=out_long))
        self._runs, self._work = runs, {"gemm": 2.0 * size**3, "memory": 12.0 * floats}
        self.rates()

    def rates(self) -> dict[str, float]:
        """Operations and bytes a second."""
        return {
            kind: self._work[kind] / min(seconds(run) for run in runs * 3)
            for kind, runs in self._runs.items()
        }


def about() -> dict[str, Any]:
    """The machine, and the versions of what is installed."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = [line.split(":")[1].strip() for line in lines if "model name" in line]
    modules = {name: name for name in ("jax", "jaxlib", "optax", "numpy", "torch", "keras")}
    modules["scikit-learn"] = "sklearn"
    return {
        "cpu": cpu[0] if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "device": jax.devices()[0].device_kind,
        "python": platform.python_version(),
        "versions": {name: version(name) for name, m in modules.items() if is_installed(m)},
    }


def is_installed(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def results_folder(out: Path | None, is_quick: bool) -> Path:
    """The folder that was asked for, or results/; a temporary one for a quick run."""
    folder = out or (Path(tempfile.mkdtemp()) if is_quick else RESULTS)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def log_loss(probabilities: np.ndarray, y: np.ndarray, least: float = 1e-7) -> float:
    """The mean of -log of the true classes' probabilities, which count as `least` at least."""
    own = probabilities[np.arange(len(y)), y]
    return float(-np.log(np.maximum(own, least)).mean())


def spread(values: Sequence[float] | np.ndarray, digits: int = 0) -> str:
    """Such as "846 (790 to 1,021)": the median, the least and the most."""
    middle, least, most = (f"{f(values):,.{digits}f}" for f in (np.median, np.min, np.max))
    return f"{middle} ({least} to {most})"


def duration(spent: float) -> str:
    """Such as "22 min", with two digits."""
    for size, unit in ((3600, "h"), (60, "min")):
        if spent >= 1.5 * size:
            return (
                f"{spent / size:.2g} {unit}" if spent < 10 * size else f"{spent / size:.0f} {unit}"
            )
    return f"{spent:.2g} s" if spent < 10 else f"{spent:.0f} s"


def table_row(cells: Iterable[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def table(rows: Sequence[Sequence[Any]]) -> str:
    """In Markdown; the first row is the head."""
    head, *body = rows
    return "\n".join(map(table_row, [head, ["---"] * len(head), *body]))


def canvas(
    rows: int, columns: int, size: tuple[float, float], **options: Any
) -> tuple[Any, np.ndarray]:
    """A figure of so many inches and an array (rows, columns) of axes without frames."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for one in axes.flat:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes
