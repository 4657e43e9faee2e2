"""The scripts of the course and of regression, small: every claim holds on another seed."""

import importlib.util
import itertools
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
SCRIPTS = (
    "tuning",
    "pandas_vs_caviar",
    "batch_norm",
    "why_batch_norm",
    "test_time",
    "softmax_regression",
    "regularisation",
    "regression",
)


@pytest.fixture
def load(monkeypatch):
    """Loads a script by name, as Python does that runs it: with its folder on the path."""
    monkeypatch.syspath_prepend(ROOT / "examples")

    def load_script(name):
        spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        # NamedTuples look their module up
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load_script


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed"), [*zip(SCRIPTS, itertools.cycle([17, 101]), strict=False)]
)
def test_every_claim_holds_on_another_seed(load, name, seed, tmp_path, capsys):
    status = load(name).main(["--quick", "--seed", str(seed), "--out", str(tmp_path)])
    out = capsys.readouterr().out
    assert status == 0, out
    assert "DOES NOT HOLD" not in out
    held, claimed = map(int, re.search(r"(\d+) of (\d+) claims hold", out).groups())
    assert held == claimed == out.count("[holds]") >= 3
    with Image.open(tmp_path / f"{name}.png") as picture:
        assert min(picture.size) > 300
        assert len(picture.convert("RGB").getcolors(2**24)) > 100


def test_a_claim_that_does_not_hold_is_said_and_counts(load, tmp_path, capsys):
    course = load("course")
    lesson = course.Lesson("Title.\n\nMore.", ["--out", str(tmp_path)])
    lesson.claim("two are more than one", 2 > 1)
    lesson.claim("one is more than two", 1 > 2)
    assert lesson.end("picture", course.canvas(1, 1)[0]) == 1
    out = capsys.readouterr().out
    assert "[holds] two are more than one" in out
    assert "[DOES NOT HOLD] one is more than two" in out
    assert "1 of 2 claims hold" in out


def test_the_page_of_the_examples_shows_every_script_with_its_picture():
    page = (ROOT / "examples" / "README.md").read_text()
    for path in (ROOT / "examples").glob("*.py"):
        is_script = "__main__" in path.read_text()
        is_shown = f"({path.name})" in page or f"examples/{path.name}" in page
        assert is_shown or not is_script, path.name
    for name in SCRIPTS:
        picture = f".github/gallery/{name}.png"
        assert f"](../{picture})" in page
        assert (ROOT / picture).stat().st_size < 100_000
