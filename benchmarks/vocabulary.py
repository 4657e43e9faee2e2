"""What does each name of a setting cost a training step, and what does it cost to compile?

    python benchmarks/vocabulary.py            (about ten minutes, with nothing else on the machine)
    python benchmarks/vocabulary.py --quick

One chunk of lanes on one thread, as a sweep trains it: 32 lanes of 64-32-16-10 and 8 lanes of
12288-25-12-6, mini-batches of 32, relu, Adam, softmax; with ten or six real targets for the other
losses. Each name is put to work alone. Its time is divided by that of the plain network in the same
round; the table has the medians over the rounds. Of several in one program each lane computes all.

Typical output (two cores of an AMD EPYC with AVX-512, Python 3.11.7, JAX 0.10.2):

    |  | 64-32-16-10: us | ratio | compiling s | 12288-25-12-6: us | ratio | compiling s |
    | --- | --- | --- | --- | --- | --- | --- |
    | plain | 9.3 | 1.00 | 1.3 | 671.7 | 1.00 | 1.2 |
    | optimizer gd | 8.1 | 0.87 | 0.8 | 466.6 | 0.69 | 0.7 |
    | optimizer momentum | 8.5 | 0.91 | 1.0 | 524.9 | 0.78 | 0.8 |
    | optimizer nesterov | 8.3 | 0.89 | 1.1 | 535.3 | 0.83 | 0.9 |
    | optimizer rmsprop | 8.7 | 0.94 | 0.8 | 674.9 | 0.93 | 0.9 |
    | optimizer adam | 9.2 | 0.99 | -0.0 | 722.0 | 1.05 | 0.0 |
    | optimizer adamw | 9.3 | 0.99 | 1.3 | 700.7 | 1.03 | 1.1 |
    | optimizer lion | 9.0 | 0.96 | 1.0 | 680.5 | 1.02 | 0.9 |
    | optimizer, all seven | 10.2 | 1.10 | 1.2 | 806.3 | 1.12 | 1.0 |
    | activation relu | 9.1 | 0.98 | 0.0 | 726.0 | 1.04 | 0.0 |
    | activation tanh | 9.7 | 1.04 | 1.1 | 720.7 | 1.05 | 1.0 |
    | activation sigmoid | 9.8 | 1.06 | 1.6 | 724.8 | 1.04 | 1.2 |
    | activation leaky_relu | 9.2 | 1.00 | 1.6 | 718.3 | 1.02 | 1.1 |
    | activation identity | 10.5 | 1.13 | 1.7 | 674.3 | 1.01 | 1.0 |
    | activation gelu | 10.7 | 1.16 | 1.1 | 724.8 | 1.02 | 1.1 |
    | activation silu | 10.3 | 1.12 | 1.2 | 737.0 | 1.06 | 1.1 |
    | activation selu | 11.3 | 1.21 | 1.1 | 758.6 | 1.02 | 1.1 |
    | activation elu | 11.3 | 1.20 | 1.1 | 692.2 | 1.03 | 1.1 |
    | activation mish | 15.8 | 1.72 | 1.2 | 673.5 | 1.04 | 1.2 |
    | activation softplus | 14.2 | 1.52 | 1.3 | 754.9 | 1.02 | 1.3 |
    | activation, relu and tanh | 12.5 | 1.34 | 0.7 | 759.0 | 1.10 | 0.8 |
    | activation, all | 24.5 | 2.65 | 1.3 | 696.1 | 1.05 | 1.2 |
    | decay_schedule none | 9.3 | 0.99 | -0.0 | 759.4 | 1.06 | 0.0 |
    | decay_schedule inverse | 9.2 | 0.99 | 1.0 | 755.8 | 1.04 | 1.1 |
    | decay_schedule exponential | 9.2 | 0.99 | 1.1 | 757.0 | 1.07 | 1.1 |
    | decay_schedule inverse_sqrt | 9.2 | 0.99 | 1.3 | 776.6 | 1.06 | 1.1 |
    | decay_schedule power | 9.2 | 0.99 | 1.1 | 783.7 | 1.17 | 1.1 |
    | decay_schedule staircase | 9.4 | 1.00 | 1.1 | 765.0 | 1.15 | 1.1 |
    | decay_schedule cosine | 9.4 | 0.99 | 1.2 | 777.7 | 1.05 | 1.1 |
    | decay_schedule plateau | 9.3 | 0.98 | 1.3 | 754.7 | 1.14 | 1.2 |
    | batch_norm | 15.1 | 1.61 | 1.8 | 788.0 | 1.22 | 1.9 |
    | dropout | 13.1 | 1.40 | 1.6 | 810.9 | 1.22 | 1.5 |
    | l2 | 9.4 | 1.01 | 1.5 | 825.8 | 1.23 | 1.1 |
    | clip_norm | 10.8 | 1.15 | 1.8 | 1090.3 | 1.54 | 1.2 |
    | label_smoothing | 11.5 | 1.24 | 1.6 | 769.6 | 1.10 | 1.2 |
    | warmup | 9.3 | 1.00 | 1.7 | 790.1 | 1.07 | 1.1 |
    | weight_decay (adamw) | 9.3 | 1.00 | 1.4 | 812.9 | 1.12 | 1.1 |
    | batch_norm, with and without | 15.0 | 1.60 | 1.9 | 807.3 | 1.13 | 1.5 |
    | loss squared | 11.7 | 1.26 | 1.9 | 770.8 | 1.06 | 1.4 |
    | loss absolute | 12.4 | 1.32 | 1.1 | 767.0 | 1.04 | 1.0 |
    | loss huber | 12.6 | 1.35 | 1.3 | 762.8 | 1.07 | 1.1 |
    | loss quantile | 11.8 | 1.26 | 1.1 | 756.6 | 1.08 | 1.1 |
    | loss poisson | 18.6 | 1.97 | 1.3 | 712.8 | 1.00 | 1.3 |

The wide network's times differ by up to 8 per cent between equal programs (adam and relu are plain,
and compiled no more). `jaxnn.settings` has the summary.
"""

