"""What `gpu.py` measures: each section is a function that yields its cases, in order of importance.

A case is measured by itself, and what it raises is recorded in its place. Nothing touches the GPU
before a case runs.
"""

import contextlib
import functools
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from measuring import about, is_installed, seconds
from mixed import SPACE, problem_of
from problems import Problem, random_examples
from rates import CASES
from scipy.optimize import nnls
from sides import Build, Setting, Train, jax_vmap
from sweep import BATCH_SIZE, NUM_BATCHES, SMALL, WIDE, Network, our_sweep
from torch_sides import torch_arrays, torch_eager, torch_lanes, torch_vmap_fused

import jaxnn
from jaxnn.compiled.lanes import init_lanes, train_lanes
from jaxnn.compiled.programs import Program, initial
from jaxnn.compiled.steps import TrainState, init_train_state, train_epochs
from jaxnn.data.batches import Examples
from jaxnn.engine.chunks import lane_data
from jaxnn.planning.costs import Rates
from jaxnn.training.recipes import recipe

Row = dict[str, Any]


class Case(NamedTuple):
    """A row of a section's table: what tells it from the others, and how to measure the rest."""

    name: Row
    run: Callable[[], Row]


class Sizes(NamedTuple):
    """How much is measured. Lanes come in order of importance; 0 lanes are `fit`'s program."""

    small: tuple[int, ...]
    wide: tuple[int, ...]
    peers: tuple[int, ...]
    calls: tuple[int, ...]
    structures: int
    floats: int
    square: int
    epochs: int
    seconds: float
    repeats: int
    most: int
    """Cases of a section."""

    @property
    def networks(self) -> list[tuple[Network, tuple[int, ...]]]:
        return [(SMALL, self.small), (WIDE, self.wide)]


FULL = Sizes(
    small=(4096, 64, 1, 0, 65536, 512, 8, 16384),
    wide=(512, 64, 1, 0, 4096, 8, 8192, 16384, 65536),
    peers=(64, 4096, 512),
    calls=(64, 4096),
    structures=len(CASES),
    floats=2**28,
    square=8192,
    epochs=30,
    seconds=0.3,
    repeats=5,
    most=100,
)
FEW = FULL._replace(
    small=(4096, 0), wide=(64,), peers=(64,), calls=(64,), structures=2, epochs=2, seconds=0.1,
    repeats=3, most=7,
)  # fmt: skip
TINY = FEW._replace(
    small=(4,), wide=(2,), peers=(2,), calls=(2,), structures=1, floats=2**18, square=128, epochs=1,
    seconds=0.0, repeats=1, most=3,
)  # fmt: skip
HAS_TORCH = is_installed("torch")


# -- timing


def us_of(train: Train, lanes: int, num_steps: int, sizes: Sizes, most: int = 64) -> Row:
    """Microseconds of a lane's step, from calls of as many epochs as `sizes.seconds` has room for.

    What a call costs at first is `first_s`: mostly compiling, where the call compiles.
    """
    first = seconds(functools.partial(train, 1))
    one = seconds(functools.partial(train, 1))
    epochs = max(1, min(most, round(sizes.seconds / max(one, 1e-6))))
    spent = [seconds(functools.partial(train, epochs)) for _ in range(sizes.repeats)]
    each = [one / (epochs * num_steps) * 1e6 for one in spent]
    middle = statistics.median(each)
    found = {"us": middle / lanes, "least_us": min(each) / lanes, "step_us": middle}
    return {**found, "lane_steps_a_s": 1e6 * lanes / middle, "first_s": first - one}


def with_precision(precision: str | None) -> contextlib.AbstractContextManager[Any]:
    return jax.default_matmul_precision(precision) if precision else contextlib.nullcontext()


# -- ceilings


