"""Identities: what makes one search the same as another, and in what two of them differ."""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np

from jaxnn.commits import Commits
from jaxnn.datasets import Dataset
from jaxnn.mixtures import Mixture
from jaxnn.plans import Plan
from jaxnn.records import encode, first_difference

# these change nothing of what comes out
_ASIDE = ("directory", "commit_interval", "progress", "on_epoch")
# the plan that came of it is compared; code can only be compared by whether it was given
_APART = ("train", "valid", "plan", "model", "sampler", "storage")


def checked_identity(
    commits: Commits,
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    plan: Plan | None = None,
) -> dict[str, Any]:
    """The call, data, plan, versions and machine that a study's bits depend on, as JSON.

    Raises:
      ValueError: the directory holds another search; it names the first difference.
    """
    from jaxnn import __version__

    if not commits.is_on:
        return {}
    names = [n for n in inspect.signature(function).parameters if n not in (*_ASIDE, *_APART)]
    found = {
        "function": function.__name__,
        "arguments": {name: encode(arguments[name]) for name in names},
        "train": _fingerprint(arguments["train"]),
        "valid": _fingerprint(arguments["valid"]),
        **{f"has_{n}": arguments.get(n) is not None for n in ("model", "sampler")},
        "plan": [
            [
                encode(one.program.model if isinstance(one.program.model, Mixture) else None),
                encode(one.program.optimizers),
                one.program.batch_size,
                one.inputs,
                one.chunk,
                [*one.settings],
            ]
            for one in (plan.programs if plan else ())
        ],
        "jaxnn": __version__,
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "device": jax.local_devices()[0].device_kind,
        "dtype": str(jnp.result_type(float)),
    }
    now = json.loads(json.dumps(found))
    if commits.last is not None:
        _compare(commits, commits.last.about["identity"], now)
    return now


def _compare(commits: Commits, then: Any, now: Any) -> None:
    found = first_difference(then, now)
    if found:
        name, old, new = found
        raise ValueError(
            f"directory got {str(commits.directory)!r}, which holds a search whose "
            f"{name.removeprefix('arguments.')} is {old}, and now it is {new}; expected the "
            "call that it was begun with, or another directory"
        )


def _fingerprint(data: Any) -> Any:
    if not isinstance(data, Dataset):
        return encode(data)
    sha = hashlib.sha256()
    for values in (data.x, data.y, data.weights):
        if values is not None:
            array = np.ascontiguousarray(values)
            sha.update(f"{array.dtype}{array.shape}".encode())
            sha.update(array.data)
    return f"{len(data)} examples of {data.num_classes} classes, SHA-256 {sha.hexdigest()[:16]}"
