"""`load`: networks and studies from files."""

from typing import Any

from jaxnn.disk.directories import Commit, newest
from jaxnn.disk.hdf5 import read_arrays
from jaxnn.disk.versions import format_of
from jaxnn.disk.writing import StrPath
from jaxnn.formats.layout import STUDY, best_first, complete_or_refused, merged_record
from jaxnn.formats.networks import NETWORK, network_in
from jaxnn.functional.types import Model, ModelFn, as_model
from jaxnn.searching.studies import Study
from jaxnn.system.checks import as_path, brief, check_fork


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
    if kind == format_of("run"):
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
            return network_in(path, arrays, about, own)
        return Study.of(merged_record(path, arrays, about, own, others))
