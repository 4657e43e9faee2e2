"""Every bad input is answered before work starts: what came, what was expected, what to do."""

import contextlib
import re
from pathlib import Path

import h5py
import jax
import numpy as np
import pytest
from helpers.data import halves
from helpers.models import counting

import jaxnn
from jaxnn.system import checks

X, Y = np.arange(12.0).reshape(4, 3), [0, 1, 2, 1]
DATA = halves(60, 3)
TRAIN, VALID = DATA[:40], DATA[40:]
OTHER_FEATURES = jaxnn.Dataset(np.ones((2, 5)), [0, 1])
OTHER_CLASSES = jaxnn.Dataset(np.ones((2, 3)), [0, 1], 3)
WEIGHTLESS = jaxnn.Dataset(np.ones((41, 3)), [0] * 41, 2, [1] + [0] * 40)[1:]
MODEL, TRACES = counting(jaxnn.mlp(3, (), 2))
SPACE = {"learning_rate": jaxnn.loguniform(1e-4, 1)}

IN_ITSELF: list = []
IN_ITSELF.append(IN_ITSELF)


class Unshowable:
    def __repr__(self):
        raise RuntimeError("no")


def set_numbers(**numbers):
    """A refused edit of a run changes nothing."""
    run = call("Run")
    before = run.setting
    try:
        run.set(**numbers)
    finally:
        assert run.setting == before
        assert run.journal == []


ENTRIES = {
    "Dataset": (jaxnn.Dataset, {"x": X, "y": Y}),
    "fit": (jaxnn.fit, {"setting": {}, "train": TRAIN, "epochs": 1}),
    "fit of a model": (jaxnn.fit, {"setting": {}, "train": TRAIN, "epochs": 1, "model": MODEL}),
    "Run": (jaxnn.Run, {"setting": {}, "train": TRAIN, "valid": VALID}),
    "Run.set": (set_numbers, {}),
    "plan": (jaxnn.plan, {"settings": [{}], "train": TRAIN}),
    "sweep": (jaxnn.sweep, {"settings": [{}], "train": TRAIN, "valid": VALID, "epochs": 1}),
    "search": (
        jaxnn.search,
        {"space": SPACE, "train": TRAIN, "valid": VALID, "num_settings": 9, "max_epochs": 8},
    ),
}
"""Functions, and arguments that they take."""


def call(entry, **changes):
    function, arguments = ENTRIES[entry]
    return function(**{**arguments, **changes})


