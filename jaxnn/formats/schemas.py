"""Schemas: the values that each kind of file may hold.

`jaxnn.disk.trees` checks shapes and types of arrays, `jaxnn.disk.claims` checks sizes.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxnn.compiled.mixtures import Mixture
from jaxnn.compiled.networks import NOT_HERE, Foreign, is_networks
from jaxnn.compiled.programs import Program
from jaxnn.compiled.steps import TrainState
from jaxnn.data.inputs import INPUTS
from jaxnn.data.targets import TARGETS
from jaxnn.disk.encoding import (
    SECONDS,
    TEXT,
    TRUTH,
    Rule,
    Schema,
    an,
    key_of,
    many,
    maybe,
    one_of,
    recorded,
    row,
    whole,
)
from jaxnn.formats.functions import named_in
from jaxnn.functional.layers import ACTIVATIONS, INITIALIZERS
from jaxnn.functional.metrics import COST, METRICS, VALID, metric_of
from jaxnn.functional.models import MOST_LAYERS
from jaxnn.functional.objectives import OBJECTIVES, Targets
from jaxnn.functional.optimizers import DECAY_SCHEDULES, OPTIMIZERS
from jaxnn.results.records import SHAPE, WRITTEN
from jaxnn.settings.hyperparameters import SWITCHES
from jaxnn.system.checks import brief


def is_curve(name: Any) -> bool:
    return type(name) is str and name.removeprefix(VALID) in METRICS


def _are_curves(names: Any) -> bool:
    """Whether a study may have these: those of an objective, and of others."""
    if type(names) is not list or not all(map(is_curve, names)) or len({*names}) < len(names):
        return False
    return any({*one.curves(has_valid=True)} <= {*names} for one in OBJECTIVES.values())


STUDY_VALUES: Schema = {
    **WRITTEN,
    "is_foreign": TRUTH,
    "treatments": many(row(one_of(*INPUTS), whole(), whole(1)), kind=list),
    "shape": row(whole(), whole(1), whole(1)),
    "curves": Rule(
        f"a list of {', '.join(METRICS)}, for training and validation",
        _are_curves,
    ),
    "dtype": one_of("float32", "float64"),
    "chunks": many(
        row(Rule("a structure", lambda value: type(value) is dict), whole(), TEXT, TEXT), kind=list
    ),
}

NETWORK_VALUES: Schema = {
    "setting": an(dict),
    "diverged": maybe(whole()),
    "input_shape": SHAPE,
    "targets": an(Targets),
    "is_mlp": TRUTH,
}

RUN_VALUES: Schema = {
    "entries": many(row(whole(), one_of("train", "set", "undo", "branch"), TEXT), kind=list),
    "stands": many(whole(), kind=list),
    "moments": many(row(whole(), an(dict), whole()), 1, kind=list),
    "seconds": row(SECONDS, SECONDS),
}


recorded(num_classes=maybe(whole(2)), shape=many(whole(1), 0, 1))(Targets)

# how classes of `training`, which knows nothing of files, are saved
recorded(lambda: Foreign(NOT_HERE), as_name="Model")(Foreign)

recorded(
    units=many(whole(1), 2, MOST_LAYERS + 2),
    depths=many(whole(0, MOST_LAYERS), 1, MOST_LAYERS + 1),
    activations=many(one_of(*ACTIVATIONS), 1, len(ACTIVATIONS)),
    batch_norms=many(TRUTH, 1, 2),
    inits=many(one_of(*INITIALIZERS), 1, len(INITIALIZERS)),
    is_padded=TRUTH,
    fan_in=whole(1),
)(Mixture)

recorded(
    as_fields={"networks": "model"},
    model=Rule("a structure", is_networks),
    optimizers=many(named_in(OPTIMIZERS), 1, len(OPTIMIZERS)),
    batch_size=whole(1),
    switches=many(one_of(*SWITCHES), 0, len(SWITCHES)),
    schedules=many(key_of(DECAY_SCHEDULES), 1, len(DECAY_SCHEDULES)),
    keep_best=maybe(WRITTEN["metric"]),
    loss=named_in(OBJECTIVES),
    targets=maybe(one_of(*TARGETS)),
    least_batch_size=maybe(whole(1)),
)(Program)


def check_curves(curves: Mapping[str, np.ndarray], least_cost: float = -math.inf) -> None:
    """Raises ValueError unless curves have known names and one length."""
    lengths = {curve.shape for curve in curves.values()}
    kinds = {curve.dtype.kind for curve in curves.values()}
    if not all(map(is_curve, curves)) or len(lengths) > 1 or kinds - {"f"}:
        found = {name: f"{curve.dtype}{list(curve.shape)}" for name, curve in curves.items()}
        raise ValueError(f"it holds curves {brief(found)}; expected floats of one length")
    if lengths and len(lengths.pop()) != 1:
        raise ValueError("it holds curves of several axes; expected one")
    for name, curve in curves.items():
        check_curve(name, curve, least_cost)


def check_curve(name: str, curve: np.ndarray, least_cost: float = -math.inf) -> None:
    """Raises ValueError unless these are values of a metric, or NaN after divergence."""
    metric = metric_of(name)
    least, most = metric.bounds
    least = least_cost if metric is COST else least
    # a weighted mean may be rounded to just above 1
    known, reach = curve[~np.isnan(curve)], most * (1 + 1e-3)
    if known.size and not least <= known.min() <= known.max() <= reach:
        raise ValueError(
            f"it holds the curve {name} with values from {known.min()} to {known.max()}; expected "
            + (f"{least:g} to {most:g}" if most < math.inf else f"none below {least:g}")
        )


def check_statistics(mean: np.ndarray, deviation: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raises ValueError unless inputs of a shape can be normalised by these statistics."""
    for name, array in (("mean", mean), ("deviation", deviation)):
        if array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(
                f"its inputs have a {name} {array.dtype}{list(array.shape)}; expected finite "
                f"numbers {list(shape)}"
            )
    if not (np.asarray(deviation) > 0).all():
        raise ValueError("its inputs have a deviation that is not positive")


def check_state(state: TrainState, epoch: int) -> None:
    """Raises ValueError unless this can be a network's state after some epochs of training."""
    done, step, diverged = int(state.epoch), int(state.step), int(state.diverged)
    stopped = -1 if state.watch is None else int(state.watch.stopped)
    # a network that diverged or was stopped counts as trained to the end
    is_fine = 0 <= done <= epoch if max(diverged, stopped) >= 0 else done == epoch
    # all epochs have the same number of steps
    is_fine = is_fine and (step == 0 if done == 0 else step >= done and step % done == 0)
    is_fine = is_fine and (diverged == -1 or 0 <= diverged < step)
    best = -1 if state.best is None else int(state.best.epoch)
    is_fine = is_fine and -1 <= best < done and (stopped == -1 or 1 <= stopped <= done)
    leaves = jax.tree.leaves(state.opt_state)
    counts = [int(leaf) for leaf in leaves if leaf.shape == () and leaf.dtype == np.int32]
    if not is_fine or {*counts} - {step}:
        raise ValueError(
            f"it holds a state after {done} epochs and {step} steps, of which step {diverged} "
            f"diverged (-1: none did) and epoch {best} was kept, whose optimizer has counted "
            f"{counts or 'none'}; expected the state after {epoch} epochs"
        )


def check_range(name: str, array: np.ndarray, least: int, most: int) -> None:
    """Raises ValueError unless all numbers of an array are in a range."""
    if array.size and not least <= array.min() <= array.max() <= most:
        raise ValueError(
            f"{name} has numbers from {array.min()} to {array.max()}; expected {least} to {most}"
        )