def machine() -> Row:
    row = {**about(), "jaxnn": jaxnn.__version__, "xla_flags": os.environ.get("XLA_FLAGS", "")}
    asked = "name,driver_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit"
    command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        row["nvidia_smi"] = done.stdout.strip()
    return {"machine": {**row, "memory_limit": memory_limit()}}


def memory_limit() -> float:
    stats = jax.devices()[0].memory_stats() or {}
    return float(stats.get("bytes_limit", 16e9))


def back_to_back(call: Callable[[], jax.Array], times: int) -> float:
    """Seconds of a call where the device is kept busy: what each costs the host does not count."""

    def run() -> None:
        for _ in range(times):
            last = call()
        jax.block_until_ready(last)

    return min(seconds(run) for _ in range(4)) / times


def copies(floats: int, operation: Callable[..., jax.Array], arrays: int) -> Row:
    call, x = jax.jit(operation), jnp.ones(floats)
    return {"bytes_a_s": 4 * arrays * floats / back_to_back(lambda: call(x), 20)}


def products(size: int, precision: str | None) -> Row:
    x, y = (jax.random.normal(jax.random.key(seed), (size, size)) for seed in (0, 1))
    with with_precision(precision):
        call = jax.jit(jnp.matmul)
        found = np.asarray(call(x, y)[:64, :64])
        spent = back_to_back(lambda: call(x, y), 10)
    exact = np.asarray(x[:64]).astype(float) @ np.asarray(y[:, :64]).astype(float)
    error = float(np.abs(found - exact).max() / np.abs(exact).max())
    return {"operations_a_s": 2 * size**3 / spent, "relative_error": error}


def empty_loop(is_traced: bool) -> Row:
    """Of one small kernel, a thousand times."""
    body = lambda _, x: jnp.sin(x) + 1
    loop = lambda x, count: jax.lax.fori_loop(0, count if is_traced else 1000, body, x)
    call, x = jax.jit(loop), jnp.ones(1024)
    run = lambda: jax.block_until_ready(call(x, np.int32(1000)))
    run()
    return {"us": min(seconds(run) for _ in range(5)) * 1e3}


def ceilings(sizes: Sizes) -> Iterator[Case]:
    yield Case({"case": "machine"}, machine)
    copy = functools.partial(copies, sizes.floats)
    yield Case({"case": "copy"}, functools.partial(copy, jnp.copy, 2))
    product = f"product of {sizes.square}, precision"
    for precision in (None, "highest", "tensorfloat32"):
        name = {"case": f"{product} {precision or 'default'}"}
        yield Case(name, functools.partial(products, sizes.square, precision))
    for count in ("traced", "static"):
        name = {"case": f"iteration of a loop, {count} count"}
        yield Case(name, functools.partial(empty_loop, count == "traced"))
    yield Case({"case": "add a number"}, functools.partial(copy, lambda x: x + 1, 2))


# -- lanes


