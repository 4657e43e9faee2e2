"""Ensembles: weights of members, text, and files."""

import h5py
import jax
import numpy as np
import pytest
from helpers.data import corners

import jaxnn
from jaxnn.disk.hdf5 import read_arrays, write_arrays
from jaxnn.training.ensembles import Chosen

DATA = corners(60)
CHOSEN = Chosen(
    numbers=(3, 1),
    repeats=(0, 1),
    counts=(3, 1),
    num_candidates=8,
    num_examples=40,
    metric="accuracy",
    best_value=0.9,
    value=0.95,
    best_cost=0.3,
    cost=0.25,
    difference=-0.05,
    standard_error=0.02,
)


@pytest.fixture(scope="module")
def members():
    """Two networks that differ in structure."""
    settings = [{"hidden": (5,), "inputs": "standardised"}, {"hidden": (4, 3), "batch_norm": True}]
    return [jaxnn.fit(one, DATA, epochs=3, progress=False) for one in settings]


def test_the_mean_is_weighted(members):
    first, second = (one.predict_proba(DATA.x) for one in members)
    ensemble = jaxnn.Ensemble(members, [3, 1])
    np.testing.assert_allclose(ensemble.predict_proba(DATA.x), (3 * first + second) / 4, rtol=1e-6)
    hits = (3 * first + second).argmax(axis=1) == np.asarray(DATA.y)
    np.testing.assert_array_equal(ensemble.predict(DATA.x), (3 * first + second).argmax(axis=1))
    assert ensemble.score(DATA) == pytest.approx(hits.mean())
    np.testing.assert_array_equal(jaxnn.Ensemble(members).weights, [0.5, 0.5])


def test_real_predictions_are_weighted():
    data = jaxnn.Dataset(DATA.x, 10 + np.asarray(DATA.x)[:, 0])
    members = [jaxnn.fit({}, data, epochs=2, seed=seed, progress=False) for seed in (0, 1)]
    first, second = (one.predict(data.x) for one in members)
    found = jaxnn.Ensemble(members, [0.25, 0.75]).predict(data.x)
    np.testing.assert_allclose(found, 0.25 * first + 0.75 * second, rtol=1e-12)


@pytest.mark.parametrize(
    "weights", [[1], [1, 2, 3], [1, 0], [1, -1], [1, np.nan], [1, np.inf], ["a", "b"], 2.0]
)
def test_bad_weights_are_refused(members, weights):
    with pytest.raises(
        ValueError, match=r"Ensemble got weights .* for 2 members; expected as many"
    ):
        jaxnn.Ensemble(members, weights)


def test_members_that_are_no_networks_are_refused(members):
    for one in (members[0], "ab", [members[0], 3]):
        with pytest.raises(ValueError, match="expected a list of fitted networks"):
            jaxnn.Ensemble(one)


def test_an_ensemble_says_what_it_is(members, capsys):
    assert repr(jaxnn.Ensemble(members)) == "<Ensemble of 2 networks with equal weights.>"
    jaxnn.Ensemble(members, [3, 1], CHOSEN).summary()
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("Ensemble of 2 networks with weights from 0.25 to 0.75. Chosen greedily")
    for part in (
        "by accuracy from 8 networks: accuracy 0.9500 and cost 0.2500 on 40 validation examples",
        "in place of the best network's 0.9000 and 0.3000",
        "-0.0500 with a standard error of 0.0200",
        "expect less of a gain on others",
    ):
        assert part in text, text


@pytest.mark.parametrize("chosen", [None, CHOSEN])
def test_an_ensemble_is_one_file(members, tmp_path, chosen):
    path = tmp_path / "ensemble.h5"
    ensemble = jaxnn.Ensemble(members, [3, 4], chosen)
    ensemble.save(path)
    again = jaxnn.load(path)
    np.testing.assert_array_equal(again.predict_proba(DATA.x), ensemble.predict_proba(DATA.x))
    np.testing.assert_array_equal(again.weights, ensemble.weights)
    assert again.chosen == chosen
    assert [one.setting for one in again.members] == [one.setting for one in members]
    with h5py.File(path) as file:
        assert file["members/0/params/0/kernel"].shape == (5, 4)
        np.testing.assert_array_equal(file["weights"], ensemble.weights)


def test_members_of_a_foreign_model_need_it(tmp_path):
    def apply(params, state, x, *, is_training=False, key=None, weights=None, dropout=0.0):
        return x @ params, state

    model = jaxnn.Model(lambda key: (jax.random.normal(key, (4, 3)), ()), apply)
    fitted = jaxnn.fit({}, DATA, epochs=1, model=model, progress=False)
    jaxnn.Ensemble([fitted]).save(tmp_path / "ensemble.h5")
    with pytest.raises(ValueError, match=r"expected load\(path, model\)"):
        jaxnn.load(tmp_path / "ensemble.h5")
    again = jaxnn.load(tmp_path / "ensemble.h5", model)
    np.testing.assert_array_equal(again.predict_proba(DATA.x), fitted.predict_proba(DATA.x))


def put(value, *way):
    """A change of a file's JSON."""

    def change(arrays, about):
        place = about
        for part in way[:-1]:
            place = place[part]
        place[way[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays, about: arrays.pop("weights"), "lacks a part of what it should hold"),
        (lambda arrays, about: arrays.update(weights=np.ones(3)), "Ensemble got weights"),
        (lambda arrays, about: arrays.update(weights=np.array([1.0, np.nan])), "got weights"),
        (lambda arrays, about: arrays.pop("members/1/params/0/kernel"), "holds nothing at params"),
        (
            lambda arrays, about: arrays.update({"members/0/params/0/kernel": np.ones((2, 2))}),
            r"float64\[2, 2\] at params/0/kernel; expected float32\[5, 4\]",
        ),
        (put([], "members"), r"members \[\]; expected a list of dict"),
        (put([3, 4], "members"), r"members \[3, 4\]; expected a list of dict"),
        (put(3, "members", 0, "setting"), "the network has setting 3; expected dict"),
        (put(3, "chosen"), "chosen 3; expected Chosen, or None"),
        (put("<b>", "chosen", "Chosen", "metric"), "Chosen has metric '<b>'; expected one of"),
        (put(0, "chosen", "Chosen", "counts", "tuple", 0), "Chosen has counts .*; expected a tup"),
        (put({"tuple": [1]}, "chosen", "Chosen", "counts"), "columns of several lengths"),
        (put("x", "chosen", "Chosen", "cost"), "cost 'x'; expected a finite number"),
        (put("jaxnn ensemble 99", "format"), "has the format 'jaxnn ensemble 99'"),
    ],
)
def test_load_checks_an_ensemble(members, tmp_path, change, message):
    path = tmp_path / "ensemble.h5"
    jaxnn.Ensemble(members, [3, 1], CHOSEN).save(path)
    arrays, about = read_arrays(path)
    change(arrays, about)
    write_arrays(path, arrays.items(), about)
    with pytest.raises(ValueError, match=rf"ensemble\.h5.*{message}"):
        jaxnn.load(path)
