"""Populations: copies go on from where their parents are, and a resume makes the same ones."""

import numpy as np
import pytest
from helpers.searches import TRAIN, VALID, curves_of

import jaxnn
from jaxnn import choice, layers, loguniform, randint, uniform
from jaxnn.methods.population import perturbed
from jaxnn.reporting.lineages import lineage
from jaxnn.settings.sampling import checked_space, sample

SPACE = {
    "learning_rate": loguniform(1e-4, 1e0),
    "hidden": layers(randint(1, 2), randint(2, 6)),
    "dropout": choice([0.0, uniform(0.1, 0.5)]),
    "optimizer": choice(["adam", "momentum"]),
    "batch_size": choice([10, 20]),
}
OPTIONS = {"method": "population", "num_settings": 12, "max_epochs": 8, "progress": False}
STRUCTURE = ("hidden", "optimizer", "batch_size")


@pytest.fixture(scope="module")
def study():
    return jaxnn.search(SPACE, TRAIN, VALID, **OPTIONS)


def test_the_worst_quarter_gives_way_to_copies_of_the_best(study):
    assert study.given[:12] == sample(SPACE, 12)
    assert (study.parent[:12] == -1).all()
    assert [one.epochs for one in study.rungs] == [*range(1, 8)]
    for rung in study.rungs:
        assert (len(rung.entered), len(rung.kept)) == (12, 9)
        children = np.flatnonzero((study.born == rung.epochs) & (study.parent >= 0))
        assert len(children) == 3
        # by the mean over the last third of the epochs so far, of those that are left
        last = slice(rung.epochs - max(1, rung.epochs // 3), rung.epochs)
        accuracy, cost = (
            study.curves[name][:, 0, last].mean(axis=1) for name in ("valid_accuracy", "valid_cost")
        )
        order = sorted(rung.entered, key=lambda row: (-accuracy[row], cost[row], row))
        assert {*study.parent[children]} <= {*order[:3]}
        assert {*rung.entered} - {*rung.kept} == {*order[-3:]}
        assert (study.dropped[order[-3:]] == rung.epochs).all()
    assert len(study.ranked) == 12


def test_structure_stays_and_numbers_change(study):
    for child in np.flatnonzero(study.parent >= 0):
        own, parents = study.given[child], study.given[study.parent[child]]
        assert [own[name] for name in STRUCTURE] == [parents[name] for name in STRUCTURE]
        assert own["learning_rate"] != parents["learning_rate"]
        assert (own["dropout"] == 0) == (parents["dropout"] == 0)
    assert len(study.plan.programs) == len(jaxnn.plan(sample(SPACE, 12), TRAIN, epochs=8).programs)


def test_a_lineage_is_one_network_whose_numbers_were_set_on_the_way(study):
    """Run trains one network and lets its numbers be changed: the course's panda."""
    long = max(study.ranked[:6], key=lambda row: len(lineage(study, row)))
    rows = lineage(study, long)
    assert len(rows) > 1
    first, names = study.given[rows[0][0]], [n for n in ("learning_rate", "dropout") if n in SPACE]
    run = jaxnn.Run(first, TRAIN, VALID, progress=False)
    for (row, _), end in zip(rows, [*(begin for _, begin in rows[1:]), 8], strict=True):
        run.set(**{name: study.given[row][name] for name in names})
        run.train(end - len(run.curves["cost"]))
    for name in ("cost", "valid_cost"):
        np.testing.assert_allclose(run.curves[name], study.curves[name][long, 0], rtol=2e-3)


def test_the_schedules_say_what_was_trained_with(study):
    number = max(study.ranked, key=lambda row: len(lineage(study, row)))
    rows, found = lineage(study, number), study.schedules(number)
    assert "learning_rate" in found
    for epoch in range(8):
        row = [row for row, begin in rows if begin <= epoch][-1]
        assert found["learning_rate"][epoch] == study.given[row]["learning_rate"]
    assert study.schedules(0) == {}
    dropped = next(row for row in np.flatnonzero(study.dropped) if study.parent[row] >= 0)
    values = study.schedules(int(dropped))["learning_rate"]
    assert np.isfinite(values).sum() == study.dropped[dropped]


def test_a_picture_shows_every_setting_and_the_lineage_of_the_best(study):
    (axes,) = jaxnn.plot_population(study).figure.axes
    flat = [
        line for line in axes.lines if len({*line.get_ydata()}) == 1 and len(line.get_xdata()) > 1
    ]
    assert len(flat) >= len(study.given)
    assert axes.get_yscale() == "log"
    with pytest.raises(ValueError, match="name got 'optimizer'; expected a number"):
        jaxnn.plot_population(study, "optimizer")
    other = jaxnn.search(SPACE, TRAIN, VALID, **OPTIONS | {"method": "sobol", "max_epochs": 1})
    with pytest.raises(ValueError, match="plot_population got a study in which no setting went on"):
        jaxnn.plot_population(other)


def test_a_file_keeps_the_lineages(study, tmp_path):
    study.save(tmp_path / "study.h5")
    again = jaxnn.load(tmp_path / "study.h5")
    np.testing.assert_array_equal(again.parent, study.parent)
    np.testing.assert_array_equal(again.born, study.born)
    assert repr(again.schedules()) == repr(study.schedules())
    again.parent[0] = 3
    again.save(tmp_path / "other.h5")
    with pytest.raises(ValueError, match="went on from itself or a later one"):
        jaxnn.load(tmp_path / "other.h5")


@pytest.mark.parametrize(
    "networks", [40, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 20, 61, 90))]
)
def test_what_was_interrupted_goes_on_to_the_same_bits(study, networks, tmp_path):
    epochs = []

    def interrupted(info):
        epochs.append(info.epoch)
        if len(epochs) == networks:
            raise KeyboardInterrupt

    there = {**OPTIONS, "directory": tmp_path / "search", "commit_interval": 0.0}
    with pytest.raises(jaxnn.TrainingInterrupted):
        jaxnn.search(SPACE, TRAIN, VALID, on_epoch=interrupted, **there)
    again = jaxnn.search(SPACE, TRAIN, VALID, **there)
    assert again.given == study.given
    np.testing.assert_array_equal(again.parent, study.parent)
    np.testing.assert_array_equal(curves_of(again), curves_of(study))
    assert again.best_trial.number == study.best_trial.number
    x = VALID.x
    np.testing.assert_array_equal(again.fitted().predict_proba(x), study.fitted().predict_proba(x))