class Ours:
    """The training program of `jaxnn.sweep` for a chunk of one structure; with 0 lanes `fit`'s."""

    def __init__(self, data: jaxnn.Dataset, setting: Row, lanes: int):
        one = recipe(setting, data, None)
        self.program, self.lanes = one.program, lanes
        need, room = max(lanes, 1) * one.program.lane_bytes(), memory_limit()
        if need > room:
            raise MemoryError(f"weights, gradients and moments: {need:.3g} of {room:.3g} bytes")
        self._numbers = lane_data(one.program, [one] * lanes) if lanes else one.numbers
        self._schedule = one.program.schedule(data, 0)
        self.num_steps, self.room = self._schedule.num_steps, self._schedule.room
        self._data = jax.device_put(Examples(data, one.program.held_out(np.arange(32))))
        first = one.program, self._numbers, lanes
        train: Any = train_lanes if lanes else train_epochs
        arguments = (self._numbers, self._data, self._schedule.batches(0, 1))
        start = time.perf_counter()
        lowered = train.lower(one.program, shapes_of(*first), *arguments)
        middle = time.perf_counter()
        self.compiled = lowered.compile()
        self.trace_s, self.compile_s = middle - start, time.perf_counter() - middle
        self.memory = needed_memory(self.compiled)
        if self.memory > room:
            raise MemoryError(f"the compiled program: {self.memory:.3g} of {room:.3g} bytes")
        self._state = first_state(*first)

    @property
    def num_params(self) -> int:
        return sum(leaf.size for leaf in jax.tree.leaves(self._state.params)) // max(self.lanes, 1)

    def train(self, epochs: int) -> None:
        batches = self._schedule.batches(0, epochs)
        self._state, curves = self.compiled(self._state, self._numbers, self._data, batches)
        jax.block_until_ready(curves)

    def row(self, sizes: Sizes) -> Row:
        lanes = max(self.lanes, 1)
        row = us_of(self.train, lanes, self.num_steps, sizes, self.room)
        # Adam reads and writes the weight and two moments, 4 bytes each
        row |= {"bytes_a_step": 24 * self.num_params * lanes}
        row |= {"trace_s": self.trace_s, "compile_s": self.compile_s}
        return {**row, "memory_a_lane": self.memory / lanes}


def shapes_of(program: Program, numbers: Row, lanes: int) -> TrainState:
    """Shapes and types of the first state."""
    if not lanes:
        return init_train_state.eval_shape(initial(program), jax.random.key(0), numbers)
    return init_lanes.eval_shape(initial(program), np.arange(lanes, dtype=np.uint32), numbers)


def first_state(program: Program, numbers: Row, lanes: int) -> TrainState:
    """Those of at most 64 lanes, again and again: only the time of training is to be measured."""
    if not lanes:
        return init_train_state(initial(program), jax.random.key(0), numbers)
    few = min(lanes, 64)
    seeds = np.arange(few, dtype=np.uint32)
    made = init_lanes(initial(program), seeds, {name: n[:few] for name, n in numbers.items()})
    if few == lanes:
        return made
    rows = np.arange(lanes) % few
    again = lambda leaf: leaf[rows] if leaf.ndim else leaf
    return jax.jit(lambda state: jax.tree.map(again, state))(made)


def needed_memory(compiled: Any) -> float:
    """Bytes of arguments, results and what is between them."""
    report = compiled.memory_analysis()
    parts = [getattr(report, f"{part}_size_in_bytes") for part in ("argument", "output", "temp")]
    return float(sum(parts) - report.alias_size_in_bytes)


def our_case(network: Network, lanes: int, sizes: Sizes, precision: str | None = None) -> Case:
    def run() -> Row:
        with with_precision(precision):
            (setting,) = network.settings(1)
            return Ours(network.problem().train, setting, lanes).row(sizes)

    side = "jaxnn.sweep's program" if lanes else "jaxnn.fit's program"
    name = {"network": str(network), "side": side, "lanes": max(lanes, 1)}
    return Case({**name, "precision": precision or "default"}, run)


def lanes(sizes: Sizes) -> Iterator[Case]:
    (small, first), (wide, second) = ((network, counts[0]) for network, counts in sizes.networks)
    yield our_case(small, first, sizes)
    yield our_case(wide, second, sizes)
    yield our_case(small, first, sizes, "highest")
    yield our_case(wide, second, sizes, "highest")
    # in turns: where time is short, both networks have their most important lanes
    for counts in itertools.zip_longest(sizes.small[1:], sizes.wide[1:]):
        for network, count in zip((small, wide), counts, strict=True):
            if count is not None:
                yield our_case(network, count, sizes)


# -- peers


def peer_case(side: str, build: Build, network: Network, lanes: int, sizes: Sizes) -> Case:
    def run() -> Row:
        train = build(network.problem(), network.settings(lanes))
        return us_of(train, lanes, NUM_BATCHES, sizes)

    return Case({"network": str(network), "side": side, "lanes": lanes}, run)


