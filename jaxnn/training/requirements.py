"""Requirements of data and training that a setting must meet, checked before anything compiles."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnn.compiled.programs import Program
from jaxnn.data.datasets import Dataset
from jaxnn.functional.objectives import OBJECTIVES, Objective, Targets
from jaxnn.functional.optimizers import DECAY_SCHEDULES, OptimizerName, optimizer
from jaxnn.functional.types import Model
from jaxnn.settings.hyperparameters import FUNCTIONS, Setting
from jaxnn.system.checks import brief, check_fits, device_memory
from jaxnn.system.draws import new_key
from jaxnn.system.functions import Missing, name_of, own_numbers, short_name
from jaxnn.system.terminal import excerpt


@functools.lru_cache(maxsize=1024)
def check_outputs(model: Model, shape: tuple[int, ...], num_outputs: int) -> None:
    """ValueError unless the model makes a logit for each class at least; nothing is compiled."""
    real = lambda shape: jax.ShapeDtypeStruct(shape, jnp.result_type(float))
    network = jax.eval_shape(lambda: model.init(new_key(0)))
    numbers = {name: real(()) for name in model.numbers}
    made, _ = jax.eval_shape(model.apply, *network, real(shape), **numbers)
    found = getattr(made, "shape", type(made))
    if not isinstance(found, tuple) or len(found) != 2 or found[1] < num_outputs:
        raise ValueError(
            f"model got one whose outputs for inputs {shape} are {found}; expected logits "
            f"({shape[0]}, {num_outputs}), one for each class of the training set"
        )


def check_targets(full: Setting, data: Dataset, name: str) -> None:
    """Raises ValueError if a completed setting's loss does not fit the targets of a data set.

    Args:
      name: what the set is called, "train" or "valid".
    """
    loss, targets = full["loss"], data.targets
    objective, y = targets.objective(loss), np.asarray(data.y)
    if not objective.fits(y, data.num_classes):
        others = [key for key, one in OBJECTIVES.items() if one.fits(y, data.num_classes)]
        raise ValueError(
            f"loss got {short_name(loss)!r} for {name}, which has {targets}; expected "
            f"{objective.expects}; or for these one of {', '.join(map(repr, others))}"
        )
    if data.is_real and full["targets"] == "standardised" and not objective.may_standardise:
        raise ValueError(
            f"targets got 'standardised' with the loss {short_name(loss)!r}; expected 'raw', since "
            "it is a loss of the numbers themselves"
        )
    if objective.point is not None and name == "train":
        if full["targets"] == "standardised":
            _check_variation(data.original_y, targets)
        elif (exact := data.exact_y) is not None:
            # raw targets may be constant, but not become so by rounding
            _check_variation(y, targets, is_constant=exact.max(axis=0) == exact.min(axis=0))
    if callable(loss):
        _try_loss(loss, targets, jnp.result_type(float))


def _check_variation(y: np.ndarray, targets: Targets, is_constant: Any = False) -> None:
    """Raises ValueError if a real target does not vary, or less than devices can tell from 0.

    Args:
      is_constant: whether a target may be so, (K,).
    """
    ranges = np.atleast_1d(y.max(axis=0).astype(np.float64) - y.min(axis=0))
    least = float(jnp.finfo(jnp.result_type(float)).tiny) * 1e6
    small = np.flatnonzero((ranges < least) & ~np.asarray(is_constant)).tolist()
    if small:
        which = f"target {small[0]} of " if targets.shape else ""
        raise ValueError(
            f"train got {which}targets that do not vary, {y.flat[small[0]]:.10g} in all {len(y)} "
            f"examples of {y.dtype}; expected a range of {least:.0e} at least: there is nothing to "
            "learn"
        )


@functools.lru_cache(maxsize=1024)
def _try_loss(loss: Any, targets: Targets, dtype: Any) -> None:
    """Traces the gradient of a user's own loss with numbers that are traced."""
    objective, count = targets.objective(loss), 3
    number = jax.ShapeDtypeStruct((), dtype)
    outputs = number.update(shape=(count, targets.num_outputs(loss)))
    y = number.update(shape=(count, *targets.shape))
    y = y if targets.is_real else y.update(dtype=jnp.int32)

    def total(outputs: Any, y: Any, numbers: dict[str, Any]) -> Any:
        costs = objective.costs(outputs, y, numbers)
        shapes.append((jnp.shape(costs), costs.dtype))
        return jnp.sum(costs)

    shapes: list[Any] = []
    numbers = dict.fromkeys(objective.uses, number)
    expected = (
        f"expected a function (outputs, targets, **numbers) that returns costs ({count},) for "
        f"{count} examples, which jax.grad differentiates"
    )
    try:
        jax.eval_shape(jax.grad(total), outputs, y, numbers)
    except Exception as error:
        raise ValueError(
            f"loss got {name_of(loss)}, which fails under jax.grad with traced numbers "
            f"({', '.join(numbers) or 'none'}): {excerpt(str(error), 300)}; {expected}"
        ) from error
    if shapes[0] != ((count,), dtype):
        raise ValueError(f"loss got {name_of(loss)}, which returns {shapes[0]}; {expected}")


