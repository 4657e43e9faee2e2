"""Networks of a record: one as `Fitted`, and predictions of all in one pass.

All are evaluated as lanes, in the programs that trained them.
"""

import copy
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxnn.compiled.networks import Networks
from jaxnn.data.datasets import Dataset
from jaxnn.functional.metrics import COST
from jaxnn.functional.types import Array, Params, State
from jaxnn.results.records import Record
from jaxnn.results.trials import Chunk, Lane
from jaxnn.settings.traced import traced_columns
from jaxnn.system.arrays import own as copied
from jaxnn.training.fitted import Fitted

MOST_ROWS = 2**20
"""The most examples times lanes of a compiled call."""


def network_of(record: Record, number: int, repeat: int) -> Fitted:
    """Returns a network of a record, see `Study.fitted`."""
    num_settings, num_repeats = record.diverged.shape
    if number >= num_settings or repeat >= num_repeats:
        raise ValueError(
            f"fitted got setting {number}, repetition {repeat}; expected below {num_settings} "
            f"and {num_repeats}"
        )
    index, lane = record.places[number, repeat]
    if index < 0:
        raise ValueError(
            f"setting {number} has no network here: it was not trained to an end (an "
            "interrupt, short memory), or another process of the job has it; processes share "
            "only the networks of the best settings"
        )
    chunk = record.chunks[index]
    _check_code(chunk)
    setting = record.settings[number]
    inputs = record.treatments[setting["inputs"], repeat // (num_repeats // record.folds)]
    padded = jax.tree.map(lambda leaf: leaf[lane], (chunk.params, chunk.state))
    params, state = chunk.networks.own_part(setting, *padded)
    step = int(record.diverged[number, repeat])
    done = int(record.until_stopped(record.epochs_done)[number, repeat])
    return Fitted(
        model=chunk.networks.own_model(setting),
        # copies, so that writing to a network's arrays does not change the study
        params=jax.tree.map(copied, inputs.lifted(params)),
        state=jax.tree.map(copied, state),
        inputs=copy.deepcopy(inputs.statistics),
        setting=dict(setting),
        curves={name: curve[number, repeat, :done].copy() for name, curve in record.curves.items()},
        diverged=None if step < 0 else step,
        input_shape=record.input_shape,
        targets=record.targets,
        target_statistics=copy.deepcopy(inputs.targets)
        if setting["targets"] == "standardised"
        else None,
        is_mlp=chunk.networks.is_mlp,
    )


def _check_code(chunk: Chunk) -> None:
    """Raises ValueError if a study was loaded without its model."""
    if not chunk.networks.is_here:
        raise ValueError(
            "the study was loaded without its model, which is code that the file does not "
            "hold; expected load(path, model)"
        )


def validation_parts(record: Record, data: Any, name: str) -> Sequence[Dataset]:
    """Returns the validation set of each fold.

    Args:
      data: the set, or with folds a list of them; None takes those of the record.
      name: what the caller calls it.

    Raises:
      ValueError: they are not here, or not such as the record's.
    """
    expected = "a Dataset"
    if record.folds > 1:
        expected = (
            f"a list of the {record.folds} held-out parts of its folds, such as [valid for _, "
            "valid in stratified_folds(train, folds, order_seed)]"
        )
    if data is None:
        if record.held_out is None:
            raise ValueError(
                f"{name} got None for a study without its validation examples, which files do not "
                f"hold; expected {expected}"
            )
        data = record.held_out if record.folds > 1 else record.held_out[0]
    parts = [data] if record.folds == 1 else data
    is_fine = isinstance(parts, Sequence) and all(isinstance(one, Dataset) for one in parts)
    if not is_fine or len(parts) != record.folds:
        raise ValueError(f"{name} got {type(data).__name__}; expected {expected}")
    for one in parts:
        if (one.x.shape[1:], one.targets) != (record.input_shape, record.targets):
            raise ValueError(
                f"{name} got inputs {list(one.x.shape[1:])} and {one.targets}; expected "
                f"{list(record.input_shape)} and {record.targets}, as in the training set"
            )
        if not one.host_weights().any():
            raise ValueError(f"{name} got only examples of weight 0; expected one that counts")
    return parts


def check_held_out(record: Record, part: Dataset, fold: int, lane: Lane, found: np.ndarray) -> None:
    """Raises ValueError unless a network has the cost on a fold's examples that the record has.

    Other examples of the search are those that the network was trained on.

    Args:
      found: the network's outputs (N, C) for the examples.
    """
    setting = record.settings[lane[0]]
    objective = record.targets.objective(setting["loss"])
    statistics = record.treatments[setting["inputs"], fold].targets
    y = part.original_y
    if statistics is not None and setting["targets"] == "standardised":
        y = statistics.standardise(y)
    numbers = {name: setting[name] for name in objective.uses}
    of_each = objective.costs(jax.device_put(found), jax.device_put(y), numbers)
    cost = float(np.average(jax.device_get(of_each), weights=part.host_weights()))
    known = float(record.reached(COST.valid)[lane])
    # devices round differently
    if abs(cost - known) > 1e-3 + 0.02 * abs(known):
        raise ValueError(
            f"data got for fold {fold} examples on which setting {lane[0]} has the cost "
            f"{cost:.4f}; expected {known:.4f}, as on the part that the fold held out: draw it "
            "from the training set of the search with its folds and order_seed"
        )


def outputs(record: Record, data: Dataset, fold: int = 0) -> Iterator[tuple[Lane, np.ndarray]]:
    """Yields the outputs (N, C) of every network of a fold, in evaluation mode.

    Those are logits, or predictions of real targets in the unit of training. Networks that are not
    here, since nothing was trained, are left out.

    Args:
      record: the record.
      data: the examples, of which the inputs (N, ...) alone are used.
      fold: the number of the fold.

    Raises:
      ValueError: the study was loaded without its model.
    """
    count = record.diverged.shape[1] // record.folds
    repeats = range(fold * count, (fold + 1) * count)
    treated: dict[str, np.ndarray] = {}
    lanes: dict[tuple[int, str], list[Lane]] = {}
    for row, setting in enumerate(record.settings):
        for repeat in repeats:
            index = int(record.places[row, repeat, 0])
            if index >= 0:
                lanes.setdefault((index, setting["inputs"]), []).append((row, repeat))
    for index, _ in lanes:
        _check_code(record.chunks[index])
    for (index, inputs), own in lanes.items():
        if inputs not in treated:
            treatment = record.treatments[inputs, fold]
            treated[inputs] = jax.device_get(treatment.treated(data).x)
        found = _of_chunk(record, index, own, treated[inputs])
        yield from zip(own, found, strict=True)


def _of_chunk(record: Record, index: int, lanes: list[Lane], x: np.ndarray) -> np.ndarray:
    """Returns the outputs (L, N, C) of some lanes of a chunk."""
    chunk = record.chunks[index]
    places = np.array([record.places[lane][1] for lane in lanes])
    settings = [record.settings[row] for row, _ in lanes]
    structures = [chunk.networks.lane_data(setting) for setting in settings]
    stacked = {name: np.stack([one[name] for one in structures]) for name in structures[0]}
    params, state = jax.tree.map(lambda leaf: leaf[places], (chunk.params, chunk.state))
    given = jax.device_put((params, state, traced_columns(settings) | stacked))
    # pieces of one size, of which the last is filled up
    size = min(len(x), max(1, MOST_ROWS // len(lanes)))
    pieces = []
    for start in range(0, len(x), size):
        rows = np.minimum(np.arange(start, start + size), len(x) - 1)
        found = jax.device_get(_outputs(chunk.networks, *given, jax.device_put(x[rows])))
        pieces.append(found[:, : len(x) - start])
    return np.concatenate(pieces, axis=1)


@functools.partial(jax.jit, static_argnames="networks")
def _outputs(
    networks: Networks, params: Params, state: State, lane_data: dict[str, Array], x: Array
) -> Array:
    def of_one(params: Params, state: State, own: dict[str, Any]) -> Array:
        model = networks.model(own)
        numbers = {name: own[name] for name in model.numbers}
        return model.apply(params, state, x, **numbers)[0]

    return jax.vmap(of_one)(params, state, lane_data)
