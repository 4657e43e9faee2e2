"""Identities: whether two calls are the same search, and how they differ."""

import dataclasses
import hashlib
import inspect
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np

from jaxnn.data.datasets import Dataset
from jaxnn.disk.directories import Commits
from jaxnn.disk.encoding import decode, encode, first_difference
from jaxnn.disk.writing import StrPath
from jaxnn.engine.options import Call
from jaxnn.functional.types import Model, as_model
from jaxnn.planning.plans import Plan
from jaxnn.settings.domains import Domain, Range
from jaxnn.settings.hyperparameters import HYPERPARAMETERS, checked
from jaxnn.system.checks import brief
from jaxnn.system.draws import new_key
from jaxnn.system.processes import ALONE, Hosts
from jaxnn.system.terminal import excerpt
from jaxnn.version import __version__

# arguments that do not change the results
_ASIDE = ("directory", "commit_interval", "progress", "on_epoch")

# compared in other ways: data by SHA-256, the plan as made, code by whether it was given
_APART = ("train", "valid", "plan", "model", "sampler", "storage")

# arguments that may change when a study of Optuna is continued
_FREE = (
    *("method", "num_settings", "batch", "name", "chunk", "min_epochs", "factor", "rounds"),
    *("first", "stop_after"),
)

_CONFIG = ("matmul_precision", "prng_impl")


def checked_identity(
    commits: Commits,
    call: Call,
    plan: Plan | None = None,
    hosts: Hosts = ALONE,
) -> dict[str, Any]:
    """Checks that a directory belongs to a call, and returns the identity for its commits.

    An identity is what a study's bits depend on, as JSON: call, data, plan, versions and machine.

    Args:
      plan: the plan of a sweep or search.
      hosts: the processes that make the call together.

    Returns:
      the identity, or its SHA-256 in processes after the first.

    Raises:
      ValueError: the directory holds another search, or the first process makes another call. The
        message names the first difference.
    """
    if not commits.is_on and hosts.count == 1:
        return {}
    found = {
        **machine(),
        "function": call.function.__name__,
        "has_sampler": call.arguments.get("sampler") is not None,
        "has_model": call.arguments["model"] is not None,
        "model": _shape_of(call.arguments["model"]),
        **_values_of(call),
        "plan": [
            {
                "networks": encode(networks if networks.is_mlp else None),
                "optimizers": encode(one.program.optimizers),
                "batch_sizes": [*one.program.batch_sizes],
                "inputs": one.inputs,
                "chunk": one.chunk,
                "settings": [*one.settings],
            }
            for one in (plan.programs if plan else ())
            for networks in [one.program.networks]
        ],
    }
    # a million settings take seconds
    is_alone = hosts.count == 1 and all(commit.is_whole for commit in commits.last)
    short = {"sha256": "" if is_alone else _digest(found)}
    if len({*hosts.exchange("comparing the calls", short["sha256"].encode())}) > 1:
        first = json.loads(hosts.from_first("the first call", json.dumps(found).encode()))
        with hosts.raised_together("the difference of the calls"):
            _agree(first, found, hosts)
    for commit in commits.last:
        then = commit.about["identity"]
        if commit.is_whole:
            compare(commits.directory, then, found)
        elif then != short:
            raise ValueError(
                f"{commit.path} is a part of another search; expected the call that it was begun "
                "with, or another directory"
            )
    return found if commits.is_first else short