def peer_cases(side: str, build: Build, sizes: Sizes, lanes: tuple[int, ...]) -> Iterator[Case]:
    for count in lanes:
        for network, _ in sizes.networks:
            yield peer_case(side, build, network, count, sizes)


def at_high(build: Build) -> Build:
    """A side of PyTorch whose products may use TF32, as JAX's do by default."""

    def built(problem: Problem, settings: list[Setting]) -> Train:
        import torch

        train = build(problem, settings)

        def train_at_high(epochs: int) -> None:
            before = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("high")
            try:
                train(epochs)
            finally:
                torch.set_float32_matmul_precision(before)

        return train_at_high

    return built


def at_highest(problem: Problem, settings: list[Setting]) -> Train:
    def train_at_highest(epochs: int) -> None:
        with jax.default_matmul_precision("highest"):
            train(epochs)

    with jax.default_matmul_precision("highest"):
        train = jax_vmap(problem, settings)
    return train_at_highest


def torch_graph(problem: Problem, settings: list[Setting]) -> Train:
    """A whole step of `torch.func.vmap` and fused Adam, captured once and replayed."""
    import torch

    x, y = torch_arrays(problem)
    params, set_grads = torch_lanes(problem, settings)
    adam = torch.optim.Adam(params.values(), lr=1e-4, fused=True, capturable=True)
    batch, labels = x[:BATCH_SIZE].clone(), y[:BATCH_SIZE].clone()

    def step() -> None:
        set_grads(batch, labels)
        adam.step()

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def train(epochs: int) -> None:
        for _ in range(epochs):
            for chosen in torch.randperm(len(x), device=x.device).split(BATCH_SIZE):
                # outside of the graph: rows that are gathered inside failed on an H200
                batch.copy_(x[chosen])
                labels.copy_(y[chosen])
                graph.replay()
        torch.cuda.synchronize()

    return train


def torch_precision() -> Row:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {"device": device, "precision": torch.get_float32_matmul_precision()}


def torch_sides(sizes: Sizes) -> Iterator[Case]:
    yield Case({"side": "PyTorch's default"}, torch_precision)
    yield from peer_cases("PyTorch eager, fused Adam", torch_eager, sizes, (1,))
    yield from peer_cases("torch.func.vmap, fused Adam", torch_vmap_fused, sizes, sizes.peers)
    high = at_high(torch_vmap_fused)
    yield from peer_cases("torch.func.vmap, precision high", high, sizes, sizes.peers[:1])


def torch_graphs(sizes: Sizes) -> Iterator[Case]:
    # a section of its own: a failed capture can leave a process without a usable GPU
    side = "CUDA graph of torch.func.vmap's step"
    yield from peer_cases(side, torch_graph, sizes, (1, *sizes.peers))


def torch_compiled(sizes: Sizes) -> Iterator[Case]:
    build = functools.partial(torch_eager, compiled=True)
    yield from peer_cases("torch.compile, reduce-overhead", build, sizes, (1,))


def naive(sizes: Sizes) -> Iterator[Case]:
    yield from peer_cases("jax.vmap of a plain step", jax_vmap, sizes, sizes.peers)
    yield from peer_cases("jax.vmap, precision highest", at_highest, sizes, sizes.peers[:1])


# -- lane = solo


