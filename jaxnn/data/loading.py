"""Data sets from HDF5 files, the course's SIGNS pictures among them."""

from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

from jaxnn.data.datasets import Dataset, check_compatible
from jaxnn.data.reading import MOST_INFERRED, as_inputs, as_labels
from jaxnn.disk.hdf5 import Result, array_at, check_is_file, opened
from jaxnn.disk.writing import StrPath
from jaxnn.system.checks import as_path, brief

Classes = tuple[int | str, ...]


def load_signs(folder: StrPath) -> tuple[Dataset, Dataset, Classes]:
    """Loads the course's SIGNS pictures: hands that show 0 to 5.

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
    """Loads a training and a test set from HDF5 files; the default names are the course's.

    uint8 inputs are scaled by 1/255; other real types are left as they are, and must have the same
    scale in both sets. Labels may be whole numbers (N,), (1, N) or (N, 1), or one-hot as (N, C) or,
    in the course's orientation, (C, N). Pictures keep their axes; a model flattens them in C order.

    Args:
      train_path, test_path: the files, which may be the same one. They are only read.
      train_keys, test_keys: names of the inputs and labels in them.
      classes_key: name of the list of classes (C,), numbers or names, in the training file. If it
        is missing, the classes are 0 to the largest label of either set, at most 2^16 of them.

    Returns:
      train, test, classes.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: naming the file and key, what came and what was expected. Links, virtual data
        sets and external storage are refused, since they can read other files. So are data sets
        that expand to far more bytes than the file stores, see `jaxnn.disk.claims`.
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


def _read(path: StrPath, read: Callable[[h5py.File], Result]) -> Result:
    """Reads from a file; raises ValueError if the HDF5 library cannot."""
    check_is_file(path)
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path} is not an HDF5 file")
    return opened(path, path, read)


def _read_pair(file: h5py.File, keys: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    return array_at(file, keys[0]), array_at(file, keys[1])


def _read_classes(file: h5py.File, key: str) -> Classes | None:
    if file.get(key.split("/")[0], getlink=True) is None:
        return None
    classes = array_at(file, key, "iufS")
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


def on_one_scale(
    train_x: np.ndarray, test_x: np.ndarray, train_name: str, test_name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Scales uint8 inputs by 1/255; other types are left as they are.

    Raises:
      ValueError: the sets have different scales, such as 0..255 and 0..1.

    >>> x = np.array([[0, 255]])
    >>> [scaled.max().item() for scaled in on_one_scale(x.astype(np.uint8), x / 255, "a", "b")]
    [1.0, 1.0]
    """
    if not _have_one_scale(train_x, test_x):
        sets = ((train_name, train_x), (test_name, test_x))
        found = ", ".join(f"{name} got {x.dtype} from {x.min()} to {x.max()}" for name, x in sets)
        raise ValueError(
            f"{found}, which are two scales; expected one: uint8 in both sets (scaled by 1/255), "
            "uint8 and real numbers in 0..1, or another type in both"
        )
    return _scaled(train_x), _scaled(test_x)


def _have_one_scale(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype == other.dtype == np.uint8:
        return True
    if np.uint8 in (one.dtype, other.dtype):
        pictures, rest = (one, other) if one.dtype == np.uint8 else (other, one)
        # resampled pictures reach a little beyond 0..1; uint8 up to 1 is a mask, not a picture
        is_in_range = rest.min() >= -0.5 and rest.max() <= 1.5
        return bool(rest.dtype.kind in "bf" and is_in_range and pictures.max() != 1)
    low, high = sorted(max(abs(float(x.min())), abs(float(x.max()))) for x in (one, other))
    # with one type in both sets, large numbers may be outliers
    is_far = 100 * low < high if one.dtype != other.dtype else low <= 1 and high > 100
    return low == 0 or not is_far


def _scaled(x: np.ndarray) -> np.ndarray:
    return np.divide(x, 255, dtype=np.float32) if x.dtype == np.uint8 else x
