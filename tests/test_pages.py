"""README, guides and other pages: their code runs, their links exist, README stays short."""

import re
from pathlib import Path

import numpy as np
import pytest

import jaxnn

ROOT = Path(__file__).parent.parent
FOLDERS = ("", ".github", "examples", "benchmarks", "benchmarks/results")
PAGES = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md"))]


def stories():
    """The blocks of each page; one that does not import jaxnn continues the one before."""
    found = []
    for page in PAGES:
        blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
        for number, code in enumerate(blocks):
            if number == 0 or re.search(r"^(import .*\bjaxnn|from jaxnn)", code, re.MULTILINE):
                found.append(pytest.param([], id=f"{page.relative_to(ROOT)}-{number}"))
            found[-1].values[0].append(code)
    return found


def check(names, folder):
    """What a block promises, by what it defines."""
    if "diabetes" in names:
        assert names["fitted"].score(names["test"]) < 65 < np.std(names["test"].y)
        assert len(names["bands"].plan.programs) == 1 if "bands" in names else True
        assert 0.6 < names["inside"] < 0.95 if "inside" in names else True
        assert "scale" in names["own"].best_params if "own" in names else True
    elif "labels" in names:
        assert names["labels"].score(names["test"]) > 0.8
    elif "run" in names:
        assert names["run"].epoch == 40
        assert names["run"].fitted().score(names["test"]) > 0.93
    elif "pipeline" in names:
        assert names["pipeline"].score(names["x_test"], names["y_test"]) > 0.93
    elif "tell" in names:
        assert len((folder / "epochs.csv").read_text().splitlines()) == 4 * 5
        assert "Best validation accuracy" in (folder / "report.html").read_text()
    elif "greedy" in names:
        test, greedy = names["test"], names["greedy"]
        assert greedy.score(test) >= names["study"].fitted().score(test) - 0.02
        assert jaxnn.load("finalists.h5").score(test) == greedy.score(test)
        assert names["anew"].score(test) > 0.93
    elif "study" in names:
        assert names["study"].fitted().score(names["test"]) > 0.93
    elif "lowering" in names:
        assert len(names["fitted"].curves["cost"]) < 300
        assert names["fitted"].score(names["test"]) > 0.93
    elif "fitted" in names:
        assert names["fitted"].score(names["test"]) > 0.93
        assert jaxnn.load("digits.h5").score(names["test"]) == names["fitted"].score(names["test"])
    else:
        assert names["grads"][0]["kernel"].shape == (25, 12288)


@pytest.mark.slow
# as of scikit-learn's own networks after a few epochs
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer. Maximum iterations")
@pytest.mark.parametrize("blocks", stories())
def test_the_code_of_a_page_runs(blocks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for code in blocks:
        exec(code, names)
        check(names, tmp_path)


def anchors(page):
    """The headings of a page as GitHub links to them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_exists(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(\s*([^)\s]+)\s*\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        there = page if not path else (page.parent / path).resolve()
        assert there.is_relative_to(ROOT), target
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_the_readme_is_short_and_leads_to_every_guide():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 200
    assert len(text.encode()) <= 12 * 1024
    for page in (ROOT / "examples").glob("*.md"):
        assert f"](examples/{page.name})" in text, page.name