def exactness(structures: list[Row], precision: str | None, epochs: int) -> Row:
    """64 settings in a sweep: against `fit`, again, in another order, and compiled again."""
    rng, rates = np.random.default_rng(0), np.logspace(-4, -2, 64)
    data = jaxnn.Dataset(rng.random((704, 64), dtype=np.float32), rng.integers(0, 10, 704), 10)
    train, valid = data[:640], data[640:]
    settings = [
        {"learning_rate": float(rate), **structures[index % len(structures)]}
        for index, rate in enumerate(rates)
    ]
    order = rng.permutation(len(settings))
    run = lambda settings: jaxnn.sweep(
        settings, train, valid, epochs=epochs, chunk=64, progress=False
    )
    with with_precision(precision):
        study, again = run(settings), run(settings)
        row: Row = {"programs": len(study.plan.programs)}
        row["again"] = all(same_network(study, i, again, i) for i in range(64))
        other = run([settings[index] for index in order])
        row["permuted"] = all(same_network(study, i, other, j) for j, i in enumerate(order))
        differences = [alone(study, i, settings[i], train, valid) for i in (1, 32, 63)]
        for name in differences[0]:
            row[name] = max(one[name] for one in differences)
        jax.clear_caches()
        anew = run(settings)
        row["compiled_again"] = all(same_network(study, i, anew, i) for i in range(64))
    return row


def same_network(a: jaxnn.Study, i: int, b: jaxnn.Study, j: int) -> bool:
    leaves = [jax.tree.leaves(s.fitted(int(n)).params) for s, n in ((a, i), (b, j))]
    return all(np.array_equal(x, y) for x, y in zip(*leaves, strict=True))


def alone(study: jaxnn.Study, number: int, setting: Row, *data: jaxnn.Dataset) -> Row:
    """The largest differences of a lane from `fit`, relative to the largest number of a leaf."""
    lane = study.fitted(number)
    solo = jaxnn.fit(setting, *data, epochs=len(lane.curves["cost"]), progress=False)
    pairs = zip(jax.tree.leaves(lane.params), jax.tree.leaves(solo.params), strict=True)
    relative = lambda a, b: float(np.max(np.abs(a - b)) / max(float(np.max(np.abs(b))), 1e-30))
    costs = [np.asarray(one.curves["cost"]) for one in (lane, solo)]
    return {
        "weights_differ": max(relative(np.asarray(a), np.asarray(b)) for a, b in pairs),
        "first_cost_differs": relative(costs[0][:1], costs[1][:1]),
        "costs_differ": relative(*costs),
    }


def exact(sizes: Sizes) -> Iterator[Case]:
    epochs = 10 if sizes.epochs > 1 else 1
    one: list[Row] = [{"hidden": (32, 16)}]
    mixed = [*one, {"hidden": (48,), "activation": "tanh"}, {"hidden": (16, 8), "batch_norm": True}]
    both = (("one structure", one), ("three structures", mixed))
    for text, structures in both if sizes.most > 3 else both[:1]:
        for precision in (None, "highest") if sizes.most > 3 else (None,):
            name = {"settings": text, "precision": precision or "default", "steps": 20 * epochs}
            yield Case(name, functools.partial(exactness, structures, precision, epochs))


# -- whole calls


def twice(run: Callable[[], jaxnn.Study]) -> Row:
    start = time.perf_counter()
    study = run()
    middle = time.perf_counter()
    second = seconds(run)
    plan = study.plan
    return {
        "first_s": middle - start,
        "second_s": second,
        "compile_s": study.compile_seconds,
        "programs": len(plan.programs),
        "padded": plan.padded_share,
        "expected_s": plan.seconds,
        "expected_compile_s": plan.compile_seconds,
        "best": study.best_value,
        "plan": str(plan),
    }


def mixed_settings(count: int, epochs: int) -> Row:
    problem = problem_of("digits")
    settings = list(jaxnn.sample(SPACE, count, seed=0, method="random"))
    return twice(lambda: jaxnn.sweep(settings, *problem, epochs=epochs, progress=False))


def deep_networks(count: int, rows: int, epochs: int) -> Row:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, 100), dtype=np.float32)
    y = np.argmax(x @ rng.standard_normal((100, 10), dtype=np.float32), axis=1)
    data = jaxnn.Dataset(x, y, 10)
    settings = [
        {"hidden": (384,) * (1 + index % 4), "batch_size": 256, "learning_rate": float(rate)}
        for index, rate in enumerate(np.logspace(-4, -2, count))
    ]
    return twice(lambda: jaxnn.sweep(settings, data, data[:256], epochs=epochs, progress=False))


