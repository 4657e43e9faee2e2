"""Identities: what makes one search the same as another, and in what two of them differ."""

import hashlib
import inspect
import json
import platform
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np

from jaxnn.commits import Commits
from jaxnn.datasets import Dataset
from jaxnn.files import StrPath
from jaxnn.mixtures import Mixture
from jaxnn.plans import Plan
from jaxnn.records import encode, first_difference

# these change nothing of what comes out
_ASIDE = ("directory", "commit_interval", "progress", "on_epoch")
# the plan that came of it is compared; code can only be compared by whether it was given
_APART = ("train", "valid", "plan", "model", "sampler", "storage")

_CONFIG = ("matmul_precision", "prng_impl")


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
    if not commits.is_on:
        return {}
    names = [n for n in inspect.signature(function).parameters if n not in (*_ASIDE, *_APART)]
    found = {
        **machine(),
        "function": function.__name__,
        **{f"has_{n}": arguments.get(n) is not None for n in ("model", "sampler")},
        "train": _fingerprint(arguments["train"]),
        "valid": _fingerprint(arguments["valid"]),
        "arguments": {name: encode(arguments[name]) for name in names},
        "plan": [
            {
                "networks": encode(model if isinstance(model, Mixture) else None),
                "optimizers": encode(one.program.optimizers),
                "batch_size": one.program.batch_size,
                "inputs": one.inputs,
                "chunk": one.chunk,
                "settings": [*one.settings],
            }
            for one in (plan.programs if plan else ())
            for model in [one.program.model]
        ],
    }
    now = json.loads(json.dumps(found))
    if commits.last is not None:
        compare(commits.directory, commits.last.about["identity"], now)
    return now


def machine() -> dict[str, str]:
    """Versions and kind of machine; on others the same call may give other bits."""
    from jaxnn import __version__

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
    """ValueError, which names the first difference, unless two identities are the same."""
    found = first_difference(then, now)
    if found:
        name, old, new = found
        raise ValueError(
            f"directory got {str(directory)!r}, which holds a search whose "
            f"{name.replace('arguments.', '')} is {old}, and now it is {new}; expected the call "
            "that it was begun with, or another directory"
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
