"""What is saved comes back to the bit, reads with h5py alone, and never with another number."""

import enum
import json
import math
import random
import shutil
from fractions import Fraction

import h5py
import jax
import numpy as np
import pytest
from helpers.data import corners

import jaxnn
from jaxnn.disk.encoding import decode, encode, first_difference
from jaxnn.disk.hdf5 import read_arrays, write_arrays
from jaxnn.reporting import plots


@pytest.fixture(scope="module")
def data():
    return corners(90)


@pytest.fixture(scope="module")
def study(data):
    """Folds, padding, batch norm, inputs treated in two ways, a lane that diverges, rungs."""
    space = {
        "learning_rate": jaxnn.choice([1e-2, 0.1, 1e30]),
        "hidden": jaxnn.choice([(4,), (6, 3)]),
        "batch_norm": jaxnn.choice([True, False]),
        "inputs": jaxnn.choice(["raw", "standardised"]),
        "optimizer": "gd",
    }
    return jaxnn.search(space, data, folds=2, num_settings=12, max_epochs=4, factor=2)


def same(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.filterwarnings("ignore:the network's outputs are not finite")
def test_a_study_comes_back_with_all_it_holds(study, data, tmp_path):
    study.save(tmp_path / "study.h5")
    again = jaxnn.load(tmp_path / "study.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["study.h5"]
    assert np.isnan(study.values).any(), "a setting without a value"
    for name in ("given", "settings", "space", "metric", "rungs", "notes", "folds", "call"):
        assert getattr(again, name) == getattr(study, name), name
    same(again.curves, study.curves)
    assert again.curves["cost"].dtype == study.curves["cost"].dtype
    assert list(again.curves) == list(study.curves)
    for name in ("diverged", "epochs_done", "ends", "dropped", "kept_epochs", "ranking"):
        np.testing.assert_array_equal(getattr(again, name), getattr(study, name))
    assert str(again.plan) == str(study.plan)
    assert repr(again.best_trial) == repr(study.best_trial)
    for number, repeat in np.argwhere(study.places[..., 0] >= 0):
        first, second = (
            study.fitted(int(number), int(repeat)),
            again.fitted(int(number), int(repeat)),
        )
        same((first.params, first.state), (second.params, second.state))
        np.testing.assert_array_equal(first.predict_proba(data.x), second.predict_proba(data.x))
    again.summary()


def test_a_study_in_the_row_space_lifts_its_networks(data, tmp_path):
    wide = jaxnn.Dataset(np.random.default_rng(1).normal(size=(30, 50)), np.arange(30) % 2)
    study = jaxnn.sweep([{"hidden": (3,), "batch_size": 8}], wide, 0.3, epochs=2, row_space=True)
    study.save(tmp_path / "study.h5")
    again = jaxnn.load(tmp_path / "study.h5")
    same(again.fitted(0).params, study.fitted(0).params)


def test_a_study_is_readable_with_h5py_alone(study, tmp_path):
    study.save(tmp_path / "study.h5")
    with h5py.File(tmp_path / "study.h5") as file:
        np.testing.assert_array_equal(file["curves/valid_cost"][()], study.curves["valid_cost"])
        np.testing.assert_array_equal(file["lanes/epochs_done"][()], study.epochs_done)
        assert file.attrs["metric"] == '"accuracy"'
        assert file.attrs["format"] == '"jaxnn study 4"'
        rates = [setting["learning_rate"] for setting in study.settings]
        assert file["settings/floats/learning_rate"][()].tolist() == rates
        kinds = json.loads(file.attrs["settings"])
        hidden = [tuple(kinds[n]["hidden"]["tuple"]) for n in file["settings/kind"][()]]
        assert hidden == [setting["hidden"] for setting in study.settings]


def test_a_network_is_readable_with_h5py_alone(study, tmp_path):
    fitted = study.fitted()
    fitted.save(tmp_path / "network.h5")
    with h5py.File(tmp_path / "network.h5") as file:
        np.testing.assert_array_equal(file["params/0/kernel"][()], fitted.params[0]["kernel"])
        assert json.loads(file.attrs["targets"])["Targets"]["num_classes"] == 3


def own_model(units):
    def apply(params, state, x, *, is_training=False, key=None, weights=None, dropout=0.0):
        return x @ params["kernel"], state + is_training

    init = lambda key: ({"kernel": jax.random.normal(key, (4, units))}, jax.numpy.zeros(()))
    return jaxnn.Model(init, apply)


def test_a_study_of_a_foreign_model_shows_all_but_its_networks_without_it(data, tmp_path):
    model = own_model(3)
    study = jaxnn.sweep([{}, {"learning_rate": 0.1}], data, 0.3, epochs=2, model=model)
    study.save(tmp_path / "study.h5")
    alone = jaxnn.load(tmp_path / "study.h5")
    assert repr(alone.best_trial) == repr(study.best_trial)
    with pytest.raises(ValueError, match=r"code that the file does not hold; expected load\(path"):
        alone.fitted()
    again = jaxnn.load(tmp_path / "study.h5", model)
    same(again.fitted(1).params, study.fitted(1).params)
    with pytest.raises(ValueError, match=r"loaded without its model.*load\(path, model\) before"):
        alone.save(tmp_path / "study.h5")
    with pytest.raises(ValueError, match=r"float32\[2, 4, 3\] at chunks/0/params/kernel; expected"):
        jaxnn.load(tmp_path / "study.h5", own_model(5))


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "complex64"])
def test_parameters_of_any_type_and_form(kind, data, tmp_path):
    """A bare array in place of a pytree; a state of a type that HDF5 does not know."""

    def apply(params, state, x, *, is_training=False, key=None, weights=None, dropout=0.0):
        return x @ params, state + is_training

    init = lambda key: (jax.random.normal(key, (4, 3)), jax.numpy.zeros((2,), kind))
    options = {"epochs": 2, "model": jaxnn.Model(init, apply), "progress": False}
    study = jaxnn.sweep([{}], data, 0.3, **options, directory=tmp_path / "run")
    again = jaxnn.sweep([{}], data, 0.3, **options, directory=tmp_path / "run")
    study.save(tmp_path / "study.h5")
    study.fitted(0).save(tmp_path / "network.h5")
    loaded = jaxnn.load(tmp_path / "study.h5", options["model"])
    for one in (
        again.fitted(0),
        loaded.fitted(0),
        jaxnn.load(tmp_path / "network.h5", options["model"]),
    ):
        assert one.state.dtype == kind
        same((one.params, one.state), (study.fitted(0).params, study.fitted(0).state))


