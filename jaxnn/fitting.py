"""One network trained from the host: checks, the loop over compiled calls, Ctrl-C."""

import math
import time
import warnings
from numbers import Real

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.checks import whole_number
from jaxnn.datasets import (
    Dataset,
    check_compatible,
    hold_out,
    input_statistics,
    scale_ratio,
)
from jaxnn.fitted import Fitted
from jaxnn.models import mlp
from jaxnn.progress import deferred_interrupt, progress_line
from jaxnn.settings import HYPERPARAMETERS, Setting, complete, traced_numbers
from jaxnn.training import EPOCHS_PER_CALL, Program, curve_names, init_train_state, train_epochs
from jaxnn.types import Array, Model, as_model


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C while `fit` was training; `fitted` is the network as far as it came."""

    def __init__(self, fitted: Fitted):
        super().__init__(f"training was interrupted after {len(fitted.curves['cost'])} epochs")
        self.fitted = fitted


def fit(
    setting: Setting,
    train: Dataset,
    valid: Dataset | float | None = None,
    *,
    epochs: int,
    seed: int = 0,
    order_seed: int = 0,
    model: Model | None = None,
    progress: bool | None = None,
) -> Fitted:
    """Trains one network.

    The mini-batches are drawn anew every epoch, and the last, smaller one is trained on as well.
    A new number in the setting (`learning_rate`, `l2`, ...), another seed or another number of
    epochs compiles nothing; other structure (`hidden`, `batch_size`, `dropout` from 0 to more, ...)
    does, once.

    Args:
      setting: name -> value; what is missing has its default, see `jaxnn.settings`.
      train: the training set.
      valid: a Dataset to evaluate on after every epoch, or a fraction of `train` to hold out for it
        (stratified, drawn from `order_seed`).
      epochs: passes over the training set, at least 1.
      seed: of weights and dropout; the weights are `model.init(jax.random.key(seed))`.
      order_seed: of the mini-batches.
      model: a pair of pure functions in place of `mlp`; the setting's `hidden`, `activation`,
        `init` and `batch_norm` then say nothing.
      progress: True or False; None shows a line on a terminal.

    Returns:
      a `Fitted`, with `curves` of E entries each: `cost` and `accuracy` over the epoch's
      mini-batches, `valid_cost` and `valid_accuracy` where there is `valid`. Costs are mean
      cross-entropies without the l2 term. If the cost stops being finite, training stops, later
      entries are NaN, and `diverged` is the step.

    Raises:
      ValueError: bad input, before anything is compiled.
      TrainingInterrupted: on Ctrl-C, with what was reached in its `fitted`.

    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> data = Dataset(x, (x[:, 0] > 0).astype(int))
    >>> fitted = fit({"learning_rate": 0.1}, data, epochs=20)
    >>> fitted.curves["cost"].shape, fitted.score(data) > 0.9
    ((20,), True)
    """
    if model is not None:
        model = as_model(model)
    full = complete(setting, model)
    epochs = whole_number("epochs", epochs, 1)
    seed, order_seed = whole_number("seed", seed), whole_number("order_seed", order_seed)
    train, valid = _checked_data(train, valid, order_seed, full["batch_size"])
    numbers = {name: _representable(name, n) for name, n in traced_numbers(full).items()}
    if model is None and full["inputs"] == "raw" and not full["batch_norm"]:
        _warn_of_scales(train)
    is_mlp = model is None
    model = model or mlp(
        math.prod(train.x.shape[1:]),
        full["hidden"],
        train.num_classes,
        activation=full["activation"],
        batch_norm=full["batch_norm"],
        init=full["init"],
    )
    program = Program(
        model,
        full["optimizer"],
        full["decay_schedule"],
        full["batch_size"],
        full["dropout"] > 0,
    )
    inputs = input_statistics(full["inputs"], train)
    input_shape, num_classes = train.x.shape[1:], train.num_classes
    if inputs is not None:
        train = train.with_inputs(inputs.normalise(train.x))
        valid = None if valid is None else valid.with_inputs(inputs.normalise(valid.x))

    train_state = init_train_state(program, jax.random.key(seed))
    order_key = jax.random.key(order_seed)
    curves = {name: np.full(epochs, np.nan) for name in curve_names(valid)}
    done, num_epochs, diverged = 0, 1, -1
    with progress_line(epochs, progress) as report, deferred_interrupt() as is_interrupted:
        # one call at least, so that what an interrupt leaves is a network with a curve
        while done == 0 or (done < epochs and diverged < 0 and not is_interrupted()):
            start = time.perf_counter()
            train_state, new = train_epochs(
                program, train_state, numbers, train, valid, order_key, num_epochs
            )
            for name, values in new.items():
                # on the host: slicing there compiles nothing
                curves[name][done : done + num_epochs] = np.asarray(values)[:num_epochs]
            done += num_epochs
            diverged = int(train_state.diverged)
            report(done, f"cost {curves['cost'][done - 1]:.4f}")
            # after the first call, which may compile, calls last about a quarter of a second
            per_epoch = (time.perf_counter() - start) / num_epochs
            num_epochs = min(epochs - done, EPOCHS_PER_CALL, max(1, int(0.25 / per_epoch)))

    if diverged < 0:
        curves = {name: values[:done] for name, values in curves.items()}
    fitted = Fitted(
        model=model,
        params=train_state.params,
        state=train_state.state,
        inputs=inputs,
        setting=full,
        curves=curves,
        diverged=None if diverged < 0 else diverged,
        input_shape=input_shape,
        num_classes=num_classes,
        is_mlp=is_mlp,
    )
    if is_interrupted():
        raise TrainingInterrupted(fitted)
    return fitted


def _representable(name: str, value: float) -> Array:
    """The number in the default float type, refused where that rounds it out of its range."""
    limits = jnp.finfo(jnp.result_type(float))
    # in Python's floats: NumPy's comparison would cast the value first
    if value != 0 and not float(limits.tiny) <= abs(value) <= float(limits.max):
        raise ValueError(f"{name} got {value!r}; expected a number that {limits.dtype} can hold")
    array = jnp.asarray(value, float)
    if name in HYPERPARAMETERS and not HYPERPARAMETERS[name].is_valid(float(array)):
        allowed = HYPERPARAMETERS[name].allowed
        raise ValueError(f"{name} got {value!r}, {array} in {array.dtype}; expected {allowed}")
    return array


def _checked_data(
    train: Dataset, valid: Dataset | float | None, order_seed: int, batch_size: int
) -> tuple[Dataset, Dataset | None]:
    if not isinstance(train, Dataset):
        raise ValueError(f"train got {type(train).__name__}; expected jaxnn.Dataset(x, y)")
    if isinstance(valid, Real) and not isinstance(valid, bool):
        train, valid = hold_out(train, valid, order_seed)
    elif valid is not None:
        if not isinstance(valid, Dataset):
            raise ValueError(
                f"valid got {valid!r}; expected a Dataset, a fraction such as 0.2, or None"
            )
        check_compatible(train, valid, "valid")
    for name, data in (("train", train), ("valid", valid)):
        if data is not None and data.weights is not None and not np.any(data.weights):
            raise ValueError(f"{name} got only examples of weight 0; expected one that counts")
    if batch_size > len(train):
        raise ValueError(
            f"batch_size got {batch_size}; expected at most the {len(train)} training examples "
            "(the default is 32)"
        )
    return train, valid


def _warn_of_scales(train: Dataset) -> None:
    ratio = scale_ratio(train)
    if ratio > 1e3:
        warnings.warn(
            f"the features' deviations differ by a factor of {ratio:.0e}: the largest will decide "
            'alone; consider inputs="standardised" or batch_norm=True',
            stacklevel=3,
        )
