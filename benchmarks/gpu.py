"""What does a GPU make of lanes, and how far is that from what the GPU could do?

    python benchmarks/gpu.py                  within eight minutes; `--minutes` sets another limit
    python benchmarks/gpu.py --only lanes     some sections again, into the same files
    python benchmarks/gpu.py --small          all sections on few cases
    python benchmarks/gpu.py --quick          the same on a CPU, tiny, to see that it runs

Writes `results/gpu.json` after every case and `results/gpu.md`, the tables made from it, and prints
a line a case. Each section has a share of the time and a process of its own, so that one which
fails, hangs or fills the memory costs nothing but itself. PyTorch's sides are left out where
PyTorch is not installed; no extra of ours is needed but scikit-learn for the digits.

The sections, in order of importance (`SECTIONS` has the seconds that each is given):

- ceilings: rates of copies and matrix products, with the error of a product, which tells whether
  JAX's default is TF32; what an iteration of a compiled loop takes at least.
- lanes: the training program of `jaxnn.sweep` with 1 to 65,536 lanes of 12288-25-12-6 and
  64-32-16-10 (mini-batches of 32, Adam, float32), and that of `jaxnn.fit`.
- torch, graphs, compiled, naive: PyTorch eager with fused Adam, `torch.func.vmap`, a step as a
  CUDA graph, `torch.compile`; `jax.vmap` of a plain step. Each also at the other's precision.
- exact: whether a lane is the network trained alone, and which calls give the same bits.
- calls: whole calls of `jaxnn.sweep`: 64 and 4,096 settings; the 256 settings of mixed structure
  of `mixed.py`; 64 networks of 384 units and one to four layers, 10,000 rows, mini-batches of 256.
- rates: raw points for the cost model of a plan, and its rates fitted to them.
- profile: what XLA compiles a step to, and its longest kernels. `--profile` saves the programs.
- flags: the same steps and compilations with other flags of XLA.

Needs one GPU with a CUDA build of JAX 0.10 or newer. On an H200 with JAX 0.11.2 (`results/gpu.md`):

    12288-25-12-6: 2.7 us a lane's step with 512 lanes or more, 62 to 67 % of the memory rate;
        560 times faster than PyTorch eager, 1.8 times than a CUDA graph of as many vmapped networks
    64-32-16-10: 0.056 us with 4,096 lanes, 0.050 with 65,536, 33 % of the memory rate; 28,000 times
        faster than PyTorch eager, 1.9 times than a CUDA graph of 4,096
    one network alone takes 47 to 50 us a step: about 30 kernels
    the 256 mixed settings: 40 s, the second time 12: a chunk of 2,048 lanes trains 59 to 69
"""

import argparse
import contextlib
import functools
import gc
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import gpu_cases
from gpu_cases import FEW, FULL, HAS_TORCH, TINY, Case, Row, Sizes
from gpu_tables import markdown


class Section(NamedTuple):
    """`seconds` it is given out of all sections'; what one leaves over goes to the later ones."""

    seconds: float
    cases: Callable[[Sizes], Iterator[Case]]
    needs_torch: bool = False


SECTIONS = {
    "ceilings": Section(20, gpu_cases.ceilings),
    "lanes": Section(130, gpu_cases.lanes),
    "torch": Section(45, gpu_cases.torch_sides, needs_torch=True),
    "naive": Section(40, gpu_cases.naive),
    "exact": Section(80, gpu_cases.exact),
    "graphs": Section(25, gpu_cases.torch_graphs, needs_torch=True),
    "calls": Section(90, gpu_cases.calls),
    "compiled": Section(35, gpu_cases.torch_compiled, needs_torch=True),
    "rates": Section(60, gpu_cases.rates),
    "profile": Section(25, gpu_cases.profile),
    "flags": Section(50, gpu_cases.flags),
    # of a process that `flags` starts
    "steps": Section(60, gpu_cases.steps),
}
PROCESSES = [
    ["ceilings", "lanes"], ["torch"], ["naive", "exact"], ["graphs"], ["calls"], ["compiled"],
    ["rates", "profile"], ["flags"],
]  # fmt: skip
"""Sections of a process; what one process breaks, the next one does not find."""
QUICK = [["ceilings", "lanes", "naive", "exact", "calls", "rates", "profile"], ["torch"]]
START = 8.0
"""Seconds that a process takes before its first section."""


def share(left: float, names: list[str], of: int = 1) -> float:
    """Seconds of those left for the first `of` of the sections that are to come."""
    times = [SECTIONS[name].seconds for name in names]
    return left * sum(times[:of]) / sum(times)


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


