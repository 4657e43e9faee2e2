"""One network trained in one go."""

from jaxnn.data.datasets import Dataset
from jaxnn.functional.types import Model, ModelFn
from jaxnn.settings.hyperparameters import Setting
from jaxnn.system.checks import whole_number
from jaxnn.system.processes import check_fork
from jaxnn.system.signals import held_signals, rescued
from jaxnn.training.fitted import Fitted
from jaxnn.training.hooks import OnEpoch
from jaxnn.watching.runs import Run


def fit(
    setting: Setting,
    train: Dataset,
    valid: Dataset | float | None = None,
    *,
    epochs: int,
    seed: int = 0,
    order_seed: int = 0,
    model: Model | ModelFn | None = None,
    row_space: bool = False,
    progress: bool | None = None,
    on_epoch: OnEpoch | None = None,
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
      model: a pair of pure functions in place of `mlp`, or a function that makes one of a setting's
        structure: a dict of `hidden`, `activation`, `init` and `batch_norm`.
      row_space: where there are fewer examples than features, train in the row space of the
        training inputs and lift the weights back at the end. The first weights are drawn inside it,
        so they are others than without; from there gd and momentum take the same path as in all
        features, adam and rmsprop another one, see `jaxnn.projection`.
      progress: True or False; None shows a line on a terminal.
      on_epoch: a function that is called with an `EpochInfo` for every epoch, see `sweep`.

    Returns:
      a `Fitted`, with `curves` of E entries each: `cost` and `accuracy` over the epoch's
      mini-batches, `valid_cost` and `valid_accuracy` where there is `valid`. Costs are mean
      cross-entropies without the l2 term. If the cost stops being finite, training stops, later
      entries are NaN, and `diverged` is the step.

    Raises:
      ValueError: bad input, before anything is compiled.
      TrainingInterrupted: on Ctrl-C or SIGTERM, with what was reached in its `fitted`.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> data = Dataset(x, (x[:, 0] > 0).astype(int))
    >>> fitted = fit({"learning_rate": 0.1}, data, epochs=20)
    >>> fitted.curves["cost"].shape, fitted.score(data) > 0.9
    ((20,), True)
    """
    check_fork("fit")
    epochs = whole_number("epochs", epochs, 1)
    run = Run(
        setting,
        train,
        valid,
        seed=seed,
        order_seed=order_seed,
        model=model,
        row_space=row_space,
        progress=progress,
        on_epoch=on_epoch,
    )
    # also one that comes after the last epoch loses no network
    with rescued(lambda: run._interrupted() if run.epoch else None):
        run.train(epochs)
        with held_signals():
            fitted = run.fitted()
    return fitted
