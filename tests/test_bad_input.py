"""Every bad input is answered before work starts: what came, what was expected, what to do."""

import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jaxnn
from jaxnn.settings.hyperparameters import HYPERPARAMETERS, complete
from jaxnn.system import checks

X = np.random.default_rng(0).normal(size=(60, 3))
DATA = jaxnn.Dataset(X, (X[:, 0] > 0) * 1)
OTHER = jaxnn.Dataset(X[:, :2], (X[:, 0] > 0) * 1)
SPACE = {"learning_rate": jaxnn.loguniform(1e-4, 1)}
RATE = [{"learning_rate": 0.1}]


IN_ITSELF: list = []
IN_ITSELF.append(IN_ITSELF)


class Unshowable:
    def __repr__(self):
        raise RuntimeError("no")


def fit(**changes):
    return jaxnn.fit(**{"setting": {}, "train": DATA, "epochs": 1, **changes})


def run(**changes):
    return jaxnn.Run(**{"setting": {}, "train": DATA, "valid": 0.25, **changes})


def sweep(**changes):
    return jaxnn.sweep(**{"settings": RATE, "train": DATA, "valid": 0.25, "epochs": 1, **changes})


def search(**changes):
    options = {"space": SPACE, "train": DATA, "valid": 0.25, "num_settings": 2, "max_epochs": 1}
    return jaxnn.search(**{**options, **changes})


def resume(**changes):
    return jaxnn.resume(**{"directory": "none", "train": DATA, **changes})


def with_file(read, **arrays):
    """Calls `read` with an HDF5 file of the course's names, some of them others."""

    def call():
        path = Path("data.h5")
        with h5py.File(path, "w") as file:
            standard = {"x": X, "y": np.zeros(60, int)}
            for name, array in {**standard, **arrays}.items():
                if array is not None:
                    file[f"train_set_{name}"] = file[f"test_set_{name}"] = array
        return read(path)

    return call


def hdf5(**arrays):
    return with_file(lambda path: jaxnn.load_hdf5(path, path), **arrays)


def text_file(call):
    def wrapped():
        Path("text.h5").write_text("no HDF5")
        return call("text.h5")

    return wrapped


