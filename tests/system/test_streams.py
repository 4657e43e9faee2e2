"""What a stream cannot show is replaced; what it does not take ends nothing."""

import contextlib
import io
import os
import sys

import pytest
from helpers.data import halves

import jaxnn
from jaxnn.system.display import SweepDisplay, progress_line, sweep_display
from jaxnn.system.terminal import as_text, encodable, tell, warn_caller


class Broken(io.StringIO):
    """A stream that fails as a pipe without a reader, a full disk, a closed file or a bug does."""

    encoding = "utf-8"

    def __init__(self, error):
        super().__init__()
        self._error, self.num_asked = error, 0

    def fail(self, *arguments):
        self.num_asked += 1
        raise self._error

    write = flush = isatty = fail


ERRORS = [BrokenPipeError(), OSError(28, "full"), ValueError("I/O on a closed file"), KeyError()]


@pytest.fixture(params=[*ERRORS, None], ids=lambda error: type(error).__name__)
def break_stderr(request, monkeypatch):
    """To be called by the test itself: pytest sets stderr before it."""

    def install():
        stream = None if request.param is None else Broken(request.param)
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return install


@pytest.fixture
def data():
    return halves()


def was_asked(stream):
    return stream is None or stream.num_asked > 0


def test_progress_and_messages_end_nothing(break_stderr, monkeypatch, capsys):
    monkeypatch.setattr(SweepDisplay, "SECONDS_BETWEEN_LINES", -1.0)
    broken = break_stderr()
    with sweep_display(40, 10, None) as display:
        display("training", 10, 0.5, 0)
        display.say("the disk is full")
    with progress_line(10, True) as report:
        report(5, "cost 0.1")
    tell("a line")
    assert was_asked(broken)
    # print(file=None) would take this one
    assert capsys.readouterr().out == ""


def test_a_live_display_ends_nothing(break_stderr, monkeypatch):
    """On a terminal that is closed while it is shown."""
    monkeypatch.setattr("jaxnn.system.display._can_be_live", lambda console: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    broken = break_stderr()
    with sweep_display(40, 10, None) as display:
        display("training", 10, 0.5, 0)
        display.say("the disk is full")
    assert was_asked(broken)


@pytest.mark.parametrize(
    "shown", [lambda: progress_line(3, True), lambda: sweep_display(3, 1, None)]
)
def test_what_a_program_prints_goes_where_its_stdout_does(shown, monkeypatch, capsys):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    # a wide line, which a terminal would wrap
    line = "mine " * 100
    with shown():
        print(line)
        print("unfinished", end="")
    assert capsys.readouterr().out == f"{line}\nunfinished"
    assert terminal.getvalue() != "", "the display itself"


def test_what_a_program_prints_to_the_terminal_of_a_display_comes_above_it(monkeypatch):
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as terminal:
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, terminal)
        monkeypatch.setenv("TERM", "xterm")
        with progress_line(3, True):
            assert sys.stdout is not terminal
            print("unfinished", end="")
        assert sys.stdout is terminal
        monkeypatch.undo()
    # a read gives what has arrived so far
    shown = bytearray()
    with contextlib.suppress(OSError):
        while some := os.read(master, 10_000):
            shown += some
    os.close(master)
    assert b"unfinished" in shown


def test_what_was_trained_comes_back(break_stderr, data, monkeypatch):
    monkeypatch.setattr(SweepDisplay, "SECONDS_BETWEEN_LINES", -1.0)

    def fails(info):
        raise OSError("no room")

    broken = break_stderr()
    with pytest.warns(UserWarning, match="on_epoch raised OSError"):
        study = jaxnn.sweep([{}], data, 0.25, epochs=2, on_epoch=fails)
    assert study.is_complete.all()
    with pytest.warns(UserWarning, match="on_epoch raised OSError"):
        fitted = jaxnn.fit({}, data, epochs=2, progress=True, on_epoch=fails)
    assert len(fitted.curves["cost"]) == 2
    assert was_asked(broken)


