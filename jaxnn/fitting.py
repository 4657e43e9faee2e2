"""One network trained from the host: checks, the loop over compiled calls, Ctrl-C."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.checks import whole_number
from jaxnn.datasets import Dataset
from jaxnn.fitted import Fitted
from jaxnn.models import mlp_of_setting
from jaxnn.preparing import check_row_space, checked_data, recipe, treatment, warn_of_scales
from jaxnn.progress import deferred_interrupt, progress_line
from jaxnn.settings import Setting
from jaxnn.training import (
    EPOCHS_PER_CALL,
    curve_names,
    init_train_state,
    initial,
    train_epochs,
)
from jaxnn.types import Model, as_model


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C during `fit` or `sweep`; what was reached is in `fitted` or `study`."""

    def __init__(self, message: str, *, fitted: Any = None, study: Any = None):
        super().__init__(message)
        self.fitted = fitted
        self.study = study


def fit(
    setting: Setting,
    train: Dataset,
    valid: Dataset | float | None = None,
    *,
    epochs: int,
    seed: int = 0,
    order_seed: int = 0,
    model: Model | None = None,
    row_space: bool = False,
    progress: bool | None = None,
) -> Fitted:
    """Trains one network.

    The mini-batches are drawn anew every epoch, and the last, smaller one is trained on as well.
    A new number in the setting (`learning_rate`, `l2`, ...), another seed or another number of
    epochs compiles nothing; other structure (`hidden`, `batch_size`, `dropout` or `l2` from 0 to
    more) does, once.

    Args:
      setting: name -> value; what is missing has its default, see `jaxnn.settings`.
      train: the training set.
      valid: a Dataset to evaluate on after every epoch, or a fraction of `train` to hold out for it
        (stratified, drawn from `order_seed`).
      epochs: passes over the training set, at least 1.
      seed: of weights and dropout; the weights are `model.init(jax.random.key(seed))`, in the row
        space that of a model with its features.
      order_seed: of the mini-batches.
      model: a pair of pure functions in place of `mlp`; the setting's `hidden`, `activation`,
        `init` and `batch_norm` then say nothing.
      row_space: where there are fewer examples than features, train in the row space of the
        training inputs and lift the weights back at the end. The first weights are drawn inside it,
        so they are others than without; from there gd and momentum take the same path as in all
        features, adam and rmsprop another one, see `jaxnn.projection`.
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
    is_mlp = model is None
    model = None if model is None else as_model(model)
    check_row_space(row_space, model)
    epochs = whole_number("epochs", epochs, 1)
    seed, order_seed = whole_number("seed", seed), whole_number("order_seed", order_seed)
    train, valid = checked_data(train, valid, order_seed)
    full, program, numbers = recipe(setting, train, model)
    if is_mlp and full["inputs"] == "raw" and not full["batch_norm"]:
        warn_of_scales(train)
    inputs = treatment(full["inputs"], train, row_space)
    program = program.with_features(inputs.num_features)
    input_shape, num_classes = train.x.shape[1:], train.num_classes
    train, valid = inputs.treated(train), None if valid is None else inputs.treated(valid)

    train_state = init_train_state(initial(program), jax.random.key(seed), numbers)
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
        model=mlp_of_setting(full, input_shape, num_classes) if model is None else model,
        params=jax.tree.map(jnp.asarray, inputs.lifted(train_state.params)),
        state=train_state.state,
        inputs=inputs.statistics,
        setting=full,
        curves=curves,
        diverged=None if diverged < 0 else diverged,
        input_shape=input_shape,
        num_classes=num_classes,
        is_mlp=is_mlp,
    )
    if is_interrupted():
        raise TrainingInterrupted(f"training was interrupted after {done} epochs", fitted=fitted)
    return fitted
