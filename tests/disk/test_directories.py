"""A directory has one writer; a damaged commit, a full disk or a lost directory loses nothing."""

import fcntl
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from helpers.data import halves

import jaxnn
from jaxnn.disk import commits, directories
from jaxnn.disk.commits import newest
from jaxnn.disk.directories import Commits, commits_in


def write(directory, count=1):
    with commits_in(directory, 60.0) as ours:
        for _ in range(count):
            number = ours._number
            ours.write(lambda number=number: content(number))


def content(number=0):
    return [("a", np.full(3, number))], {"is_finished": False, "identity": {}}


@pytest.fixture
def data():
    return halves()


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_the_newest_two_are_kept(tmp_path):
    write(tmp_path, 3)
    write(tmp_path, 2)
    assert names(tmp_path) == [".jaxnn-lock", "commit-000004.h5", "commit-000005.h5"]
    np.testing.assert_array_equal(newest(tmp_path)[0].arrays["a"], [4, 4, 4])


def test_a_damaged_commit_is_named_and_the_one_before_is_used(tmp_path):
    write(tmp_path, 2)
    first, second = tmp_path / "commit-000001.h5", tmp_path / "commit-000002.h5"
    second.write_bytes(second.read_bytes()[:-1])
    with pytest.warns(
        UserWarning, match=r"commit-000002\.h5 is damaged.*commit-000001\.h5 was used"
    ):
        assert newest(tmp_path)[0].path == first
    first.write_bytes(b"")
    with pytest.raises(ValueError, match=r"no commit that can be read: .*000002.*000001.*anew"):
        newest(tmp_path)
    with pytest.raises(ValueError, match="no commit that can be read"), commits_in(tmp_path, 60.0):
        pass


def test_a_commit_takes_three_per_cent_of_the_time_at_most(tmp_path, monkeypatch):
    """Worked by hand: a clock that only moves when it is told to."""
    clock = 0.0
    monkeypatch.setattr("time.monotonic", lambda: clock)

    def slow():
        nonlocal clock
        clock += 3
        return content()

    ours = Commits(tmp_path, 60.0)
    clock = 59.0
    assert not ours.is_due()
    assert ours.is_due(is_rung=True), "the first one has cost nothing yet"
    clock = 60.0
    assert ours.is_due()
    with ours.attempt():
        # lanes that are copied for it count as well
        clock += 1
    ours.write(slow)
    assert clock == 64
    clock = 64 + 33 * 4 - 1
    assert not ours.is_due()
    assert not ours.is_due(is_rung=True)
    clock += 1
    assert ours.is_due()
    assert not Commits(None, 0.0).is_due()


def test_a_directory_that_was_made_anew_belongs_to_another(tmp_path, data, often):
    """The lock went with the first one: the older search no longer writes there."""
    directory, told = tmp_path / "run", []

    def another(info):
        if info.epoch == 3 and not told:
            told.append(info)
            for path in directory.iterdir():
                path.unlink()
            directory.rmdir()
            write(directory, 2)

    with pytest.warns(UserWarning, match=r"Nothing can be saved in .*run: it was removed and made"):
        jaxnn.sweep([{}], data, 0.25, epochs=200, directory=directory, on_epoch=another, **often)
    assert names(directory) == [".jaxnn-lock", "commit-000001.h5", "commit-000002.h5"]


def test_files_of_the_user_stay(tmp_path):
    for name in ("commit-keep.h5", ".download.partial", "commit-²2.h5"):
        (tmp_path / name).write_text("mine")
    write(tmp_path, 3)
    mine = [".download.partial", "commit-keep.h5", "commit-²2.h5"]
    assert names(tmp_path) == sorted([*mine, ".jaxnn-lock", "commit-000002.h5", "commit-000003.h5"])


def test_what_the_user_put_under_the_next_numbers_stays(tmp_path, data):
    write(tmp_path)
    victim, study = tmp_path / "victim", tmp_path / "commit-000004.h5"
    victim.write_text("mine")
    (tmp_path / "commit-000002.h5").symlink_to(victim)
    (tmp_path / "commit-000003.h5").write_text("mine")
    jaxnn.sweep([{}], data, 0.25, epochs=1, progress=False).save(study)
    (tmp_path / "commit-000005.h5").mkdir()
    before = {path: path.read_bytes() for path in (victim, study)}
    with pytest.warns(UserWarning, match=r"000004\.h5 is no commit.*000001\.h5 was used instead"):
        write(tmp_path, 4)
    assert {path: path.read_bytes() for path in (victim, study)} == before
    assert (tmp_path / "commit-000002.h5").is_symlink()
    assert (tmp_path / "commit-000003.h5").read_text() == "mine"
    ours = [name for name in names(tmp_path) if name > "commit-000005.h5" and name != "victim"]
    assert ours == ["commit-000008.h5", "commit-000009.h5"]