def one_structure(network: Network, count: int, epochs: int) -> Row:
    train = our_sweep(network.problem(), network.settings(count))
    first, second = (seconds(functools.partial(train, epochs)) for _ in range(2))
    us = second / epochs / NUM_BATCHES / count * 1e6
    return {"first_s": first, "second_s": second, "us": us}


def calls(sizes: Sizes) -> Iterator[Case]:
    is_full = sizes.epochs == FULL.epochs
    count, epochs = (256, 60) if is_full else (2, sizes.epochs)
    name = {"case": "mixed settings, digits", "settings": count, "epochs": epochs}
    yield Case(name, functools.partial(mixed_settings, count, epochs))
    count, rows = (64, 10_000) if is_full else (2, 512)
    name = {"case": "384 units, 1 to 4 layers", "settings": count, "epochs": sizes.epochs}
    yield Case(name, functools.partial(deep_networks, count, rows, sizes.epochs))
    for network, count in itertools.product((SMALL, WIDE), sizes.calls):
        if network is SMALL or count <= 64:  # the weights of 4,096 wide ones are 5 GB to send
            name = {"case": str(network), "settings": count, "epochs": sizes.epochs}
            yield Case(name, functools.partial(one_structure, network, count, sizes.epochs))


# -- rates of the cost model


