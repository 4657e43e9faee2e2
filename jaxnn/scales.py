"""The scale of pictures: uint8 becomes 0..1, and both sets of a pair have one scale."""

import numpy as np


def on_one_scale(
    train_x: np.ndarray, test_x: np.ndarray, train_name: str, test_name: str
) -> tuple[np.ndarray, np.ndarray]:
    """The inputs with uint8 scaled by 1/255; other types are left as they are.

    Raises:
      ValueError: one set would have, say, 0..255 where the other one has 0..1.

    >>> x = np.array([[0, 255]])
    >>> [scaled.max().item() for scaled in on_one_scale(x.astype(np.uint8), x / 255, "a", "b")]
    [1.0, 1.0]
    """
    if not _have_one_scale(train_x, test_x):
        sets = ((train_name, train_x), (test_name, test_x))
        found = ", ".join(f"{name} got {x.dtype} from {x.min()} to {x.max()}" for name, x in sets)
        raise ValueError(
            f"{found}, which are two scales; expected one: uint8 in both, which is scaled by "
            "1/255, or real numbers in 0..1 beside it, or another type in both"
        )
    return _scaled(train_x), _scaled(test_x)


def _have_one_scale(one: np.ndarray, other: np.ndarray) -> bool:
    if one.dtype == other.dtype == np.uint8:
        return True
    if np.uint8 in (one.dtype, other.dtype):
        pictures, rest = (one, other) if one.dtype == np.uint8 else (other, one)
        # resampled pictures reach a little beyond 0..1; uint8 of 0 and 1 alone is no brightness
        is_in_range = rest.min() >= -0.5 and rest.max() <= 1.5
        return bool(rest.dtype.kind in "bf" and is_in_range and pictures.max() != 1)
    low, high = sorted(max(abs(float(x.min())), abs(float(x.max()))) for x in (one, other))
    # of one type, large numbers may also be outliers
    is_far = 100 * low < high if one.dtype != other.dtype else low <= 1 and high > 100
    return low == 0 or not is_far


def _scaled(x: np.ndarray) -> np.ndarray:
    return np.divide(x, 255, dtype=np.float32) if x.dtype == np.uint8 else x
