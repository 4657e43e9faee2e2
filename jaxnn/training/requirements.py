"""Requirements of data and training that a setting must meet, checked before anything compiles."""

import functools

import jax
import jax.numpy as jnp

from jaxnn.compiled.programs import Program
from jaxnn.functional.optimizers import DECAY_SCHEDULES
from jaxnn.functional.types import Model
from jaxnn.settings.hyperparameters import Setting
from jaxnn.system.checks import brief, check_fits, device_memory
from jaxnn.system.draws import new_key


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


def check_epochs(full: Setting, epochs: int | None) -> None:
    """Raises ValueError if the schedule does not fit the number of epochs in all."""
    schedule, warmup = full["decay_schedule"], full["warmup"]
    if epochs is None:
        if DECAY_SCHEDULES[schedule].is_by_step:
            raise ValueError(
                f"decay_schedule got {schedule!r}, which ends with the last epoch, in a Run, which "
                "may go on; expected another schedule, or fit, sweep or search"
            )
    elif warmup >= epochs:
        raise ValueError(
            f"warmup got {warmup:g} epochs; expected fewer than the {epochs} epochs of training"
        )


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
