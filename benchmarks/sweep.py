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
import json
import resource
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from measuring import Machine, about, canvas, is_installed, results_folder, seconds, table
from problems import Problem, digits, random_examples
from sides import (
    Setting,
    Side,
    Train,
    installed,
    jax_vmap,
    jaxnn_fit,
    jaxnn_sweep,
    jitted_step,
    keras_fit,
    scikit_learn,
)
from torch_sides import torch_eager, torch_vmap_fused

import jaxnn
from jaxnn.compiled.lanes import init_lanes, train_lanes
from jaxnn.data.batches import Examples
from jaxnn.engine.chunks import lane_data
from jaxnn.planning.costs import default_chunk
from jaxnn.training.recipes import recipe

BATCH_SIZE, NUM_BATCHES = 32, 33


class Network(NamedTuple):
    features: int
    hidden: tuple[int, ...]
    classes: int
    lanes: tuple[int, ...]

    @property
    def units(self) -> tuple[int, ...]:
        return (self.features, *self.hidden, self.classes)

    def __str__(self) -> str:
        return "-".join(map(str, self.units))

    def problem(self) -> Problem:
        data = random_examples(BATCH_SIZE * NUM_BATCHES, self.features, self.classes)
        return Problem(data, data[:32])

    def settings(self, lanes: int, **more: Any) -> list[Setting]:
        rates = np.linspace(1e-4, 2e-4, lanes)
        return [{"hidden": self.hidden, "learning_rate": rate, **more} for rate in rates]


WIDE = Network(12288, (25, 12), 6, (1, 2, 4, 8, 16, 32, 64))
SMALL = Network(64, (32, 16), 10, (1, 16, 64, 256, 1024))


def our_sweep(problem: Problem, settings: list[Setting]) -> Train:
    """In chunks of all lanes, if they are not too many."""
    chunk = default_chunk(recipe(settings[0], problem.train, None).program, jax.devices()[0])
    return jaxnn_sweep(problem, settings, chunk=min(chunk, len(settings)))


OURS = "jaxnn.sweep"
SIDES = [
    Side(OURS, "jax", our_sweep, is_grouped=True),
    Side("jaxnn.fit in a loop", "jax", jaxnn_fit),
    Side("jax.vmap, weights (in, out)", "jax", jax_vmap, is_grouped=True),
    Side("jitted step in a Python loop", "jax", jitted_step),
    Side("PyTorch eager, fused Adam", "torch", torch_eager),
    Side("torch.func.vmap, fused Adam", "torch", torch_vmap_fused, is_grouped=True),
    Side("scikit-learn MLPClassifier", "sklearn", scikit_learn),
    Side("Keras fit", "keras", keras_fit),
]
COMPILED = Side("torch.compile", "torch", functools.partial(torch_eager, compiled=True))
PLAIN = Side("jaxnn.sweep, 32 lanes", "jax", our_sweep)
NORMALISED = Side("jaxnn.sweep, 32 lanes, batch norm", "jax", our_sweep)


def limit(network: Network, problem: Problem, rates: dict[str, float]) -> float:
    """Microseconds of a setting-step on a machine of these rates."""
    kernels = [num_in * num_out for num_in, num_out in problem.pairs(network.hidden)]
    weights = sum(kernels)
    # forward, gradients of the weights, gradients of the inputs of all layers but the first
    flops = 2 * BATCH_SIZE * (3 * weights - kernels[0])
    return (flops / rates["gemm"] + 24 * weights / rates["memory"]) * 1e6


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
        problem = network.problem()
        cases: list[tuple[Side, int, Setting]] = [
            (side, lanes, {})
            for side in installed(SIDES)
            for lanes in (network.lanes if side.is_grouped else (1,))
        ]
        if network.features == WIDE.features and budget:
            cases += [(PLAIN, 32, {}), (NORMALISED, 32, {"batch_norm": True})]
        runs: list[tuple[dict[str, Any], Train, int]] = []
        for side, lanes, more in cases:
            train = side.build(problem, network.settings(lanes, **more))
            # ours checks, draws and evaluates as well: long enough for that not to count
            epochs = epochs_for(train, 4 * budget if side.name.startswith("jaxnn") else budget)
            runs.append((row_of(network, side.name, lanes), train, epochs))
        limits = row_of(network, "limit", 1)
        for _ in range(rounds):
            limits["us"].append(limit(network, problem, machine.rates()))
            for row, train, epochs in runs:
                spent = seconds(functools.partial(train, epochs))
                row["us"].append(spent / epochs / NUM_BATCHES / row["lanes"] * 1e6)
        rows += [limits, *(row for row, _, _ in runs)]
    return rows


