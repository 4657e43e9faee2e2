"""The page of a study: what it holds, and that it works in a browser."""

import base64
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from test_studies import SPACE, make_study

import jaxnn
from jaxnn import sample

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
# what a person does: two clicks on a head, a word in the filter; the title tells what came of it
CLICKS = """<script>
const failed = [];
window.onerror = message => { failed.push(message); };
console.error = (...all) => { failed.push(all.join(" ")); };
window.onload = () => {
  const column = table.head.indexOf("learning_rate");
  const shown = () => [...document.querySelectorAll(".study tbody tr")].filter(row => !row.hidden)
    .map(row => row.cells[1].textContent);
  const before = shown();
  const head = document.querySelectorAll(".study th")[column];
  head.querySelector("button").click(); const rising = shown();
  head.querySelector("button").click(); const falling = shown();
  const filter = document.getElementById("filter");
  filter.value = "diverged at step"; filter.oninput({target: filter});
  const drawn = ["curves", "coordinates"].map(id => document.getElementById(id).data.length);
  document.title = JSON.stringify({before, rising, falling, found: shown(), drawn, failed});
};
</script></head>"""


def study_of(num_settings):
    """A study whose last setting diverged, with a name that is not harmless in HTML."""
    settings = sample(SPACE, num_settings)
    diverged = np.full((num_settings, 1), -1)
    diverged[-1] = 7
    study = make_study(settings, np.linspace(0.2, 0.9, num_settings), diverged=diverged)
    study.call = "search(space, name='<b>&</b></script>')"
    return study


def test_it_holds_the_study_and_needs_nothing_else(tmp_path):
    study = study_of(10)
    study.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert "Best validation accuracy: 0.8222 by setting 8" in page
    assert "&lt;b&gt;&amp;&lt;/b&gt;&lt;/script&gt;" in page
    assert "1 setting diverged" in page
    assert f"jaxnn {jaxnn.__version__}" in page
    # plotly's own text names its site; nothing is loaded
    assert not re.search(r"<(script|link|img)[^>]*https?:", page)
    table = json.loads(re.search(r"^const table = (.*);$", page, re.MULTILINE)[1])
    assert [row[1] for row in table["rows"]] == study.ranking.tolist()
    assert table["rows"][0][:3] == [1, 8, 0.82222]
    assert table["rows"][-1][6] == "diverged at step 7"


def test_parallel_coordinates_show_what_was_dropped(tmp_path):
    study = study_of(10)
    study.dropped[:6] = [1] * 4 + [3] * 2
    study.epochs_done[:6, 0] = study.dropped[:6]
    study.kept_epochs[:6, 0] = study.dropped[:6] - 1
    study.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    (figure,) = json.loads(re.search(r"^draw\(\"coordinates\", (.*)\);$", page, re.MULTILINE)[1])[
        "data"
    ]
    shown = {one["label"]: one for one in figure["dimensions"]}
    # the last one diverged
    values = study.reached("valid_accuracy")[:9, 0]
    assert decoded(shown["accuracy"]["values"]) == pytest.approx(values)
    assert shown["trained"]["ticktext"] == [
        *("dropped after epoch 1", "dropped after epoch 3", "to the end")
    ]
    assert decoded(shown["trained"]["values"]) == [0] * 4 + [1] * 2 + [2] * 3
    domain = study.domain("learning_rate")
    places = [domain.position(one["learning_rate"]) for one in study.settings[:9]]
    assert decoded(shown["learning_rate"]["values"]) == pytest.approx(places)


def decoded(values):
    """Plotly packs long lists."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).tolist()
    return values


def test_a_study_without_a_value_has_a_page(tmp_path):
    study = make_study([{"learning_rate": 9.0}], [0], diverged=[[3]])
    study.report(tmp_path / "report.html")
    assert "no setting has a value" in (tmp_path / "report.html").read_text()


def test_a_page_is_written_behind_a_link_with_its_mode(tmp_path):
    study, page, link = make_study([{}, {}], [0.5, 0.6]), tmp_path / "far.html", tmp_path / "link"
    page.write_text("old")
    page.chmod(0o600)
    link.symlink_to("far.html")
    # what no text can hold in UTF-8
    study.call = "search(\udcff)"
    study.report(link)
    assert link.is_symlink()
    assert page.stat().st_mode & 0o777 == 0o600
    assert r"search(\udcff)" in page.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["far.html", "link"]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize("num_settings", [10, 2000])
def test_it_works_in_a_browser(num_settings, tmp_path):
    study = study_of(num_settings)
    path = tmp_path / "report.html"
    study.report(path)
    path.write_text(path.read_text().replace("</head>", CLICKS, 1))
    command = [
        *(BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader"),
        *("--enable-unsafe-swiftshader", f"--user-data-dir={tmp_path / 'profile'}"),
        *("--virtual-time-budget=10000", "--dump-dom", path.as_uri()),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    seen = json.loads(re.search(r"<title>(.*?)</title>", dom, re.DOTALL)[1])
    assert seen["failed"] == []
    assert seen["before"] == [str(number) for number in study.ranking]
    rates = [setting["learning_rate"] for setting in study.settings]
    order = [str(number) for number in np.argsort(rates)]
    assert seen["rising"] == order
    assert seen["falling"] == order[::-1]
    assert seen["found"] == [str(num_settings - 1)]
    assert seen["drawn"] == [2, 1]
