"""How long does a sweep take for each network's step, against what else one could use?

    python benchmarks/sweep.py             (extra `bench`; what is not installed is left out)
    python benchmarks/sweep.py --quick     under two minutes, to see that it runs
    python benchmarks/sweep.py --large     100,000 settings on scikit-learn's digits in one call

Every side takes the same steps: mini-batches of 32 out of 1,056 random examples, Adam, relu,
float32; time is per setting-step, wall time / (networks x steps), without compiling. Sides that
train one network after another are timed on one. Ours is the whole call of `jaxnn.sweep`: checks,
first weights, evaluation on 32 examples after every epoch, weights back to the host. The sides
alternate, round after round, because machines are noisy; ratios are medians over the rounds.

The limit is what the machine could do if it only multiplied matrices at the rate of a large product
and then moved the 24 bytes a weight that Adam reads and writes at the rate of large arrays, both
measured in every round.
"""

import argparse
import functools
import importlib.util
import itertools
import json
import os
import platform
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jaxnn
from jaxnn.engine.chunks import lane_numbers
from jaxnn.planning.costs import default_chunk
from jaxnn.training.lanes import init_lanes, train_lanes
from jaxnn.training.recipes import recipe

BATCH_SIZE, NUM_BATCHES = 32, 33
Train = Callable[[int], None]
"""Trains for a number of epochs and waits for the end."""


class Network(NamedTuple):
    features: int
    hidden: tuple[int, ...]
    classes: int
    lanes: tuple[int, ...]

    @property
    def units(self) -> tuple[int, ...]:
        return (self.features, *self.hidden, self.classes)

    @property
    def kernels(self) -> list[int]:
        return [num_in * num_out for num_in, num_out in itertools.pairwise(self.units)]

    def __str__(self) -> str:
        return "-".join(map(str, self.units))

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(0)
        count = BATCH_SIZE * NUM_BATCHES
        x = rng.random((count, self.features), dtype=np.float32)
        return x, rng.integers(0, self.classes, count)


WIDE = Network(12288, (25, 12), 6, (1, 2, 4, 8, 16, 32, 64))
SMALL = Network(64, (32, 16), 10, (1, 16, 64, 256, 1024))


def settings(network: Network, lanes: int, **more: Any) -> list[dict[str, Any]]:
    rates = np.linspace(1e-4, 2e-4, lanes)
    return [{"hidden": network.hidden, "learning_rate": rate, **more} for rate in rates]


def our_sweep(network: Network, lanes: int, **more: Any) -> Train:
    data = jaxnn.Dataset(*network.data(), network.classes)
    drawn = settings(network, lanes, **more)
    chunk = default_chunk(recipe(drawn[0], data, None).program, jax.devices()[0])
    return lambda epochs: (
        jaxnn.sweep(drawn, data, data[:32], epochs=epochs, chunk=min(chunk, lanes), progress=False),
        None,
    )[1]


def our_fit(network: Network, lanes: int) -> Train:
    data = jaxnn.Dataset(*network.data(), network.classes)
    (setting,) = settings(network, 1)
    return lambda epochs: (
        jaxnn.fit(setting, data, data[:32], epochs=epochs, progress=False),
        None,
    )[1]


