"""What becomes of a search that is killed, and what its commits cost.

    python benchmarks/reliability.py kills      half an hour, with nothing else on the machine
    python benchmarks/reliability.py overhead
    python benchmarks/reliability.py fuzz

- kills: a halving (96 settings of four structures on scikit-learn's digits) is killed (SIGKILL) at
  a random moment and called again; it must end with the study of the unbroken one, bit for bit;
- overhead: 256 lanes of 12288-25-12-6 with a directory, and the time that goes into commits;
- fuzz: saved networks, studies, commits and data sets with flipped bits or cut off. None of ours
  may load; a data set, which has no SHA-256, may, and can make the HDF5 library crash.
"""

import argparse
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from killing import bits, ended, printed, start
from problems import digits

import jaxnn
from jaxnn.disk.directories import Commits

SPACE = {
    "learning_rate": jaxnn.loguniform(1e-3, 1e1),
    "hidden": jaxnn.choice([(16,), (32,), (32, 16), (64, 32)]),
    "optimizer": jaxnn.choice(["adam", "momentum"]),
}


def halving(directory: str) -> jaxnn.Study:
    """The search that is killed."""
    return jaxnn.search(
        SPACE,
        digits(),
        0.25,
        method="halving",
        num_settings=96,
        min_epochs=100,
        max_epochs=2700,
        keep="best",
        directory=directory,
        commit_interval=1.0,
        progress=False,
    )


def run(directory: Path, kill_after: float | None = None) -> tuple[float, str | None]:
    """Seconds, and the bits of the study; None if it was killed before its end."""
    begun = time.perf_counter()
    try:
        (out,) = printed([start(__file__, "child", "--directory", directory)], kill_after)
    except subprocess.TimeoutExpired:
        return time.perf_counter() - begun, None
    return time.perf_counter() - begun, out.split()[-1]


def kills(times: int, seed: int) -> None:
    draw, num_same = random.Random(seed), 0
    ratios: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        # as is recommended to users: what was compiled once is read from then on
        os.environ["JAX_COMPILATION_CACHE_DIR"] = f"{folder}/cache"
        run(Path(folder, "first"))
        whole, expected = run(Path(folder, "whole"))
        print(f"unbroken: {whole:.1f} s with the start of the process", flush=True)
        while len(ratios) < times:
            directory, moment = Path(folder, str(random.random())), draw.uniform(0, whole)
            first, found = run(directory, kill_after=moment)
            if found is not None:
                continue
            num_commits = len([*directory.glob("commit-*")])
            second, found = run(directory)
            num_same += found == expected
            ratios.append((first + second) / whole)
            print(
                f"{len(ratios)}: killed after {first:.1f} s with {num_commits} commits; "
                f"{'the same' if found == expected else 'ANOTHER'} study, {ratios[-1]:.2f} x",
                flush=True,
            )
    print(
        f"{num_same} of {times} ended with the same bits; total time {np.mean(ratios):.2f} x "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )


def overhead(epochs: int) -> None:
    train, test, _ = jaxnn.generated_signs(seed=0)
    space = {"learning_rate": jaxnn.loguniform(1e-4, 1e-2), "hidden": (25, 12)}
    settings, spent = jaxnn.sample(space, 256), []
    written = Commits.write

    def timed(self: Commits, make: Any) -> None:
        written(self, make)
        spent.append(self._took)

    Commits.write = timed  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        # compiles
        jaxnn.sweep(settings, train, test, epochs=1, progress=False)
        seconds = []
        for directory in (None, folder):
            begun = time.perf_counter()
            jaxnn.sweep(settings, train, test, epochs=epochs, directory=directory, progress=False)
            seconds.append(time.perf_counter() - begun)
        size = max(path.stat().st_size for path in Path(folder).glob("commit-*")) / 1e6
    print(
        f"256 lanes of 12288-25-12-6, {epochs} epochs: {seconds[0]:.0f} s without a directory, "
        f"{seconds[1]:.0f} s with one; {len(spent)} commits of up to {size:,.0f} MB took "
        f"{sum(spent):.1f} s, {sum(spent) / seconds[1]:.1%} of the time"
    )


def fuzz(times: int, seed: int) -> None:
    draw, found = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        for name, original in originals(Path(folder)).items():
            files = Path(folder, f"damaged {name}")
            files.mkdir()
            for index in range(times // 4):
                (files / f"{index:04}-{name}").write_bytes(damaged(original, draw))
            found.update(f"{name}: {outcome}" for outcome in outcomes(files))
    for text, count in sorted(found.items()):
        print(f"{count:5} {text}")


def outcomes(folder: Path) -> Iterator[str]:
    """What loading each file of a folder comes to, in processes of their own."""
    count, total = 0, len([*folder.iterdir()])
    while count < total:
        process = start("-c", _LOAD, folder, count)
        [(out, _)] = ended([process])
        yield from out.splitlines()
        count += len(out.splitlines())
        if count < total:
            hangs = process.returncode == -signal.SIGALRM
            yield "HANGS" if hangs else f"the HDF5 library crashes ({process.returncode})"
            count += 1


_LOAD = """
import pathlib, signal, sys, jaxnn
for path in sorted(pathlib.Path(sys.argv[1]).iterdir())[int(sys.argv[2]):]:
    signal.alarm(20)
    try:
        if path.name.endswith("data.h5"):
            jaxnn.load_hdf5(path, path)
        else:
            jaxnn.load(path)
    except ValueError as error:
        print("refused, and named" if str(path) in str(error) else f"OTHER ERROR {error}", flush=1)
    except BaseException as error:
        print(f"OTHER ERROR {error!r}", flush=True)
    else:
        print("loads", flush=True)
"""


def originals(folder: Path) -> dict[str, bytes]:
    """A file of each kind."""
    x = np.random.default_rng(0).normal(size=(90, 4))
    data = jaxnn.Dataset(x, (x[:, 0] > 0) * 1)
    study = jaxnn.sweep([{}, {"hidden": (3,)}], data, 0.25, epochs=2, directory=folder / "run")
    study.save(folder / "study.h5")
    study.fitted(0).save(folder / "network.h5")
    with h5py.File(folder / "data.h5", "w") as file:
        file["train_set_x"] = file["test_set_x"] = x
        file["train_set_y"] = file["test_set_y"] = (x[:, 0] > 0) * 1
    paths = [folder / "study.h5", folder / "network.h5", folder / "data.h5"]
    paths.append(next((folder / "run").glob("commit-*.h5")))
    return {path.name: path.read_bytes() for path in paths}


def damaged(original: bytes, draw: random.Random) -> bytes:
    """A few bits flipped, or a part at the end missing."""
    content = bytearray(original)
    if draw.random() < 0.25:
        return bytes(content[: draw.randrange(len(content))])
    for _ in range(draw.randint(1, 8)):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=("kills", "overhead", "fuzz", "child"))
    parser.add_argument("--times", type=int, help="kills (50), epochs (30) or files (2000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--directory", default="")
    args = parser.parse_args()
    if args.part == "child":
        print(bits(halving(args.directory)))
    elif args.part == "overhead":
        overhead(args.times or 30)
    elif args.part == "kills":
        kills(args.times or 50, args.seed)
    else:
        fuzz(args.times or 2000, args.seed)


if __name__ == "__main__":
    main()