def check_epochs(full: Setting, epochs: int | None) -> None:
    """Raises ValueError if the schedule does not fit the number of epochs in all."""
    schedule, warmup = full["decay_schedule"], full["warmup"]
    if epochs is None:
        if DECAY_SCHEDULES[schedule].is_by_step:
            raise ValueError(
                f"decay_schedule got {schedule!r}, which ends with the last epoch, in a Run, which "
                "may go on; expected another schedule, or fit, sweep or search"
            )
        if full["patience"] is not None:
            raise ValueError(
                f"patience got {full['patience']:g} in a Run, which is stopped by hand; expected "
                "None, or fit, sweep or search"
            )
    elif warmup >= epochs:
        raise ValueError(
            f"warmup got {warmup:g} epochs; expected fewer than the {epochs} epochs of training"
        )


def check_monitor(full: Setting, objective: Objective, has_valid: bool = True) -> None:
    """Raises ValueError unless training has the curve that `patience` waits for."""
    monitor, names = full["monitor"], objective.curves(has_valid)
    if full["patience"] is not None and monitor is not None and monitor not in names:
        where = "" if has_valid else " without a validation set"
        raise ValueError(f"monitor got {monitor!r}{where}; expected one of {', '.join(names)}")


def check_size(hidden: tuple[int, ...], program: Program, num_examples: int) -> None:
    """Raises ValueError if an MLP does not fit in memory, before anything is allocated."""
    networks = program.networks
    if networks.num_features is None:
        return
    # in the row space, training has at most as many features as there are examples
    trained = program.with_features(min(num_examples, networks.num_features))
    what, itemsize = f"hidden got {brief(hidden)}: a network", jnp.result_type(float).itemsize
    check_fits(trained.lane_bytes(), f"{what} in training", device_memory())
    check_fits(networks.num_weights * itemsize, what)


def check_code(setting: Any) -> None:
    """Raises ValueError if a setting was read from a file and needs code that is not there."""
    for key in FUNCTIONS:
        value = setting.get(key) if isinstance(setting, Mapping) else None
        if isinstance(value, Missing):
            raise ValueError(
                f"{key} got {value.name}, a function that the file does not hold, since it is "
                "code; expected the function itself: make the call again that was begun with it"
            )


def check_optimizer(name: OptimizerName) -> None:
    """Raises ValueError if a function of the user's own makes no optimizer of traced numbers."""
    if callable(name):
        _try_optimizer(name, jnp.result_type(float))


@functools.lru_cache(maxsize=1024)
def _try_optimizer(make: Any, dtype: Any) -> None:
    """Traces a step with numbers that are traced, as they are in training."""
    number = jax.ShapeDtypeStruct((), dtype)
    params = {"kernel": jax.ShapeDtypeStruct((3, 2), dtype), "bias": number.update(shape=(3,))}

    def step(params: Any, learning_rate: Any, numbers: dict[str, Any]) -> Any:
        descent = optimizer(make, numbers, learning_rate)
        return descent.update(params, descent.init(params), params)[0]

    numbers = dict.fromkeys(own_numbers(make, 1), number)
    try:
        with jax.numpy_dtype_promotion("standard"):
            made = jax.eval_shape(step, params, number, numbers)
    except Exception as error:
        raise ValueError(
            f"optimizer got {name_of(make)}, which fails for traced numbers "
            f"({', '.join(['learning_rate', *numbers])}): {excerpt(str(error), 300)}; "
            "expected a function (learning_rate, **numbers) that returns an Optax transformation"
        ) from error
    if jax.tree.map(jnp.shape, made) != jax.tree.map(jnp.shape, params):
        raise ValueError(
            f"optimizer got {name_of(make)}, whose updates are {made}; expected {params}"
        )


def check_names(settings: Sequence[Any]) -> None:
    """Raises ValueError if two functions in settings have the same name, which files use."""
    found: dict[str, Any] = {}
    for setting in settings:
        for key in FUNCTIONS:
            value = setting.get(key) if isinstance(setting, Mapping) else None
            if callable(value) and found.setdefault(name_of(value), value) != value:
                raise ValueError(
                    f"{key} got two functions of the name {name_of(value)}; expected names that "
                    "tell them apart: define them with def"
                )