class Results:
    """`gpu.json` and `gpu.md`, written as a whole whenever something is known."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "gpu.json"

    def read(self) -> Row:
        return json.loads(self._path.read_text()) if self._path.exists() else {"sections": {}}

    def write(self, found: Row) -> None:
        replace(self._path, json.dumps(found, indent=1) + "\n")
        try:
            replace(self._path.with_suffix(".md"), markdown(found))
        except Exception:
            # tables can be made again later; what was measured goes on
            traceback.print_exc()

    def put(self, name: str, section: Row) -> None:
        found = self.read()
        found["sections"][name] = section
        self.write(found)

    def note(self, name: str, note: str) -> None:
        print(f"{name}: {note}", flush=True)
        section = self.read()["sections"].get(name, {"rows": []})
        self.put(name, {**section, "note": note})


def measured(case: Case) -> Row:
    """The row of a case, or what it raised."""
    start = time.perf_counter()
    try:
        row = {**case.name, **case.run()}
    except Exception as error:
        traceback.print_exc()
        text = str(error).strip().split("\n")[0][:200]
        row = {**case.name, "error": f"{type(error).__name__}: {text}"}
    gc.collect()
    return {**row, "took_s": time.perf_counter() - start}


def run_section(name: str, sizes: Sizes, limit: float, results: Results) -> None:
    """Its cases, as long as one more as long as the longest so far has time."""
    began, longest = time.perf_counter(), 0.0
    rows: list[Row] = []
    section: Row = {"rows": rows, "limit_s": limit, "seconds": 0.0}
    print(f"\n{name}, {limit:.0f} s", flush=True)
    left_out = []
    for case in itertools.islice(SECTIONS[name].cases(sizes), sizes.most):
        if time.perf_counter() - began + longest > limit:
            left_out.append(", ".join(map(str, case.name.values())))
            continue
        rows.append(measured(case))
        longest = max(longest, rows[-1]["took_s"])
        shown = {key: value for key, value in rows[-1].items() if key != "plan"}
        print(json.dumps(shown)[:700], flush=True)
        section["seconds"] = time.perf_counter() - began
        results.put(name, section)
    if left_out:
        results.note(name, f"no time for {'; '.join(left_out)}")


def run_here(names: list[str], sizes: Sizes, limit: float, results: Results) -> None:
    """Sections one after another in this process."""
    deadline = time.perf_counter() + limit
    for index, name in enumerate(names):
        left = deadline - time.perf_counter()
        if SECTIONS[name].needs_torch and not HAS_TORCH:
            results.note(name, "left out, PyTorch is not installed")
            continue
        try:
            run_section(name, sizes, share(left, names[index:]), results)
        except Exception as error:
            traceback.print_exc()
            results.note(name, f"ended by {type(error).__name__}: {error}")


def run_apart(groups: list[list[str]], arguments: list[str], limit: float, out: Results) -> None:
    """Groups of sections, each in a process of its own that is ended when its time is up."""
    deadline = time.perf_counter() + limit
    for index, group in enumerate(groups):
        left = deadline - time.perf_counter()
        own = share(left, [name for group in groups[index:] for name in group], len(group))
        minutes = max(own - START, 5) / 60
        command = [sys.executable, __file__, *arguments, "--minutes", f"{minutes:.3f}", "--only"]
        # in a session of its own: with it end the processes that it started
        process = subprocess.Popen([*command, *group], start_new_session=True)
        try:
            status = process.wait(max(1.0, min(own + 2 * START, left)))
            ended = f"the process ended with {status}" if status else ""
        except subprocess.TimeoutExpired:
            ended = "stopped, the time was up"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        known = out.read()["sections"]
        for name in group if ended else ():
            if "seconds" not in known.get(name, {}) or name == group[-1]:
                out.note(name, ended)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8.0, help="to end within (8)")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="for the JSON and the tables")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), help="in this process")
    parser.add_argument("--profile", action="store_true", help="save the compiled programs as well")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--small", action="store_true", help="few cases of each section")
    sizes.add_argument("--quick", action="store_true", help="tiny, for a CPU")
    options = parser.parse_args()
    size = TINY if options.quick else FEW if options.small else FULL
    folder = Path(__file__).parent / "results"
    out = options.out or (Path(tempfile.mkdtemp()) if options.quick else folder)
    results, limit = Results(out), options.minutes * 60
    if options.profile:
        saving = functools.partial(gpu_cases.profile, folder=out)
        SECTIONS["profile"] = SECTIONS["profile"]._replace(cases=saving)
    # a process that is asked to end takes along those that it started
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if options.only:
        run_here(options.only, size, limit, results)
        return
    results.write({"sections": {}})
    given = ["--out", str(out)]
    given += [f"--{name}" for name in ("small", "quick", "profile") if vars(options)[name]]
    run_apart(QUICK if options.quick else PROCESSES, given, limit, results)
    print(f"\n{markdown(results.read())}\nwritten to {out}")


if __name__ == "__main__":
    main()