def peak_memory(network: Network, lanes: int) -> float:
    """Bytes that a compiled chunk needs a lane, over its weights, gradients and moments."""
    data, valid = network.problem()
    one = recipe(network.settings(1)[0], data, None)
    numbers = jax.device_put(lane_data(one.program, [one] * lanes))
    seeds = jnp.arange(lanes, dtype=jnp.uint32)
    states = init_lanes.eval_shape(one.program, seeds, numbers)
    both = data.followed_by(valid)
    held_out = one.program.held_out(np.arange(len(data), len(both)))
    batches = one.program.schedule(data, 0, num_rows=len(both)).batches(0, 1)
    arguments = (states, numbers, Examples(both, held_out), batches)
    report: Any = train_lanes.lower(one.program, *arguments).compile().memory_analysis()
    size = lambda tree: sum(leaf.size * 4 for leaf in jax.tree.leaves(tree))
    used = (
        report.argument_size_in_bytes
        + report.temp_size_in_bytes
        + report.output_size_in_bytes
        - report.alias_size_in_bytes
        - size((data.x, data.y, valid.x, valid.y))
    )
    return used / size((states.params, states.params, states.opt_state))


def against_ours(rows: list[dict[str, Any]], network: Network) -> str:
    """Best number of lanes of each side against ours, round by round."""
    mine = [row for row in rows if row["network"] == str(network)]
    limits = next(np.array(row["us"]) for row in mine if row["side"] == "limit")
    best: dict[str, dict[str, Any]] = {}
    for row in sorted(mine, key=lambda row: np.median(row["us"])):
        best.setdefault(row["side"], row)
    ours = np.array(best[OURS]["us"])
    cells = [[str(network), "lanes", "us a setting-step (least)", "x the limit", "jaxnn.sweep's"]]
    for name, row in best.items():
        us = np.array(row["us"])
        cells.append([name, row["lanes"], f"{np.median(us):,.1f} ({us.min():,.1f})"])
        cells[-1].append("" if name == "limit" else f"{np.median(us / limits):.2f}")
        cells[-1].append("" if name in ("limit", OURS) else f"{np.median(us / ours):.1f} x")
    lines = [table(cells)]
    for row in mine:
        if row["side"] == OURS:
            us = np.array(row["us"])
            lines.append(
                f"{OURS}, {row['lanes']:>4} lanes: {np.median(us):8.1f} us ({us.min():.1f}), "
                f"{np.median(us / limits):.2f} x the limit"
            )
    return "\n".join(lines)


def draw(rows: list[dict[str, Any]], networks: list[Network], path: Path) -> None:
    figure, all_axes = canvas(1, len(networks), (5.8 * len(networks), 4.4))
    for axes, network in zip(all_axes[0], networks, strict=True):
        sides: dict[str, list[tuple[int, float]]] = {}
        for row in rows:
            if row["network"] == str(network) and row["side"] not in (PLAIN.name, NORMALISED.name):
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
    figure.savefig(path, dpi=110)


def large(count: int, epochs: int) -> None:
    train, valid = jaxnn.hold_out(digits(), 0.2)
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
    if on_gpu and is_installed("torch"):
        SIDES.append(COMPILED)
    hardware = about()
    print(json.dumps(hardware, indent=1), flush=True)
    rounds, budget = (2, 0.0) if options.quick else (options.rounds, 0.7)
    rows = measure(chosen, rounds, budget)
    for network in chosen:
        print(f"\n{against_ours(rows, network)}")
        lanes = 8 if network.features == WIDE.features else 64
        ratio = peak_memory(network, lanes)
        print(f"memory of {lanes} lanes: {ratio:.2f} x weights, gradients and moments")
    times = {row["side"]: np.array(row["us"]) for row in rows}
    if PLAIN.name in times:
        ratio = np.median(times[NORMALISED.name] / times[PLAIN.name])
        print(f"batch norm, 32 lanes: {ratio:.2f} x the time without")
    out = results_folder(options.out, options.quick)
    name = f"sweep-{jax.default_backend()}"
    (out / f"{name}.json").write_text(json.dumps({"about": hardware, "rows": rows}) + "\n")
    if is_installed("matplotlib"):
        draw(rows, chosen, out / f"{name}.png")
    print(f"\nwritten to {out}")


if __name__ == "__main__":
    main()
