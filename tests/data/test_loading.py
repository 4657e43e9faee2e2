import json
import os

import h5py
import numpy as np
import pytest

import jaxnn
from jaxnn import load_hdf5, load_signs
from jaxnn.disk.hdf5 import _head, read_arrays, write_arrays
from jaxnn.system import checks

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (6, 4, 4, 3), np.uint8)
LABELS = np.array([0, 1, 2, 3, 4, 5])


def write(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name.replace("__", "/")] = array
    return path


@pytest.fixture
def folder(tmp_path):
    """SIGNS in small: both files as the course has them."""
    classes = np.arange(6)
    for part, count in (("train", 6), ("test", 3)):
        names = {f"{part}_set_x": PICTURES[:count], f"{part}_set_y": LABELS[:count]}
        write(tmp_path / f"{part}_signs.h5", list_classes=classes, **names)
    return tmp_path


def change(folder, part, **arrays):
    with h5py.File(folder / f"{part}_signs.h5", "a") as file:
        for name, array in arrays.items():
            del file[name]
            if array is not None:
                file[name] = array


def test_load_signs_scales_pictures_and_keeps_their_axes(folder):
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(folder.iterdir())]
    train, test, classes = load_signs(folder)
    assert (train.x.shape, test.x.shape) == ((6, 4, 4, 3), (3, 4, 4, 3))
    np.testing.assert_allclose(train.x, PICTURES / 255, rtol=1e-6)
    np.testing.assert_array_equal(train.y, LABELS)
    assert classes == (0, 1, 2, 3, 4, 5)
    assert (train.num_classes, test.num_classes) == (6, 6)
    after = [(path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(folder.iterdir())]
    assert after == before


@pytest.mark.parametrize("names", [np.array([b"non-cat", b"cat"]), ["non-cat", "cat"]])
def test_two_named_classes_with_labels_in_a_row(tmp_path, names):
    """The course's pictures of cats: labels (1, N), classes by name."""
    y = np.array([[0, 1, 1, 0, 1, 0]])
    path = tmp_path / "cats.h5"
    write(path, train_set_x=PICTURES, train_set_y=y, list_classes=names)
    with h5py.File(path, "a") as file:
        file["test_set_x"], file["test_set_y"] = PICTURES[:2], y[:, :2]
    train, test, classes = load_hdf5(path, path)
    np.testing.assert_array_equal(train.y, y[0])
    np.testing.assert_array_equal(test.y, [0, 1])
    assert classes == ("non-cat", "cat")


def test_other_names_groups_and_scaled_data(tmp_path):
    x = RNG.random((6, 5)).astype(np.float64) * 7
    path = write(tmp_path / "a.h5", data__x=x, data__y=np.eye(4)[[0, 3, 1, 0, 0, 0]].T)
    keys = ("data/x", "data/y")
    train, _, classes = load_hdf5(path, path, train_keys=keys, test_keys=keys)
    np.testing.assert_allclose(train.x, x, rtol=1e-6)
    np.testing.assert_array_equal(train.y, [0, 3, 1, 0, 0, 0])
    assert classes == (0, 1, 2, 3)


def test_without_classes_both_sets_have_the_larger_number(folder):
    change(folder, "train", list_classes=None, train_set_y=[0, 1, 0, 1, 0, 1])
    change(folder, "test", test_set_y=[0, 1, 4])
    train, test, classes = load_signs(folder)
    assert (train.num_classes, test.num_classes, classes) == (5, 5, (0, 1, 2, 3, 4))


@pytest.mark.parametrize("dtype", [np.uint16, np.int8, bool, ">f8", np.float16])
def test_only_uint8_is_scaled(folder, dtype):
    x = np.arange(24).reshape(6, 4).astype(dtype)
    change(folder, "train", train_set_x=x)
    change(folder, "test", test_set_x=x[:3])
    np.testing.assert_array_equal(load_signs(folder)[0].x, x.astype(float))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float16, float])
def test_classes_are_numbers_of_any_type(folder, dtype):
    change(folder, "train", list_classes=np.arange(6).astype(dtype))
    assert repr(load_signs(folder)[2]) == "(0, 1, 2, 3, 4, 5)"


