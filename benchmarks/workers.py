"""What becomes of a search by several processes of which some are killed, and what sharing costs.

    python benchmarks/workers.py                   both storages, with nothing else on the machine
    python benchmarks/workers.py postgresql --seed 1

Four processes search 400 settings of a network on scikit-learn's digits together, in a study that
they share on a PostgreSQL server or in a journal (a file). At random moments two are killed
(SIGKILL), and one is frozen (SIGSTOP) for ten seconds longer than the grace, after which the others
have its trials, and then goes on (SIGCONT). All settings must be complete in the end, none twice.
The seconds spent in calls of the storage are counted in every process, over all its threads, the
waits for the locks of others included.

Typical output (two shared cores of an AMD EPYC, Optuna 5.0.0, PostgreSQL 15, other work beside):

    postgresql: 4 processes on 2 cores
    400 settings complete, 0 diverged, 0 twice, 0 lost, 64 trained again by another process; 458 s
      process 0:  32 settings; 3.20 s of 167 s in the storage, 1.92%; killed after 172 s
      process 1: 160 settings; 6.30 s of 413 s in the storage, 1.53%; frozen for 40 s after 160 s
      process 2: 176 settings; 7.33 s of 451 s in the storage, 1.63%; left alone
      process 3:  32 settings; 3.32 s of 136 s in the storage, 2.44%; killed after 141 s
      in all 1.73% of the processes' time
    journal: ... 581 s; in all 0.11% of the processes' time

A setting costs Optuna's storage about 30 ms, most of it waiting for a server that shares the cores:
with 1,600 epochs a setting and not 2,400, that is two seconds of training, it was 2.3 %.

Each process has one core at most, and two share one here. Needs the extra `bench`, and for
PostgreSQL the extra `postgresql` and the server's programs.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import optuna.storages.journal
import postgres
from killing import ended, kill, start
from problems import digits

import jaxnn
from jaxnn.with_optuna.leases import GRACE
from jaxnn.with_optuna.ledgers import RETRY_OF, Ledger, has_ended, owners

NUM_WORKERS, NAME = 4, "digits"
SPACE = {
    "learning_rate": jaxnn.loguniform(1e-4, 1e0),
    "momentum": jaxnn.reverseloguniform(0.8, 0.999),
    "l2": jaxnn.loguniform(1e-6, 1e-2),
    "hidden": (32,),
    "optimizer": "momentum",
}


class Clock:
    """Counts the seconds of this process, and those in calls of its storage."""

    def __init__(self) -> None:
        self.wall = self.storage = self.computing = 0.0
        self.calls, self.worker = 0, ""
        self._inside, self._lock = threading.local(), threading.Lock()

    def measure(self, kind: type) -> None:
        """Wraps all that may be called of a kind of storage."""
        for name in dir(optuna.storages.BaseStorage):
            found = getattr(kind, name)
            if not name.startswith("_") and callable(found):
                setattr(kind, name, self._timed(name, found))

    def _timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            if getattr(self._inside, "is_in", False):
                return call(*arguments, **options)
            if name == "set_study_user_attr":
                self.worker = arguments[2].split()[-1]
            start, computing = time.perf_counter(), time.thread_time()
            self._inside.is_in = True
            try:
                return call(*arguments, **options)
            finally:
                self._inside.is_in = False
                with self._lock:
                    self.storage += time.perf_counter() - start
                    self.computing += time.thread_time() - computing
                    self.calls += 1

        return timed

    def write(self, path: Path) -> None:
        """Every half a second, so that a process that is killed has told it, too."""
        last = time.monotonic()
        while True:
            time.sleep(0.5)
            now = time.monotonic()
            # less what it was frozen for
            self.wall, last = self.wall + min(now - last, 2.0), now
            names = ("wall", "storage", "computing", "calls", "worker")
            known = {name: getattr(self, name) for name in names}
            partial = path.with_suffix(".part")
            partial.write_text(json.dumps(known))
            partial.replace(path)


def child(place: str, report: Path, num_settings: int, epochs: int) -> None:
    """One of the processes."""
    if hasattr(os, "sched_setaffinity"):
        # one core each, shared if there are fewer, which would otherwise train on all of them
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(report.stem) % len(cores)]})
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    clock = Clock()
    for kind in (optuna.storages._CachedStorage, optuna.storages.JournalStorage):
        clock.measure(kind)
    threading.Thread(target=clock.write, args=(report,), daemon=True).start()
    study = jaxnn.search(
        SPACE,
        digits(),
        0.25,
        method="optuna",
        num_settings=num_settings,
        max_epochs=epochs,
        storage=opened(place),
        name=NAME,
        progress=False,
    )
    print("; ".join(study.notes[1:]), file=sys.stderr)
    # for the last report
    time.sleep(1)


def opened(place: str) -> Any:
    if place.endswith(".log"):
        backend = optuna.storages.journal.JournalFileBackend(place)
        return optuna.storages.JournalStorage(backend)
    return place


def watched(place: str) -> Any:
    """The study, as somebody sees it who looks on."""
    driver = place.replace("postgresql:", "postgresql+psycopg2:")
    for _ in range(60):
        # until a process has made it
        with contextlib.suppress(Exception):
            return optuna.load_study(study_name=NAME, storage=opened(driver))
        time.sleep(1)
    raise SystemExit("no process has begun")


def run(place: str, folder: Path, num_settings: int, epochs: int, seed: int) -> None:
    draw, begun = random.Random(seed), time.monotonic()
    command = (__file__, "child", "--place", place, "--settings", num_settings)
    reports = [folder / f"{number}.json" for number in range(NUM_WORKERS)]
    processes = [
        start(*command, "--epochs", epochs, "--report", report, stdout=None) for report in reports
    ]
    # what befalls whom, when so many settings are complete
    victims = draw.sample(range(NUM_WORKERS), 3)
    moments = sorted(draw.uniform(0, 0.5) * num_settings for _ in victims)
    events = list(zip(moments, draw.sample(["kill", "kill", "freeze"], 3), victims, strict=True))
    fates, thaw = dict.fromkeys(range(NUM_WORKERS), ""), (0.0, -1)
    study, due = watched(place), 0.0
    while any(process.poll() is None for process in processes):
        time.sleep(1)
        done = sum(trial.state.name == "COMPLETE" for trial in study.get_trials(deepcopy=False))
        if events and not due and done >= events[0][0]:
            # batches are told at once: a moment within the next
            due = time.monotonic() + draw.uniform(0, 20)
        if due and time.monotonic() > due:
            due, (_, what, number) = 0.0, events.pop(0)
            now = f"after {time.monotonic() - begun:.0f} s, {done} complete"
            if what == "kill":
                fates[number] = f"killed {now}" if kill(processes[number]) else ""
            else:
                processes[number].send_signal(signal.SIGSTOP)
                fates[number] = f"frozen for {GRACE + 10:.0f} s {now}"
                thaw = time.monotonic() + GRACE + 10, number
        if thaw[1] >= 0 and time.monotonic() > thaw[0]:
            processes[thaw[1]].send_signal(signal.SIGCONT)
            thaw = 0.0, -1
    seconds = time.monotonic() - begun
    said = ended(processes)
    for process, fate, (_, errors) in zip(processes, fates.values(), said, strict=True):
        expected = -signal.SIGKILL if fate.startswith("killed") else 0
        if process.returncode != expected:
            raise SystemExit(f"a worker ended with {process.returncode}: {errors}")
    found = [json.loads(report.read_text()) for report in reports]
    tell(study.trials, num_settings, found, fates, seconds)


def tell(
    trials: list[Any],
    num_settings: int,
    reports: list[Any],
    fates: dict[int, str],
    seconds: float,
) -> None:
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    times = Counter(json.dumps(trial.params, sort_keys=True) for trial in complete)
    pruned = sum(trial.state.name == "PRUNED" for trial in trials)
    ledger = Ledger(trials, num_settings)
    lost = ledger.num_missing + sum(not has_ended(trial) for trial in ledger.lasts)
    again = sum(RETRY_OF in trial.user_attrs for trial in ledger.lasts)
    print(
        f"{len(complete)} settings complete, {pruned} diverged, "
        f"{sum(count > 1 for count in times.values())} twice, {lost} lost, {again} trained again "
        f"by another process; {seconds:.0f} s, {len(trials)} trials"
    )
    share = sum(report["storage"] for report in reports) / sum(one["wall"] for one in reports)
    for number, report in enumerate(reports):
        trained = sum(owners(trial) == {report["worker"]} for trial in complete)
        print(
            f"  process {number}: {trained:3} settings; {report['calls']:5} calls of the storage "
            f"took {report['storage']:.2f} s ({report['computing']:.2f} s computing) of "
            f"{report['wall']:.0f} s, {report['storage'] / report['wall']:.2%}; "
            f"{fates[number] or 'left alone'}"
        )
    print(f"  in all {share:.2%} of the processes' time", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = ("postgresql", "journal")
    parser.add_argument("part", nargs="?", choices=(*kinds, "both", "child"), default="both")
    parser.add_argument("--settings", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--place", default="")
    parser.add_argument("--report", type=Path)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if args.part == "child":
        child(args.place, args.report, args.settings, args.epochs)
        return
    for kind in kinds if args.part == "both" else (args.part,):
        print(f"{kind}: {NUM_WORKERS} processes on {os.cpu_count()} cores", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            size = (args.settings, args.epochs, args.seed)
            if kind == "journal":
                run(f"{folder}/journal.log", Path(folder), *size)
                continue
            with postgres.server() as url:
                run(url, Path(folder), *size)


if __name__ == "__main__":
    main()
