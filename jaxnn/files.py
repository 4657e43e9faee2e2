"""HDF5 in and out: the course's data sets, and all that jaxnn saves."""

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from jaxnn import claims
from jaxnn.checks import as_path, brief
from jaxnn.datasets import MOST_INFERRED, Dataset, as_inputs, as_labels, check_compatible
from jaxnn.memory import check_fits
from jaxnn.scales import on_one_scale
from jaxnn.showing import excerpt, visible
from jaxnn.writing import StrPath, write_whole

Classes = tuple[int | str, ...]
Result = TypeVar("Result")


def load_signs(folder: StrPath) -> tuple[Dataset, Dataset, Classes]:
    """The course's SIGNS pictures: hands that show 0 to 5.

    Args:
      folder: holds `train_signs.h5` and `test_signs.h5`, as the course hands them out.

    Returns:
      train (1,080 pictures), test (120), with x (N, 64, 64, 3) in 0..1, and the classes 0 to 5.

    Raises: see `load_hdf5`.
    """
    folder = as_path("folder", folder)
    return load_hdf5(folder / "train_signs.h5", folder / "test_signs.h5")


def load_hdf5(
    train_path: StrPath,
    test_path: StrPath,
    *,
    train_keys: tuple[str, str] = ("train_set_x", "train_set_y"),
    test_keys: tuple[str, str] = ("test_set_x", "test_set_y"),
    classes_key: str = "list_classes",
) -> tuple[Dataset, Dataset, Classes]:
    """A training and a test set from HDF5 files; the names are the course's unless given.

    uint8 inputs are scaled by 1/255; other real types are left as they are, and must be on one
    scale in both sets. Labels may be whole numbers (N,), (1, N) or (N, 1), or one-hot as (N, C) or,
    in the course's orientation, (C, N). Pictures keep their axes; a model flattens them in C order.

    Args:
      train_path, test_path: the files, which may be the same one. They are only read.
      train_keys, test_keys: where inputs and labels stand in them.
      classes_key: where the training file lists the classes (C,), numbers or names. Without it
        the classes are 0 to the largest label of either set, at most 2^16 of them.

    Returns:
      train, test, classes.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: naming the file and key, what came and what was expected. Links, virtual data
        sets and external storage are refused, since they can read other files; and so is what
        comes to far more bytes than are stored of it, see `claims`.
    """
    train_path, test_path = as_path("train_path", train_path), as_path("test_path", test_path)
    for name, keys in (("train_keys", train_keys), ("test_keys", test_keys)):
        is_pair = isinstance(keys, tuple | list) and len(keys) == 2
        if not is_pair or not all(isinstance(key, str) for key in keys):
            raise ValueError(f"{name} got {brief(keys)}; expected the names of inputs and labels")
    if not isinstance(classes_key, str):
        raise ValueError(f"classes_key got {brief(classes_key)}; expected a name")
    train_x, train_y, classes = _read(
        train_path, lambda file: (*_read_pair(file, train_keys), _read_classes(file, classes_key))
    )
    test_x, test_y = _read(test_path, lambda file: _read_pair(file, test_keys))
    names = [
        f"{path}: {key}"
        for path, keys in ((train_path, train_keys), (test_path, test_keys))
        for key in keys
    ]
    train_x, test_x = as_inputs(train_x, names[0]), as_inputs(test_x, names[2])
    train_x, test_x = on_one_scale(train_x, test_x, names[0], names[2])
    num_classes = None if classes is None else len(classes)
    train_y, num_train = as_labels(train_y, len(train_x), num_classes, names[1])
    test_y, num_test = as_labels(test_y, len(test_x), num_classes, names[3])
    num_classes = max(num_train, num_test)
    train = Dataset(train_x, train_y, num_classes)
    test = Dataset(test_x, test_y, num_classes)
    check_compatible(train, test, names[2])
    return train, test, tuple(range(num_classes)) if classes is None else classes


_HEAD = 512
"""Bytes before the HDF5 part, which every HDF5 library skips: HDF5 calls them the user block."""


def write_arrays(
    path: StrPath, arrays: Iterable[tuple[str, np.ndarray]], attributes: Mapping[str, Any]
) -> None:
    """Writes arrays by name, "group/name", and attributes as JSON; whole or not at all.

    The file is HDF5 with 512 bytes of text before it: "jaxnn", the SHA-256 of all that follows, and
    its length. It is made in memory, since the HDF5 library does not come to its senses again after
    a full disk.

    Raises:
      OSError, ValueError: see `write_whole`; the file that was there before is untouched.
    """
    memory = _made(arrays, attributes)
    # given back also after an error, without which the memory could not be closed
    with memory.getbuffer() as whole, whole[_HEAD:] as body:
        write_whole(path, [_head(body), body])


def packed(arrays: Iterable[tuple[str, np.ndarray]], attributes: Mapping[str, Any]) -> bytes:
    """The same as a message to another process."""
    return _made(arrays, attributes).getvalue()


