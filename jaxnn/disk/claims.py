"""Checks the sizes that a file declares against its contents, before memory is allocated.

A file of a few kilobytes can declare terabytes: HDF5 fills in what was never written, compresses
zeros a thousandfold, and lets many names refer to the same bytes.
"""

import json
import math
from typing import Any

import h5py
import numpy as np

from jaxnn.system.checks import brief, check_fits
from jaxnn.system.terminal import excerpt

MOST_NESTED = 64
"""Nested levels of JSON or of groups; files of the package have about 20."""

SMALL = 2**26
"""Bytes that compressed data may always expand to."""

MOST_TO_ONE = 100
"""Further bytes allowed for each stored byte. Pictures and tables compress 2 to 20 times, word
counts about 50 times; zeros, which gzip compresses 1,000 times, hold nothing to learn from."""

MOST_TEXTS = 2**16
"""Entries of a list of text."""


def check_own(file: h5py.File, length: int) -> list[str]:
    """Returns the names of all arrays of a file that the package wrote, uncompressed.

    Args:
      length: bytes of the file.

    Raises:
      ValueError: an array declares other bytes than the file stores, or groups nest too deeply.
    """
    names: list[str] = []

    def visit(name: str) -> str | None:
        names.append(name)
        # something other than None ends the visit, which the HDF5 library does level by level
        return name if name.count("/") > MOST_NESTED else None

    # visit() follows hard links only and meets each object once, so it stays inside the file
    if (deep := file.visit(visit)) is not None:
        raise ValueError(f"{brief(deep)} lies in more than {MOST_NESTED} groups")
    arrays = [name for name in names if file.get(name, getclass=True) is h5py.Dataset]
    total = 0
    for name in arrays:
        item = file[name]
        shape = (0,) if item.shape is None else item.shape
        declared = math.prod(shape) * item.dtype.itemsize
        stored, total = item.id.get_storage_size(), total + declared
        if item.chunks is not None or stored != declared or total > length:
            raise ValueError(
                f"{excerpt(name, 200)} is declared as {item.dtype}{list(shape)}, of {declared:,} "
                f"bytes; expected as many in the file, which has {stored:,} for it"
            )
    return arrays


def own_attributes(item: h5py.File | h5py.Dataset, length: int) -> dict[str, Any]:
    """Returns the attributes, each a text of JSON, of a file of the package or an array in it."""
    found = {}
    for name in item.attrs:
        attribute = item.attrs.get_id(name)
        kind = h5py.check_string_dtype(attribute.dtype)
        if attribute.shape != () or kind is None or kind.length is not None:
            raise ValueError(
                f"the attribute {brief(name)} has type {attribute.dtype} and shape "
                f"{attribute.shape}; expected a single text of variable length"
            )
        text = item.attrs[name]
        # many attributes may refer to the same text
        length -= len(text)
        if length < 0:
            raise ValueError("the attributes are longer than the file; expected them inside it")
        found[name] = parsed(name, text)
    return found


def parsed(name: str, text: str | bytes) -> Any:
    """Returns the value of a text of JSON.

    Raises:
      ValueError: it is not JSON, is nested too deeply, or holds a number that is not finite or text
        that cannot be encoded.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(
            f"{excerpt(name, 200)} is nested in more than {MOST_NESTED} levels"
        ) from None
    level = [value]
    for _ in range(MOST_NESTED):
        for one in level:
            _check_leaf(name, one)
        level = [item for one in level if isinstance(one, list | dict) for item in _inside(one)]
        if not level:
            return value
    raise ValueError(f"{excerpt(name, 200)} is nested in more than {MOST_NESTED} levels")


def _inside(value: list[Any] | dict[str, Any]) -> list[Any]:
    return [*value, *value.values()] if isinstance(value, dict) else value


def _check_leaf(name: str, value: Any) -> None:
    if isinstance(value, str):
        # half of a surrogate pair cannot be encoded
        is_fine = value.isascii() or not any("\ud800" <= one <= "\udfff" for one in value)
    else:
        # a whole number beyond the largest float would become infinite
        is_fine = not isinstance(value, int | float) or abs(value) <= float(np.finfo(float).max)
    if not is_fine:
        raise ValueError(
            f"{excerpt(name, 200)} holds {brief(value)}; expected finite numbers and proper text"
        )


def check_foreign(item: h5py.Dataset, where: str, length: int) -> None:
    """Checks that a user's file really stores a data set, compressed or not.

    Raises:
      ValueError: nothing of it is stored; it expands to more than SMALL bytes plus MOST_TO_ONE for
        each stored byte; or it does not fit in memory.
    """
    # HDF5 reads whole chunks, even where the array is smaller
    values = max(math.prod(item.shape), math.prod(item.chunks or (0,)))
    declared, stored = values * item.dtype.itemsize, item.id.get_storage_size()
    if stored == 0 < declared:
        raise ValueError(f"{where} is declared as {list(item.shape)} but was never written")
    stored = min(stored, length)
    if declared > (SMALL + MOST_TO_ONE * stored if item.chunks else stored):
        raise ValueError(
            f"{where} is declared as {item.dtype}{list(item.shape)}, of {declared:,} bytes, of "
            f"which the file holds {stored:,}; expected at most {MOST_TO_ONE} for each of them and "
            f"{SMALL:,} more, or a file that is not compressed"
        )
    # a sparse file is longer than what it stores
    check_fits(declared, where)


def texts(item: h5py.Dataset, where: str, length: int) -> np.ndarray:
    """Returns a list of texts, read one by one, since all may refer to the same long text."""
    if item.size > MOST_TEXTS:
        raise ValueError(f"{where} lists {item.size:,} texts; expected at most {MOST_TEXTS:,}")
    found = np.empty(item.shape, object)
    for index in np.ndindex(item.shape):
        found[index] = item[index]
        length -= len(found[index])
        if length < 0:
            raise ValueError(f"{where} is longer than the file")
    return found
