"""The package's HDF5 files: arrays by name and attributes as JSON, behind a checksum."""

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from jaxnn.disk import claims
from jaxnn.disk.versions import upgraded
from jaxnn.disk.writing import StrPath, write_whole
from jaxnn.system.checks import brief, check_fits
from jaxnn.system.terminal import excerpt, visible

Result = TypeVar("Result")

_HEAD = 512
"""Bytes of the user block, which comes before the HDF5 part and which HDF5 libraries skip."""


def write_arrays(
    path: StrPath, arrays: Iterable[tuple[str, np.ndarray]], attributes: Mapping[str, Any]
) -> None:
    """Writes arrays by name, "group/name", and attributes as JSON; whole or not at all.

    The file is HDF5 with 512 bytes of text before it: "jaxnn", and the SHA-256 and the length of
    all that follows. It is built in memory, since the HDF5 library does not recover from a full
    disk.

    Raises:
      OSError, ValueError: as for `write_whole`; an existing file stays untouched.
    """
    memory = _made(arrays, attributes)
    # released after an error as well: the memory cannot be closed while a view of it exists
    with memory.getbuffer() as whole, whole[_HEAD:] as body:
        write_whole(path, [_head(body), body])


def packed(arrays: Iterable[tuple[str, np.ndarray]], attributes: Mapping[str, Any]) -> bytes:
    """Returns arrays and attributes as a message to another process."""
    return _made(arrays, attributes).getvalue()


def unpacked(message: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Returns the arrays and attributes that `packed` was given."""
    return opened("a message", io.BytesIO(message), _read_all)


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
    # HDF5 has no such type, for example bfloat16: write bytes, with type and shape as an attribute
    file[name] = np.frombuffer(array.tobytes(), np.uint8)
    file[name].attrs[_OF] = json.dumps([str(array.dtype), array.shape])


_OF = "bytes of [type, shape]"


def read_arrays(path: StrPath) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads a file that `write_arrays` wrote; `jaxnn.disk.versions` upgrades older formats.

    Damaged bytes can make the HDF5 library crash or hang, so it reads only bytes whose SHA-256 is
    right.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: jaxnn did not write the file, or it is damaged.
    """
    check_is_file(path)
    with open(path, "rb") as raw:
        head = raw.read(_HEAD)
        if not head.startswith(_MAGIC):
            raise ValueError(
                f"{path} is not a file that jaxnn saved, or one of version 0.1, which had no "
                "SHA-256; expected one of save, sweep or search"
            )
        size = os.fstat(raw.fileno()).st_size
        # checked before reading: a sparse file can be longer than the disk
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
    return upgraded(*opened(path, io.BytesIO(content), _read_all))


def _read_all(file: h5py.File) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    length = file.id.get_filesize()
    names, about = claims.check_own(file, length), claims.own_attributes(file, length)
    return {name: _read_array(file, name, length) for name in names}, about


def _read_array(file: h5py.File, name: str, length: int) -> np.ndarray:
    array, of = array_at(file, name), claims.own_attributes(file[name], length).get(_OF)
    if of is None:
        return array
    dtype, shape = of
    return np.frombuffer(array.tobytes(), np.dtype(dtype)).reshape(shape)


_MAGIC = b"jaxnn\n"


def _head(body: memoryview) -> bytes:
    text = f"sha256 {hashlib.sha256(body).hexdigest()}\nbytes {len(body)}\n"
    return (_MAGIC + text.encode()).ljust(_HEAD, b"\0")


def check_is_file(path: StrPath) -> None:
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} does not exist")
    if not Path(path).is_file():
        raise ValueError(f"{path} is not a file; expected an HDF5 file")


def opened(path: StrPath, source: Any, read: Callable[[h5py.File], Result]) -> Result:
    try:
        with h5py.File(source, "r") as file:
            return read(file)
    except MemoryError:
        raise
    except Exception as error:
        # on a damaged file the HDF5 library and NumPy raise almost any exception
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        raise ValueError(
            f"{path} cannot be read; it may be cut off or damaged: {visible(str(error))}"
        ) from error


def array_at(file: h5py.File, key: str, kinds: str = "buif") -> np.ndarray:
    """Returns the array at `key`, which must lie in this file; "S" in `kinds` allows text."""
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