def test_load_refuses_other_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.h5 does not exist"):
        jaxnn.load(tmp_path / "none.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = 1.0
    with pytest.raises(ValueError, match=r"other\.h5 is not a file that jaxnn saved"):
        jaxnn.load(tmp_path / "other.h5")
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileNotFoundError, match="folder has no commits"):
        jaxnn.load(tmp_path / "folder")


def changed(path, change):
    """The file with something else in it, and the right SHA-256."""
    arrays, about = read_arrays(path)
    change(arrays, about)
    write_arrays(path, arrays.items(), about)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays, about: arrays.pop("params/0/kernel"), "holds nothing at params/0/kernel"),
        (
            lambda arrays, about: arrays.update({"params/0/kernel": np.ones((2, 2))}),
            r"float64\[2, 2\] at params/0/kernel; expected float32\[5, 4\]",
        ),
        (
            lambda arrays, about: arrays.update({"params/0/kernel": np.ones((5, 4), int)}),
            r"int64\[5, 4\] at params/0/kernel; expected float32",
        ),
        (
            lambda arrays, about: about.update(setting=3),
            "the network has setting 3; expected dict",
        ),
        (lambda arrays, about: about.pop("setting"), "lacks a part of what it should hold: KeyErr"),
        (
            lambda arrays, about: about.update(format="jaxnn network 99"),
            "has the format 'jaxnn net",
        ),
    ],
)
def test_load_checks_what_it_reads(data, tmp_path, change, message):
    path = tmp_path / "network.h5"
    jaxnn.fit({"hidden": (5,)}, data, epochs=1).save(path)
    changed(path, change)
    with pytest.raises(ValueError, match=rf"network\.h5.*{message}"):
        jaxnn.load(path)


def put(path, value):
    """A change of a file's JSON: "plan/Plan/note"."""

    def change(arrays, about):
        *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        place = about
        for part in way:
            place = place[part]
        place[last] = value

    return change


def at(name, place, value):
    """A change of some numbers of an array."""

    def change(arrays, about):
        arrays[name] = arrays[name].copy()
        arrays[name][place] = value

    return change


