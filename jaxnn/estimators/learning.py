"""Training for the estimators: one network that may go on from an earlier one, or several."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnn.compiled.steps import TrainState
from jaxnn.data.datasets import Dataset
from jaxnn.engine.devices import train_to_ends
from jaxnn.engine.feeds import Feed, empty_record
from jaxnn.engine.jobs import open_job
from jaxnn.engine.options import Options
from jaxnn.searching.studies import Study
from jaxnn.system.draws import from_words
from jaxnn.training.fitted import Ensemble, Fitted
from jaxnn.training.fitting import fitted_of
from jaxnn.training.hooks import Hook, OnEpoch
from jaxnn.training.recipes import recipes
from jaxnn.training.setups import prepared
from jaxnn.training.stretches import Reached, train_stretch

Kept = Mapping[str, Sequence[np.ndarray]]
"""Field of a `TrainState` -> its leaves on the host; arrays alone, so that it can be pickled."""


class Learned(NamedTuple):
    """What training made.

    Attributes:
      fitted: the network, or several.
      curves: name -> (E,); of several networks, those of the first.
      kept: the state, to go on from; nothing of several networks.
      is_interrupted: whether Ctrl-C ended the training.
    """

    fitted: Fitted | Ensemble
    curves: dict[str, np.ndarray]
    kept: Kept
    is_interrupted: bool = False


def learn(
    setting: Mapping[str, Any],
    parts: Sequence[Dataset],
    epochs: int,
    *,
    seed: int,
    is_shuffled: bool,
    keep: str,
    metric: str,
    on_epoch: OnEpoch | None,
    previous: Kept,
    max_epochs: int | None = None,
) -> Learned:
    """Trains one network.

    Args:
      setting, seed, keep, metric, on_epoch: as for `fit`.
      parts: the training set, and the validation set, if there is one.
      epochs: epochs to train.
      is_shuffled: whether the examples of an epoch are in a new order.
      previous: what to go on from.
      max_epochs: the epochs in all, for schedules; None is `epochs`.

    Raises:
      ValueError: bad input, or another structure than that of the network to go on from.
    """
    setup, recipe, seed = prepared(
        setting,
        parts[0],
        parts[1] if len(parts) > 1 else None,
        epochs=max_epochs or epochs,
        seed=seed,
        order_seed=seed if is_shuffled else None,
        model=None,
        row_space=False,
        keep=keep,
        metric=metric,
    )
    found = list[Reached]()
    is_interrupted = train_stretch(
        setup,
        recipe,
        lambda: _continued(setup.compiled_beside_first_state(recipe, seed), previous),
        epochs,
        given=setting,
        hook=Hook(on_epoch),
        progress=False,
        keep=found.append,
    )
    state, curves = found[0].train_state, found[0].curves
    return Learned(fitted_of(setup, recipe, state, curves), curves, _kept(state), is_interrupted)


def learn_several(
    setting: Mapping[str, Any],
    parts: Sequence[Dataset],
    epochs: int,
    *,
    count: int,
    seed: int,
    keep: str,
    metric: str,
) -> Learned:
    """Trains networks that differ in their seeds, as lanes; arguments as for `learn`.

    The first is the one that `learn` trains.
    """
    valid = parts[1] if len(parts) > 1 else None
    options = Options(
        seeds=count, seed=seed, order_seed=seed, keep=keep, metric=metric, progress=False
    )
    prepared = recipes([setting], parts[0], None, epochs)
    plan = options.plan(prepared, parts[0], epochs)
    study = empty_record(Study, options, [(parts[0], valid)], plan, epochs=epochs)
    feed = Feed(record=study, folds=[(parts[0], valid)])
    with open_job(study, options, feed, count * epochs) as job:
        train_to_ends(job, job.add([setting], prepared, plan))
    networks = [study.fitted(0, repeat) for repeat in range(count)]
    return Learned(Ensemble(networks), networks[0].curves, {})


def _kept(state: TrainState) -> Kept:
    best = state if state.best is None else state.best
    words = jax.random.key_data(state.dropout_key)
    state = state._replace(
        params=best.params, state=best.state, dropout_key=words, best=None, watch=None
    )
    return {name: jax.device_get(jax.tree.leaves(tree)) for name, tree in state._asdict().items()}


def _continued(first: TrainState, previous: Kept) -> TrainState:
    """Returns a first state with what is known of an earlier one in its place."""
    changes: dict[str, Any] = {}
    for name, leaves in previous.items():
        new = getattr(first, name)
        old = jax.tree.leaves(new)
        if name == "dropout_key":
            changes[name] = from_words(leaves[0])
            continue
        if [leaf.shape for leaf in old] != [leaf.shape for leaf in leaves]:
            raise ValueError(
                f"the earlier network has {name} of shapes {[leaf.shape for leaf in leaves]}; "
                f"expected {[leaf.shape for leaf in old]}: options of structure must not change "
                "if training goes on"
            )
        # not an alias of NumPy's memory, since training donates its input
        placed = jax.device_put(leaves, may_alias=False)
        changes[name] = jax.tree.unflatten(jax.tree.structure(new), placed)
    return first._replace(**changes)
