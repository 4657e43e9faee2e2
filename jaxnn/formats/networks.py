"""A network as a file: what `Fitted.save` writes, and reading it."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from jaxnn.data.inputs import InputStatistics
from jaxnn.data.targets import TargetStatistics
from jaxnn.disk.encoding import check, decode, encode
from jaxnn.disk.hdf5 import write_arrays
from jaxnn.disk.trees import filled, group_of, named
from jaxnn.disk.versions import format_of
from jaxnn.disk.writing import StrPath
from jaxnn.formats.agreement import completed
from jaxnn.formats.schemas import NETWORK_VALUES, check_curves, check_statistics
from jaxnn.functional.types import Model, ModelFn
from jaxnn.system.arrays import own
from jaxnn.training.fitted import Fitted, save_network
from jaxnn.training.recipes import networks_of

NETWORK = format_of("network")


@save_network.register
def write_network(fitted: Fitted, path: StrPath) -> None:
    """Writes a network, see `Fitted.save`."""
    write_arrays(path, *network_content(fitted))


def network_content(fitted: Fitted) -> tuple[Iterator[tuple[str, np.ndarray]], dict[str, Any]]:
    """Returns the arrays of a network by name, and the rest as JSON."""
    trees = {
        "params": fitted.params,
        "state": fitted.state,
        "inputs": fitted.inputs,
        "targets": fitted.target_statistics,
        "curves": fitted.curves,
    }
    about = {
        "format": NETWORK,
        "setting": encode(fitted.setting),
        "diverged": fitted.diverged,
        "input_shape": encode(fitted.input_shape),
        "targets": encode(fitted.targets),
        "is_mlp": fitted.is_mlp,
    }
    return (leaf for group, tree in trees.items() for leaf in named(group, tree)), about


def network_in(
    path: StrPath,
    arrays: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    model: Model | ModelFn | None,
) -> Fitted:
    """Returns the network of a file.

    Raises:
      ValueError: the contents do not fit each other.
    """
    about = {
        **about,
        **{name: decode(about[name]) for name in ("setting", "input_shape", "targets")},
    }
    check("the network", about, NETWORK_VALUES)
    input_shape = about["input_shape"]
    is_mlp = about["is_mlp"]
    setting = completed(about["setting"], not is_mlp)
    if model is None and not is_mlp:
        raise ValueError(
            f"{path} holds a network that mlp did not make; expected load(path, model)"
        )
    networks = networks_of(setting, None if is_mlp else model, input_shape, about["targets"])
    network = networks.own_model(setting)
    params, state = jax.eval_shape(lambda: network.init(jax.random.key(0)))
    inputs = None
    if (setting["inputs"] == "raw") == bool(group_of(arrays, "inputs")):
        raise ValueError(f"its inputs are {setting['inputs']}; expected statistics where not raw")
    if setting["inputs"] != "raw":
        names = InputStatistics._fields
        shapes: list[Any] = [jax.ShapeDtypeStruct(input_shape, float) for _ in names]
        inputs = InputStatistics(*shapes)
        found = filled(path, "inputs", inputs, arrays)
        check_statistics(found.mean, found.deviation, input_shape)
    is_standardised = about["targets"].is_real and setting["targets"] == "standardised"
    target_statistics: Any = None
    if is_standardised != bool(group_of(arrays, "targets")):
        raise ValueError("its real targets have statistics if and only if they were standardised")
    if is_standardised:
        one: Any = jax.ShapeDtypeStruct(about["targets"].shape, float)
        target_statistics = filled(path, "targets", TargetStatistics(one, one), arrays)
        mean, deviation = target_statistics
        check_statistics(mean, deviation, about["targets"].shape)
    objective = about["targets"].objective(setting["loss"])
    check_curves(group_of(arrays, "curves"), objective.least_cost)
    fill = lambda group, tree: jax.tree.map(own, filled(path, group, tree, arrays))
    return Fitted(
        model=network,
        params=fill("params", params),
        state=fill("state", state),
        inputs=filled(path, "inputs", inputs, arrays),
        setting=setting,
        curves=group_of(arrays, "curves"),
        diverged=about["diverged"],
        input_shape=input_shape,
        targets=about["targets"],
        target_statistics=target_statistics,
        is_mlp=is_mlp,
    )