def units(*numbers):
    return {"tuple": list(numbers)}


PLANNED = "plan/Plan/programs/tuple/0/PlannedProgram"
NO_NETWORK = [
    (
        put("setting/hidden", units(2**31 - 1)),
        r"float32\[5\] at params/0/bias; expected .*2147483647",
    ),
    (put("setting/hidden", units(*[1] * 20_000)), "at most 256 layers"),
    (put("setting/<b>", 1.0), "setting has the unknown key '<b>'"),
    (put("setting/learning_rate", -1), "learning_rate got -1"),
    (put("setting/inputs", "raw"), "its inputs are raw; expected statistics where not raw"),
    (
        put("targets/Targets/num_classes", 10**9),
        r"at params/1/bias; expected float32\[1000000000\]",
    ),
    (put("targets/Targets/num_classes", 3.0), "num_classes 3.0; expected a whole number"),
    (put("input_shape", units(10**6, 10**6)), "at inputs/mean; expected"),
    (put("input_shape", [4]), r"input_shape \[4\]; expected a tuple"),
    (put("diverged", -3), "diverged -3; expected a whole number"),
    (put("diverged", True), "diverged True; expected a whole number"),
    (put("is_mlp", 1), "is_mlp 1; expected bool"),
    (at("inputs/mean", 0, np.nan), "a mean .*; expected finite"),
    (at("inputs/deviation", 0, 0), "a deviation that is not positive"),
    (at("inputs/deviation", 0, -1), "a deviation that is not positive"),
    (lambda arrays, about: arrays.update({"curves/cost": np.ones((1, 1))}), "floats of one length"),
    (lambda arrays, about: arrays.update({"curves/<b>": np.ones(1)}), "curves {'<b>': 'float64"),
    (lambda arrays, about: arrays.update({"curves/cost": np.ones(1, int)}), "'cost': 'int64"),
    (at("curves/cost", 0, -np.inf), "curve cost with values from -inf to -inf; expected none bel"),
]
NO_STUDY = [
    (at("lanes/places", (..., 0), 7), "places has numbers from 7 to 7; expected -1 to "),
    (at("lanes/places", (..., 1), 99), "places has numbers from 99 to 99; expected 0 to "),
    (at("lanes/places", (..., 1), -1), "places has numbers from -1 to -1; expected 0 to "),
    (
        at("lanes/places", ..., 0),
        "places of which several networks have the same|it holds networks",
    ),
    (at("lanes/kept_epochs", ..., 9), "kept_epochs has numbers from 9 to 9; expected -1 to 1"),
    (at("lanes/kept_epochs", ..., -2), "kept_epochs has numbers"),
    (at("lanes/epochs_done", ..., 3), "epochs_done has numbers from 3 to 3; expected 0 to 2"),
    (at("lanes/ends", 0, 0), "ends has numbers from 0 to 2; expected 1 to 2"),
    (at("lanes/dropped", ..., 3), "dropped has numbers from 3 to 3; expected 0 to 2"),
    (at("lanes/diverged", ..., -2), "diverged has numbers from -2"),
    (
        lambda arrays, about: arrays.update(
            {name: array[:2] for name, array in arrays.items() if name.startswith("settings/")}
        ),
        "2 settings and 3 as given|lacks a part",
    ),
    (lambda arrays, about: about["settings"].pop(), "settings/kind has numbers from 0 to 0; expec"),
    (at("settings/kind", 0, 1), "settings/kind has numbers from 0 to 1; expected 0 to 0"),
    (at("given/kind", 0, -1), "given/kind has numbers from -1 to 0; expected 0 to 0"),
    (lambda arrays, about: arrays.pop("given/kind"), "lacks a part"),
    (lambda arrays, about: arrays.pop("settings/floats/l2"), "holds nothing at settings/floats/l2"),
    (
        lambda arrays, about: arrays.update({"settings/floats/l2": np.zeros((3, 1))}),
        r"holds float64\[3, 1\] at settings/floats/l2; expected float64\[3\]",
    ),
    (at("settings/floats/l2", 1, np.nan), "l2 got None"),
    (put("given/0", 3), "lacks a part"),
    (put("given/0/hidden", None), "holds nothing at given/floats/hidden"),
    (at("given/floats/learning_rate", 0, 0.5), "a setting with learning_rate 0.1, given as 0.5"),
    (put("given/0/learning_rate", 0.5), "a setting with learning_rate .*, given as 0.5"),
    (put("settings/0/hidden", units(10**7)), "it holds networks of|given as"),
    (put("settings/0/<b>", 1.0), "unknown key '<b>'"),
    (put("shape", [10**12, 2, 2]), r"shape \[1000000000000, 2, 2\]; expected"),
    (put("shape", [3, 2, 2**31 - 1]), r"at curves/accuracy; expected float32\[3, 2, 2147483647\]"),
    (put("folds", 3), "2 repetitions of 3 folds"),
    (put("folds", 0), "folds 0; expected a whole number"),
    (put("metric", "<b>"), "metric '<b>'; expected one of 'accuracy', 'cost'"),
    (put("select", "best"), "select 'best'; expected one of"),
    (put("dtype", "O"), "dtype 'O'; expected one of"),
    (put("curves", ["cost"]), r"curves \['cost'\]; expected a list of accuracy, cost"),
    (put("notes", [3]), r"notes \[3\]; expected a list of str"),
    (put("seconds", -1), "seconds -1; expected a finite number"),
    (put("call", None), "call None; expected str"),
    (put("is_foreign", True), "it holds networks of Mixture"),
    (put("targets/Targets/num_classes", 9), "it holds networks of Mixture"),
    (put("input_shape", units(9)), "it holds"),
    (put("treatments", []), "lacks the treatment raw of fold 0"),
    (put("treatments", [["raw", 0, 9]]), "it holds"),
    (put("treatments", [["raw", 5, 4]]), "a treatment raw of fold 5 that cannot be"),
    (put("treatments", [["standardised", 0, 4]]), "a treatment standardised of fold 0 that cannot"),
    (
        put("rungs", [{"Rung": {"epochs": 1, "entered": units(9), "kept": units()}}]),
        "it holds the r",
    ),
    (
        put("rungs", [{"Rung": {"epochs": 1, "entered": units(0, 0), "kept": units()}}]),
        "it holds the r",
    ),
    (
        put("rungs", [{"Rung": {"epochs": 1, "entered": units(0), "kept": units(1)}}]),
        "it holds the r",
    ),
    (
        put("rungs", [{"Rung": {"epochs": 9, "entered": units(0), "kept": units()}}]),
        "it holds the r",
    ),
    (put("rungs", [{"Rung": {"epochs": 1, "entered": 3, "kept": units()}}]), "Rung has entered 3"),
    (put("given/0", {}), "a setting with learning_rate 0.1, given as 0.001"),
    (
        at("curves/valid_accuracy", (0, 0, 0), 1.5),
        "curve valid_accuracy with .* 1.5; expected 0 t",
    ),
    (at("curves/valid_cost", (0, 0, 0), -1), "curve valid_cost with .* from -1.0 to"),
    (put("space", {"momentun": 3}), "its space has {'momentun'}; expected names of its settings"),
    (put("space", {"learning_rate": {"Range": {"low": -1, "high": 1}}}), "learning_rate got -1"),
    (put("space", {"l2": {"Range": {"low": 0, "high": 1, "scale": "x"}}}), "got the scale 'x'"),
    (put("space", {"l2": {"Choice": {"options": units()}}}), r"choice got \(\); expected a list"),
    (put("plan", {}), "plan {}; expected Plan"),
    (put("plan/Plan/note", 3), "Plan has note 3; expected str"),
    (put("plan/Plan/device", "<b>"), "Plan has device '<b>'; expected one of"),
    (put(f"{PLANNED}/seconds", 0), "PlannedProgram has seconds 0; expected a number > 0"),
    (put(f"{PLANNED}/settings", units(0, 0)), "its plan has settings twice"),
    (put(f"{PLANNED}/settings", units(0, 7)), "its plan has settings twice, or more"),
    (
        put(f"{PLANNED}/program/Program/optimizers", units("sgd")),
        r"optimizers \('sgd',\); expected",
    ),
    (put(f"{PLANNED}/program/Program/model/Mixture/units", units(4, "a", 3)), "Mixture has units"),
    (put("chunks/0/0/Mixture/units", units(4, *[1] * 20_000, 3)), "Mixture has units"),
    (put("chunks/0/0/Mixture/units", units(4, 10**7, 3)), "it holds networks of Mixture"),
    (put("chunks/0/0/Mixture/activations", units("tanh")), "it holds networks of Mixture"),
    (put("chunks/0/0", {"Model": {}}), "it holds networks of Model"),
    (put("chunks/0/1", 2**31 - 1), r"at chunks/0/params/0/.*; expected float32\[2147483647, "),
    (put("chunks/0/1", 1), "places has numbers from 0 to .*; expected 0 to 0"),
    (put("chunks/0/2", "yesterday"), "Invalid isoformat string: 'yesterday'"),
    (lambda arrays, about: arrays.update(numbers=np.array([5, 5, 5])), "expected rising ones"),
]