def _digest(identity: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of an identity; the order of names in a space does not matter."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def argument_names(function: Callable[..., Any]) -> list[str]:
    """Returns the names of arguments that a directory holds."""
    return [n for n in inspect.signature(function).parameters if n not in (*_ASIDE, *_APART)]


def _values_of(call: Call, free: Sequence[str] = ()) -> dict[str, Any]:
    """Returns the data and arguments of a call, without those that are free to change."""
    names = [name for name in argument_names(call.function) if name not in free]
    return {
        "train": _fingerprint(call.arguments["train"]),
        "valid": _fingerprint(call.arguments["valid"]),
        "arguments": {name: encode(call.arguments[name]) for name in names},
    }


def call_of_values(call: Call) -> dict[str, Any]:
    """Returns, as JSON, everything that the values of a search's settings depend on."""
    given = call.arguments
    space = _space_as_trained(given["space"])
    model = {"has_model": given["model"] is not None, "model": _shape_of(given["model"])}
    found = {**model, **_values_of(call.replaced(space=space), _FREE)}
    return cast(dict[str, Any], json.loads(json.dumps(found)))


def _space_as_trained(space: Any) -> Any:
    if not isinstance(space, Mapping):
        return [*map(_space_as_trained, space)]
    return {name: _as_trained(name, one) for name, one in space.items()}


def _as_trained(name: str, value: Any) -> Any:
    """Returns a domain or fixed value in the type that is trained, so that 1 and 1.0 are equal."""
    if isinstance(value, Range):
        kind = int if value.is_whole else float
        return dataclasses.replace(value, low=kind(value.low), high=kind(value.high))
    if isinstance(value, Domain):
        # numbers of layers are whole ones already
        if not hasattr(value, "options"):
            return value
        trained = tuple(_as_trained(name, option) for option in value.options)
        return dataclasses.replace(cast(Any, value), options=trained)
    rule = HYPERPARAMETERS.get(name)
    return value if rule is None else checked(name, value, rule)


def compare_calls(name: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises ValueError, naming the first difference, if a study was started by another call.

    Arguments that only one of them has come from another version and are ignored.
    """
    known = [key for key in now["arguments"] if key in then["arguments"]]
    old, new = (
        {**call, "arguments": {key: call["arguments"][key] for key in known}}
        for call in (then, now)
    )
    found = first_difference(old, new)
    if found:
        where, old, new = found
        raise ValueError(
            f"name got {name!r}, a study whose {excerpt(where).replace('arguments.', '')} is "
            f"{brief(decode(old))}, and now it is {brief(decode(new))}; expected the call that it "
            "was begun with, or another name"
        )


def _agree(first: Any, now: Any, hosts: Hosts) -> None:
    found = first_difference(first, now)
    if found:
        name, theirs, ours = (excerpt(str(one), 200) for one in found)
        raise ValueError(
            f"the processes of a job make the same calls, but {name.replace('arguments.', '')} is "
            f"{theirs} in process 0 and {ours} in process {hosts.index}"
        )


def machine() -> dict[str, str]:
    """Returns versions and kind of machine, on which bits depend."""
    return {
        "jaxnn": __version__,
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "device": jax.local_devices()[0].device_kind,
        "architecture": platform.machine(),
        "dtype": str(jnp.result_type(float)),
        **{name: str(getattr(jax.config, f"jax_default_{name}")) for name in _CONFIG},
    }


def compare(directory: StrPath | None, then: Any, now: Any) -> None:
    """Raises ValueError, naming the first difference, unless two identities are the same."""
    found = first_difference(then, now)
    if found:
        name, old, new = (excerpt(str(one), 200) for one in found)
        raise ValueError(
            f"directory got {str(directory)!r}, which holds a search whose "
            f"{name.replace('arguments.', '')} is {old}, and now it is {new}; expected the call "
            "that it was begun with, or another directory"
        )


def _shape_of(model: Any) -> str:
    """Returns a summary of the names, types and shapes of a model's arrays, without running it."""
    pair = None if model is None else as_model(model)
    if not isinstance(pair, Model):
        return "" if pair is None else "a function that makes models"
    leaves = jax.tree_util.tree_leaves_with_path(jax.eval_shape(lambda: pair.init(new_key(0))))
    names = [f"{jax.tree_util.keystr(path)} {leaf.dtype}{leaf.shape}" for path, leaf in leaves]
    size = sum(leaf.size for _, leaf in leaves)
    digest = hashlib.sha256("; ".join(names).encode()).hexdigest()[:16]
    return f"{len(leaves)} arrays of {size:,} numbers, SHA-256 {digest}"


def _fingerprint(data: Any) -> Any:
    if not isinstance(data, Dataset):
        return encode(data)
    sha = hashlib.sha256()
    for values in (data.x, data.y, data.weights, data.exact, data.exact_y):
        if values is not None:
            array = np.ascontiguousarray(values)
            sha.update(f"{array.dtype}{array.shape}".encode())
            sha.update(array.data)
    return f"{len(data)} examples of {data.targets}, SHA-256 {sha.hexdigest()[:16]}"
