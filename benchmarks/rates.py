"""What are this machine's rates, by which a plan weighs padded work against compiling?

    python benchmarks/rates.py      a few minutes, with nothing else on the machine

Times programs of one structure in full chunks on all cores, from the difference of two sweeps, and
fits the cost model of `jaxnn.costs` to them with least relative squares. What it prints can be
given to `jaxnn.plan(..., rates=jaxnn.Rates(...))`; the rates shipped for a CPU come from here.
"""

import itertools
import os
from typing import Any

import jax
import numpy as np
from measuring import about, seconds
from problems import random_examples
from scipy.optimize import nnls

import jaxnn
from jaxnn.planning.costs import RATES
from jaxnn.training.recipes import recipe

NUM_EXAMPLES = 1080
WIDE: list[dict[str, Any]] = [
    {"hidden": hidden, "batch_size": size, "optimizer": optimizer}
    for hidden, size, optimizer in itertools.product(
        [(25, 12), (128, 64)], [16, 128], ["gd", "momentum", "adam"]
    )
]
KINDS: list[dict[str, Any]] = [{}, {"batch_norm": True}, {"dropout": 0.2}, {"hidden": (8, 4)}]
NARROW = [
    {"hidden": (64, 32), "batch_size": size, **more}
    for size, more in itertools.product([16, 128], KINDS)
]
CASES = [(12288, case) for case in WIDE] + [(1080, case) for case in WIDE[2::3]]
CASES += [(64, case) for case in NARROW]


def measure(num_features: int, setting: dict[str, Any]) -> tuple[tuple[float, ...], float, float]:
    """Counts of the cost model, seconds of a lane's step, seconds of compiling."""
    data = random_examples(NUM_EXAMPLES, num_features, 6)
    setting = {**setting, "learning_rate": 1e-4}
    (planned,) = jaxnn.plan([setting], data, epochs=1).programs
    copies = [setting] * (planned.chunk * (os.cpu_count() or 1))
    run = lambda epochs: jaxnn.sweep(copies, data, data[:64], epochs=epochs, progress=False)
    first, second = (seconds(lambda: run(1)) for _ in range(2))
    more = max(1, min(60, round(1.5 / max(seconds(lambda: run(2)) - second, 1e-3))))
    spent = min(seconds(lambda: run(1 + more)) for _ in range(2))
    spent -= min(second, seconds(lambda: run(1)))
    steps = more * -(-NUM_EXAMPLES // setting["batch_size"])
    counts = recipe(setting, data, None).program.step_counts(planned.chunk)
    return counts, spent / steps / len(copies), first - second


def main() -> None:
    print(about())
    counts, times, compiling, depths = [], [], [], []
    for num_features, setting in CASES:
        asked, spent, compile_seconds = measure(num_features, setting)
        print(
            f"{num_features:6} {setting}: {spent * 1e6:.1f} us, compiling {compile_seconds:.1f} s"
        )
        counts.append(asked)
        times.append(spent)
        compiling.append(compile_seconds)
        depths.append(len(setting["hidden"]) + 1)
    a, b = np.array(counts), np.array(times)
    # columns of one size, or the solver drops the small ones
    size = a.max(axis=0)
    found, _ = nnls(a / size / b[:, None], np.ones(len(b)))
    seconds_each = found / size
    for (num_features, setting), model, spent in zip(CASES, a @ seconds_each, b, strict=True):
        print(f"{num_features:6} {setting}: model {model / spent:.2f} x the measured time")
    products, bandwidth, activations, draws = (float(1 / max(n, 1e-15)) for n in seconds_each[:4])
    # of programs of one structure; a mixed one takes twice as long
    compile_seconds = 2 * float(np.median(compiling))
    shipped = RATES["cpu"]
    layer = shipped.compile_layer / (shipped.compile + 3 * shipped.compile_layer) * compile_seconds
    step, lane = map(float, seconds_each[4:])
    rates = shipped._replace(
        products=products,
        bandwidth=bandwidth,
        activations=activations,
        draws=draws,
        step=step,
        lane=lane,
        compile=compile_seconds - 3 * layer,
        compile_layer=layer,
    )
    print(f"{jax.devices()[0].platform}: {rates}")


if __name__ == "__main__":
    main()
