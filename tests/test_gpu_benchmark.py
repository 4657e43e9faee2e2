"""`benchmarks/gpu.py`, tiny and on a CPU: when a GPU is at hand, it must run the first time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import gpu
import gpu_cases
import gpu_tables
import jax.numpy as jnp
import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


def run_quick(folder, *arguments, timeout=None):
    command = [sys.executable, str(SCRIPT), "--quick", "--out", str(folder), *arguments]
    env = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, timeout=timeout
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((folder / "gpu.json").read_text())["sections"]


@pytest.mark.slow
def test_all_sections_run_tiny(tmp_path):
    found = run_quick(tmp_path, "--minutes", "20")
    ours, torch = gpu.QUICK
    assert set(found) == {*ours, *torch}
    for name in (*ours, *(torch if gpu_cases.HAS_TORCH else ())):
        assert found[name]["rows"]
        assert not [row for row in found[name]["rows"] if "error" in row]
        assert "note" not in found[name]
    assert found["exact"]["rows"][0]["weights_differ"] < 1e-3
    assert all(found["exact"]["rows"][0][name] for name in ("again", "permuted", "compiled_again"))
    text = (tmp_path / "gpu.md").read_text()
    assert all(f"## {name}\n" in text for name in found)
    assert "| of_copy |" in text


@pytest.mark.slow
def test_what_has_no_time_is_stopped_and_named(tmp_path):
    """And a section named by `--only` leaves those of an earlier run as they are."""
    found = run_quick(tmp_path, "--minutes", "0.002", timeout=60)
    notes = {name: section["note"] for name, section in found.items()}
    assert notes == {name: "stopped, the time was up" for group in gpu.QUICK for name in group}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Those of a section whose second case fails, and whose fourth has no time."""
    clock = [0.0]

    def lasts(seconds):
        clock[0] += seconds
        return {"us": seconds}

    def cases(sizes):
        yield gpu.Case({"case": "first"}, lambda: lasts(2.0))
        yield gpu.Case({"case": "second"}, lambda: [][sizes.repeats])
        yield gpu.Case({"case": "third"}, lambda: lasts(5.0))
        yield gpu.Case({"case": "fourth"}, lambda: lasts(1.0))

    monkeypatch.setattr(gpu, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setitem(gpu.SECTIONS, "rates", gpu.Section(1.0, cases))
    results = gpu.Results(tmp_path)
    results.put("ceilings", {"rows": [], "seconds": 1.0, "limit_s": 1.0})
    gpu.run_here(["rates"], gpu_cases.FEW, 10.0, results)
    return results


def test_a_failure_is_recorded_and_the_rest_goes_on(results):
    section = results.read()["sections"]["rates"]
    assert [row["case"] for row in section["rows"]] == ["first", "second", "third"]
    assert section["rows"][1]["error"] == "IndexError: list index out of range"
    assert section["note"] == "no time for fourth"
    assert "ceilings" in results.read()["sections"]


def test_sections_share_the_time_by_what_they_are_given():
    names = ["ceilings", "lanes", "torch"]
    seconds = [gpu.SECTIONS[name].seconds for name in names]
    assert gpu.share(100.0, names) == pytest.approx(100 * seconds[0] / sum(seconds))
    assert gpu.share(100.0, names, 3) == pytest.approx(100)


def test_the_tables_have_the_share_of_a_copy_and_the_ratios():
    ours = {"network": "a", "side": "jaxnn.sweep's program", "precision": "default"}
    peer = {"network": "a", "side": "PyTorch"}
    rows = {
        "ceilings": [{"case": "copy", "bytes_a_s": 2e12}],
        "lanes": [
            {**ours, "lanes": 1, "us": 100.0, "step_us": 100.0, "bytes_a_step": 2e6},
            {**ours, "lanes": 64, "us": 2.0, "step_us": 128.0, "bytes_a_step": 128e6},
            {**ours, "lanes": 512, "error": "MemoryError: | too much"},
        ],
        "torch": [{**peer, "lanes": 1, "us": 400.0}, {**peer, "lanes": 64, "us": 8.0}],
    }
    sections = {name: {"rows": some, "seconds": 1.0, "limit_s": 2.0} for name, some in rows.items()}
    assert [row.get("of_copy") for row in gpu_tables.shares(sections)] == [0.01, 0.5, None]
    one, many = gpu_tables.compared(sections)
    assert (one["jaxnn, as many lanes"], one["jaxnn, best"], one["its lanes"]) == (4.0, 200.0, 64)
    assert many["jaxnn, as many lanes"] == many["jaxnn, best"] == 4.0
    text = gpu_tables.markdown({"sections": sections})
    assert "MemoryError: \\| too much" in text
    assert "| a | PyTorch | 1 | 400 | 4 | 200 | 64 |" in text


PROGRAM = """HloModule jit__lambda, is_scheduled=true

%fused_computation (param_0: f32[8,8], param_1: f32[8,8]) -> f32[8,8] {
  %param_0 = f32[8,8]{1,0} parameter(0)
  %param_1 = f32[8,8]{1,0} parameter(1)
  ROOT %dot.0 = f32[8,8]{1,0} dot(%param_0, %param_1), rhs_contracting_dims={0}
}

%wrapped_sine_computation (param_0.1: f32[8,8]) -> f32[8,8] {
  %param_0.1 = f32[8,8]{1,0} parameter(0)
  ROOT %sin.0 = f32[8,8]{1,0} sine(%param_0.1), metadata={op_name="jit(f)/sin"}
}

ENTRY %main.1 (x.1: f32[8,8]) -> f32[8,8] {
  %x.1 = f32[8,8]{1,0} parameter(0), metadata={op_name="x"}
  %wrapped_sine = f32[8,8]{1,0} fusion(%x.1), kind=kLoop, calls=%wrapped_sine_computation
  %cos.1 = f32[8,8]{1,0} cosine(%wrapped_sine)
  ROOT %dots = f32[8,8]{1,0} fusion(%cos.1, %x.1), kind=kCustom, calls=%fused_computation
}
"""


def test_instructions_are_counted_outside_of_fusions():
    assert gpu_cases.instructions(PROGRAM) == {"fusion": 2, "cosine": 1}


def test_instructions_of_a_program_of_this_jax_are_counted():
    compiled = gpu_cases.jax.jit(lambda x: jnp.sin(x) @ x).lower(jnp.ones((8, 8))).compile()
    counts = gpu_cases.instructions(compiled.as_text())
    # a sine and a product, in a fusion or by themselves
    assert 1 <= counts.total() <= 2
    assert set(counts) <= {"dot", "custom-call", "fusion", "sine"}
