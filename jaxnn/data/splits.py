"""Training and validation sets: a part held out, and the folds of a cross-validation."""

from collections.abc import Sequence
from numbers import Real

import numpy as np

from jaxnn.data.datasets import Dataset, check_compatible
from jaxnn.system.arrays import own
from jaxnn.system.checks import check_fits, whole_number


def hold_out(data: Dataset, fraction: float, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Splits off a random part: returns (the rest, the held-out part).

    The held-out part has `fraction` of every class; real targets are not stratified. Examples of
    weight 0 are in neither part.

    >>> data = Dataset(np.arange(20.0).reshape(10, 2), [0] * 5 + [1] * 5)
    >>> rest, held_out = hold_out(data, 0.2)
    >>> len(rest), held_out.y.tolist()
    (8, [0, 1])
    """
    if not isinstance(fraction, Real) or not 0 < fraction < 1:
        raise ValueError(f"a hold-out fraction got {fraction!r}; expected a number between 0 and 1")
    rng, data = np.random.default_rng(whole_number("seed", seed)), data.counted()
    held_out = np.zeros(len(data), bool)
    done = 0
    for stratum in _strata(data):
        rows = rng.permutation(stratum)
        # rounding the running total keeps the fraction when many classes are small
        wanted = round(fraction * (done + len(rows)))
        held_out[rows[: wanted - int(held_out.sum())]] = True
        done += len(rows)
    if held_out.all() or not held_out.any():
        raise ValueError(
            f"a hold-out of {fraction} leaves one side of {len(data)} examples empty; "
            "expected at least one example on each side"
        )
    return data[np.flatnonzero(~held_out)], data[np.flatnonzero(held_out)]


def stratified_folds(data: Dataset, num_folds: int, seed: int = 0) -> list[tuple[Dataset, Dataset]]:
    """Returns the splits of a cross-validation: num_folds pairs (training part, held-out part).

    Each example with a weight is held out once. The numbers of examples of a class in the held-out
    parts differ by at most one; real targets are not stratified. All training parts have the same
    shape, and so have all held-out parts: one that is an example short is filled up with a copy of
    weight 0. The folds of a search therefore share its compiled programs.

    Args:
      data: N examples.
      num_folds: from 2 to N.
      seed: the seed of the split.

    Raises:
      ValueError: num_folds is not a whole number from 2 to N.

    >>> data = Dataset(np.arange(14.0).reshape(7, 2), [0, 0, 0, 0, 1, 1, 1])
    >>> [held_out.y.tolist() for _, held_out in stratified_folds(data, 2)]
    [[0, 0, 1, 1], [0, 0, 1, 0]]
    >>> [held_out.weights.sum().item() for _, held_out in stratified_folds(data, 2)]
    [4.0, 3.0]
    """
    data = data.counted()
    if whole_number("num_folds", num_folds, 2) > len(data):
        raise ValueError(f"num_folds got {num_folds}; expected at most the {len(data)} examples")
    # each fold is a copy of the data
    # as they come, and treated
    copies = 2 * num_folds
    check_fits(copies * data.x.nbytes, f"num_folds got {num_folds:,}: {copies:,} copies of x")
    rng = np.random.default_rng(whole_number("seed", seed))
    rows = [rng.permutation(stratum) for stratum in _strata(data)]
    fold = np.empty(len(data), int)
    # examples are dealt to the folds in turn, class after class
    fold[np.concatenate(rows)] = np.arange(len(data)) % num_folds
    numbers = range(num_folds)
    trains = of_one_size(data, [np.flatnonzero(fold != number) for number in numbers])
    held_out = of_one_size(data, [np.flatnonzero(fold == number) for number in numbers])
    return list(zip(trains, held_out, strict=True))


def _strata(data: Dataset) -> list[np.ndarray]:
    """Returns the rows of each class; real targets are one stratum."""
    if data.is_real:
        return [np.arange(len(data))]
    labels = np.asarray(data.y)
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def of_one_size(data: Dataset, parts: Sequence[np.ndarray]) -> list[Dataset]:
    """Returns parts of the data, given by rows; shorter ones end with copies of weight 0.

    All parts have the same shape, so one compiled program can train on them.
    """
    longest = max(map(len, parts))
    filled = [data[np.pad(rows, (0, longest - len(rows)), mode="wrap")] for rows in parts]
    if min(map(len, parts)) == longest:
        return filled
    return [
        one.weighted(own(one.host_weights() * (np.arange(longest) < len(rows))))
        for one, rows in zip(filled, parts, strict=True)
    ]


def checked_data(
    train: Dataset, valid: Dataset | float | None, order_seed: int
) -> tuple[Dataset, Dataset | None]:
    """Returns the training and validation set without examples of weight 0.

    If `valid` is a fraction, it is held out of `train` at random by `order_seed`.
    """
    if not isinstance(train, Dataset):
        raise ValueError(f"train got {type(train).__name__}; expected jaxnn.Dataset(x, y)")
    train = _counted("train", train)
    if isinstance(valid, Real) and not isinstance(valid, bool):
        train, valid = hold_out(train, valid, order_seed)
    elif valid is not None:
        if not isinstance(valid, Dataset):
            raise ValueError(
                f"valid got {valid!r}; expected a Dataset, a fraction such as 0.2, or None"
            )
        check_compatible(train, valid, "valid")
    return train, None if valid is None else _counted("valid", valid)


def _counted(name: str, data: Dataset) -> Dataset:
    """Returns the examples with a weight above 0; equal weights are dropped."""
    if not data.host_weights().any():
        raise ValueError(f"{name} got only examples of weight 0; expected one that counts")
    data = data.counted()
    weights = data.host_weights()
    return data if (weights != weights[0]).any() else data.weighted(None)
