"""`load`: networks and studies from files."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxnn.data.inputs import InputStatistics
from jaxnn.disk.directories import Commit, newest
from jaxnn.disk.encoding import decode
from jaxnn.disk.hdf5 import read_arrays
from jaxnn.disk.rules import check
from jaxnn.disk.trees import filled, group_of
from jaxnn.disk.writing import StrPath
from jaxnn.formats.agreement import completed
from jaxnn.formats.layout import STUDY, best_first, complete_or_refused, merged_record
from jaxnn.formats.schemas import NETWORK_VALUES, check_curves, check_statistics
from jaxnn.functional.types import Model, ModelFn, as_model
from jaxnn.searching.studies import Study
from jaxnn.system.arrays import own as own_array
from jaxnn.system.checks import as_path, brief, check_fork
from jaxnn.system.keys import new_key
from jaxnn.training.fitted import NETWORK, Fitted
from jaxnn.training.recipes import networks_of

RUN = "jaxnn run 1"


def load(path: StrPath, model: Model | ModelFn | None = None) -> Any:
    """Reads what `Fitted.save` or `Study.save` wrote, or the last commit of a directory.

    Args:
      path: the file, or the directory that a `sweep` or `search` commits to, finished or not; of
        networks in the middle of their training it has the curves alone.
      model: what it was trained with, for networks that were not made by `mlp`. A study without it
        shows all but its networks.

    Returns:
      a `Fitted` or a `Study`.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is damaged, not one of ours, of another version, or holds what does not fit:
        arrays the structure that it names, values what they may be (see `schemas`), sizes what is
        there (see `claims`). No code comes from a file.

    >>> import tempfile
    >>> from jaxnn import Dataset, fit
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> fitted = fit({}, Dataset(x, (x[:, 0] > 0) * 1), epochs=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fitted.save(f"{folder}/network.h5")
    ...     again = load(f"{folder}/network.h5")
    >>> bool((again.predict_proba(x) == fitted.predict_proba(x)).all())
    True
    """
    check_fork("load")
    path, others = as_path("path", path), list[Commit]()
    if path.is_dir():
        with complete_or_refused(path):
            (path, arrays, about), *others = best_first(newest(path))
    else:
        arrays, about = read_arrays(path)
    own = None if model is None else as_model(model)
    kind = about.get("format")
    if kind == RUN:
        raise ValueError(
            f"{path} is a commit of a Run; expected Run(setting, train, ..., directory=...), which "
            "goes on with it"
        )
    if kind not in (NETWORK, STUDY):
        raise ValueError(
            f"{path} has the format {brief(kind)}; expected {NETWORK!r} or {STUDY!r}, which this "
            "version of jaxnn reads"
        )
    with complete_or_refused(path):
        if kind == NETWORK:
            return _network(path, arrays, about, own)
        return Study.of(merged_record(path, arrays, about, own, others))


def _network(
    path: StrPath,
    arrays: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
    model: Model | ModelFn | None,
) -> Fitted:
    about = {**about, **{name: decode(about[name]) for name in ("setting", "input_shape")}}
    check("the network", about, NETWORK_VALUES)
    input_shape = about["input_shape"]
    is_mlp = about["is_mlp"]
    setting = completed(about["setting"], not is_mlp)
    if model is None and not is_mlp:
        raise ValueError(
            f"{path} holds a network that mlp did not make; expected load(path, model)"
        )
    networks = networks_of(setting, None if is_mlp else model, input_shape, about["num_classes"])
    own = networks.own_model(setting)
    params, state = jax.eval_shape(own.init, new_key(0))
    inputs = None
    if (setting["inputs"] == "raw") == bool(group_of(arrays, "inputs")):
        raise ValueError(f"its inputs are {setting['inputs']}; expected statistics where not raw")
    if setting["inputs"] != "raw":
        names = InputStatistics._fields
        shapes: list[Any] = [jax.ShapeDtypeStruct(input_shape, float) for _ in names]
        inputs = InputStatistics(*shapes)
        found = filled(path, "inputs", inputs, arrays)
        check_statistics(found.mean, found.deviation, input_shape)
    check_curves(group_of(arrays, "curves"))
    fill = lambda group, tree: jax.tree.map(own_array, filled(path, group, tree, arrays))
    return Fitted(
        model=own,
        params=fill("params", params),
        state=fill("state", state),
        inputs=filled(path, "inputs", inputs, arrays),
        setting=setting,
        curves=group_of(arrays, "curves"),
        diverged=about["diverged"],
        input_shape=input_shape,
        num_classes=about["num_classes"],
        is_mlp=is_mlp,
    )