def rates(sizes: Sizes) -> Iterator[Case]:
    counts: list[tuple[float, ...]] = []
    times: list[float] = []

    def measure(features: int, setting: Row, lanes: int) -> Row:
        data = random_examples(1080, features, 6)
        ours = Ours(data, {**setting, "learning_rate": 1e-4}, lanes)
        row = ours.row(sizes)
        counts.append(ours.program.step_counts(lanes))
        times.append(row["us"] / 1e6)
        return {**row, "counts": counts[-1]}

    # of each kind a few first: where time is short, the rest is left out
    chosen = [CASES[index::5] for index in range(5)]
    few = list(itertools.chain(*chosen))[: sizes.structures]
    for index, (features, setting) in enumerate(few):
        lanes = sizes.wide[0] if features > 1000 else sizes.small[0]
        lanes = max(1, lanes // (1, 8, 64)[index % 3])
        name = {"features": features, "setting": json.dumps(setting), "lanes": lanes}
        yield Case(name, functools.partial(measure, features, setting, lanes))
    yield Case({"setting": "fitted"}, lambda: fitted_rates(counts, times))


def fitted_rates(counts: list[tuple[float, ...]], times: list[float]) -> Row:
    """By least relative squares, as in `rates.py`."""
    a, b = np.array(counts), np.array(times)
    size = np.maximum(a.max(axis=0), 1e-30)
    found = nnls(a / size / b[:, None], np.ones(len(b)))[0] / size
    per_second = [float(1 / max(n, 1e-15)) for n in found[:4]]
    names = (*Rates._fields[:4], "step", "lane")
    rates = dict(zip(names, [*per_second, *map(float, found[4:])], strict=True))
    return {"rates": rates, "model_over_measured": (a @ found / b).tolist()}


# -- what a step is compiled to


def profiled(network: Network, lanes: int, folder: Path | None) -> Row:
    ours = Ours(network.problem().train, network.settings(1)[0], lanes)
    text = ours.compiled.as_text()
    if folder:
        short = re.sub(r", (metadata|frontend_attributes|backend_config)=.*", "", text)
        (folder / f"gpu-{network}-{lanes}.hlo.txt").write_text(short[:100_000])
    costs = ours.compiled.cost_analysis() or {}
    ours.train(1)
    with tempfile.TemporaryDirectory() as trace:
        with jax.profiler.trace(trace):
            spent = seconds(lambda: ours.train(1))
        kernels = longest_kernels(Path(trace))
    busy = sum(us for us, _ in kernels.values())
    steps = ours.num_steps
    top = sorted(kernels.items(), key=lambda item: -item[1][0])[:15]
    return {
        "step_us": spent / steps * 1e6,
        "kernels_us": busy / steps,
        "kernels_a_step": sum(count for _, count in kernels.values()) / steps,
        "instructions": dict(instructions(text).most_common(12)),
        "costs": {name: costs[name] for name in ("flops", "bytes accessed") if name in costs},
        "memory": str(ours.compiled.memory_analysis()),
        "longest": [{"name": name[:90], "us": us / steps, "count": n} for name, (us, n) in top],
    }


def instructions(text: str) -> Counter[str]:
    """How often each kind occurs in a compiled program, outside of its fusions."""
    counts: Counter[str] = Counter()
    is_fused = False
    nothing = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast")
    for line in text.splitlines():
        if line[:1] in ("%", "E"):
            is_fused = line.startswith(("%fused", "%wrapped", "%gemm_fusion"))
        found = re.search(r"^\s+\S.* = .*? ([a-z][a-z0-9-]+)\(", line)
        if found and not is_fused and found[1] not in nothing:
            counts[found[1]] += 1
    return counts


def longest_kernels(folder: Path) -> dict[str, tuple[float, int]]:
    """Microseconds and launches of each kernel in a trace of a GPU."""
    found: dict[str, tuple[float, int]] = {}
    for path in folder.rglob("*.xplane.pb"):
        for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
            streams = [line for line in plane.lines if "Stream" in line.name]
            for event in (event for line in streams for event in line.events):
                if plane.name.startswith("/device:GPU"):
                    us, count = found.get(event.name, (0.0, 0))
                    found[event.name] = us + event.duration_ns / 1e3, count + 1
    return found


def profile(sizes: Sizes, folder: Path | None = None) -> Iterator[Case]:
    for network, counts in sizes.networks:
        for lanes in counts[:3]:
            name = {"network": str(network), "lanes": lanes}
            saved = folder if lanes == counts[0] else None
            yield Case(name, functools.partial(profiled, network, lanes, saved))


# -- other flags

FLAGS = (
    "--xla_gpu_enable_command_buffer=+WHILE,+CONDITIONAL",
    "--xla_gpu_autotune_level=0",
    "--xla_gpu_enable_triton_gemm=false",
    "--xla_gpu_exclude_nondeterministic_ops=true",
    "--xla_gpu_enable_command_buffer=",
)


def flags(sizes: Sizes) -> Iterator[Case]:
    """A process for each: XLA reads them once, and one that it does not know ends the process."""
    for text in FLAGS if sizes is FULL else FLAGS[:1]:
        yield Case({"flags": text}, functools.partial(with_flags, text, sizes))


def with_flags(text: str, sizes: Sizes) -> Row:
    size = {id(FULL): [], id(FEW): ["--small"], id(TINY): ["--quick"]}[id(sizes)]
    flags = f"{os.environ.get('XLA_FLAGS', '')} {text}".strip()
    script = Path(__file__).with_name("gpu.py")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(script), "--only", "steps", "--out", folder, *size]
        subprocess.run(command, env={**os.environ, "XLA_FLAGS": flags}, timeout=90, check=True)
        part = json.loads((Path(folder) / "gpu.json").read_text())["sections"]["steps"]
    row: Row = {}
    for one in part["rows"]:
        name = f"{one['network']}, {one['lanes']} lanes"
        row |= {f"{name}, step_us": one.get("step_us"), f"{name}, compile_s": one.get("compile_s")}
    return row


def steps(sizes: Sizes) -> Iterator[Case]:
    """What is measured with each of the flags."""
    for network, lanes in ((SMALL, 1), (SMALL, sizes.small[0]), (WIDE, sizes.wide[:2][-1])):
        yield our_case(network, lanes, sizes)
