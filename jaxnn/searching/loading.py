"""`load`: reads networks, ensembles and studies from files."""

from typing import Any

from jaxnn.disk.commits import Commit, newest
from jaxnn.disk.hdf5 import read_arrays
from jaxnn.disk.versions import format_of
from jaxnn.disk.writing import StrPath
from jaxnn.formats.ensembles import ENSEMBLE, ensemble_in
from jaxnn.formats.layout import STUDY, best_first, complete_or_refused, merged_record
from jaxnn.formats.networks import NETWORK, network_in
from jaxnn.functional.types import Model, ModelFn, as_model
from jaxnn.searching.studies import Study
from jaxnn.system.checks import as_path, brief, check_fork


def load(path: StrPath, model: Model | ModelFn | None = None) -> Any:
    """Loads a network, an ensemble or a study from a file, or the last commit from a directory.

    Args:
      path: a file of `Fitted.save`, `Ensemble.save` or `Study.save`, or the directory of a `sweep`
        or `search`, finished or not. Of networks that are still in training, only the curves are
        loaded.
      model: the model that was trained, if it is not `mlp`. Without it a study has everything but
        its networks.

    Returns:
      a `Fitted`, an `Ensemble` or a `Study`.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is damaged, jaxnn did not write it, its version is unknown, or its
        contents are inconsistent: arrays must have the shapes of the structure that the file names,
        values must be allowed (see `jaxnn.formats.schemas`), and declared sizes must be the stored
        ones (see `jaxnn.disk.claims`). No code is loaded from a file.

    >>> import tempfile
    >>> import numpy as np
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
    if kind == format_of("run"):
        raise ValueError(
            f"{path} is a commit of a Run; expected Run(setting, train, ..., directory=...), which "
            "resumes it"
        )
    if kind not in (NETWORK, ENSEMBLE, STUDY):
        raise ValueError(
            f"{path} has the format {brief(kind)}; expected {NETWORK!r}, {ENSEMBLE!r} or "
            f"{STUDY!r}, which this version of jaxnn reads"
        )
    with complete_or_refused(path):
        if kind == NETWORK:
            return network_in(path, arrays, about, own)
        if kind == ENSEMBLE:
            return ensemble_in(path, arrays, about, own)
        return Study.of(merged_record(path, arrays, about, own, others))
