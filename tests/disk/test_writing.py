"""A file is whole or as it was, whoever writes to it and whatever is at its place."""

import os
import stat
import threading

import pytest

from jaxnn.disk.hdf5 import read_arrays, write_arrays
from jaxnn.disk.writing import write_whole


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_calls_at_the_same_time_do_not_meet(tmp_path):
    """Each is held where its file is about to be moved, until all are there."""
    count, path = 3, tmp_path / "a.bin"
    meeting, errors = threading.Barrier(count), []

    def parts(number):
        yield bytes([number]) * 1000
        meeting.wait(60)
        yield bytes([number]) * 1000

    def work(number):
        try:
            for _ in range(5):
                write_whole(path, parts(number))
                assert path.read_bytes() in [bytes([one]) * 2000 for one in range(count)]
        except BaseException as error:
            meeting.abort()
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert os.listdir(tmp_path) == ["a.bin"]


def test_processes_with_one_number_do_not_meet(tmp_path, monkeypatch):
    """As in containers, in which every first process has the number 1."""
    names, opened = [], os.open
    monkeypatch.setattr("os.getpid", lambda: 1)
    monkeypatch.setattr(
        "os.open", lambda name, *rest: names.append(str(name)) or opened(name, *rest)
    )
    for _ in range(2):
        write_whole(tmp_path / "a", [b"1"])
    partial = [name for name in names if name.endswith(".partial")]
    assert len({*partial}) == len(partial) == 2


def test_an_error_names_the_path_that_was_given(tmp_path):
    (tmp_path / "file").write_text("")
    for folder, kind in (("missing", FileNotFoundError), ("file", NotADirectoryError)):
        path = tmp_path / folder / "a.h5"
        with pytest.raises(kind) as caught:
            write_whole(path, [b"new"])
        assert str(path) in str(caught.value)
        assert ".partial" not in str(caught.value)


def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def parts():
        yield b"new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, parts())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("target", ["far/a", "missing"], ids=["there", "not yet"])
def test_a_link_stays_a_link(tmp_path, target):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a").write_bytes(b"old")
    link = tmp_path / "link"
    # by way of another link
    (tmp_path / "between").symlink_to(target)
    link.symlink_to("between")
    write_whole(link, [b"ne", b"w"])
    assert link.is_symlink()
    assert (tmp_path / target).read_bytes() == b"new"
    assert not (tmp_path / target).is_symlink()
    assert not [name for name in os.listdir(tmp_path) if name.endswith("partial")]


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write_whole(tmp_path / "a", [b"new"])
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("old", [0o600, 0o664, 0o755, 0o400])
def test_an_old_file_keeps_its_mode(tmp_path, old):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    path.chmod(old)
    write_whole(path, [b"new"])
    assert path.read_bytes() == b"new"
    assert mode(path) == old


def test_a_new_file_has_the_mode_that_open_gives(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", [b"new"])
        (tmp_path / "b").write_bytes(b"new")
    finally:
        os.umask(before)
    assert mode(tmp_path / "a") == mode(tmp_path / "b") == 0o640


@pytest.mark.parametrize("letter", ["a", "ä", "😀"])
def test_the_longest_names_are_legal(tmp_path, letter):
    name = letter * (255 // len(letter.encode()))
    write_arrays(tmp_path / name, [], {"format": 1})
    assert read_arrays(tmp_path / name)[1] == {"format": 1}
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_refused_and_left_alone(tmp_path, kind):
    path = tmp_path / "a"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(ValueError, match=r"path got '.*a', which is no file; expected the name of"):
        write_whole(path, [b"new"])
    assert path.is_dir() if kind == "folder" else path.is_fifo()
    assert os.listdir(tmp_path) == ["a"]
