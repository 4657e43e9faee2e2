"""`fit`: trains one network."""

import jax
import numpy as np

from jaxnn.compiled.steps import TrainState
from jaxnn.data.datasets import Dataset
from jaxnn.functional.types import Model, ModelFn
from jaxnn.settings.hyperparameters import Setting, plain_setting
from jaxnn.system.checks import check_fork, whole_number
from jaxnn.system.signals import TrainingInterrupted, held_signals, rescued
from jaxnn.training.fitted import Fitted
from jaxnn.training.hooks import Hook, OnEpoch
from jaxnn.training.recipes import Recipe
from jaxnn.training.setups import Setup, prepared
from jaxnn.training.stretches import Reached, train_stretch


def fit(
    setting: Setting,
    train: Dataset,
    valid: Dataset | float | None = None,
    *,
    epochs: int,
    seed: int = 0,
    order_seed: int | None = 0,
    model: Model | ModelFn | None = None,
    row_space: bool = False,
    keep: str = "last",
    metric: str | None = None,
    progress: bool | None = None,
    on_epoch: OnEpoch | None = None,
) -> Fitted:
    """Trains one network.

    Every epoch has new mini-batches, and the last, smaller one is a step as well. A new number in
    the setting (`learning_rate`, `l2`, ...), another seed or another number of epochs compiles
    nothing. Each new structure (`hidden`, `batch_size`, ...) compiles once, which takes seconds.
    JAX can keep compiled programs on disk, see `examples/sharp_bits.md`.

    Args:
      setting: name -> value; missing names have their defaults, see `jaxnn.settings`.
      train: the training set.
      valid: a Dataset to evaluate on after every epoch, or a fraction of `train` to hold out for it
        (stratified, drawn from `order_seed`).
      epochs: passes over the training set, at least 1.
      seed: the seed of weights and dropout. First weights are `model.init(jax.random.key(seed))`;
        in the row space, those of a model for its number of features.
      order_seed: the seed of the mini-batches; None takes the examples in their order.
      model: a pair of pure functions in place of `mlp`, or a function that makes one from a
        setting's structure: a dict of `hidden`, `activation`, `init` and `batch_norm`.
      row_space: if there are fewer examples than features, train in the row space of the training
        inputs and convert the weights back at the end. The first weights are drawn in the row
        space, so they differ from those without it. From equal first weights, gd, momentum and
        nesterov train the same network as without it; optimizers that treat each weight by itself,
        such as adam and lion, do not, see `jaxnn.data.inputs`.
      keep: which network is returned: that of the "last" epoch, or that of the "best" validation
        epoch by `metric`, ties by the other of metric and cost.
      metric: the name of a metric; None is the first of the objective, accuracy or rmse.
      progress: True or False; None shows a line on a terminal.
      on_epoch: a function that is called with an `EpochInfo` for every epoch, see `sweep`.

    Returns:
      a `Fitted`, with `curves` of E entries each: `cost` and `accuracy` (for real targets `rmse`,
      `mae` and `r2`) over the epoch's mini-batches, and with `valid` also `valid_cost` and so on.
      Costs are means of the loss without the l2 term. If the cost stops being finite, training
      stops, later entries are NaN, and `diverged` is the step. If the setting has `patience` and it
        runs out, training stops, and the curves end there.

    Raises:
      ValueError: bad input, before anything is compiled.
      TrainingInterrupted: on Ctrl-C or SIGTERM; its `fitted` is the network so far.

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> data = Dataset(x, (x[:, 0] > 0).astype(int))
    >>> fitted = fit({"learning_rate": 0.1}, data, epochs=20)
    >>> fitted.curves["cost"].shape, fitted.score(data) > 0.9
    ((20,), True)
    """
    check_fork("fit")
    epochs, hook = whole_number("epochs", epochs, 1), Hook(on_epoch)
    setup, own, seed = prepared(
        setting,
        train,
        valid,
        epochs=epochs,
        seed=seed,
        order_seed=order_seed,
        model=model,
        row_space=row_space,
        keep=keep,
        metric=metric,
    )
    found = list[Reached]()

    def fitted() -> Fitted:
        return fitted_of(setup, own, found[0].train_state, found[0].curves)

    def interrupted() -> TrainingInterrupted:
        return interrupted_after(found[0].epochs, fitted())

    # a signal after the last epoch must not lose the network either
    with rescued(lambda: interrupted() if found else None):
        is_ended = train_stretch(
            setup,
            own,
            lambda: setup.compiled_beside_first_state(own, seed),
            epochs,
            given=plain_setting(setting),
            hook=hook,
            progress=progress,
            keep=found.append,
        )
        with held_signals():
            if is_ended:
                raise interrupted() from hook.interrupt
            return fitted()


def fitted_of(
    setup: Setup, recipe: Recipe, train_state: TrainState, curves: dict[str, np.ndarray]
) -> Fitted:
    """Returns the network of a training state, as `fit` does."""
    full, networks = recipe.setting, setup.program(recipe).networks
    kept = train_state if train_state.best is None else train_state.best
    return Fitted(
        model=networks.own_model(full),
        params=jax.device_put(setup.treatment.lifted(kept.params)),
        state=kept.state,
        inputs=setup.treatment.statistics,
        setting=dict(full),
        curves=curves,
        diverged=diverged_at(train_state),
        input_shape=setup.given.x.shape[1:],
        targets=setup.given.targets,
        target_statistics=setup.treatment.targets if full["targets"] == "standardised" else None,
        is_mlp=networks.is_mlp,
    )


def diverged_at(train_state: TrainState) -> int | None:
    """Returns the step whose cost was not finite, or None."""
    step = int(train_state.diverged)
    return None if step < 0 else step


def interrupted_after(epochs: int, fitted: Fitted) -> TrainingInterrupted:
    """Returns the exception for a stretch of training that a signal or the hook ended."""
    return TrainingInterrupted(f"training was interrupted after {epochs} epochs", fitted=fitted)
