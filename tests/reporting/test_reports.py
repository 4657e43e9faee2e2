"""The page of a study: what it holds, and that it works in a browser."""

import dataclasses
import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from helpers.plotly import decoded
from helpers.studies import SPACE, make_study

import jaxnn
from jaxnn import sample
from jaxnn.reporting.reports import _hash
from jaxnn.system.terminal import warn_caller

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
# what a person does: two clicks on a head, a word in the filter; the title tells what came of it
CLICKS = """
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
"""
HOSTILE = "<b onclick=x>$plan [/data] </script><!--<script> &lt; \u2028 \x1b\ud800"
SHOWN = "<b onclick=x>$plan [/data] </script><!--<script> &lt; \\u2028 \\x1b\\ud800"
"""The same text as a page shows it."""
TITLES = """
window.onload = () => {
  const texts = [...document.querySelectorAll("svg text")].map(one => one.dataset.unformatted);
  const heads = [...document.querySelectorAll(".study th")].map(one => one.textContent);
  const shown = [...document.querySelectorAll("li, code, h1")].map(one => one.textContent);
  const tags = document.querySelectorAll("b, img, body script").length;
  document.title = JSON.stringify({texts, heads, shown, tags});
};
"""


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


def opened(path, tmp_path, script=""):
    """The page as a browser has it, with a script of the test that the policy allows."""
    page = path.read_text()
    page = page.replace("script-src ", f"script-src {_hash(script)} ", 1)
    path.write_text(page.replace("</head>", f"<script>{script}</script></head>", 1))
    command = [
        *(BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader"),
        *("--enable-unsafe-swiftshader", f"--user-data-dir={tmp_path / 'profile'}"),
        *("--disable-quic", "--no-first-run", "--disable-background-networking"),
        *("--disable-component-update", "--disable-sync"),
        *("--virtual-time-budget=10000", "--dump-dom", path.as_uri()),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    return html.unescape(re.search(r"<title>(.*?)</title>", dom, re.DOTALL)[1])


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
@pytest.mark.parametrize("num_settings", [10, 2000])
def test_it_works_in_a_browser(num_settings, tmp_path):
    study = study_of(num_settings)
    path = tmp_path / "report.html"
    study.report(path)
    seen = json.loads(opened(path, tmp_path, CLICKS))
    assert seen["failed"] == []
    assert seen["before"] == [str(number) for number in study.ranking]
    rates = [setting["learning_rate"] for setting in study.settings]
    order = [str(number) for number in np.argsort(rates)]
    assert seen["rising"] == order
    assert seen["falling"] == order[::-1]
    assert seen["found"] == [str(num_settings - 1)]
    assert seen["drawn"] == [2, 1]


def hostile_study():
    """Names, a note and a call with what HTML, rich, plotly, JavaScript and templates read."""
    study = study_of(6)
    study.settings = [
        {**setting, HOSTILE: number / 7} for number, setting in enumerate(study.settings)
    ]
    study.given, study.call = study.settings, HOSTILE
    study.notes = [HOSTILE, "<img src=x onerror=alert(1)>"]
    study.plan = dataclasses.replace(
        study.plan, note=f"[link=javascript:alert(1)]a[/link]{HOSTILE}"
    )
    return study


def test_text_is_text_on_a_terminal_and_in_a_notebook(capsys):
    study = hostile_study()
    study.summary()
    assert f"{SHOWN}\n" in capsys.readouterr().out
    assert f"[link=javascript:alert(1)]a[/link]{SHOWN}" in str(study.plan).replace("\n", " ")
    for page in (study._repr_html_(), study.plan._repr_html_()):
        assert {*re.findall(r"</?(\w+)", page)} == {"pre", "span"}
        assert "<img" not in page
        assert "href" not in page


def test_long_text_is_cut_where_it_is_shown(capsys, tmp_path):
    study = study_of(6)
    study.notes, study.call = ["x " * 10**6], "y" * 10**6
    study.summary()
    assert 5000 < capsys.readouterr().out.count("x") < 5200
    study.report(tmp_path / "report.html")
    assert "y" * 10_000 + "...</" in (tmp_path / "report.html").read_text()


def test_a_warning_shows_control_characters_written_out():
    with pytest.warns(UserWarning, match=r"^a\\x1b\[2J$"):
        warn_caller("a\x1b[2J")


def test_text_is_text_on_the_page(tmp_path):
    study, path = hostile_study(), tmp_path / "report.html"
    study.report(path)
    _, page = path.read_text().split("</head>")
    assert {*re.findall(r"<(/?\w+|!--)", page)} <= {
        *("body", "h1", "h2", "p", "code", "ul", "li", "div", "table", "thead", "tbody", "input"),
        *("pre", "span", "script"),
        *("/body", "/h1", "/h2", "/p", "/code", "/ul", "/li", "/div", "/table", "/thead", "/tbody"),
        *("/pre", "/span", "/script", "/html"),
    }
    assert page.count("<script>") == page.count("</script>") == 1
    table = json.loads(re.search(r"^const table = (.*);$", page, re.MULTILINE)[1])
    assert SHOWN in table["head"]
    figure = json.loads(re.search(r'^draw\("coordinates", (.*)\);$', page, re.MULTILINE)[1])
    labels = [html.unescape(one["label"]) for one in figure["data"][0]["dimensions"]]
    assert SHOWN in labels
    assert not any("<" in one["label"] for one in figure["data"][0]["dimensions"])


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here")
def test_a_browser_shows_text_as_text_and_runs_nothing_else(tmp_path):
    study, path = hostile_study(), tmp_path / "report.html"
    study.report(path)
    seen = json.loads(opened(path, tmp_path, TITLES))
    assert html.escape(SHOWN, quote=False) in seen["texts"]
    assert SHOWN in seen["heads"]
    assert {SHOWN, "<img src=x onerror=alert(1)>"} <= {*seen["shown"]}
    assert seen["tags"] == 1
    study.report(path)
    # whoever found a way past all that
    path.write_text(path.read_text().replace("<h1>", "<script>document.title = 1</script><h1>", 1))
    assert opened(path, tmp_path).startswith("jaxnn study: 0.76")