@pytest.fixture(scope="module")
def saved(data, tmp_path_factory):
    """A network with statistics of its inputs, and a study of three settings of one structure."""
    folder = tmp_path_factory.mktemp("saved")
    network = jaxnn.fit({"hidden": (5,), "inputs": "standardised"}, data, epochs=1)
    network.save(folder / "network.h5")
    settings = [{"hidden": (5,), "learning_rate": rate} for rate in (0.1, 0.01, 0.001)]
    jaxnn.sweep(settings, data, 0.25, epochs=2, seeds=2).save(folder / "study.h5")
    return folder


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        *(("network.h5", *case) for case in NO_NETWORK),
        *(("study.h5", *case) for case in NO_STUDY),
    ],
)
def test_load_checks_values_as_it_checks_shapes(saved, tmp_path, kind, change, message):
    arrays, about = read_arrays(saved / kind)
    change(arrays, about)
    write_arrays(tmp_path / kind, arrays.items(), about)
    with pytest.raises(ValueError, match=rf"(?s){kind}.*{message}"):
        jaxnn.load(tmp_path / kind)


@pytest.mark.parametrize("name", ["targets/Targets/num_classes", "chunks/0/0/Mixture/fan_in"])
def test_padded_networks_have_the_classes_and_features_of_their_study(data, tmp_path, name):
    settings = [{"hidden": (5,)}, {"hidden": (6,)}]
    path = tmp_path / "study.h5"
    jaxnn.sweep(settings, data, 0.25, epochs=1).save(path)
    jaxnn.load(path)
    changed(path, put(name, 2**31 - 1))
    with pytest.raises(ValueError, match=r"study\.h5: it holds networks of Mixture"):
        jaxnn.load(path)