BAD = {
    "Dataset": [
        ({"x": X[:, 0]}, r"x got shape \(4,\); expected \(examples, features\)"),
        ({"x": X[:0]}, r"x got shape \(0, 3\); expected at least one example"),
        ({"x": X[:, :0]}, r"x got shape \(4, 0\); expected at least one example and feature"),
        ({"x": X + 1j}, "x got type complex128; expected real numbers"),
        ({"x": X.astype(object)}, "x got type object"),
        ({"x": X.astype(str)}, "x got type <U"),
        ({"x": np.where(X == 7, np.nan, X)}, "x got 1 values that are NaN .* in example 2"),
        ({"x": np.where(X > 9, np.inf, X)}, "x got 2 values that are NaN .* in example 3"),
        ({"y": []}, r"y got floats of shape \(0,\) for 4 examples; expected real targets"),
        ({"y": [], "num_classes": 2}, "y got 0 labels for 4 examples"),
        ({"y": [0, 1, 2]}, "y got 3 labels for 4 examples"),
        ({"y": [0, 1, 2, 1.5], "num_classes": 3}, "y got numbers that are not whole"),
        ({"y": [0, 1, 2, np.nan]}, "y got 1 values that are NaN .*, the first in example 3"),
        (
            {"y": [0, 1, 2, np.nan], "num_classes": 3},
            r"y got 1 missing values \(NaN\), the first in example 3",
        ),
        ({"y": [[0, 1], [2, 1e39], [1, 2], [-np.inf, 1]]}, "y got 2 values .* in example 1"),
        ({"y": np.ones((3, 1))}, r"floats of shape \(3, 1\) for 4 examples; expected real targ"),
        ({"y": np.ones((3, 4))}, r"floats of shape \(3, 4\) .* or num_classes for classes"),
        ({"y": np.ones((4, 0))}, r"floats of shape \(4, 0\)"),
        ({"y": 1.5}, r"floats of shape \(\) for 4 examples"),
        (
            {"y": [1j] * 4},
            "y got type complex128; expected whole numbers .* floats for real targets",
        ),
        ({"y": [0, 1, 2, -1]}, "y got labels from -1 to 2; expected 0 to 2"),
        ({"num_classes": 2}, "y got labels from 0 to 2; expected 0 to 1 for 2 classes"),
        ({"num_classes": 1}, "num_classes got 1; expected a whole number >= 2"),
        ({"num_classes": 2.5}, r"num_classes got 2\.5"),
        ({"num_classes": True}, "num_classes got True; expected a whole number >= 2"),
        ({"y": ["a", "b", "c", "d"]}, "y got type <U1; expected whole numbers"),
        (
            {"y": np.ones((4, 3)), "num_classes": 3},
            r"y got shape \(4, 3\); expected class numbers \(4,\)",
        ),
        (
            {"y": np.array([[2, -1]] * 4)},
            r"y got int64 of shape \(4, 2\); expected class numbers .*, or floats for real targets",
        ),
        ({"y": np.ones((3, 4), int)}, r"y got int64 of shape \(3, 4\); .*labels 0 and 1 \(4, K\)"),
        ({"y": np.ones((2, 2, 1))}, r"y got floats of shape \(2, 2, 1\)"),
        ({"y": np.ones((2, 2, 1), int)}, r"y got shape \(2, 2, 1\)"),
        ({"y": np.eye(4, dtype=int)[[1, 2, 0, 3]]}, "can be read by row and by column"),
        ({"weights": [1j, 1, 1, 1]}, "weights got complex128 .*; expected real numbers"),
        ({"x": np.where(X == 7, 1e300, X)}, "x got 1 values that are NaN or infinite in float32"),
        (
            {"y": [0, 1, 2, 2**32 + 1]},
            "y got labels up to 4294967297; expected below 65,536, unless",
        ),
        ({"y": np.eye(3)[Y], "num_classes": 4}, "y got one-hot labels of 3 classes; expected 4"),
        ({"weights": [1e-60] * 4}, "only zeros"),
        ({"weights": [1, 1, 1]}, r"weights got int64 of shape \(3,\)"),
        ({"weights": [1, 1, 1, -1]}, "weights got a negative"),
        ({"weights": [1, 1, 1, np.inf]}, "weights got a negative or infinite number"),
        ({"weights": [0, 0, 0, 0]}, "only zeros"),
    ],
    # with a model of the user's as well, where that reads the same
    "fit": [
        ({"train": X}, r"train got ndarray; expected jaxnn\.Dataset\(x, y\)"),
        ({"train": WEIGHTLESS}, "train got only examples of weight 0"),
        ({"valid": WEIGHTLESS}, "valid got only examples of weight 0"),
        ({"valid": "x"}, "valid got 'x'; expected a Dataset"),
        ({"valid": 1.0}, r"hold-out fraction got 1\.0; expected"),
        ({"valid": OTHER_FEATURES}, r"valid got features of shape \(5,\); expected \(3,\)"),
        ({"valid": OTHER_CLASSES}, "valid got 3 classes; expected 2"),
        ({"epochs": 0}, "epochs got 0; expected a whole number >= 1"),
        ({"epochs": 1.5}, r"epochs got 1\.5"),
        ({"seed": -1}, "seed got -1; expected a whole number >= 0"),
        ({"seed": 2**31}, "seed got 2147483648"),
        ({"order_seed": True}, "order_seed got True"),
        ({"model": 5}, r"model got 5; expected jaxnn\.Model"),
        ({"setting": [1]}, r"setting got \[1\]; expected a dict"),
        ({"setting": {"learning_rat": 1}}, "did you mean 'learning_rate'"),
        ({"setting": {"learning_rate": 0}}, "learning_rate got 0; expected a fi"),
        ({"setting": {"learning_rate": 1e39}}, r"learning_rate got 1e\+39.*float32 can hold"),
        ({"setting": {"learning_rate": 1e-60}}, "expected a number that float32 can hold"),
        ({"setting": {"epsilon": 1e-60}}, "epsilon got 1e-60.*float32 can hold"),
        (
            {"setting": {"beta1": 1 - 1e-9}},
            r"beta1 got 0\.999999999, 1\.0 in float32; expected a n",
        ),
        ({"setting": {"batch_size": 41}}, "batch_size got 41; expected at most the 40"),
        ({"setting": {"hidden": (0,)}}, r"hidden got \(0,\); expected a tuple of"),
        ({"setting": {"hidden": IN_ITSELF}}, r"hidden got \[\[\.\.\.\]\]; exp"),
        (
            {"setting": {"hidden": Unshowable()}},
            "hidden got <Unshowable that cannot be shown>; expected a tuple",
        ),
    ],
    "Run": [
        ({"directory": 3}, "directory got 3; expected a path"),
        ({"seed": -1}, "seed got -1"),
    ],
    "Run.set": [
        ({}, "set got nothing; expected numbers"),
        ({"hidden": (7,)}, "set got hidden, which shapes the network"),
        ({"optimizer": "gd"}, "set got optimizer, which shapes the network"),
        ({"learning_rat": 0.1}, "unknown key 'learning_rat'; did you mean 'learning_rate'"),
        ({"learning_rate": -1}, "learning_rate got -1"),
        ({"decay_schedule": "wild"}, "decay_schedule got 'wild'"),
    ],
    "plan": [
        ({"settings": []}, "settings got an empty list"),
        ({"settings": [{}, {"hiden": (3,)}]}, r"settings\[1\]: .*did you mean 'hidden'"),
        ({"train": np.ones((3, 4))}, "train got ndarray; expected jaxnn.Dataset"),
        ({"epochs": 0}, "epochs got 0; expected a whole number >= 1"),
        ({"seeds": 1.5}, r"seeds got 1\.5"),
        ({"rates": "fast"}, "rates got 'fast'; expected jaxnn.Rates"),
        ({"rates": jaxnn.Rates(*[0.0] * 10)}, r"rates got products 0\.0; expected a number > 0"),
        (
            {"rates": jaxnn.Rates("a", *[1.0] * 9)},
            "rates got products 'a'; expected a number > 0",
        ),
        ({"row_space": 1}, "row_space got 1; expected True or False"),
        ({"model": MODEL, "row_space": True}, "row_space=True came with a model"),
        ({"model": 3}, "model got 3; expected jaxnn.Model"),
    ],
    "sweep": [
        ({"settings": []}, "settings got an empty list; expected at least"),
        ({"settings": {"learning_rate": 0.1}}, "settings got .*; expected a list of dicts"),
        ({"settings": [{}, {"learning_rat": 1}]}, r"settings\[1\]: .*did you mean 'learning_rate'"),
        (
            {"settings": [{}, {"l2": -1}]},
            r"settings\[1\]: l2 got -1; expected a finite number >= 0",
        ),
        ({"settings": [{"learning_rate": "x"}]}, r"settings\[0\]: learning_rate got 'x'"),
        ({"settings": [{"learning_rate": 1e-60}]}, r"settings\[0\]: learning_rate got 1e-60"),
        ({"settings": [{}, {"batch_size": 41}]}, r"settings\[1\]: batch_size got 41; expected at"),
        ({"train": np.ones((3, 4))}, "train got ndarray; expected jaxnn.Dataset"),
        ({"valid": None}, "valid got None; expected a Dataset, or a fraction"),
        ({"valid": 1.5}, "hold-out fraction got 1.5"),
        ({"valid": OTHER_FEATURES}, "valid got features of shape"),
        ({"valid": OTHER_CLASSES}, "valid got 3 classes; expected 2"),
        ({"epochs": 0}, "epochs got 0; expected a whole number >= 1"),
        ({"seeds": 0}, "seeds got 0; expected a whole number >= 1"),
        ({"seed": 2**31 - 1, "seeds": 2}, "seed"),
        ({"chunk": 0}, "chunk got 0; expected a whole number >= 1"),
        ({"keep": "all"}, "keep got 'all'; expected 'last' or 'best'"),
        ({"metric": "auc"}, "metric got 'auc'; expected 'accuracy', 'cost', 'rmse', 'mae' or 'r2'"),
        ({"on_epoch": 3}, "on_epoch got 3; expected a function"),
        ({"plan": "fast"}, r"plan got 'fast'; expected one made by jaxnn\.plan"),
        ({"commit_interval": -1}, "commit_interval got -1; expected s"),
        ({"directory": __file__}, "directory got .*cannot be writt"),
    ],
    "search": [
        (
            {"method": "tpe"},
            "method got 'tpe'; expected one of random, sobol, grid, coarse",
        ),
        ({"space": 3}, "space got 3; expected a dict, name -> domain or value"),
        ({"space": [1]}, "space got 1; expected a dict, name -> domain or value, or a list"),
        ({"space": {**SPACE, "l": 1}}, "unknown key 'l'"),
        (
            {"space": {"momentum": 2}},
            r"space: momentum got 2; expected a number in \[0, 1\), or a domain",
        ),
        ({"train": None}, "train got NoneType"),
        ({"valid": None}, "valid got None; expected a Dataset, or a fraction"),
        ({"num_settings": 0}, "num_settings got 0"),
        ({"max_epochs": 0}, "max_epochs got 0"),
        ({"min_epochs": 9}, "min_epochs got 9; expected at most max_epochs, 8"),
        ({"factor": 1}, "factor got 1; expected a number > 1"),
        ({"patience": 0}, "patience got 0"),
        (
            {"rounds": 10, "method": "coarse_to_fine"},
            "rounds got 10; expected at most num_settings, 9",
        ),
        ({"batch": 0}, "batch got 0"),
        ({"folds": 3}, "valid came with folds=3; expected None"),
        ({"folds": 41, "valid": None}, "num_folds got 41; expected at most the 40 examples"),
        ({"select": "median"}, "select got 'median'; expected 'mean' or 'lower_bound'"),
        ({"select": "lower_bound"}, "select='lower_bound' came with one repetition"),
        ({"keep": "all"}, "keep got 'all'"),
        ({"row_space": 1}, "row_space got 1"),
        (
            {"method": "optuna", "directory": "run", "storage": "sqlite://"},
            "directory came with a storage, in which Optuna keeps the study; expected one of them",
        ),
        ({"storage": "sqlite://"}, "storage came with method='halving'; expected method='optuna'"),
        (
            {"method": "optuna", "storage": "postgresql://me:secret@localhost:1/t"},
            r"storage got 'postgresql://me:\*\*\*@localhost:1/t', which cannot be opened \(.*refu",
        ),
        (
            {"method": "optuna", "storage": 3},
            "storage got 3, which cannot be opened .*expected None, a URL such as 'sqlite:///trials",
        ),
    ],
}
BAD["fit of a model"] = [
    (change, message)
    for change, message in BAD["fit"]
    if "model" not in change and "hidden" not in change.get("setting", {})
]
"""By entry point: arguments, of which one is bad, and what is said of it."""