def unpacked(message: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What `packed` was given."""
    return _opened("a message", io.BytesIO(message), _read_all)


def _made(arrays: Iterable[tuple[str, np.ndarray]], attributes: Mapping[str, Any]) -> io.BytesIO:
    memory = io.BytesIO()
    with h5py.File(memory, "w", userblock_size=_HEAD) as file:
        for name, array in arrays:
            _write_array(file, name, array)
        file.attrs.update({name: json.dumps(value) for name, value in attributes.items()})
    return memory


def _write_array(file: h5py.File, name: str, array: np.ndarray) -> None:
    if array.dtype.kind in "buif":
        file[name] = array
        return
    # what HDF5 has no type for, such as bfloat16: its bytes, and what they are
    file[name] = np.frombuffer(array.tobytes(), np.uint8)
    file[name].attrs[_OF] = json.dumps([str(array.dtype), array.shape])


_OF = "bytes of [type, shape]"


def read_arrays(path: StrPath) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads what `write_arrays` wrote.

    The HDF5 library, which damaged bytes can make crash or hang, only meets bytes whose SHA-256 is
    right.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is not a file of jaxnn's, or damaged.
    """
    _check_is_file(path)
    with open(path, "rb") as raw:
        head = raw.read(_HEAD)
        if not head.startswith(_MAGIC):
            raise ValueError(
                f"{path} is not a file that jaxnn saved, or one of version 0.1, which had no "
                "SHA-256; expected one of save, sweep or search"
            )
        size = os.fstat(raw.fileno()).st_size
        # before it is read: a file with holes can be longer than the disk
        is_whole = f"\nbytes {size - _HEAD}\n".encode() in head
        content = b""
        if is_whole:
            check_fits(size, str(path))
            raw.seek(0)
            content = raw.read()
    if not is_whole or head != _head(memoryview(content)[_HEAD:]):
        raise ValueError(
            f"{path} is damaged or cut off: its SHA-256 is not the one that it was saved with; "
            "take an earlier copy of it"
        )
    return _opened(path, io.BytesIO(content), _read_all)


def _read_all(file: h5py.File) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    length = file.id.get_filesize()
    names, about = claims.check_own(file, length), claims.own_attributes(file, length)
    return {name: _read_array(file, name, length) for name in names}, about


def _read_array(file: h5py.File, name: str, length: int) -> np.ndarray:
    array, of = _array(file, name), claims.own_attributes(file[name], length).get(_OF)
    if of is None:
        return array
    dtype, shape = of
    return np.frombuffer(array.tobytes(), np.dtype(dtype)).reshape(shape)


_MAGIC = b"jaxnn\n"


def _head(body: memoryview) -> bytes:
    text = f"sha256 {hashlib.sha256(body).hexdigest()}\nbytes {len(body)}\n"
    return (_MAGIC + text.encode()).ljust(_HEAD, b"\0")


def _read(path: StrPath, read: Callable[[h5py.File], Result]) -> Result:
    """Opens a file for reading only; what the HDF5 library cannot read becomes a ValueError."""
    _check_is_file(path)
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path} is not an HDF5 file")
    return _opened(path, path, read)


def _check_is_file(path: StrPath) -> None:
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not Path(path).is_file():
        raise ValueError(f"{path} is not a file; expected an HDF5 file")


def _opened(path: StrPath, source: Any, read: Callable[[h5py.File], Result]) -> Result:
    try:
        with h5py.File(source, "r") as file:
            return read(file)
    except MemoryError:
        raise
    except Exception as error:
        # a damaged file makes the HDF5 library and NumPy raise almost anything
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        raise ValueError(
            f"{path} cannot be read, it may be cut off or damaged: {visible(str(error))}"
        ) from error


def _read_pair(file: h5py.File, keys: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    return _array(file, keys[0]), _array(file, keys[1])


def _read_classes(file: h5py.File, key: str) -> Classes | None:
    if file.get(key.split("/")[0], getlink=True) is None:
        return None
    classes = _array(file, key, "iufS")
    if classes.ndim != 1 or not 2 <= len(classes) <= MOST_INFERRED:
        raise ValueError(
            f"{file.filename}: {key} has shape {classes.shape}; expected 2 to {MOST_INFERRED:,} "
            "classes"
        )
    where = f"{file.filename}: {key}"
    found = tuple(_class(where, one) for one in classes.tolist())
    if len({*found}) < len(found):
        raise ValueError(f"{where} got {brief(found)}; expected each class once")
    return found


def _class(where: str, value: Any) -> int | str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(f"{where} got {value}; expected whole numbers or names")
    return value if isinstance(value, str) else int(value)


def _array(file: h5py.File, key: str, kinds: str = "buif") -> np.ndarray:
    """The array at `key`, from this file alone; "S" in `kinds` stands for text."""
    where = f"{file.filename}: {excerpt(key, 200)}"
    item = file
    for part in filter(None, key.split("/")):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) else None
        if link is None:
            found = brief(sorted(item)) if isinstance(item, h5py.Group) else "a data set"
            raise ValueError(f"{where} is missing; found {found}")
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{where} is a link to another place; expected the data itself")
        item = item[part]
    if not isinstance(item, h5py.Dataset):
        raise ValueError(f"{where} is a group; expected a data set")
    if item.is_virtual or item.external:
        raise ValueError(f"{where} keeps its data in other files; expected it in this one")
    if item.shape is None:
        raise ValueError(f"{where} is empty; expected an array")
    text = h5py.check_string_dtype(item.dtype)
    if ("S" if text else item.dtype.kind) not in kinds:
        expected = "whole numbers or names" if "S" in kinds else "numbers"
        raise ValueError(f"{where} has type {item.dtype}; expected {expected}")
    length = file.id.get_filesize()
    claims.check_foreign(item, where, length)
    return claims.texts(item, where, length) if text else item[()]