@pytest.mark.filterwarnings("error")
def test_a_warning_that_is_an_error_loses_nothing_that_was_trained(data, capsys):
    def fails(info):
        raise OSError("no room")

    study = jaxnn.sweep([{}], data, 0.25, epochs=2, progress=False, on_epoch=fails)
    run = jaxnn.Run({}, data, on_epoch=fails)
    run.train(2)
    assert (study.is_complete.all(), run.epoch) == (True, 2)
    assert capsys.readouterr().err.count("jaxnn: on_epoch raised OSError: no room") == 2
    # before work starts it is an error as any other
    with pytest.raises(UserWarning, match="wildly"):
        warn_caller("wildly different")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_warning_that_cannot_be_shown_ends_nothing(error, monkeypatch, capsys):
    def fails(*arguments):
        raise error

    with monkeypatch.context() as broken:
        broken.setattr("warnings.warn", fails)
        warn_caller("features differ")
    assert capsys.readouterr().err == "jaxnn: features differ\n"


def stdout_of(monkeypatch, encoding, errors="strict"):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors)
    monkeypatch.setattr(sys, "stdout", stream)
    return stream


def printed(stream):
    stream.flush()
    return stream.buffer.getvalue().decode(stream.encoding)


@pytest.fixture(scope="module")
def study():
    settings = [{}, {"learning_rate": 0.1}]
    study = jaxnn.sweep(settings, halves(), 0.25, epochs=1, seeds=2, progress=False)
    # a name that no encoding of old knows, and a part of a file's name that is no text at all
    study.notes += ["see ☃", "see \udcff"]
    return study


@pytest.mark.parametrize(
    ("encoding", "sign"),
    [("ascii", " +-"), ("cp437", " ± "), ("cp1252", " ± "), ("latin-1", " ± "), ("koi8-r", " +-")],
)
def test_tables_are_drawn_of_signs_that_stdout_has(study, encoding, sign, monkeypatch):
    stream = stdout_of(monkeypatch, encoding)
    study.summary()
    text = printed(stream)
    trial = study.best_trial
    assert f"{trial.value:.4f}{sign}{trial.standard_error:.4f}" in text
    rows = [line for line in text.splitlines() if line[:1] in "+|"]
    table = [line for line in rows if not line.startswith("+-: ")]
    assert len(table) == 6
    assert len({len(line) for line in table}) == 1, "in columns"
    assert r"see \u2603" in text
    assert r"see \udcff" in text
    print(study.plan)
    assert "| batch |" in printed(stream)


def test_a_run_is_printed_on_every_stdout(data, monkeypatch):
    run = jaxnn.Run({}, data)
    stream = stdout_of(monkeypatch, "ascii")
    print(run)
    assert "| epoch |" in printed(stream)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_where_all_signs_are_there_they_are_used(study, encoding, monkeypatch):
    stream = stdout_of(monkeypatch, encoding)
    print(study.plan)
    assert "┃ batch ┃" in printed(stream)


@pytest.mark.parametrize("stream", [None, io.StringIO()], ids=["none", "without an encoding"])
def test_a_stdout_that_names_no_encoding(study, stream, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream)
    assert "┃ batch ┃" in str(study.plan)
    study.summary()


def test_a_cell_that_is_cut_short_is_shown_everywhere(monkeypatch):
    """Rich puts … there."""
    from rich.table import Table

    table = Table("name")
    table.add_row("x" * 200)
    table.columns[0].no_wrap = True
    stdout_of(monkeypatch, "ascii")
    assert "xxx. |" in as_text(table)
    assert encodable("1 ± 2…", "cp1252") == "1 ± 2…"
    assert encodable("1 ± 2…", "no-such-encoding") == "1 ± 2…"


def test_text_is_plain_where_colours_are_forced(monkeypatch, study):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in str(study.plan)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_live_line_is_of_signs_that_the_terminal_has(encoding, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with sweep_display(40, 10, None) as display:
        display("training", 10, 0.5, 0)
        display.say("see ☃")
    text = printed(stream)
    assert ("━" in text) == ("☃" in text) == (encoding == "utf-8")
    assert (r"see \u2603" in text) == (encoding != "utf-8")
    assert "\\u28" not in text, "a spinner of dots"


def test_code_without_a_module_name_is_warned():
    # as what `exec` runs with names of its own
    with pytest.warns(UserWarning, match="features differ"):
        exec("warn_caller('features differ')", {"warn_caller": warn_caller})
