"""Versions of files: what an older one holds is made what this version reads."""

import numpy as np
import pytest
from helpers.data import halves

import jaxnn
from jaxnn.disk import versions
from jaxnn.disk.encoding import encode
from jaxnn.disk.hdf5 import read_arrays, write_arrays
from jaxnn.formats.tables import settings_of

DATA = halves()
X = np.asarray(DATA.x)
SETTINGS = [{"learning_rate": rate, "hidden": (4,)} for rate in (0.01, 0.1)]


def written_by(path, version, change):
    """Writes a file again as a version before would have."""
    arrays, about = read_arrays(path)
    about["format"] = f"{about['format'].rsplit(' ', 1)[0]} {version}"
    write_arrays(path, change(arrays, about).items(), about)


def without_epochs(arrays, about):
    """A version whose lanes have no `kept_epochs`, and whose settings have another name."""
    about["trials"] = about.pop("settings")
    return {name: array for name, array in arrays.items() if name != "lanes/kept_epochs"}


def as_it_is(monkeypatch):
    """Leaves a file of the versions since then as it is."""
    for version in range(2, versions.VERSIONS["study"]):
        monkeypatch.setitem(versions.UPGRADES, ("study", version), unchanged)


def with_epochs(arrays, about):
    kept = {"lanes/kept_epochs": arrays["lanes/epochs_done"] - 1}
    settings = {"settings": about["trials"]}
    return arrays | kept, {k: v for k, v in about.items() if k != "trials"} | settings


def unchanged(arrays, about):
    return arrays, about


def as_version_1(arrays, about):
    """A study whose file has each setting as JSON, and the number of classes."""
    about["num_classes"] = about.pop("targets")["Targets"]["num_classes"]
    for group in ("given", "settings"):
        settings = settings_of("", group, about[group], arrays)
        # there was no hyperparameter that may be None
        known = [{k: v for k, v in one.items() if v is not None} for one in settings]
        about[group] = [encode(setting) for setting in known]
    return {
        name: one for name, one in arrays.items() if not name.startswith(("given/", "settings/"))
    }


def as_version_2(arrays, about):
    """A study whose programs have a field for each thing that they compute or not."""
    for one in about["plan"]["Plan"]["programs"]["tuple"]:
        program = one["PlannedProgram"]["program"]["Program"]
        switches = program.pop("switches")["tuple"]
        del program["schedules"]
        program |= {f"has_{name}": name in switches for name in ("dropout", "l2")}
        del program["targets"]
        program["has_decay"] = True
    return as_version_1(arrays, about)


def test_a_study_of_version_2_is_read(tmp_path):
    study = jaxnn.sweep([{"l2": 0.1}, {"hidden": (3,)}], DATA, 0.25, epochs=1, progress=False)
    study.save(tmp_path / "study.h5")
    written_by(tmp_path / "study.h5", 1, as_version_2)
    again = jaxnn.load(tmp_path / "study.h5")
    assert again.plan.programs == study.plan.programs
    assert repr(again.settings) == repr(study.settings)


def test_a_study_of_version_1_is_read(tmp_path):
    settings = [*SETTINGS, {"l2": 0, "hidden": [4]}, {"l2": 0.5, "optimizer": "gd"}]
    study = jaxnn.sweep(settings, DATA, 0.25, epochs=2, progress=False)
    study.save(tmp_path / "study.h5")
    written_by(tmp_path / "study.h5", 1, as_version_1)
    again = jaxnn.load(tmp_path / "study.h5")
    assert repr(again.given) == repr(study.given)
    assert repr(again.settings) == repr(study.settings)
    np.testing.assert_array_equal(again.values, study.values)


def test_an_older_study_is_read_by_its_upgrade(tmp_path, monkeypatch):
    study = jaxnn.sweep(SETTINGS, DATA, 0.25, epochs=3, progress=False)
    study.save(tmp_path / "study.h5")
    written_by(tmp_path / "study.h5", 0, without_epochs)
    with pytest.raises(ValueError, match="has the format 'jaxnn study 0'"):
        jaxnn.load(tmp_path / "study.h5")
    monkeypatch.setitem(versions.UPGRADES, ("study", 0), with_epochs)
    monkeypatch.setitem(versions.UPGRADES, ("study", 1), unchanged)
    as_it_is(monkeypatch)
    again = jaxnn.load(tmp_path / "study.h5")
    assert again.settings == study.settings
    np.testing.assert_array_equal(again.values, study.values)
    np.testing.assert_array_equal(
        again.fitted(1).predict_proba(X), study.fitted(1).predict_proba(X)
    )


def test_a_directory_of_an_older_version_is_gone_on_with(tmp_path, monkeypatch):
    """The upgrade is applied before the commit's states and settings are decoded."""
    whole = jaxnn.sweep(SETTINGS, DATA, 0.25, epochs=3, progress=False)

    def stop(info):
        if info.epoch == 2:
            raise KeyboardInterrupt

    options = {"epochs": 3, "chunk": 1, "progress": False, "directory": tmp_path}
    with pytest.raises(jaxnn.TrainingInterrupted):
        jaxnn.sweep(SETTINGS, DATA, 0.25, on_epoch=stop, **options)
    for path in tmp_path.glob("commit-*.h5"):
        written_by(path, 0, without_epochs)
    monkeypatch.setitem(versions.UPGRADES, ("study", 0), with_epochs)
    monkeypatch.setitem(versions.UPGRADES, ("study", 1), unchanged)
    as_it_is(monkeypatch)
    again = jaxnn.resume(tmp_path, DATA, progress=False)
    assert again.is_complete.all()
    np.testing.assert_allclose(again.curves["cost"], whole.curves["cost"], rtol=1e-5)


def test_upgrades_follow_each_other(monkeypatch):
    add = lambda name: lambda arrays, about: (arrays, {**about, name: len(about)})
    monkeypatch.setitem(versions.UPGRADES, ("run", 3), add("third"))
    monkeypatch.setitem(versions.UPGRADES, ("run", 4), add("fourth"))
    found = versions.upgraded({}, {"format": "jaxnn run 3"})
    assert found == ({}, {"format": "jaxnn run 5", "third": 1, "fourth": 2})


@pytest.mark.parametrize("kind", versions.VERSIONS)
def test_each_version_that_was_written_has_a_way_to_this_one(kind):
    """Versions before the first upgrade are refused by name."""
    known = [version for name, version in versions.UPGRADES if name == kind]
    assert sorted(known) == [*range(versions.VERSIONS[kind] - len(known), versions.VERSIONS[kind])]


def test_what_is_no_version_is_left_alone():
    for text in ("jaxnn", "jaxnn study", "jaxnn study x", None, 7, "jaxnn study 99"):
        assert versions.upgraded({}, {"format": text}) == ({}, {"format": text})