def of_no_settings(num_epochs):
    """A change of a study into one of a search that was broken off before its first setting."""

    def change(arrays, about):
        num_repeats = about["shape"][1]
        lost = [name for name in arrays if name.startswith(("chunks", "treatments"))]
        for name in lost:
            del arrays[name]
        for name, array in arrays.items():
            arrays[name] = np.zeros((0, *array.shape[1:]), array.dtype)
            if name.startswith("curves"):
                arrays[name] = np.zeros((0, num_repeats, num_epochs), array.dtype)
        about.update(given=[], settings=[], chunks=[], treatments=[])
        about["shape"] = [0, num_repeats, num_epochs]
        about["plan"]["Plan"]["programs"] = units()

    return change


def test_a_study_without_settings_says_so(saved, tmp_path, monkeypatch):
    path = tmp_path / "study.h5"
    shutil.copy(saved / "study.h5", path)
    changed(path, of_no_settings(2))
    empty = jaxnn.load(path)
    empty.summary()
    empty.report(tmp_path / "report.html")
    for plot in (plots.plot_learning_curves, plots.plot_slice, plots.plot_rungs):
        with pytest.raises(ValueError, match="got a study without settings"):
            plot(empty)
    monkeypatch.setattr("jaxnn.system.checks.host_memory", lambda: 2**36)
    changed(path, of_no_settings(2**31 - 1))
    with pytest.raises(ValueError, match="a study whose curves of a setting would take 137 GB"):
        jaxnn.load(path)


