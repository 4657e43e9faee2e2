"""What does the host spend on a setting, whatever its training takes?

    python benchmarks/host_time.py     a minute

Sweeps of 100,000 settings of 64-32-16-10 in which training, or its compiled calls, do nothing: what
is left is checking, planning, commits, and Python around the calls (31 a chunk of 8,192). It is one
thread's work, whatever the devices, so `scaling.py` counts it. CPU time, since other work on the
machine is not to count; writing networks in wall time, the best of five.

Typical output (two quiet cores of an AMD EPYC, Python 3.11.7, JAX 0.10.2; two busy cores of a Xeon
at 2.5 GHz: 25, 19 to 21, 11 to 25, 130 to 210; of the version that checked and wrote each setting
by itself, there and then: 318 to 404, 82 to 94, 40 to 65, 110 to 190):

    us a setting: 16 before training (15 without a directory), 17 of a commit (1,287 bytes), 11
    around the calls; 448 MB/s of networks
"""

import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import jaxnn
from jaxnn.data import batches
from jaxnn.disk.directories import Commits
from jaxnn.disk.hdf5 import write_arrays
from jaxnn.engine import chunks, devices

EPOCHS, CHUNK, COUNT = 60, 8192, 10**5


def main() -> None:
    data = jaxnn.Dataset(np.ones((32, 64), np.float32), np.arange(32) % 10)
    space = {name: jaxnn.loguniform(1e-4, 1e-1) for name in ("learning_rate", "l2", "decay_rate")}
    settings = jaxnn.sample({**space, "hidden": (32, 16)}, COUNT)
    clock, written, spent = time.process_time, Commits.write, [0.0]

    def timed(self: Commits, make: Any) -> None:
        start = clock()
        written(self, make)
        spent.append(clock() - start)

    def sweep(directory: str | None = None) -> float:
        start = clock()
        more = {"directory": directory, "chunk": CHUNK, "progress": False}
        jaxnn.sweep(settings, data, data, epochs=EPOCHS, **more)  # type: ignore[arg-type]
        return (clock() - start) / COUNT * 1e6

    def trained(stretch: Any) -> None:
        start = clock()
        everywhere(stretch)
        spent.append(clock() - start)

    fake: Any = devices
    everywhere, fake._train_everywhere = devices._train_everywhere, lambda stretch: None
    Commits.write = timed  # type: ignore[method-assign]
    without = sweep()
    with tempfile.TemporaryDirectory() as folder:
        before, commit = sweep(folder), spent[-1] / COUNT * 1e6
        size = max(path.stat().st_size for path in Path(folder).glob("commit-*")) / COUNT
        arrays, rates = [(f"{n}", np.ones((64, 25 * 12288), np.float32)) for n in range(5)], []
        for _ in range(5):
            start = time.perf_counter()
            write_arrays(Path(folder, "networks.h5"), arrays, {})
            rates.append(5 * arrays[0][1].nbytes / 1e6 / (time.perf_counter() - start))
    state = SimpleNamespace(diverged=np.full(CHUNK, -1), best=None, params={}, state={})
    # 31 calls a chunk
    fake._train_everywhere, batches.EPOCHS_PER_CALL = trained, 2
    fake = chunks
    fake.init_lanes = fake.init_and_compile = lambda *_: state
    # cost and accuracy, of training and validation, of two epochs
    fake.train_lanes = lambda *_: (state, np.zeros((CHUNK, 4, 2), np.float32))
    sweep()
    each = spent[-1] / COUNT * 1e6
    print(
        f"us a setting: {before - commit:.0f} before training ({without:.0f} without a directory), "
        f"{commit:.0f} of a commit ({size:,.0f} bytes), {each:.0f} around the calls; "
        f"{max(rates):.0f} MB/s of networks"
    )


if __name__ == "__main__":
    main()