import argparse
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from measuring import about, seconds, table
from problems import random_examples

import jaxnn
from jaxnn.compiled.lanes import init_lanes, train_lanes
from jaxnn.compiled.programs import initial
from jaxnn.data.batches import Examples
from jaxnn.data.inputs import treatment
from jaxnn.engine.chunks import lane_data
from jaxnn.functional.layers import ACTIVATIONS
from jaxnn.functional.objectives import OBJECTIVES
from jaxnn.functional.optimizers import DECAY_SCHEDULES, OPTIMIZERS
from jaxnn.training.recipes import recipes

NUM_EXAMPLES, BATCH_SIZE = 1056, 32
NETWORKS = {
    "64-32-16-10": {"features": 64, "hidden": (32, 16), "classes": 10, "lanes": 32, "epochs": 12},
    "12288-25-12-6": {"features": 12288, "hidden": (25, 12), "classes": 6, "lanes": 8, "epochs": 1},
}
Cases = dict[str, list[dict[str, Any]]]
"""What is compared -> settings, which the lanes have in turns."""


def cases() -> Cases:
    """All but the loss, which needs other targets."""
    found: Cases = {"plain": [{}]}
    for name in OPTIMIZERS:
        found[f"optimizer {name}"] = [{"optimizer": name}]
    found["optimizer, all seven"] = [{"optimizer": name} for name in OPTIMIZERS]
    for name in ACTIVATIONS:
        found[f"activation {name}"] = [{"activation": name}]
    found["activation, relu and tanh"] = [{"activation": name} for name in ("relu", "tanh")]
    found["activation, all"] = [{"activation": name} for name in ACTIVATIONS]
    for name in DECAY_SCHEDULES:
        found[f"decay_schedule {name}"] = [{"decay_schedule": name}]
    for name, value in (
        ("batch_norm", True),
        ("dropout", 0.2),
        ("l2", 1e-3),
        ("clip_norm", 1.0),
        ("label_smoothing", 0.1),
        ("warmup", 2),
    ):
        found[name] = [{name: value}]
    found["weight_decay (adamw)"] = [{"optimizer": "adamw", "weight_decay": 0.1}]
    found["batch_norm, with and without"] = [{"batch_norm": value} for value in (False, True)]
    return found


def losses() -> Cases:
    """Of ten real targets."""
    names = [name for name, row in OBJECTIVES.items() if row.point is not None]
    return {f"loss {name}": [{"loss": name}] for name in names}


def runner(
    network: dict[str, Any], settings: list[dict[str, Any]], data: jaxnn.Dataset
) -> tuple[Callable[[], jax.Array], float]:
    """Returns what trains a chunk for some epochs, and how many seconds its compiling took."""
    base = {"hidden": network["hidden"], "optimizer": "adam", "learning_rate": 1e-4}
    found = recipes([base | one for one in settings], data, None, epochs=1000)
    program = found[0].program
    for one in found[1:]:
        program = program.merged(one.program) or program
    lanes = [found[lane % len(found)] for lane in range(network["lanes"])]
    numbers = jax.device_put(lane_data(program, lanes))
    treated, scales = treatment("raw", data, False).together(data, None, program.targets)
    examples = jax.device_put(Examples(treated, None, scales))
    batches = jax.device_put(program.schedule(data, 0).batches(0, network["epochs"]))
    states = [init_lanes(initial(program), np.arange(len(lanes), dtype=np.uint32), numbers)]

    def train() -> jax.Array:
        states[0], curves = train_lanes(program, states[0], numbers, examples, batches)
        return curves

    first = seconds(train)
    return train, first - seconds(train)


def measured(network: dict[str, Any], rounds: int, is_quick: bool) -> dict[str, tuple[float, ...]]:
    """Returns microseconds of a lane's step, its ratio to the plain network's, and compiling."""
    data = random_examples(NUM_EXAMPLES, network["features"], network["classes"])
    targets = np.random.default_rng(1).random((NUM_EXAMPLES, network["classes"]))
    real = jaxnn.Dataset(data.x, targets)
    found = {name: (one, data) for name, one in cases().items()}
    found |= {name: (one, real) for name, one in losses().items()}
    if is_quick:
        found = dict([*found.items()][:3] + [*found.items()][-1:])
    runs = {name: runner(network, *one) for name, one in found.items()}
    steps = network["epochs"] * NUM_EXAMPLES // BATCH_SIZE * network["lanes"]
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, (train, _) in runs.items():
            times[name].append(seconds(train) / steps * 1e6)
    plain = np.array(times["plain"])
    return {
        name: (float(np.median(own)), float(np.median(own / plain)), runs[name][1])
        for name, own in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="a few names, one round")
    options = parser.parse_args()
    print(about())
    results = [
        measured(network, 1 if options.quick else options.rounds, options.quick)
        for network in NETWORKS.values()
    ]
    rows = [
        ["", *(f"{name}: {what}" for name in NETWORKS for what in ("us", "ratio", "compiling s"))]
    ]
    for name in results[0]:
        cells = [
            f"{value:.{digits}f}"
            for one in results
            for value, digits in zip(one[name], (1, 2, 1), strict=True)
        ]
        rows.append([name, *cells])
    print(table(rows))


if __name__ == "__main__":
    main()
