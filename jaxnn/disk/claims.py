"""Claims: what a file says of its sizes, compared with what is in it, before any room is made.

A file of a few kilobytes can declare terabytes: HDF5 makes up what was never written, compresses
zeros a thousandfold, and lets many names stand for the same bytes.
"""

import json
import math
from typing import Any

import h5py
import numpy as np

from jaxnn.system.checks import brief, check_fits
from jaxnn.system.terminal import excerpt

MOST_NESTED = 64
"""Levels of JSON or of groups; ours have about 20."""

SMALL = 2**26
"""Bytes that compressed data may always come to."""

MOST_TO_ONE = 100
"""Bytes beyond that for each that is stored. Pictures and tables come to 2 to 20 of them, counts of
words to some 50; zeros, of which gzip makes 1,000, hold nothing to learn from."""

MOST_TEXTS = 2**16
"""Entries of a list of text."""


def check_own(file: h5py.File, length: int) -> list[str]:
    """The names of all arrays of a file of ours, which keeps each as it is, byte for byte.

    Args:
      length: of the file.

    Raises:
      ValueError: the arrays and attributes are not all there.
    """
    names: list[str] = []

    def visit(name: str) -> str | None:
        names.append(name)
        # something other than None ends the visit, which the HDF5 library does level by level
        return name if name.count("/") > MOST_NESTED else None

    # it meets hard links alone, each object once, and so does not leave the file
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
    """The attributes of a file of ours, or of an array in it: JSON, each a text of its own."""
    found = {}
    for name in item.attrs:
        attribute = item.attrs.get_id(name)
        kind = h5py.check_string_dtype(attribute.dtype)
        if attribute.shape != () or kind is None or kind.length is not None:
            raise ValueError(f"the attribute {brief(name)} is no text as we write it")
        text = item.attrs[name]
        # many may name the same text
        length -= len(text)
        if length < 0:
            raise ValueError("its attributes are longer than the file")
        found[name] = parsed(name, text)
    return found


def parsed(name: str, text: str | bytes) -> Any:
    """What a text of JSON stands for.

    Raises:
      ValueError: it is not JSON, nested too deeply, or holds a number that is not finite or text
        that cannot be written.
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
        # half of a pair of surrogates
        is_fine = value.isascii() or not any("\ud800" <= one <= "\udfff" for one in value)
    else:
        # a whole number beyond every float would be an infinite one soon
        is_fine = not isinstance(value, int | float) or abs(value) <= float(np.finfo(float).max)
    if not is_fine:
        raise ValueError(
            f"{excerpt(name, 200)} holds {brief(value)}; expected finite numbers and proper text"
        )


def check_foreign(item: h5py.Dataset, where: str, length: int) -> None:
    """Checks that a data set of somebody's is in the file, compressed or not.

    Raises:
      ValueError: nothing is stored of it, it comes to more than SMALL bytes and more than
        MOST_TO_ONE for each that is stored, or to more than there is memory.
    """
    # a chunk is made as a whole, even if the array has less
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
    # the file may have holes
    check_fits(declared, where)


def texts(item: h5py.Dataset, where: str, length: int) -> np.ndarray:
    """A list of text, one after the other: all may name the same long one."""
    if item.size > MOST_TEXTS:
        raise ValueError(f"{where} lists {item.size:,} texts; expected at most {MOST_TEXTS:,}")
    found = np.empty(item.shape, object)
    for index in np.ndindex(item.shape):
        found[index] = item[index]
        length -= len(found[index])
        if length < 0:
            raise ValueError(f"{where} is longer than the file")
    return found
