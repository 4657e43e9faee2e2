"""On paper: what would a million settings take on 1, 64 and 4,096 H100, and what is not linear?

    python benchmarks/scaling.py     a second or two; arithmetic alone, no GPU

No GPU is needed. A step takes what the package's cost model says, twice: with its rates for a GPU,
fitted on an H200 by `gpu.py`, and with those of the data sheet of an H100, which nothing
reaches. What the host does was measured on a CPU. Several hosts are a model: a process for each
eight devices, chunks dealt to them before training, and nothing exchanged until the end.
results/scaling.md has the assumptions, these tables, and what they come to.

Output with the rates that the package shipped before (a fifth of the data sheet's):

    64-32-16-10, 4,096 H100, 256 lanes a chunk: training 0.1 to 0.6 s, all the rest 209 s
"""

import json
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from measuring import RESULTS, table

import jaxnn
from jaxnn.data.batches import EPOCHS_PER_CALL
from jaxnn.planning.costs import RATES, Rates, Work, default_chunk
from jaxnn.training.recipes import recipe

SETTINGS, EPOCHS, DEVICES, PER_HOST = 10**6, 60, (1, 64, 4096), 8
FIFTH = RATES["gpu"]
# H100 SXM: 67 TFLOP/s in float32, 3.35 TB/s; for the rest, which no data sheet has, five times ours
PEAK = Rates(67e12, 3.35e12, 250e9, 250e9, *FIFTH[4:6], FIFTH.step / 5, *FIFTH[7:])
# JAX gives a process three quarters of the memory
H100 = SimpleNamespace(platform="gpu", memory_stats=lambda: {"bytes_limit": 0.75 * 80e9})
CPU = SimpleNamespace(platform="cpu")
# by host_time.py, seconds a setting: before training, of a commit without networks, and of Python
# around the calls that train it; bytes a second of networks in a commit
BEFORE, COMMIT, LANE, DISK = 150e-6, 50e-6, 20e-6, 400e6
# assumed, bytes a second: of each host to others; of the file system that all read the data from
LINK, FILES = 50e9, 10e9


class Network(NamedTuple):
    """A sweep of one structure; `examples` to train on, in mini-batches of 32."""

    features: int
    hidden: tuple[int, ...]
    classes: int
    examples: int

    def __str__(self) -> str:
        return "-".join(map(str, (self.features, *self.hidden, self.classes)))

    @property
    def program(self) -> Any:
        data = jaxnn.Dataset(np.zeros((32, self.features), np.float32), [0] * 32, self.classes)
        return recipe({"hidden": self.hidden}, data, None).program

    def chunk(self, device: Any = H100) -> int:
        return default_chunk(self.program, device)

    def work(self, rates: Rates, device: Any = H100, epochs: int = EPOCHS) -> Work:
        stretches, shape = ((1.0, epochs),), (self.features,)
        return Work(rates, 1, 1, stretches, self.examples, shape, device, None)


WIDE, SMALL = Network(12288, (25, 12), 6, 1080), Network(64, (32, 16), 10, 1500)


class Sweep:
    """A million settings on some devices: the fullest device has `rounds` chunks."""

    def __init__(self, network: Network, devices: int, chunk: int | None = None):
        self.network, self.devices, self.chunk = network, devices, chunk or network.chunk()
        self.chunks = math.ceil(SETTINGS / self.chunk)
        self.rounds, self.hosts = math.ceil(self.chunks / devices), math.ceil(devices / PER_HOST)
        self.busy = self.chunks / self.rounds / devices
        # of the fullest process
        self.lanes = min(SETTINGS, math.ceil(self.chunks / self.hosts) * self.chunk)
        self.bytes = self.lanes * network.program.networks.num_weights * 4

    def epoch(self, rates: Rates) -> float:
        """Seconds of a chunk."""
        work, program = self.network.work(rates), self.network.program
        steps = work.num_steps(program.batch_size)
        return self.chunk * steps * work.step_seconds(program, self.chunk)

    def calls(self, rates: Rates) -> int:
        """Of a chunk: the first of one epoch, the others of about a quarter of a second."""
        each = min(EPOCHS_PER_CALL, max(1, int(0.25 / self.epoch(rates))))
        return 1 + math.ceil((EPOCHS - 1) / each)

    def training(self, rates: Rates) -> float:
        """A device waits for its own Python, and of a process's Python only one thread runs."""
        device = self.rounds * (EPOCHS * self.epoch(rates) + self.chunk * LANE)
        return max(device, self.lanes * LANE)

    def seconds(self, rates: Rates) -> float:
        return self.training(rates) + sum(self.rest().values())

    def both(self, of: Callable[["Sweep", Rates], float]) -> list[float]:
        return [of(self, rates) for rates in (PEAK, FIFTH)]

    def rest(self) -> dict[str, float]:
        """Seconds of all else."""
        # each device of a process compiles: the first one, and then the others side by side
        turns = min(2, self.devices)
        curves = 4 * 4 * EPOCHS * SETTINGS
        data = self.hosts * 4 * self.network.examples * self.network.features
        return {
            "preparing": BEFORE * SETTINGS,
            "data": data / FILES,
            "compiling": turns * self.network.work(FIFTH).compile_seconds(self.network.program),
            "last commit: settings": COMMIT * SETTINGS,
            "its networks": self.bytes / DISK,
            # of the networks the best, up to 1 GB
            "gathering": (curves + 1e9) / LINK if self.hosts > 1 else 0.0,
        }