def test_a_link_that_came_meanwhile_is_not_written_through(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    with commits_in(tmp_path / "run", 60.0) as ours:
        (tmp_path / "run" / "commit-000001.h5").symlink_to(victim)
        ours.write(content)
    assert victim.read_text() == "mine"
    assert "commit-000002.h5" in names(tmp_path / "run")


def test_only_our_own_leftovers_are_removed(tmp_path):
    ours = f".commit-000001.h5.{'0a' * 16}.partial"
    (tmp_path / ours).write_text("half")
    (tmp_path / ".commit-notes.partial").write_text("mine")
    (tmp_path / ours.replace("1", "2")).mkdir()
    write(tmp_path)
    mine = [".commit-notes.partial", ours.replace("1", "2")]
    assert names(tmp_path) == sorted([*mine, ".jaxnn-lock", "commit-000001.h5"])


@pytest.mark.parametrize("kind", ["link", "dangling", "text", "pipe", "folder"])
def test_what_is_no_lock_is_refused_and_stays(kind, tmp_path, data):
    directory, victim = tmp_path / "run", tmp_path / "victim"
    directory.mkdir()
    lock = directory / ".jaxnn-lock"
    if kind in ("link", "dangling"):
        lock.symlink_to(victim)
    if kind == "link":
        # even one that has the text of a lock
        victim.write_text("12\n")
    if kind == "text":
        lock.write_text("my own notes\n")
    if kind == "pipe":
        os.mkfifo(lock)
    if kind == "folder":
        lock.mkdir()
    with pytest.raises(ValueError, match=r"directory got .*run', wh.*; expected"):
        jaxnn.sweep([{}], data, 0.25, epochs=1, directory=directory)
    assert names(directory) == [".jaxnn-lock"]
    assert victim.exists() == (kind == "link")
    if kind in ("link", "text"):
        assert lock.read_text() in ("12\n", "my own notes\n")


@pytest.mark.parametrize("part", ["1-of-99999999", "0-of-0", "3-of-2", "1-of-1", "01-of-2"])
def test_a_series_is_finished_by_all_of_its_files(part, tmp_path):
    """And not by counting up to what a file is called."""
    with commits_in(tmp_path, 60.0) as ours:
        ours.write(lambda: (content()[0], {"is_finished": True, "identity": {}}))
    (tmp_path / "commit-000001.h5").rename(tmp_path / f"commit-000001.{part}.h5")
    found = commits.newest_among(tmp_path)
    assert len(found) == (part == "1-of-99999999")
    assert commits.finished_among(found) == []


def test_a_study_is_no_commit(tmp_path, data):
    jaxnn.sweep([{}], data, 0.25, epochs=1, progress=False).save(tmp_path / "commit-000001.h5")
    with pytest.raises(ValueError, match=r"commit-000001\.h5 is no commit"):
        jaxnn.sweep([{}], data, 0.25, epochs=1, directory=tmp_path)


def test_what_cannot_be_saved_does_not_end_training(tmp_path, data, often, monkeypatch):
    """Whatever the error is."""
    monkeypatch.setattr("jaxnn.engine.savers.snapshot", lambda *args: {}["no such lane"])
    with pytest.warns(UserWarning, match="Nothing can be saved in .*'no such lane'"):
        study = jaxnn.sweep([{}], data, 0.25, epochs=99, directory=tmp_path, **often)
    assert study.is_complete.all()


OWNER = """
import sys, time
from jaxnn.disk.directories import commits_in
with commits_in(sys.argv[1], 60.0):
    print("owns", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_one_process_writes_and_a_dead_one_holds_nothing(tmp_path, data):
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "owns\n"
    assert (tmp_path / ".jaxnn-lock").read_text() == f"{process.pid}\n"
    with pytest.raises(ValueError, match=rf"to which the process {process.pid} is writing; expect"):
        jaxnn.sweep([{}], data, 0.25, epochs=1, directory=tmp_path)
    (tmp_path / f".commit-000001.h5.{'0a' * 16}.partial").write_bytes(b"half")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    jaxnn.sweep([{}], data, 0.25, epochs=1, directory=tmp_path, progress=False)
    assert names(tmp_path) == [".jaxnn-lock", "commit-000001.h5"]
    # nor does a call that is over, or one that failed
    write(tmp_path)


@pytest.mark.parametrize("directory", ["/proc/jaxnn", __file__, f"{__file__}/run"])
def test_a_directory_that_cannot_be_written_to_is_refused_before_training(directory, data):
    with pytest.raises(ValueError, match=r"which cannot be written to .*; expected a directory of"):
        jaxnn.sweep([{}], data, 0.25, epochs=1, directory=directory)


@pytest.fixture
def often(monkeypatch):
    """Commits after every compiled call, of some milliseconds."""
    monkeypatch.setattr(directories, "SHARE", 0)
    return {"commit_interval": 0, "progress": False, "chunk": 1}


def test_a_directory_that_is_removed_leaves_training_in_memory(data, tmp_path, often, capfd):
    directory, settings = tmp_path / "run", [{}, {"learning_rate": 0.1}]

    def remove(info):
        if info.epoch == 3 and directory.exists():
            for path in directory.iterdir():
                path.unlink()
            directory.rmdir()

    with pytest.warns(UserWarning, match=r"Nothing can be saved in .*run: .*No such file.*memory"):
        study = jaxnn.sweep(
            settings, data, 0.25, epochs=200, directory=directory, on_epoch=remove, **often
        )
    alone = jaxnn.sweep(settings, data, 0.25, epochs=200, progress=False, chunk=1)
    np.testing.assert_array_equal(study.curves["cost"], alone.curves["cost"])
    assert capfd.readouterr().err.count("Nothing can be saved") == 1
    study.save(tmp_path / "study.h5")


FULL = """
import resource, signal, sys, warnings
import numpy as np
import jaxnn
from jaxnn.disk import directories
directories.SHARE = 0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
x = np.random.default_rng(0).normal(size=(60, 3))
data = jaxnn.Dataset(x, (x[:, 0] > 0) * 1)
def fill(info):
    # from here on files may not be longer than 100 bytes, as on a disk without space
    if info.epoch == 100:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    study = jaxnn.sweep([{}], data, 0.25, epochs=300, directory=sys.argv[1], commit_interval=0,
                        progress=False, on_epoch=fill)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print([str(one.message) for one in said], study.is_complete.all())
study.save(sys.argv[2])
"""


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_commit_and_training_in_memory(tmp_path, run_python):
    done = run_python(FULL, str(tmp_path / "run"), str(tmp_path / "study.h5"))
    assert "File too large. Training goes on in memory, the last good commit stays" in done.stdout
    assert done.stdout.strip().endswith("True")
    assert "Nothing can be saved" in done.stderr, "at once, not only at the end"
    there, whole = jaxnn.load(tmp_path / "run"), jaxnn.load(tmp_path / "study.h5")
    done = int(there.epochs_done[0, 0])
    assert 0 < done < 300
    np.testing.assert_array_equal(
        there.curves["cost"][..., :done], whole.curves["cost"][..., :done]
    )
    assert not [name for name in names(tmp_path / "run") if name.endswith("partial")]


def test_commits_go_on_when_there_is_space_again(tmp_path, monkeypatch):
    ours = Commits(tmp_path, 0.0)
    replace = os.replace
    monkeypatch.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "full")))
    ours.write(content)
    assert re.search(r"Nothing can be saved in .*: .*full", ours.failure)
    assert names(tmp_path) == []
    monkeypatch.setattr("os.replace", replace)
    ours.write(content)
    assert ours.failure == ""
    assert names(tmp_path) == ["commit-000001.h5"]


@pytest.mark.parametrize("text", ["my own notes\n", "", "12 apples\n", "42\nnotes", b"\xff\n"])
def test_a_file_of_the_user_that_is_called_lock_is_left_alone(tmp_path, text):
    lock, whole = tmp_path / "lock", text if isinstance(text, bytes) else text.encode()
    lock.write_bytes(whole)
    with lock.open() as held:
        # as `flock lock python train.py` does
        fcntl.flock(held, fcntl.LOCK_EX)
        write(tmp_path)
    assert lock.read_bytes() == whole
    assert names(tmp_path) == [".jaxnn-lock", "commit-000001.h5", "lock"]


def test_a_folder_of_the_user_that_is_called_lock_is_left_alone(tmp_path):
    (tmp_path / "lock").mkdir()
    write(tmp_path)
    assert names(tmp_path) == [".jaxnn-lock", "commit-000001.h5", "lock"]


@pytest.mark.parametrize("token", ["", "0123456789abcdef" * 2])
def test_a_directory_of_version_0_2_is_resumed_but_not_beside_it(tmp_path, token):
    write(tmp_path)
    (tmp_path / ".jaxnn-lock").unlink()
    # as version 0.2 wrote and held it
    (tmp_path / "lock").write_text(f"123\n{token}")
    with (tmp_path / "lock").open("r+") as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="to which the process 123 is writing"):
            write(tmp_path)
    with (
        commits_in(tmp_path, 60.0),
        (tmp_path / "lock").open("r+") as old,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(old, fcntl.LOCK_EX | fcntl.LOCK_NB)
    write(tmp_path)
    assert names(tmp_path) == [".jaxnn-lock", "commit-000001.h5", "commit-000002.h5", "lock"]
    assert (tmp_path / "lock").read_text() == f"123\n{token}"


def test_what_a_kill_left_half_written_is_removed(tmp_path, monkeypatch):
    with monkeypatch.context() as killed:
        killed.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(OSError("killed")))
        killed.setattr("pathlib.Path.unlink", lambda path, missing_ok=False: None)
        write(tmp_path)
    assert len(names(tmp_path)) == 2
    write(tmp_path)
    assert names(tmp_path) == [".jaxnn-lock", "commit-000001.h5"]