@pytest.mark.parametrize(
    ("entry", "change", "message"),
    [
        pytest.param(entry, *case, id=f"{entry}({', '.join(case[0])})")
        for entry, cases in BAD.items()
        for case in cases
    ],
)
def test_bad_arguments_are_answered_before_anything_compiles(
    entry, change, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    # a run has been made where its edit is refused; the shapes of a user's model are looked at
    may_trace = entry.startswith("Run") or entry == "fit of a model"
    guard = contextlib.nullcontext() if may_trace else jax.no_tracing()
    with guard, pytest.raises(ValueError, match=message):
        call(entry, **change)
    assert TRACES == []
    assert not list(tmp_path.glob("**/commit-*")), "work has started"


def with_file(read, **arrays):
    """Calls `read` with an HDF5 file of the course's names, some of them others."""

    def call():
        path = Path("data.h5")
        with h5py.File(path, "w") as file:
            standard = {"x": np.asarray(DATA.x), "y": np.zeros(60, int)}
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


def trained_run(**changes):
    run = call("Run", **changes)
    run.train(1)
    return run


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
    # data and domains
    "rows beyond": (lambda: DATA[np.array([60])], "index 60 is out of bounds"),
    "a choice of a list in itself": (
        lambda: jaxnn.choice([IN_ITSELF]),
        r"choice got \[\[\.\.\.\]\]; expected",
    ),
    "a bad range": (lambda: jaxnn.loguniform(0, 1), "bound 0; expected bounds > 0, as values"),
    # networks and runs
    "new inputs": (
        lambda: call("fit").predict(np.ones((60, 2))),
        r"x got inputs of shape \(60, 2\); expected",
    ),
    "nothing to undo": (lambda: call("Run").undo(), "undo got a run with nothing to take back"),
    "no epochs": (lambda: call("Run").train(0), "epochs got 0; expected a whole number >= 1"),
    "a run not trained": (
        lambda: call("Run").study(),
        "study got a run that has not trained yet",
    ),
    "no such curve": (
        lambda: call("Run").plot("costs"),
        "curve got 'costs'; expected one of cost, accuracy",
    ),
    "no such metric": (lambda: trained_run().study("loss"), "metric got 'loss'"),
    "a run without validation": (
        lambda: trained_run(valid=None).study(),
        "study got a run without validation data",
    ),
    # what was saved
    "nothing to go on with": (
        lambda: jaxnn.resume("none", DATA),
        "none has no commits; expected a directory of a search",
    ),
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
    "units": (
        lambda: call("fit", setting={"hidden": (LARGEST,)}),
        r"hidden got \(2147483647,\): a netw",
    ),
    "units of a plan": (
        lambda: call("plan", settings=[{"hidden": (LARGEST,)}]),
        r"settings\[0\]: hidden got \(2147483647,\): a network in training would take .* GB",
    ),
    "units of a sweep": (
        lambda: call("sweep", settings=[{"hidden": (LARGEST, 9)}]),
        "GB of memory here",
    ),
    "units of a space": (
        lambda: call("search", space={"hidden": jaxnn.choice([(LARGEST,), (LARGEST, 2)])}),
        "GB of memory here",
    ),
    "classes": (
        lambda: call("fit", train=jaxnn.Dataset(DATA.x, DATA.y, LARGEST)),
        "hidden got .*a network in training would take",
    ),
    "layers": (
        lambda: call("fit", setting={"hidden": (1,) * 20_000}),
        "expected .* at most 256 layers",
    ),
    "epochs": (
        lambda: call("fit", epochs=LARGEST),
        "epochs got 2,147,483,647: their curves would take 69",
    ),
    "epochs of a sweep": (
        lambda: call("sweep", epochs=LARGEST),
        "1 networks of 2,147,483,647 epochs",
    ),
    "seeds": (
        lambda: call("sweep", seeds=LARGEST - 1),
        "2,147,483,646 networks of 1 epochs: their curves",
    ),
    "settings": (
        lambda: call("search", num_settings=LARGEST),
        "n got 2,147,483,647: so many settings",
    ),
    "lanes": (
        lambda: call("sweep", chunk=LARGEST),
        "chunk got 2,147,483,647; expected at most 1,048,576",
    ),
    "wide lanes": (
        lambda: call("sweep", settings=[{"hidden": (9999,)}], chunk=2**20),
        "chunk got 1,048,576: so many lanes would take",
    ),
    "folds": (
        lambda: call("search", valid=None, folds=10**9),
        "num_folds got 1000000000; expected at",
    ),
    "a factor": (lambda: call("search", factor=10**400), r"factor got 10+\.\.\.; expected"),
    "a batch": (
        lambda: call("fit", setting={"batch_size": 10**400}),
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