def init(units: tuple[int, ...], key: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
    """Weights (in, out), as most JAX code has them."""
    return [
        (jax.random.normal(jax.random.fold_in(key, i), (n, m)) * (2 / n) ** 0.5, jnp.zeros(m))
        for i, (n, m) in enumerate(itertools.pairwise(units))
    ]


def plain_step(state: Any, rate: Any, x: jax.Array, y: jax.Array) -> Any:
    params, opt_state = state

    def cost(params: Any) -> jax.Array:
        a = x
        for w, b in params[:-1]:
            a = jax.nn.relu(a @ w + b)
        w, b = params[-1]
        return optax.softmax_cross_entropy_with_integer_labels(a @ w + b, y).mean()

    updates, opt_state = optax.adam(rate).update(jax.grad(cost)(params), opt_state)
    return optax.apply_updates(params, updates), opt_state


def naive_vmap(network: Network, lanes: int) -> Train:
    x, y = map(jnp.asarray, network.data())
    # jitted: operation by operation it compiles many small programs
    params = jax.jit(jax.vmap(functools.partial(init, network.units)))(
        jax.random.split(jax.random.key(0), lanes)
    )
    state = [(params, jax.jit(jax.vmap(optax.adam(1e-4).init))(params))]
    rates = jnp.linspace(1e-4, 2e-4, lanes)
    step = jax.vmap(plain_step, in_axes=(0, 0, None, None))

    @functools.partial(jax.jit, donate_argnums=0)
    def epoch(state: Any, x: jax.Array, y: jax.Array, key: jax.Array) -> Any:
        rows = jax.random.permutation(key, len(x)).reshape(-1, BATCH_SIZE)
        body = lambda state, rows: (step(state, rates, x[rows], y[rows]), None)
        return jax.lax.scan(body, state, rows)[0]

    def train(epochs: int) -> None:
        for index in range(epochs):
            state[0] = epoch(state[0], x, y, jax.random.key(index))
        jax.block_until_ready(state[0])

    return train


def jitted_step(network: Network, lanes: int) -> Train:
    x, y = map(jnp.asarray, network.data())
    params = init(network.units, jax.random.key(0))
    state = [(params, optax.adam(1e-4).init(params))]
    step = jax.jit(
        lambda state, rows, x, y: plain_step(state, 1e-4, x[rows], y[rows]), donate_argnums=0
    )

    def train(epochs: int) -> None:
        for _ in range(epochs):
            for rows in np.random.permutation(len(x)).reshape(-1, BATCH_SIZE):  # noqa: NPY002
                state[0] = step(state[0], rows, x, y)
        jax.block_until_ready(state[0])

    return train


def torch_parts(network: Network) -> tuple[Any, Any, Any, Any]:
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    layers: list[Any] = []
    for num_in, num_out in itertools.pairwise(network.units):
        layers += [torch.nn.Linear(num_in, num_out), torch.nn.ReLU()]
    x, y = (torch.from_numpy(array).to(device) for array in network.data())
    return torch, torch.nn.Sequential(*layers[:-1]).to(device), x, y


def torch_eager(network: Network, lanes: int, compiled: bool = False) -> Train:
    torch, model, x, y = torch_parts(network)
    adam = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    loss = torch.nn.CrossEntropyLoss()
    forward = torch.compile(model, mode="reduce-overhead") if compiled else model

    def train(epochs: int) -> None:
        for _ in range(epochs):
            for rows in torch.randperm(len(x), device=x.device).split(BATCH_SIZE):
                adam.zero_grad()
                loss(forward(x[rows]), y[rows]).backward()
                adam.step()
        if x.is_cuda:
            torch.cuda.synchronize()

    return train


def torch_vmap(network: Network, lanes: int) -> Train:
    """PyTorch's Adam takes one learning rate for all lanes."""
    torch, model, x, y = torch_parts(network)
    params = {
        name: torch.stack([p.detach()] * lanes).requires_grad_()
        for name, p in model.named_parameters()
    }
    adam = torch.optim.Adam(params.values(), lr=1e-4, fused=True)

    def cost(params: Any, x: Any, y: Any) -> Any:
        logits = torch.func.functional_call(model, params, (x,))
        return torch.nn.functional.cross_entropy(logits, y)

    grads_of = torch.func.vmap(torch.func.grad(cost), in_dims=(0, None, None))

    def train(epochs: int) -> None:
        for _ in range(epochs):
            for rows in torch.randperm(len(x), device=x.device).split(BATCH_SIZE):
                for name, grad in grads_of(params, x[rows], y[rows]).items():
                    params[name].grad = grad
                adam.step()
        if x.is_cuda:
            torch.cuda.synchronize()

    return train


def scikit_learn(network: Network, lanes: int) -> Train:
    from sklearn.neural_network import MLPClassifier

    x, y = network.data()

    def train(epochs: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            MLPClassifier(network.hidden, batch_size=BATCH_SIZE, max_iter=epochs,
                          tol=0.0, n_iter_no_change=10**9).fit(x, y)  # fmt: skip

    return train


def keras_fit(network: Network, lanes: int) -> Train:
    import keras

    x, y = network.data()
    layers = [keras.layers.Dense(units, "relu") for units in network.hidden]
    model = keras.Sequential([*layers, keras.layers.Dense(network.classes)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss)
    return lambda epochs: (model.fit(x, y, BATCH_SIZE, epochs, verbose=0), None)[1]


# name -> (how to build it, the library it needs, whether it trains all lanes at once)
SIDES: dict[str, tuple[Callable[[Network, int], Train], str, bool]] = {
    "jaxnn.sweep": (our_sweep, "jax", True),
    "jaxnn.fit in a loop": (our_fit, "jax", False),
    "jax.vmap, weights (in, out)": (naive_vmap, "jax", True),
    "jitted step in a Python loop": (jitted_step, "jax", False),
    "PyTorch eager, fused Adam": (torch_eager, "torch", False),
    "torch.func.vmap, fused Adam": (torch_vmap, "torch", True),
    "scikit-learn MLPClassifier": (scikit_learn, "sklearn", False),
    "Keras fit": (keras_fit, "keras", False),
}
OURS = "jaxnn.sweep"
PLAIN, NORMALISED = "jaxnn.sweep, 32 lanes", "jaxnn.sweep, 32 lanes, batch norm"


class Machine:
    """Rates of a large product and of large arrays, the better of JAX and PyTorch."""

    def __init__(self, size: int = 2048, floats: int = 2**25):
        square = jnp.ones((size, size))
        b, c = jnp.ones(floats), jnp.zeros(floats)
        triad = jax.jit(lambda b, c: b + 3.0 * c)
        runs: dict[str, list[Callable[[], Any]]] = {
            "gemm": [lambda: jax.block_until_ready(square @ square)],
            "memory": [lambda: jax.block_until_ready(triad(b, c))],
        }
        if importlib.util.find_spec("torch") and jax.default_backend() == "cpu":
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


def limit(network: Network, rates: dict[str, float]) -> float:
    """Microseconds of a setting-step on a machine of these rates."""
    weights = sum(network.kernels)
    # forward, gradients of the weights, gradients of the inputs of all layers but the first
    flops = 2 * BATCH_SIZE * (3 * weights - network.kernels[0])
    return (flops / rates["gemm"] + 24 * weights / rates["memory"]) * 1e6


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def row_of(network: Network, side: str, lanes: int) -> dict[str, Any]:
    return {"network": str(network), "side": side, "lanes": lanes, "us": []}


def epochs_for(train: Train, budget: float) -> int:
    """Epochs that last for about `budget` seconds, whatever a call costs before its first."""
    train(1)
    if not budget:
        return 1
    one, three = (seconds(functools.partial(train, epochs)) for epochs in (1, 3))
    return max(1, min(500, round(budget / max((three - one) / 2, 1e-4))))


def measure(networks: list[Network], rounds: int, budget: float) -> list[dict[str, Any]]:
    """One row a network, side and number of lanes, with the time of every round."""
    machine, rows = Machine(), []
    for network in networks:
        runs: list[tuple[dict[str, Any], Train, int]] = []
        for name, (build, library, has_lanes) in SIDES.items():
            if importlib.util.find_spec(library) is None:
                print(f"{name}: left out, {library} is not installed")
                continue
            for lanes in network.lanes if has_lanes else (1,):
                train = build(network, lanes)
                # ours checks, draws and evaluates as well: long enough for that not to count
                epochs = epochs_for(train, 4 * budget if name.startswith("jaxnn") else budget)
                runs.append((row_of(network, name, lanes), train, epochs))
        if network.features == WIDE.features and budget:
            for name, more in ((PLAIN, {}), (NORMALISED, {"batch_norm": True})):
                train = our_sweep(network, 32, **more)
                runs.append((row_of(network, name, 32), train, epochs_for(train, 4 * budget)))
        limits = row_of(network, "limit", 1)
        for _ in range(rounds):
            limits["us"].append(limit(network, machine.rates()))
            for row, train, epochs in runs:
                spent = seconds(functools.partial(train, epochs))
                row["us"].append(spent / epochs / NUM_BATCHES / row["lanes"] * 1e6)
        rows += [limits, *(row for row, _, _ in runs)]
    return rows


def peak_memory(network: Network, lanes: int) -> float:
    """Bytes that a compiled chunk needs a lane, over its weights, gradients and moments."""
    data = jaxnn.Dataset(*network.data(), network.classes)
    one = recipe(settings(network, 1)[0], data, None)
    own = lane_numbers(one.program, one)
    numbers = {name: jnp.stack([jnp.asarray(number)] * lanes) for name, number in own.items()}
    seeds = jnp.arange(lanes, dtype=jnp.uint32)
    states = jax.eval_shape(lambda: init_lanes(one.program, seeds, numbers))
    arguments = (states, numbers, data, data[:32], one.program.schedule(data, 0).batches(0, 1))
    report: Any = train_lanes.lower(one.program, *arguments).compile().memory_analysis()
    size = lambda tree: sum(leaf.size * 4 for leaf in jax.tree.leaves(tree))
    used = (
        report.argument_size_in_bytes
        + report.temp_size_in_bytes
        + report.output_size_in_bytes
        - report.alias_size_in_bytes
        - size((data.x, data.y, data.x[:32], data.y[:32]))
    )
    return used / size((states.params, states.params, states.opt_state))


def table(rows: list[dict[str, Any]], network: Network) -> str:
    """The README's: best number of lanes of each side against ours, round by round."""
    mine = [row for row in rows if row["network"] == str(network)]
    limits = next(np.array(row["us"]) for row in mine if row["side"] == "limit")
    best: dict[str, dict[str, Any]] = {}
    for row in sorted(mine, key=lambda row: np.median(row["us"])):
        best.setdefault(row["side"], row)
    ours = np.array(best[OURS]["us"])
    lines = [f"| {network} | lanes | us a setting-step (least) | x the limit | jaxnn.sweep's |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for name, row in best.items():
        us = np.array(row["us"])
        cells = [name, str(row["lanes"]), f"{np.median(us):,.1f} ({us.min():,.1f})"]
        cells.append("" if name == "limit" else f"{np.median(us / limits):.2f}")
        cells.append("" if name in ("limit", OURS) else f"{np.median(us / ours):.1f} x")
        lines.append(f"| {' | '.join(cells)} |")
    for row in mine:
        if row["side"] == OURS:
            us = np.array(row["us"])
            lines.append(
                f"{OURS}, {row['lanes']:>4} lanes: {np.median(us):8.1f} us ({us.min():.1f}), "
                f"{np.median(us / limits):.2f} x the limit"
            )
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]], networks: list[Network], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.8 * len(networks), 4.4), layout="constrained")
    all_axes = np.atleast_1d(figure.subplots(1, len(networks)))
    for axes, network in zip(all_axes, networks, strict=True):
        sides: dict[str, list[tuple[int, float]]] = {}
        for row in rows:
            if row["network"] == str(network) and row["side"] not in (PLAIN, NORMALISED):
                point = (row["lanes"], float(np.median(row["us"])))
                sides.setdefault(row["side"], []).append(point)
        for name, points in sides.items():
            if len(points) > 1:
                width = 2.8 if name == OURS else 1.4
                axes.plot(*zip(*points, strict=True), marker="o", linewidth=width, label=name)
            else:
                style = "-" if name == "limit" else ":"
                axes.axhline(points[0][1], color="0.4", linestyle=style, linewidth=1)
                axes.text(network.lanes[0], points[0][1], name, fontsize=7, va="bottom")
        axes.set(xscale="log", yscale="log", xlabel="lanes", title=str(network))
        axes.set_ylabel("microseconds a setting-step")
        if len(network.lanes) > 1:
            axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def large(count: int, epochs: int) -> None:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    train, valid = jaxnn.hold_out(jaxnn.Dataset(x / 16, y), 0.2)
    space = {
        "learning_rate": jaxnn.loguniform(1e-4, 1e-1),
        "beta1": jaxnn.reverseloguniform(0.5, 0.99),
        "l2": jaxnn.loguniform(1e-6, 1e-2),
        "hidden": (32, 16),
    }
    start = time.perf_counter()
    drawn = jaxnn.sample(space, count)
    print(f"sampled {count:,} settings in {time.perf_counter() - start:.1f} s", flush=True)
    study = jaxnn.sweep(drawn, train, valid, epochs=epochs)
    study.summary(3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{time.perf_counter() - start:.0f} s in all, peak memory {peak:.1f} GiB")


def about() -> dict[str, Any]:
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
        "versions": {n: version(n) for n, m in modules.items() if importlib.util.find_spec(m)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--networks", choices=["wide", "small", "all"], default="all")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="for the JSON and the picture")
    parser.add_argument("--quick", action="store_true", help="few lanes and rounds")
    parser.add_argument("--large", metavar="N", nargs="?", type=int, const=100_000)
    parser.add_argument("--epochs", type=int, default=20, help="of --large (20)")
    options = parser.parse_args()
    if options.large:
        return large(options.large, options.epochs)
    chosen = {"wide": [WIDE], "small": [SMALL], "all": [WIDE, SMALL]}[options.networks]
    if options.quick:
        chosen = [network._replace(lanes=network.lanes[2:3]) for network in chosen]
    on_gpu = jax.default_backend() == "gpu"
    if on_gpu and not options.quick:
        more = {str(WIDE): (128, 256, 512), str(SMALL): (4096, 16384, 65536)}
        chosen = [net._replace(lanes=net.lanes + more[str(net)]) for net in chosen]
    if on_gpu and importlib.util.find_spec("torch"):
        SIDES["torch.compile"] = (functools.partial(torch_eager, compiled=True), "torch", False)
    hardware = about()
    print(json.dumps(hardware, indent=1), flush=True)
    rounds, budget = (2, 0.0) if options.quick else (options.rounds, 0.7)
    rows = measure(chosen, rounds, budget)
    for network in chosen:
        print(f"\n{table(rows, network)}")
        lanes = 8 if network.features == WIDE.features else 64
        ratio = peak_memory(network, lanes)
        print(f"memory of {lanes} lanes: {ratio:.2f} x weights, gradients and moments")
    times = {row["side"]: np.array(row["us"]) for row in rows}
    if PLAIN in times:
        ratio = np.median(times[NORMALISED] / times[PLAIN])
        print(f"batch norm, 32 lanes: {ratio:.2f} x the time without")
    results = Path(__file__).parent / "results"
    out = options.out or (Path(tempfile.mkdtemp()) if options.quick else results)
    out.mkdir(parents=True, exist_ok=True)
    name = f"sweep-{jax.default_backend()}"
    (out / f"{name}.json").write_text(json.dumps({"about": hardware, "rows": rows}) + "\n")
    if importlib.util.find_spec("matplotlib"):
        draw(rows, chosen, out / f"{name}.png")
    print(f"\nwritten to {out}")


if __name__ == "__main__":
    main()
