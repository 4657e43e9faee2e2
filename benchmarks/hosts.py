"""Is the study of several processes that of one, and what does a lost process cost?

    python benchmarks/hosts.py same      some minutes, with nothing else on the machine
    python benchmarks/hosts.py kills

A sweep (256 settings of mixed structure on scikit-learn's digits) and a halving, in processes of
this machine that JAX's distributed runtime joins over the loopback; their collectives are Gloo's.

- same: on one, two and four processes; curves, records and networks by SHA-256, on every process;
- kills: one of the processes is killed (SIGKILL) at a random moment, which the others must notice
  by its heartbeat; then the same call on fewer of them. What its last commit has is compared with
  what it had trained: the rest is lost. The others save what they train until they end.

Typical output (two shared cores of an AMD EPYC, JAX 0.10.2), of kills:

    sweep: one process 32.6 s
      process 1 of 2 killed with 5,344 epochs of networks trained and 4,288 saved, 1.1 s before; the
      others ended after 21 s; resumed on 1: 1 of 1 with the same bits, 16.4 s
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from killing import Process, bits, ended, free_port, kill, printed, start, wait_until
from problems import digits

import jaxnn
from jaxnn.disk.commits import newest

SPACE = {
    "learning_rate": jaxnn.loguniform(1e-3, 1e0),
    "hidden": jaxnn.choice([(16,), (32,), (32, 16), (64, 32)]),
    "optimizer": jaxnn.choice(["adam", "momentum"]),
}
INTERVAL = 2.0
"""Least seconds between two commits."""


def study_of(kind: str, directory: str | None, log: str) -> jaxnn.Study:
    """The search, which writes how many epochs of networks it has trained to a log."""
    data, done = digits(), 0

    def count(info: jaxnn.EpochInfo) -> None:
        nonlocal done
        done += 1
        if done % 16 == 0:
            with open(log, "a") as file:
                file.write(f"{time.time()} {done}\n")

    settings = jaxnn.sample(SPACE, 256)
    if kind == "sweep":
        return jaxnn.sweep(
            settings, data, 0.25, epochs=200, directory=directory, commit_interval=INTERVAL,
            on_epoch=count, progress=False,
        )  # fmt: skip
    return jaxnn.search(
        SPACE, data, 0.25, method="halving", num_settings=256, min_epochs=30, max_epochs=810,
        directory=directory, commit_interval=INTERVAL, on_epoch=count, progress=False,
    )  # fmt: skip


def job(kind: str, count: int, folder: Path, directory: Path | None) -> list[Process]:
    """Its processes; each prints its seconds and the bits of its study."""
    port, quiet = free_port(), {"stderr": subprocess.DEVNULL}
    return [
        start(
            *(__file__, "child", kind, count, process, port),
            *(directory or "", folder / f"log-{process}"),
            **quiet,
        )
        for process in range(count)
    ]


def child(kind: str, count: str, process: str, port: str, directory: str, log: str) -> None:
    if int(count) > 1:
        jaxnn.connect(f"localhost:{port}", int(count), int(process))
    begun = time.perf_counter()
    study = study_of(kind, directory or None, log)
    print(f"{time.perf_counter() - begun:.1f} {bits(study)}")


def results(processes: Sequence[Process]) -> list[tuple[float, str]]:
    # Gloo speaks, too
    lasts = [out.split()[-2:] for out in printed(processes)]
    return [(float(seconds), sha) for seconds, sha in lasts]


def same(folder: Path) -> None:
    for kind in ("sweep", "halving"):
        [(seconds, expected)] = results(job(kind, 1, folder, None))
        print(f"{kind}: one process {seconds:.1f} s", flush=True)
        for count in (2, 4):
            found = results(job(kind, count, folder, folder / f"{kind}-{count}"))
            num_same = sum(sha == expected for _, sha in found)
            seconds = max(seconds for seconds, _ in found)
            print(f"  {count} processes {seconds:.1f} s, {num_same} with the same bits", flush=True)


def kills(folder: Path, times: int, seed: int) -> None:
    draw = random.Random(seed)
    for kind in ("sweep", "halving"):
        [(whole, expected)] = results(job(kind, 1, folder, None))
        print(f"{kind}: one process {whole:.1f} s", flush=True)
        for index in range(times):
            count, place = 2 if index % 2 == 0 else 4, folder / f"{kind}-{index}"
            here = folder / f"logs-{kind}-{index}"
            here.mkdir()
            processes = job(kind, count, here, place)
            victim = draw.randrange(count)
            # it has trained, and may be killed at any moment from then on
            wait_until((here / f"log-{victim}").exists, processes[victim])
            time.sleep(draw.uniform(0, whole / 3))
            killed, wall = time.perf_counter(), time.time()
            is_killed = kill(processes[victim])
            ended(processes)
            took = time.perf_counter() - killed
            if not is_killed:
                print("  it had ended before")
                continue
            saved = 0
            for commit in newest(place):
                if f".{victim + 1}-of-" in commit.path.name:
                    saved = int(np.isfinite(commit.arrays["curves/cost"]).sum())
            trained, lost = _lost(here / f"log-{victim}", saved, wall)
            fewer = draw.randrange(1, count)
            found = results(job(kind, fewer, folder, place))
            num_same = sum(sha == expected for _, sha in found)
            print(
                f"  process {victim} of {count} killed with {trained:,} epochs of networks trained "
                f"and {saved:,} saved, {lost:.1f} s before; the others ended after {took:.0f} s; "
                f"resumed on {fewer}: {num_same} of {fewer} with the same bits, "
                f"{max(seconds for seconds, _ in found):.1f} s",
                flush=True,
            )


def _lost(log: Path, saved: int, killed: float) -> tuple[int, float]:
    """Epochs that a process had trained when it was killed, and how old its last commit was."""
    lines = [line.split() for line in log.read_text().splitlines() if line.count(" ") == 1]
    moments = [(float(moment), int(done)) for moment, done in lines]
    moments = [(moment, done) for moment, done in moments if moment <= killed]
    last = max((moment for moment, done in moments if done <= saved), default=moments[0][0])
    return moments[-1][1], killed - last


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(*sys.argv[2:])
        raise SystemExit
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["same", "kills"])
    parser.add_argument("--times", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"JAX {jax.__version__}, {jax.devices()[0].device_kind}, {len(jax.devices())} devices")
    with tempfile.TemporaryDirectory() as temporary:
        if options.what == "same":
            same(Path(temporary))
        else:
            kills(Path(temporary), options.times, options.seed)
