"""`resume`: goes on with a sweep or search, given its directory."""

from collections.abc import Callable
from typing import Any

from jaxnn.data.datasets import Dataset
from jaxnn.disk.commits import newest
from jaxnn.disk.encoding import decode
from jaxnn.disk.writing import StrPath
from jaxnn.engine.identities import argument_names, compare, machine
from jaxnn.formats.layout import STUDY, complete_or_refused
from jaxnn.functional.types import Model, ModelFn
from jaxnn.searching.searches import search
from jaxnn.searching.studies import Study
from jaxnn.searching.sweeps import sweep
from jaxnn.settings.sampling import Settings
from jaxnn.system.checks import brief
from jaxnn.system.processes import all_hosts
from jaxnn.training.hooks import OnEpoch


def resume(
    directory: StrPath,
    train: Dataset,
    valid: Dataset | float | None = None,
    *,
    model: Model | ModelFn | None = None,
    sampler: Any = None,
    commit_interval: float = 60.0,
    progress: bool | None = None,
    on_epoch: OnEpoch | None = None,
) -> Study:
    """Resumes the `sweep` or `search` of a directory, as the same call would.

    The directory holds all arguments of the call except the data, of which it holds the SHA-256,
    and code.

    Args:
      directory: the directory of the call.
      train, valid: the same data; `valid` may be left out if it was a fraction or None.
      model, sampler: must be given if the call had them, since files hold no code. A search whose
        settings have functions, optimizers or losses, is resumed by the call itself.
      commit_interval, progress, on_epoch: as for `sweep`; they may differ.

    Returns:
      the study, with the same bits as without an interruption. A finished study is only loaded.

    Raises:
      FileNotFoundError: there are no commits.
      ValueError: other data, another version or machine, damaged commits, or missing code.
      TrainingInterrupted: as for `sweep`.

    >>> import tempfile, numpy as np
    >>> x = np.random.default_rng(0).normal(size=(64, 2))
    >>> data = Dataset(x, (x[:, 0] > 0) * 1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     study = sweep([{}, {"learning_rate": 0.1}], data, 0.25, epochs=2, directory=folder)
    ...     again = resume(folder, data)
    >>> again.best_value == study.best_value
    True
    """
    with all_hosts().raised_together("the directory of resume"):
        path, _, about = newest(directory)[0]
    if about.get("format") != STUDY:
        raise ValueError(
            f"{path} has the format {about.get('format')!r}; expected a commit of sweep or search. "
            "Run(..., directory=...) resumes a Run"
        )
    with complete_or_refused(path):
        identity = about["identity"]
        versions = machine()
        compare(directory, {name: identity.get(name) for name in versions}, versions)
        calls: dict[str, Callable[..., Study]] = {"sweep": sweep, "search": search}
        call = calls[identity["function"]]
        arguments = {name: decode(value) for name, value in identity["arguments"].items()}
        if {*arguments} != {*argument_names(call)}:
            raise ValueError(
                f"it holds the arguments {brief([*arguments])}; expected those of {call.__name__}"
            )
        space, plan = decode(about["space"]), decode(about["plan"])
        is_given = {name: identity[f"has_{name}"] for name in ("model", "sampler")}
        known_valid = identity["valid"]
    code: dict[str, Any] = {"model": model, "sampler": sampler}
    for name, given in code.items():
        if is_given[name] and given is None:
            raise ValueError(
                f"{directory} holds a search that was given a {name}, which is code; expected "
                f"resume(directory, train, valid, {name}=...)"
            )
    if valid is None and not isinstance(known_valid, str):
        valid = known_valid
    if call is sweep and space is not None:
        arguments["settings"] = Settings(arguments["settings"], space)
    if call is sweep:
        del code["sampler"]
        if model is None:
            # the call may have been given a plan
            arguments["plan"] = plan
    return call(
        train=train,
        valid=valid,
        directory=directory,
        commit_interval=commit_interval,
        progress=progress,
        on_epoch=on_epoch,
        **code,
        **arguments,
    )
