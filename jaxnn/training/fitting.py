"""One network trained in one go."""

import jax
import numpy as np

from jaxnn.compiled.steps import TrainState
from jaxnn.data.datasets import Dataset
from jaxnn.data.inputs import check_row_space, treatment
from jaxnn.data.splits import checked_data
from jaxnn.functional.types import Model, ModelFn, as_model
from jaxnn.settings.hyperparameters import Setting, plain_setting
from jaxnn.system.checks import check_fork, whole_number
from jaxnn.system.signals import TrainingInterrupted, held_signals, rescued
from jaxnn.training.fitted import Fitted
from jaxnn.training.hooks import Hook, OnEpoch
from jaxnn.training.recipes import Recipe, recipe, warn_of_scales
from jaxnn.training.stretches import Reached, Setup, train_stretch


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
    epochs, hook = whole_number("epochs", epochs, 1), Hook(on_epoch)
    setup, own, state = prepared(
        setting,
        train,
        valid,
        seed=seed,
        order_seed=order_seed,
        model=model,
        row_space=row_space,
    )
    found = list[Reached]()

    def fitted() -> Fitted:
        return fitted_of(setup, own, found[0].train_state, found[0].curves)

    def interrupted() -> TrainingInterrupted:
        return interrupted_after(found[0].epochs, fitted())

    # also a signal that comes after the last epoch loses no network
    with rescued(lambda: interrupted() if found else None):
        is_ended = train_stretch(
            setup,
            own,
            state,
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


def prepared(
    setting: Setting,
    train: Dataset,
    valid: Dataset | float | None,
    *,
    seed: int,
    order_seed: int,
    model: Model | ModelFn | None,
    row_space: bool,
) -> tuple[Setup, Recipe, TrainState]:
    """What `fit` and `Run` are given, checked and made ready, and the state before the first step.

    Raises:
      ValueError: bad input, before anything is compiled.
    """
    own = None if model is None else as_model(model)
    check_row_space(row_space, own)
    seed, order_seed = whole_number("seed", seed), whole_number("order_seed", order_seed)
    given, valid = checked_data(train, valid, order_seed)
    first = recipe(setting, given, own)
    warn_of_scales([first], given)
    by = treatment(first.setting["inputs"], given, row_space)
    setup = Setup(
        given=given,
        train=by.treated(given),
        valid=None if valid is None else by.treated(valid),
        treatment=by,
        model=own,
        in_row_space=row_space,
        schedule=first.program.schedule(given, order_seed),
    )
    return setup, first, setup.first_state(first, seed)


def fitted_of(
    setup: Setup, recipe: Recipe, train_state: TrainState, curves: dict[str, np.ndarray]
) -> Fitted:
    """The network of a state, as `fit` returns it."""
    full, networks = recipe.setting, setup.program(recipe).networks
    return Fitted(
        model=networks.own_model(full),
        params=jax.device_put(setup.treatment.lifted(train_state.params)),
        state=train_state.state,
        inputs=setup.treatment.statistics,
        setting=dict(full),
        curves=curves,
        diverged=diverged_at(train_state),
        input_shape=setup.given.x.shape[1:],
        num_classes=setup.train.num_classes,
        is_mlp=networks.is_mlp,
    )


def diverged_at(train_state: TrainState) -> int | None:
    """The step whose cost was not finite, or None."""
    step = int(train_state.diverged)
    return None if step < 0 else step


def interrupted_after(epochs: int, fitted: Fitted) -> TrainingInterrupted:
    """What a stretch raises that a signal or the hook has ended."""
    return TrainingInterrupted(f"training was interrupted after {epochs} epochs", fitted=fitted)