TWO_SCALES = [
    (PICTURES, PICTURES[:3].astype(int)),
    (PICTURES.astype(np.uint16), PICTURES[:3]),
    (PICTURES, PICTURES[:3].astype(np.uint16) * 257),
    (PICTURES, PICTURES[:3] / 127.5 - 1),
    (PICTURES / 255, PICTURES[:3] * 1.0),
    (PICTURES.astype(int), PICTURES[:3] / 255),
    (PICTURES.astype(int), PICTURES[:3].astype(np.uint16) * 257),
    (PICTURES // 128, PICTURES[:3] / 255),
    (PICTURES // 128, PICTURES[:3].astype(int) // 128),
]
ONE_SCALE = [
    (PICTURES, PICTURES[:3] / 255, PICTURES / 255),
    ((PICTURES / 255).astype(np.float32), PICTURES[:3], PICTURES / 255),
    (PICTURES, PICTURES[:3] >= 128, PICTURES / 255),
    (PICTURES.astype(int), PICTURES[:3].astype(np.uint16), PICTURES * 1.0),
    (PICTURES // 128, PICTURES[:3] // 128, PICTURES // 128 / 255),
    (PICTURES * 1.0, 0.0 * PICTURES[:3], PICTURES * 1.0),
]


@pytest.mark.parametrize(("train", "test"), TWO_SCALES)
def test_two_scales_are_refused(folder, train, test):
    change(folder, "train", train_set_x=train)
    change(folder, "test", test_set_x=test)
    with pytest.raises(ValueError, match=r"test_set_x got .*, which are two scales; exp") as caught:
        load_signs(folder)
    assert "train_signs.h5: train_set_x got " in str(caught.value)


@pytest.mark.parametrize(("train", "test", "expected"), ONE_SCALE)
def test_one_scale_in_two_types_is_right(folder, train, test, expected):
    change(folder, "train", train_set_x=train)
    change(folder, "test", test_set_x=test)
    np.testing.assert_allclose(load_signs(folder)[0].x, expected, rtol=1e-6)


NOT_FINITE = np.where(np.arange(18).reshape(6, 3) == 4, np.nan, 1.0)

BAD = [
    ("train", {"train_set_x": None}, r"train_set_x is missing; found \['list_classes', 'train_"),
    ("test", {"test_set_y": None}, "test_set_y is missing"),
    ("train", {"train_set_x": PICTURES[:, 0, 0, 0]}, r"train_set_x got shape \(6,\); expected"),
    ("train", {"train_set_y": LABELS[:5]}, "train_set_y got 5 labels for 6 examples"),
    ("test", {"test_set_x": PICTURES[:3, :2]}, r"test_set_x got features of shape \(2, 4, 3\)"),
    ("train", {"train_set_x": PICTURES[:0]}, "train_set_x got shape .* at least one example"),
    ("train", {"train_set_x": PICTURES * 1j}, "train_set_x has type complex128; expected numbers"),
    ("train", {"train_set_x": NOT_FINITE}, "train_set_x got 1 values that are NaN"),
    ("train", {"train_set_y": LABELS + 0.5}, "train_set_y got numbers that are not whole"),
    ("train", {"train_set_y": LABELS - 1}, "train_set_y got labels from -1 to 4; expected 0 to 5"),
    ("test", {"test_set_y": LABELS[:3] + 5}, "test_set_y got labels from 5 to 7; expected 0 to 5"),
    (
        "train",
        {"train_set_y": np.array([b"a"] * 6)},
        r"train_set_y has type \|S1; expected numbers",
    ),
    ("train", {"list_classes": [[0, 1]]}, r"list_classes has shape \(1, 2\)"),
    (
        "train",
        {"list_classes": np.arange(6) / 2},
        "list_classes got 0.5; expected whole numbers or",
    ),
    ("train", {"list_classes": [0, 1, np.nan]}, "list_classes got nan; expected whole numbers or"),
    (
        "train",
        {"list_classes": [False, True]},
        "list_classes has type bool; expected whole numbers",
    ),
    ("train", {"list_classes": [1j, 2j]}, "list_classes has type complex128; expected whole numb"),
    ("train", {"list_classes": h5py.SoftLink("/nowhere")}, "list_classes is a link to another"),
    ("train", {"train_set_x": h5py.SoftLink("/train_set_y")}, "train_set_x is a link to another"),
    ("train", {"train_set_x": h5py.ExternalLink("test_signs.h5", "test_set_x")}, "is a link to an"),
]


@pytest.mark.parametrize(("part", "arrays", "message"), BAD)
def test_bad_files_are_refused_by_name_and_key(folder, part, arrays, message):
    change(folder, part, **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        load_signs(folder)
    assert f"{part}_signs.h5: " in str(caught.value)


def test_text_in_place_of_numbers_is_refused(folder):
    change(folder, "train", train_set_x=None)
    with h5py.File(folder / "train_signs.h5", "a") as file:
        file.create_dataset("train_set_x", data=["a"] * 6, dtype=h5py.string_dtype())
    with pytest.raises(ValueError, match="train_set_x has type object; expected numbers"):
        load_signs(folder)


def test_a_group_in_place_of_a_data_set(folder):
    change(folder, "train", train_set_x=None)
    with h5py.File(folder / "train_signs.h5", "a") as file:
        file.create_group("train_set_x")
    with pytest.raises(ValueError, match="train_set_x is a group; expected a data set"):
        load_signs(folder)


@pytest.mark.parametrize(
    "link",
    [h5py.SoftLink("/data"), h5py.ExternalLink("other.h5", "/data")],
    ids=["soft", "external"],
)
def test_a_link_on_the_way_to_the_data_is_refused(tmp_path, link):
    arrays = {"data__x": PICTURES, "data__y": LABELS}
    write(tmp_path / "other.h5", **arrays)
    path = write(tmp_path / "a.h5", **arrays, way=link)
    keys = ("way/x", "data/y")
    with pytest.raises(ValueError, match=r"a\.h5: way/x is a link to another place"):
        load_hdf5(path, path, train_keys=keys, test_keys=keys)


def test_a_file_cut_anywhere_is_refused_by_name(folder):
    path = folder / "train_signs.h5"
    whole = path.read_bytes()
    for size in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"train_signs\.h5 (is not an HDF5|cannot be read)"):
            load_signs(folder)


def test_data_that_lies_in_other_files_is_refused(folder):
    secret = folder / "secret"
    secret.write_bytes(bytes(6 * 48))
    for kind in ("external", "virtual"):
        change(folder, "train", train_set_x=None)
        with h5py.File(folder / "train_signs.h5", "a") as file:
            if kind == "external":
                place = [(str(secret), 0, 6 * 48)]
                file.create_dataset("train_set_x", (6, 4, 4, 3), np.uint8, external=place)
            else:
                layout = h5py.VirtualLayout((6, 4, 4, 3), np.uint8)
                source = folder / "test_signs.h5"
                layout[:3] = h5py.VirtualSource(source, "test_set_x", (3, 4, 4, 3))
                file.create_virtual_dataset("train_set_x", layout)
        with pytest.raises(ValueError, match="train_set_x keeps its data in other files"):
            load_signs(folder)


def test_missing_files_and_other_kinds(folder):
    with pytest.raises(FileNotFoundError, match=r"nowhere.train_signs\.h5 does not exist"):
        load_signs(folder / "nowhere")
    with pytest.raises(ValueError, match="is not a file"):
        load_hdf5(folder, folder)
    (folder / "train_signs.h5").write_text("x,y\n1,2\n")
    with pytest.raises(ValueError, match=r"train_signs\.h5 is not an HDF5 file"):
        load_signs(folder)


FUZZ = """
import json, sys
import numpy as np
from jaxnn import load_signs
from pathlib import Path

folder, counts = Path(sys.argv[1]), {"loaded": 0, "refused": 0}
path = folder / "train_signs.h5"
whole, rng = path.read_bytes(), np.random.default_rng(0)
for attempt in range(150):
    changed = bytearray(whole)
    if attempt % 3 == 0:
        changed = changed[: rng.integers(len(whole))]
    else:
        for place in rng.integers(len(whole), size=rng.integers(1, 9)):
            changed[place] = rng.integers(256)
    path.write_bytes(changed)
    try:
        load_signs(folder)
        counts["loaded"] += 1
    except ValueError as error:
        assert "train_signs.h5" in str(error), error
        counts["refused"] += 1
print(json.dumps(counts))
"""


@pytest.mark.slow
def test_damaged_files_are_answered(folder, run_python):
    """Cut off or with flipped bytes; in a process of its own, should the C library crash."""
    counts = json.loads(run_python(FUZZ, str(folder)).stdout)
    assert counts["refused"] >= 50  # every cut file, at least
    assert counts["loaded"] >= 10  # a changed pixel is still a picture


def test_arrays_come_back(tmp_path):
    arrays = {"a/0/kernel": RNG.random((2, 3)), "a/b": np.array(3.0, np.float32)}
    write_arrays(tmp_path / "x.h5", arrays.items(), {"format": "ä"})
    got, attributes = read_arrays(tmp_path / "x.h5")
    assert attributes == {"format": "ä"}
    assert got.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(got[name], array)
        assert got[name].dtype == array.dtype


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    write_arrays(tmp_path / "x.h5", [("a", np.ones(2))], {})
    with pytest.raises(TypeError):
        write_arrays(tmp_path / "x.h5", [("a", np.zeros(2))], {"b": object()})
    np.testing.assert_array_equal(read_arrays(tmp_path / "x.h5")[0]["a"], [1, 1])
    assert os.listdir(tmp_path) == ["x.h5"]


def test_arrays_behind_links_are_left_out(tmp_path):
    """Also where somebody has given the file the right SHA-256."""
    write_arrays(tmp_path / "other.h5", [("secret", np.ones(2))], {})
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["a"] = np.ones(2)
        file["soft"] = h5py.SoftLink("/a")
        file["far"] = h5py.ExternalLink("other.h5", "/secret")
    body = path.read_bytes()[512:]
    path.write_bytes(_head(memoryview(body)) + body)
    assert read_arrays(path)[0].keys() == {"a"}


def sealed(path, build):
    """A file of ours that somebody made, with the right SHA-256."""
    with h5py.File(path, "w", userblock_size=512) as file:
        build(file)
    body = path.read_bytes()[512:]
    path.write_bytes(_head(memoryview(body)) + body)
    return path


def with_nested_groups(file):
    group = file
    for _ in range(20_000):
        group = group.create_group("a")


def with_many_names(file):
    file["a"] = np.zeros(1000)
    file["a"].attrs["bytes of [type, shape]"] = "[" * 100_000 + "]" * 100_000


FORGED = {
    "an array that is not there": (
        lambda file: file.create_dataset("a", (10**11,), "f4", chunks=(1024,)),
        r"a is declared as float32\[100000000000\], of 400,000,000,000 bytes; expected as many",
    ),
    "an array that was never written": (
        lambda file: file.create_dataset("a", (10**11,), "f4"),
        "of 400,000,000,000 bytes; expected as many in the file, which has 0",
    ),
    "a compressed array": (
        lambda file: file.create_dataset("a", data=np.zeros(10**6, "u1"), compression="gzip"),
        "of 1,000,000 bytes; expected as many in the file",
    ),
    "groups in groups": (with_nested_groups, "lies in more than 64 groups"),
    "lists in lists": (
        lambda file: file.attrs.update({"setting": "[" * 900 + "]" * 900}),
        "setting is nested in more than 64 levels",
    ),
    "more lists in lists": (with_many_names, "is nested in more than 64 levels"),
    "an infinite number": (lambda file: file.attrs.update({"a": "[1e400]"}), "a holds inf; exp"),
    "no number": (lambda file: file.attrs.update({"a": '{"b": NaN}'}), "a holds nan; expected"),
    "a huge number": (lambda file: file.attrs.update({"a": "1" + "0" * 400}), "a holds 10+.*; exp"),
    "a number too long": (lambda file: file.attrs.update({"a": "1" * 9999}), "cannot be read"),
    "half a character": (
        lambda file: file.attrs.update({"a": '"\\ud800"'}),
        "a holds .*ud800.*; e",
    ),
    "a list for a text": (
        lambda file: file.attrs.update({"a": ["1", "2"]}),
        r"attribute 'a' has type object and shape \(2,\); expected a single t",
    ),
    "a number for a text": (
        lambda file: file.attrs.update({"a": 1.0}),
        r"attribute 'a' has type float64 and shape \(\); expected a single text",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_a_file_of_ours_claims_must_be_in_it(name, tmp_path):
    build, message = FORGED[name]
    path = sealed(tmp_path / "x.h5", build)
    with pytest.raises(ValueError, match=rf"x\.h5.*{message}"):
        read_arrays(path)


@pytest.mark.parametrize("says", ["its own length", "that of the holes"])
def test_a_file_with_holes_is_refused_before_it_is_read(says, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "host_memory", lambda: 10**9)
    path, length = tmp_path / "a.h5", 2**36
    write_arrays(path, [("a", np.zeros(3))], {})
    head, size = path.read_bytes()[:512], path.stat().st_size
    with path.open("r+b") as file:
        if says == "that of the holes":
            file.write(head.replace(b"%d\n" % (size - 512), b"%d\n" % (length - 512))[:512])
        file.truncate(length)
    message = "is damaged or cut off" if says == "its own length" else "69 GB; expected less than"
    with pytest.raises(ValueError, match=message):
        read_arrays(path)


def test_foreign_data_with_holes_must_fit_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "host_memory", lambda: 10**9)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        made.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((2**20, 512))
        h5py.h5d.create(file.id, b"train_set_x", h5py.h5t.NATIVE_DOUBLE, space, made)
    with pytest.raises(
        ValueError, match="train_set_x would take 4 GB; expected less than the 1 GB"
    ):
        load_hdf5(path, path)


@pytest.mark.parametrize("path", [None, 5, ["a.h5"], b"a.h5", True], ids=repr)
def test_what_is_no_path_is_refused(path, tmp_path):
    for name, call in {
        "path": lambda: write_arrays(path, [("a", np.zeros(3))], {}),
        "path ": lambda: jaxnn.load(path),
        "folder": lambda: load_signs(path),
        "train_path": lambda: load_hdf5(path, "a.h5"),
        "test_path": lambda: load_hdf5("a.h5", path),
        "directory": lambda: jaxnn.resume(path, None),
    }.items():
        with pytest.raises(ValueError, match=f"^{name.strip()} got .*; expected a path"):
            call()


def test_an_array_under_many_names_is_read_once(tmp_path):
    def build(file):
        file["a"] = np.zeros(1000)
        for number in range(1000):
            file[f"b{number}"] = file["a"]
        file["c"] = file["/"]

    assert len(read_arrays(sealed(tmp_path / "x.h5", build))[0]) == 1


BOMBS = {
    "nothing written": {"shape": (2 * 10**9, 1), "chunks": (2**20, 1)},
    "nothing allocated": {"shape": (2 * 10**9, 1)},
    "one chunk of many": {"shape": (2 * 10**9, 1), "chunks": (2**10, 1), "rows": 2**10},
    "zeros": {"shape": (10**8, 1), "chunks": (2**20, 1), "rows": 10**8, "compression": "gzip"},
    "a chunk larger than its array": {
        "shape": (6, 1), "maxshape": (None, 1), "chunks": (10**8, 1), "rows": 6,
        "compression": "gzip",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_data_that_come_to_far_more_than_is_stored_are_refused(name, folder):
    options = dict(BOMBS[name])
    rows = options.pop("rows", 0)
    change(folder, "train", train_set_x=None)
    with h5py.File(folder / "train_signs.h5", "a") as file:
        made = file.create_dataset("train_set_x", dtype="u1", **options)
        if rows:
            made[:rows] = np.zeros((rows, 1), "u1")
    assert (folder / "train_signs.h5").stat().st_size < 500_000
    with pytest.raises(
        ValueError, match=r"train_signs\.h5: train_set_x is declared as .*; exp|never"
    ):
        load_signs(folder)


def test_compressed_data_are_read(folder):
    """As others hand them out: pictures, and labels that are nearly all the same."""
    change(folder, "train", train_set_x=None, train_set_y=None)
    with h5py.File(folder / "train_signs.h5", "a") as file:
        x = np.repeat(PICTURES, 500, axis=0)
        file.create_dataset("train_set_x", data=x, compression="gzip", shuffle=True, chunks=True)
        y = np.zeros(3000, int)
        y[0] = 5
        file.create_dataset("train_set_y", data=y, compression="gzip")
    train, _, _ = load_signs(folder)
    np.testing.assert_allclose(train.x, x / 255, rtol=1e-6)
    np.testing.assert_array_equal(train.y, y)


def test_a_long_name_under_many_is_refused(folder):
    change(folder, "train", list_classes=None)
    with h5py.File(folder / "train_signs.h5", "a") as file:
        file.create_dataset("list_classes", (2**17,), h5py.string_dtype(), chunks=(64,))[0] = "a"
    with pytest.raises(
        ValueError, match="list_classes lists 131,072 texts; expected at most 65,536"
    ):
        load_signs(folder)