def told(seconds: float) -> str:
    if seconds < 600:
        return "< 0.1 s" if seconds < 0.1 else f"{seconds:.{1 if seconds < 10 else 0}f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def ends(values: list[float], text: Callable[[float], str] = told) -> str:
    return " to ".join(dict.fromkeys(map(text, sorted(values))))


def show(rows: list[list[Any]]) -> None:
    told = lambda cell: f"{cell:,}" if isinstance(cell, int) else cell
    print(f"{table([list(map(told, row)) for row in rows])}\n")


def cpu_check() -> list[list[Any]]:
    """The same cost model against this repository's measurements on two cores."""
    found = []
    xeon = json.loads((RESULTS / "sweep-cpu.json").read_text())["rows"]
    # an EPYC: row_space.md, and a comment in jaxnn/engine/devices.py
    for one, lanes, epyc in ((WIDE, 8, 633.0), (SMALL, 256, 8.6)):
        us = one.work(RATES["cpu"], CPU).step_seconds(one.program, one.chunk(CPU)) * 1e6
        key = ("jaxnn.sweep", str(one), lanes)
        theirs = next(r["us"] for r in xeon if (r["side"], r["network"], r["lanes"]) == key)
        found.append((f"a lane's step of {one}, EPYC, us", us, epyc))
        found.append(("the same, Xeon, us", us, float(np.median(theirs))))
    many = SMALL._replace(examples=1437).work(RATES["cpu"], CPU, 20)
    large = many.seconds(SMALL.program, {SMALL.program.batch_size: 10**5})
    # README.md here: 125 networks a second when alone
    found.append(("100,000 of 64-32-16-10, 20 epochs, EPYC, s", large, 1e5 / 125))
    for name, case in json.loads((RESULTS / "mixed-cpu.json").read_text()).items():
        for row in (row for row in case["rows"] if "expected" in row):
            text = f"256 of mixed structure, {name}{row['side'].removeprefix('jaxnn.sweep')}"
            took = row["seconds"] - row["compile_seconds"]
            found.append((f"{text}, EPYC, s", row["expected"]["seconds"], took))
    rows = [[name, f"{a:,.4g}", f"{b:,.4g}", f"{a / b:.2f}"] for name, a, b in found]
    return [["without compiling", "predicted", "measured", "ratio"], *rows]


def main() -> None:
    show(cpu_check())
    names, every = ["chunks", "rounds", "devices at work"], []
    rows: list[list[Any]] = [["network", "chunk", *names, "training", "of linear"]]
    for network in (WIDE, SMALL):
        tried = [Sweep(network, 4096, 2**n) for n in range(13, 4, -1) if 2**n <= network.chunk()]
        best = min(tried, key=lambda one: one.training(FIFTH))
        every += [*(Sweep(network, devices) for devices in DEVICES), best]
        for one in tried:
            row = [network, one.chunk, one.chunks, one.rounds, f"{one.busy:.0%}"]
            share = Sweep(network, 1).training(FIFTH) / 4096 / one.training(FIFTH)
            rows.append([*row, ends(one.both(Sweep.training)), f"{share:.0%}"])

    key: list[Any] = ["network", "H100", "chunk"]
    programs = [[*key, "its memory", "programs", *names, "calls a chunk"]]
    times = [[*key, "training", *every[0].rest(), "all", "x one H100", "networks a host"]]
    for one in every:
        memory = f"{one.chunk * one.network.program.lane_bytes() / 1e9:.2f} GB"
        key = [one.network, one.devices, one.chunk]
        row = [*key, memory, 1, one.chunks, one.rounds, f"{one.busy:.0%}"]
        programs.append([*row, ends(one.both(Sweep.calls), str)])
        alone, whole = Sweep(one.network, 1).both(Sweep.seconds), one.both(Sweep.seconds)
        gain = ends(
            [a / b for a, b in zip(alone, whole, strict=True)],
            lambda x: f"{x:.{0 if x > 9.5 else 1}f}",
        )
        row = [*key, ends(one.both(Sweep.training)), *map(told, one.rest().values()), ends(whole)]
        times.append([*row, gain, f"{one.bytes / 1e9:,.{0 if one.bytes > 1e10 else 2}f} GB"])
    for each in (programs, rows, times):
        show(each)

    rows = [["Optuna's storage", "2 transactions a setting", "9"]]
    for rate in (2000, 1000):
        waits = [told(SETTINGS * count / rate) for count in (2, 9)]
        rows.append([f"a server of {rate:,} transactions a second", *waits])
    show([*rows, ["SQLite, 27 ms a setting", "", told(27e-3 * SETTINGS)]])


if __name__ == "__main__":
    main()