def test_steps_stay_in_their_ranges_and_move_on_their_scales():
    rng, space = np.random.default_rng(0), checked_space([SPACE, {"l2": loguniform(1e-6, 1e-2)}])
    settings = sample(space, 400, seed=2)
    for setting in settings:
        other = perturbed(setting, space, rng)
        assert other.keys() == setting.keys()
        assert space.place(other) == space.place(setting)
    rates = [one for one in settings if one.get("learning_rate", 0) > 0]
    domain = SPACE["learning_rate"]
    steps = [
        domain.position(perturbed(one, space, rng)["learning_rate"])
        - domain.position(one["learning_rate"])
        for one in rates
        if 0.3 < domain.position(one["learning_rate"]) < 0.7
    ]
    # three quarters are normal steps of a tenth of the range, the others go anywhere
    assert 0.4 < np.mean(np.abs(steps) < 0.1) < 0.75
    assert max(np.abs(steps)) > 0.3


def test_a_copy_is_credited_with_its_own_epochs_alone():
    study = jaxnn.search(SPACE, TRAIN, VALID, keep="best", **OPTIONS)
    children = [row for row in study.ranked if study.parent[row] >= 0]
    assert children
    assert (study.kept_epochs[children, 0] >= study.born[children]).all()
    for row in children:
        own = study.curves["valid_accuracy"][row, 0, study.born[row] :]
        assert study.trial(row).value == own.max()


def test_a_late_population_ends_before_it_breeds():
    study = jaxnn.search(SPACE, TRAIN, VALID, seconds=1e-9, **OPTIONS)
    assert (study.parent < 0).all()
    assert len(study.ensemble(top=12).members) == 12


def test_a_refit_says_that_it_repeats_no_schedule(study):
    with pytest.warns(UserWarning, match="of a population went on from others: refit trains them"):
        study.refit(TRAIN, top=12)


def test_schedules_are_those_of_a_setting_that_there_is(study):
    for number in (99, -1, "a"):
        with pytest.raises(ValueError, match=r"number got|setting 99; expected below"):
            study.schedules(number)


def test_small_populations_and_bad_calls():
    one = jaxnn.search(SPACE, TRAIN, VALID, **OPTIONS | {"num_settings": 1, "max_epochs": 2})
    assert len(one.given) == 1
    assert one.ranked.size == 1
    two = jaxnn.search(SPACE, TRAIN, VALID, **OPTIONS | {"num_settings": 2, "min_epochs": 3})
    assert [rung.epochs for rung in two.rungs] == [4]
    with pytest.raises(ValueError, match="patience came with method='population'"):
        jaxnn.search(SPACE, TRAIN, VALID, patience=2, **OPTIONS)


def test_every_fold_and_repetition_goes_on():
    options = OPTIONS | {"num_settings": 8, "max_epochs": 3}
    study = jaxnn.search(SPACE, TRAIN, seeds=2, folds=2, **options)
    child = int(np.flatnonzero(study.parent >= 0)[0])
    born, parent = study.born[child], study.parent[child]
    np.testing.assert_array_equal(
        study.curves["cost"][child, :, :born], study.curves["cost"][parent, :, :born]
    )
    assert np.isfinite(study.curves["cost"][study.ranked]).all()