CASES = {
    # the loader
    "a folder without files": (lambda: jaxnn.load_signs("."), r"train_signs\.h5 does not exist"),
    "no HDF5": (text_file(lambda p: jaxnn.load_hdf5(p, p)), r"text\.h5 is not an HDF5 file"),
    "no labels": (hdf5(y=None), r"data\.h5: train_set_y is missing; found \['test_set_x', 'train"),
    "too few labels": (hdf5(y=[0, 1]), "train_set_y got 2 labels for 60 examples"),
    "half a class": (hdf5(y=np.full(60, 0.5)), "train_set_y got numbers that are not whole"),
    "a huge label": (
        hdf5(y=np.full(60, 2**40)),
        r"train_set_y got labels up to 1099511627776; exp",
    ),
    "a negative label": (hdf5(y=np.full(60, -1)), "train_set_y got labels from -1"),
    "text for inputs": (hdf5(x=np.full((60, 2), b"a")), "train_set_x has type .*expected numbers"),
    "inputs that are not finite": (
        hdf5(x=np.full((60, 2), np.nan)),
        r"train_set_x got 120 values that are NaN",
    ),
    "no examples": (hdf5(x=np.zeros((0, 2)), y=[]), r"train_set_x got shape \(0, 2\); expected at"),
    "a class twice": (
        with_file(lambda p: jaxnn.load_hdf5(p, p, classes_key="train_set_y"), y=[1] * 60),
        r"train_set_y got \(1, 1, .*; expected each class once",
    ),
    "no path": (lambda: jaxnn.load_hdf5(None, "x"), "path got None; expected a path"),
    "no keys": (
        lambda: jaxnn.load_hdf5("x", "x", train_keys=None),
        "train_keys got None; expected the names of inputs and labels",
    ),
    "one key": (
        lambda: jaxnn.load_hdf5("x", "x", test_keys="ab"),
        "test_keys got 'ab'; expected the names of inputs and labels",
    ),
    # data
    "one axis": (
        lambda: jaxnn.Dataset(X[:, 0], DATA.y),
        r"x got shape \(60,\); expected \(example",
    ),
    "complex inputs": (lambda: jaxnn.Dataset(X * 1j, DATA.y), "x got type complex128; expected re"),
    "negative weights": (lambda: jaxnn.Dataset(X, DATA.y, weights=-np.ones(60)), "weights got"),
    "a class too many": (lambda: jaxnn.Dataset(X, DATA.y, 1), "num_classes got 1; expected"),
    "rows beyond": (lambda: DATA[np.array([60])], "index 60 is out of bounds"),
    # one network
    "arrays for data": (
        lambda: fit(train=X),
        r"train got ndarray; expected jaxnn\.Dataset\(x, y\)",
    ),
    "an unknown key": (lambda: fit(setting={"learning_rat": 1}), "did you mean 'learning_rate'"),
    "a rate of 0": (
        lambda: fit(setting={"learning_rate": 0}),
        "learning_rate got 0; expected a fi",
    ),
    "a rate too small": (lambda: fit(setting={"learning_rate": 1e-60}), "expected a number that f"),
    "no units": (lambda: fit(setting={"hidden": (0,)}), r"hidden got \(0,\); expected a tuple of"),
    "a large batch": (lambda: fit(setting={"batch_size": 61}), "batch_size got 61; expected at mo"),
    "no epochs": (lambda: fit(epochs=0), "epochs got 0; expected a whole number >= 1"),
    "other features": (lambda: fit(valid=OTHER), r"valid .*\(2,\).*expected \(3,\)"),
    "a fraction of 1": (lambda: fit(valid=1.0), "got 1.0; expected"),
    "a seed below 0": (lambda: fit(seed=-1), "seed got -1; expected a whole number >= 0"),
    "a model that is none": (lambda: fit(model=3), r"model got 3; expected jaxnn\.Model"),
    "new inputs": (lambda: fit().predict(X[:, :2]), r"x got inputs of shape \(60, 2\); expected"),
    "a directory that is a number": (lambda: run(directory=3), "directory got 3; expected a path"),
    "structure that is set": (lambda: run().set(hidden=(3,)), "set got hidden, which shapes the"),
    "nothing to undo": (lambda: run().undo(), "undo got a run with nothing to take back"),
    "a list in itself": (
        lambda: fit(setting={"hidden": IN_ITSELF}),
        r"hidden got \[\[\.\.\.\]\]; exp",
    ),
    "a choice of it": (lambda: jaxnn.choice([IN_ITSELF]), r"choice got \[\[\.\.\.\]\]; expected"),
    "no way to show it": (
        lambda: fit(setting={"hidden": Unshowable()}),
        "hidden got <Unshowable that cannot be shown>; expected a tuple",
    ),
    # many
    "no settings": (lambda: sweep(settings=[]), "settings got an empty list; expected at least"),
    "one setting": (lambda: sweep(settings=RATE[0]), "settings got .*; expected a list of dicts"),
    "a bad one": (
        lambda: sweep(settings=[{}, {"l2": -1}]),
        r"settings\[1\]: l2 got -1; expected a finite number >= 0",
    ),
    "nothing to validate": (lambda: sweep(valid=None), "valid got None; expected a Dataset, or a"),
    "no lanes": (lambda: sweep(chunk=0), "chunk got 0; expected a whole number >= 1"),
    "no hook": (lambda: sweep(on_epoch=3), "on_epoch got 3; expected a function"),
    "no plan": (lambda: sweep(plan="fast"), r"plan got 'fast'; expected one made by jaxnn\.plan"),
    "a negative interval": (
        lambda: sweep(commit_interval=-1),
        "commit_interval got -1; expected s",
    ),
    "a file for a directory": (
        lambda: sweep(directory=__file__),
        "directory got .*cannot be writt",
    ),
    "no method": (
        lambda: search(method="best"),
        "method got 'best'; expected one of random, sobol",
    ),
    "no space": (lambda: search(space=3), "space got 3; expected a dict, name -> domain or value"),
    "a bad range": (lambda: jaxnn.loguniform(0, 1), "bound 0; expected bounds > 0, as values"),
    "a value in a space": (
        lambda: search(space={"momentum": 2}),
        r"space: momentum got 2; expected a number in \[0, 1\), or a domain",
    ),
    "rungs beyond": (lambda: search(min_epochs=2), "min_epochs got 2; expected at most max_epochs"),
    "a factor of 1": (lambda: search(factor=1), "factor got 1; expected a number > 1"),
    "folds and valid": (lambda: search(folds=2), "valid came with folds=2; expected None"),
    "two places": (
        lambda: search(method="optuna", directory="run", storage="sqlite://"),
        "directory came with a storage, in which Optuna keeps the study; expected one of them",
    ),
    "no server": (
        lambda: search(method="optuna", storage="postgresql://me:secret@localhost:1/trials"),
        r"storage got 'postgresql://me:\*\*\*@localhost:1/trials', which cannot be opened \(.*refu",
    ),
    "no storage": (
        lambda: search(method="optuna", storage=3),
        "storage got 3, which cannot be opened .*expected None, a URL such as 'sqlite:///trials.db'",
    ),
    # what was saved
    "nothing to go on with": (resume, "none has no commits; expected a directory of a search"),
    "nothing to load": (lambda: jaxnn.load("none.h5"), r"none\.h5 does not exist"),
    "text to load": (text_file(jaxnn.load), r"text\.h5 is not a file that jaxnn saved"),
    "data to load": (with_file(jaxnn.load), r"data\.h5 is not a file that jaxnn saved, or"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_answered(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, message = CASES[name]
    with pytest.raises((ValueError, FileNotFoundError, IndexError)) as caught:
        call()
    assert re.search(message, str(caught.value)), str(caught.value)
    assert not list(tmp_path.glob("**/commit-*")), "work has started"


LARGEST = 2**31 - 1
NO_ROOM = {
    "units": (lambda: fit(setting={"hidden": (LARGEST,)}), r"hidden got \(2147483647,\): a netw"),
    "units of a plan": (
        lambda: jaxnn.plan([{"hidden": (LARGEST,)}], DATA),
        r"settings\[0\]: hidden got \(2147483647,\): a network in training would take .* GB",
    ),
    "units of a sweep": (lambda: sweep(settings=[{"hidden": (LARGEST, 9)}]), "GB of memory here"),
    "units of a space": (
        lambda: search(space={"hidden": jaxnn.choice([(LARGEST,), (LARGEST, 2)])}),
        "GB of memory here",
    ),
    "classes": (
        lambda: fit(train=jaxnn.Dataset(X, DATA.y, LARGEST)),
        "hidden got .*a network in training would take",
    ),
    "layers": (lambda: fit(setting={"hidden": (1,) * 20_000}), "expected .* at most 256 layers"),
    "epochs": (lambda: fit(epochs=LARGEST), "epochs got 2,147,483,647: their curves would take 69"),
    "epochs of a sweep": (lambda: sweep(epochs=LARGEST), "1 networks of 2,147,483,647 epochs"),
    "seeds": (lambda: sweep(seeds=LARGEST - 1), "2,147,483,646 networks of 1 epochs: their curves"),
    "settings": (lambda: search(num_settings=LARGEST), "n got 2,147,483,647: so many settings"),
    "lanes": (lambda: sweep(chunk=LARGEST), "chunk got 2,147,483,647; expected at most 1,048,576"),
    "wide lanes": (
        lambda: sweep(settings=[{"hidden": (9999,)}], chunk=2**20),
        "chunk got 1,048,576: so many lanes would take",
    ),
    "folds": (lambda: search(valid=None, folds=10**9), "num_folds got 1000000000; expected at"),
    "a factor": (lambda: search(factor=10**400), r"factor got 10+\.\.\.; expected"),
    "a batch": (
        lambda: fit(setting={"batch_size": 10**400}),
        r"batch_size got 10+\.\.\.; expected",
    ),
}


@pytest.mark.parametrize("name", NO_ROOM)
def test_what_has_no_room_is_refused_before_it_is_made(name, tmp_path, monkeypatch):
    """On a machine of 8 GB, whatever this one has."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checks, "host_memory", lambda: 8 * 10**9)
    call, message = NO_ROOM[name]
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert len(str(caught.value)) < 600
    assert not list(tmp_path.glob("**/commit-*")), "work has started"


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=3),
    st.tuples(st.integers(-1, 9), st.integers(-1, 9)),
    st.binary(max_size=3),
    st.complex_numbers(),
    st.sampled_from([np.float32(0.1), np.int64(3), np.nan, np.zeros(2), object(), len, {}]),
)
NAMES = st.one_of(st.sampled_from(sorted(HYPERPARAMETERS)), st.text(max_size=5), st.integers())


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, ANYTHING, max_size=4))
def test_any_setting_is_completed_or_refused_by_name(setting):
    full, refusal = answered(complete, setting)
    if full is None:
        assert any(str(name) in refusal or repr(name) in refusal for name in setting)
    else:
        assert set(full) == set(HYPERPARAMETERS)
        assert complete(full) == full


def answered(function, *arguments):
    """What a function returns, or None and the message of its ValueError; nothing else passes."""
    try:
        return function(*arguments), ""
    except ValueError as error:
        return None, str(error)


def drawn_from(drawn):
    space = {
        name: domain[0](*domain[1:])
        if isinstance(domain, tuple) and domain and callable(domain[0])
        else domain
        for name, domain in drawn.items()
    }
    return jaxnn.sample(space, 3)


DOMAINS = st.one_of(
    ANYTHING,
    st.builds(
        lambda make, low, high: (make, low, high),
        st.sampled_from([jaxnn.uniform, jaxnn.loguniform, jaxnn.reverseloguniform, jaxnn.randint]),
        st.one_of(st.integers(-5, 5), st.floats()),
        st.one_of(st.integers(-5, 5), st.floats()),
    ),
    st.lists(ANYTHING, min_size=1, max_size=3).map(lambda options: (jaxnn.choice, options)),
)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted(HYPERPARAMETERS)), DOMAINS, max_size=3))
def test_any_space_is_sampled_or_refused(drawn):
    found, refusal = answered(drawn_from, drawn)
    if found is None:
        assert re.search("got|bound|expected", refusal)
        return
    assert len(found) == 3
    for setting in found:
        full, refusal = answered(complete, setting)
        # two names that do not go together
        assert full or "decay_rate got" in refusal


@pytest.mark.slow
def test_damaged_files_never_load_hang_or_crash():
    """300 of them; `benchmarks/reliability.py fuzz` does 2,000."""
    script = Path(__file__).parents[1] / "benchmarks" / "reliability.py"
    command = [sys.executable, str(script), "fuzz", "--times", "300"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = {
        line.strip().split(maxsplit=1)[1]: int(line.split()[0]) for line in done.stdout.splitlines()
    }
    for name in ("commit-000001.h5", "network.h5", "study.h5"):
        assert found.pop(f"{name}: refused, and named") == 75
    # a data set has no SHA-256 that would tell
    assert found.pop("data.h5: loads") + found.pop("data.h5: refused, and named") == 75
    assert not found