@pytest.mark.parametrize("place", ["array", "attribute", "value"])
def test_no_control_character_of_a_file_reaches_a_message(saved, tmp_path, place):
    arrays, about = read_arrays(saved / "network.h5")
    if place == "array":
        arrays["\x1b[2J"] = h5py.Empty("f4")
    elif place == "attribute":
        about["\x1b[2J"] = math.inf
    else:
        about["format"] = "\x1b[2J" * 10**5
    write_arrays(tmp_path / "network.h5", arrays.items(), about)
    with pytest.raises(ValueError, match=r"network\.h5") as caught:
        jaxnn.load(tmp_path / "network.h5")
    assert "x1b" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_what_an_older_version_did_not_know_has_its_default(saved, tmp_path):
    path = tmp_path / "study.h5"
    arrays, about = read_arrays(saved / "study.h5")
    for setting in about["settings"]:
        del setting["decay_every"]
    write_arrays(path, arrays.items(), about)
    assert [one["decay_every"] for one in jaxnn.load(path).settings] == [1.0] * 3


def test_every_damaged_byte_is_noticed(data, tmp_path):
    """Also in the header, and in what HDF5 leaves unused; the reliability benchmark does more."""
    path, draw = tmp_path / "network.h5", random.Random(0)
    jaxnn.fit({"hidden": (5,)}, data, epochs=1).save(path)
    original = path.read_bytes()
    places = [*range(0, 512, 16), *(draw.randrange(len(original)) for _ in range(200))]
    for place in places:
        damaged = bytearray(original)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"network\.h5 is (damaged|not a file that jaxnn saved)"
        ):
            jaxnn.load(path)
    for length in (0, 3, 511, 512, len(original) - 1):
        path.write_bytes(original[:length])
        with pytest.raises(
            ValueError, match=r"network\.h5 is (damaged|not a file that jaxnn saved)"
        ):
            jaxnn.load(path)


def test_a_write_that_fails_leaves_the_old_file(data, tmp_path, monkeypatch):
    path = tmp_path / "network.h5"
    fitted = jaxnn.fit({}, data, epochs=1)
    fitted.save(path)
    before = path.read_bytes()

    def no_space(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        jaxnn.fit({"hidden": (3,)}, data, epochs=1).save(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["network.h5"]


def test_records_are_plain_json_and_back():
    space = {
        "learning_rate": jaxnn.loguniform(1e-4, 1e0),
        "hidden": jaxnn.choice([(25, 12), ()]),
        "batch_size": np.int64(32),
        "l2": np.float32(0.1),
        "beta2": None,
    }
    expected = {**space, "batch_size": 32, "l2": float(np.float32(0.1))}
    assert decode(encode(space)) == expected
    with pytest.raises(ValueError, match="cannot be saved; expected numbers, text"):
        encode({"hidden": object()})
    with pytest.raises(ValueError, match="Range does not have the fields of this version"):
        decode({"Range": {"low": 1, "up": 2}})


def test_the_first_difference_is_named():
    first, second = encode({"a": 1, "b": (1, 2)}), encode({"a": 1, "b": (1, 3)})
    assert first_difference(first, first) is None
    assert first_difference(first, second) == ("b[1]", 2, 3)
    assert first_difference([1, 2], [1], "settings") == ("the length of settings", 2, 1)
    assert first_difference({"a": 1}, {"a": 1.0}) == ("a", 1, 1.0)


def test_every_setting_that_trains_can_be_saved(data, tmp_path):
    """Numbers of other libraries and languages' enumerations, of ours and of a foreign model."""

    class Units(enum.IntEnum):
        FEW = 3

    def apply(params, state, x, *, is_training=False, key=None, weights=None, slope=1.0):
        return slope * (x @ params), state

    init = lambda key: (jax.random.normal(key, (4, 3)), ())
    rate, options = Fraction(1, 10), {"epochs": 1, "progress": False}
    ours = [{"learning_rate": rate, "hidden": (np.int64(2), Units.FEW), "batch_norm": np.True_}]
    theirs = [{"slope": Fraction(1, 3), "learning_rate": np.float32(0.5)}]
    model = jaxnn.Model(init, apply, ("slope",))
    for settings, own in ((ours, None), (theirs, model)):
        study = jaxnn.sweep(settings, data, 0.3, model=own, directory=tmp_path / "run", **options)
        study.save(tmp_path / "study.h5")
        study.fitted().save(tmp_path / "network.h5")
        again = jaxnn.load(tmp_path / "study.h5", own)
        assert repr(again.given) == repr(study.given)
        assert repr(again.settings) == repr(study.settings)
        same(again.fitted().params, study.fitted().params)
        shutil.rmtree(tmp_path / "run")
    assert repr(study.given) == f"[{{'slope': {1 / 3!r}, 'learning_rate': 0.5}}]"
