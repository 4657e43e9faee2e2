"""How long is one training step of one network, against PyTorch in the same run?

    python benchmarks/train_step.py            (needs the extra `bench`; without torch: ours alone)

One network, mini-batches of 32, Adam, float32, CPU. Ours is `fit`'s compiled program: reshuffling,
gathering the mini-batch, step, frozen if it diverges. Theirs is the usual eager loop with fused
Adam: `torch.randperm`, indexing, `zero_grad`, `backward`, `step`. Both leave the data in memory and
take the same number of steps; the two alternate, and the ratio is the median over the rounds.

Typical output (two cores of an AMD EPYC with AVX-512, JAX 0.10.2, PyTorch 2.14.1):

    network        compile s   ours us/step   PyTorch us/step   ratio (range)
    12288-25-12-6        1.2          650.2            1335.7   1.9 (1.7 to 2.2)
    64-32-16-10          1.2           15.5             404.9   26.1 (23.6 to 27.3)

(In four longer runs the wide network was 2.0 to 2.4 times faster. On a shared Xeon it took 1,100 to
1,700 us, 2.6 times less than PyTorch. Where 1,100 us go, traced: forward product of the first layer
350 to 700, of which most is packing the mini-batch for it; its weight gradient 260; Adam 320;
gathering the mini-batch 125. Freezing a diverged network, `where(is_fine & isfinite(new), new,
old)`, costs nothing: it rides on Adam's loop. Transposing the mini-batch first, splitting the long
inner dimension, writing Adam by hand instead of through Optax and another matrix library inside XLA
were each within 15 per cent, so the plain form stays.)
"""

import argparse
import os
import platform
import time
from functools import partial
from statistics import median

import jax
import numpy as np
from measuring import is_installed, seconds, spread
from problems import Problem, random_examples
from sides import Setting, Train
from torch_sides import torch_eager

from jaxnn.compiled.programs import Program
from jaxnn.compiled.steps import init_train_state, train_epochs
from jaxnn.data.batches import Examples
from jaxnn.settings.hyperparameters import complete
from jaxnn.settings.traced import traced_numbers
from jaxnn.training.recipes import networks_of

NETWORKS = {"12288-25-12-6": (12288, (25, 12), 6, 3), "64-32-16-10": (64, (32, 16), 10, 40)}
BATCH_SIZE, NUM_BATCHES = 32, 33


def ours(problem: Problem, setting: Setting) -> Train:
    """`fit`'s compiled program alone; building it includes compiling."""
    full, data = complete(setting), problem.train
    networks = networks_of(full, None, (problem.features,), data.targets)
    program = Program(networks, ("adam",), BATCH_SIZE)
    numbers = traced_numbers(full) | {"epochs": np.float32(0)}
    schedule, done = program.schedule(data, 0), [0]
    states = [init_train_state(program, jax.random.key(0), numbers)]

    def train(epochs: int) -> None:
        batches = schedule.batches(done[0], epochs)
        states[0], curves = train_epochs(program, states[0], numbers, Examples(data), batches)
        jax.block_until_ready(curves)
        done[0] += epochs

    train(1)
    return train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="three rounds, to see that it runs")
    options = parser.parse_args()
    rounds = 3 if options.quick else options.rounds
    has_torch = is_installed("torch")
    versions = "PyTorch is not installed: its columns are skipped"
    if has_torch:
        import torch

        versions = f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads"
    print(f"JAX {jax.__version__} on {jax.devices()[0].device_kind}, {os.cpu_count()} cores")
    print(f"{versions}; Python {platform.python_version()}, {platform.machine()}\n")
    print("network        compile s   ours us/step   PyTorch us/step   ratio (range)")
    for name, (features, hidden, classes, epochs) in NETWORKS.items():
        data = random_examples(BATCH_SIZE * NUM_BATCHES, features, classes)
        problem = Problem(data, data)
        setting = {"hidden": hidden, "learning_rate": 1e-4, "batch_size": BATCH_SIZE}
        start = time.perf_counter()
        runs = {"ours": ours(problem, setting)}
        compile_seconds = time.perf_counter() - start
        if has_torch:
            runs["theirs"] = torch_eager(problem, [setting])
            runs["theirs"](1)
        times: dict[str, list[float]] = {side: [] for side in runs}
        for _ in range(rounds):
            for side, train in runs.items():
                # PyTorch's loop has the same speed however many epochs it runs
                side_epochs = epochs if side == "ours" else min(epochs, 3)
                spent = seconds(partial(train, side_epochs))
                times[side].append(spent / side_epochs / NUM_BATCHES * 1e6)
        row = f"{name:14} {compile_seconds:9.1f} {median(times['ours']):14.1f}"
        if has_torch:
            ratios = [b / a for a, b in zip(times["ours"], times["theirs"], strict=True)]
            row += f" {median(times['theirs']):17.1f}   {spread(ratios, 1)}"
        print(row)


if __name__ == "__main__":
    main()
