"""Searches: what is trained, for how long, on which examples, and to which bits."""

import os
import signal

import jax
import numpy as np
import pytest
from helpers.data import curved
from helpers.searches import DATA, TRAIN, VALID, curves_of
from helpers.spaces import MIXED, SPACE

import jaxnn
from jaxnn import Dataset, fit, sample, search, stratified_folds
from jaxnn.compiled import lanes
from jaxnn.engine import chunks
from jaxnn.engine.options import Options
from jaxnn.methods.rungs import halving_steps
from jaxnn.methods.table import METHODS, Method
from jaxnn.planning.joining import plan_recipes
from jaxnn.training.recipes import recipes

OPTIONS = {"num_settings": 9, "max_epochs": 8, "progress": False}


def test_the_rungs_of_a_halving():
    """By hand: 27 settings by thirds; the last rung may be short, and the last setting stays."""
    assert halving_steps(27, 1, 27, 3) == [(27, 1), (9, 3), (3, 9), (1, 27)]
    assert halving_steps(16, 4, 30, 2) == [(16, 4), (8, 8), (4, 16), (2, 30)]
    assert halving_steps(3, 1, 100, 3) == [(3, 1), (1, 100)]
    assert halving_steps(10, 5, 5, 3) == [(10, 5)]
    assert halving_steps(9, 2, 20, 1.5) == [
        (9, 2),
        (6, 3),
        (4, 4),
        (3, 7),
        (2, 10),
        (2, 15),
        (2, 20),
    ]


@pytest.fixture(scope="module")
def halved():
    return search(MIXED, TRAIN, VALID, min_epochs=2, factor=2, chunk=2, seeds=2, **OPTIONS)


@pytest.mark.numbers
def test_a_survivor_has_the_bits_of_the_network_trained_in_one_go(halved):
    """Weights, moments, statistics, dropout, decay and epoch go on where they were."""
    whole = search(MIXED, TRAIN, VALID, method="sobol", chunk=2, seeds=2, **OPTIONS)
    assert whole.given == halved.given
    for name, curve in halved.curves.items():
        for number, epochs in enumerate(halved.epochs_done[:, 0]):
            np.testing.assert_array_equal(
                curve[number, :, :epochs], whole.curves[name][number, :, :epochs]
            )
            assert np.isnan(curve[number, :, epochs:]).all()
    best = halved.ranked[0]
    for repeat in (0, 1):
        ours, theirs = (study.fitted(best, repeat) for study in (halved, whole))
        assert jax.tree.all(
            jax.tree.map(lambda a, b: bool((a == b).all()), ours.params, theirs.params)
        )


def test_the_best_of_each_rung_go_on(halved):
    assert [(rung.epochs, len(rung.entered)) for rung in halved.rungs] == [(2, 9), (4, 5), (8, 3)]
    accuracy, cost = (halved.curves[f"valid_{name}"].mean(axis=1) for name in ("accuracy", "cost"))
    for rung, after in zip(halved.rungs, halved.rungs[1:], strict=False):
        order = sorted(
            rung.entered, key=lambda n: (-accuracy[n, rung.epochs - 1], cost[n, rung.epochs - 1])
        )
        assert rung.kept == after.entered == tuple(sorted(order[: len(after.entered)]))
        for number in set(rung.entered) - set(rung.kept):
            trial = halved.trials[number]
            assert trial.state == "PRUNED"
            assert trial.epochs == halved.dropped[number] == rung.epochs
            assert trial.value == pytest.approx(accuracy[number, rung.epochs - 1])
    assert set(halved.ranked) == set(halved.rungs[-1].kept)
    assert halved.best_trial.state == "COMPLETE"
    assert halved.fitted(halved.ranking[-1]).score(VALID) == pytest.approx(
        halved.reached("valid_accuracy")[halved.ranking[-1], 0]
    )


BY_STEP = SPACE | {"decay_schedule": "cosine", "warmup": jaxnn.uniform(0.5, 1.5)}


@pytest.fixture(scope="module")
def halved_by_step():
    return search(BY_STEP, TRAIN, VALID, min_epochs=2, factor=2, chunk=2, **OPTIONS)


@pytest.mark.numbers
def test_a_rung_has_the_schedule_of_the_whole_search(halved_by_step):
    """Cosine falls to 0 at max_epochs, also in a setting that is stopped long before."""
    halved, epochs = halved_by_step, OPTIONS["max_epochs"]
    whole = jaxnn.sweep(halved.given, TRAIN, VALID, epochs=epochs, chunk=2, progress=False)
    done = halved.epochs_done[:, 0]
    assert sorted({*done.tolist()}) == [2, 4, 8]
    for name, curve in halved.curves.items():
        for number, trained in enumerate(done):
            np.testing.assert_array_equal(
                curve[number, 0, :trained], whole.curves[name][number, 0, :trained]
            )
    # as `fit` has it, whose schedule ends with its own epochs
    stopped = int(np.flatnonzero(done == 4)[0])
    found = halved.curves["cost"][stopped, 0, :4]
    long, short = (
        fit(halved.given[stopped], TRAIN, epochs=last).curves["cost"][:4] for last in (epochs, 4)
    )
    np.testing.assert_allclose(found, long, rtol=1e-4)
    assert abs(found / short - 1).max() > 1e-3


@pytest.mark.parametrize("keep", [pytest.param("last", marks=pytest.mark.slow), "best"])
def test_a_refit_has_the_schedule_of_its_search(keep):
    """It ends where the kept network did, before the schedule has come to 0."""
    epochs = OPTIONS["max_epochs"]
    study = search(BY_STEP, TRAIN, VALID, method="sobol", keep=keep, chunk=2, **OPTIONS)
    kept = study.kept_epochs[:, 0] + 1
    top = len(study.ranked)
    refitted = study.refit(TRAIN + VALID, top=top, progress=False)
    assert (kept < epochs).any() == (keep == "best")
    for number, member in zip(study.ranked, refitted.members, strict=True):
        alone = fit(study.given[number], TRAIN + VALID, epochs=epochs)
        costs = member.curves["cost"]
        assert len(costs) == kept[number]
        np.testing.assert_allclose(costs, alone.curves["cost"][: len(costs)], rtol=1e-4)


def test_a_rung_drops_by_the_last_third_of_its_epochs():
    # labels of pure chance, so that an epoch's accuracy says little
    noise = Dataset(VALID.x, np.random.default_rng(0).integers(0, 3, len(VALID)), 3)
    study = search(SPACE, TRAIN, noise, num_settings=16, min_epochs=6, max_epochs=12, factor=4,
                   chunk=4, seed=1, progress=False)  # fmt: skip

    def best(epochs):
        accuracy, cost = (
            study.curves[f"valid_{name}"][:, 0, epochs].mean(axis=1)
            for name in ("accuracy", "cost")
        )
        return set(np.lexsort((cost, -accuracy))[:4].tolist())

    assert set(study.rungs[0].kept) == best(slice(4, 6)) != best(slice(5, 6))


def test_later_rungs_compile_nothing(halved):
    before = lanes.train_lanes._cache_size()
    again = search(MIXED, TRAIN, VALID, min_epochs=2, factor=2, chunk=2, seeds=2, **OPTIONS)
    assert lanes.train_lanes._cache_size() == before
    np.testing.assert_array_equal(curves_of(again), curves_of(halved))
    fewer = search(MIXED, TRAIN, VALID, factor=3, chunk=2, seed=5, **OPTIONS)
    assert len(fewer.rungs) == 3
    assert lanes.train_lanes._cache_size() - before <= len(fewer.plan.programs)


@pytest.mark.parametrize("options", [{"keep": "best"}, {"patience": 3}], ids=str)
def test_later_rungs_of_networks_that_remember_compile_nothing(options):
    space = {"learning_rate": jaxnn.loguniform(1e-3, 1e0), "hidden": (6, 2), "batch_size": 13}
    before = lanes.train_lanes._cache_size()
    study = search(space, TRAIN, VALID, num_settings=9, max_epochs=9, progress=False, **options)
    assert len(study.rungs) == 3
    assert lanes.train_lanes._cache_size() == before + 1


def test_dropped_lanes_cost_nothing(monkeypatch):
    executed = []
    train_lanes = chunks.train_lanes

    def counting(program, states, numbers, *rest):
        executed.append(len(numbers["learning_rate"]) * int(rest[-1].num_epochs))
        return train_lanes(program, states, numbers, *rest)

    monkeypatch.setattr(chunks, "train_lanes", counting)
    search(SPACE, TRAIN, VALID, num_settings=8, max_epochs=8, factor=2, chunk=1, progress=False)
    assert sum(executed) == 8 * 1 + 4 * 1 + 2 * 2 + 1 * 4


def test_the_plan_of_a_halving_has_chunks_that_the_last_can_fill():
    data = Dataset(np.ones((64, 250)), np.arange(64) % 2)
    settings = [{"hidden": (64,)}] * 64
    prepared = recipes(settings, data, None)
    (all_at_once,) = plan_recipes(prepared, data, 81, 1).programs
    shares = [(count / 64, epochs) for count, epochs in ((64, 1), (8, 8), (2, 72))]
    (few_at_the_end,) = plan_recipes(prepared, data, 81, 1, rungs=shares).programs
    assert all_at_once.chunk == 32
    assert few_at_the_end.chunk <= 4
    assert few_at_the_end.seconds < all_at_once.seconds / 4


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("random", marks=pytest.mark.slow),
        "grid",
        pytest.param("coarse_to_fine", marks=pytest.mark.slow),
    ],
)
def test_the_same_call_gives_the_same_study(method):
    few = {**MIXED, "decay_schedule": "none", "batch_size": 16}
    few["hidden"] = (5,) if method == "grid" else few["hidden"]
    options = OPTIONS | {"num_settings": 32 if method == "grid" else 9, "max_epochs": 2}
    first, second = (search(few, TRAIN, VALID, method=method, seed=3, **options) for _ in range(2))
    assert first.given == second.given
    np.testing.assert_array_equal(curves_of(first), curves_of(second))
    other = search(few, TRAIN, VALID, method=method, seed=4, **options)
    assert (other.given == first.given) == (method == "grid")
    assert {trial.state for trial in first.trials} == {"COMPLETE"}
    if method == "random":
        assert first.given == list(sample(few, 9, 3, method="random"))
    if method == "coarse_to_fine":
        finer = jaxnn.zoom(few, jaxnn.sweep(first.given[:3], TRAIN, VALID, epochs=2, seed=3), 2 / 3)
        domain = finer["learning_rate"]
        assert all(domain.low <= s["learning_rate"] <= domain.high for s in first.given[3:6])


@pytest.mark.numbers
def test_folds_hold_out_each_example_once_and_are_what_fit_trains():
    """45 examples in four folds: training parts of 34 or 33, the shorter filled up."""
    data = curved(45)
    space = {**SPACE, "inputs": "standardised"}
    study = search(space, data, method="sobol", folds=4, seeds=2, num_settings=2, max_epochs=3,
                   order_seed=7, seed=2, progress=False)  # fmt: skip
    assert study.diverged.shape == (2, 8)
    parts = stratified_folds(data, 4, seed=7)
    for fold, repeat in ((0, 0), (2, 1), (3, 0)):
        alone = fit(study.given[1], *parts[fold], epochs=3, seed=2 + repeat, order_seed=7)
        lane = study.fitted(1, fold * 2 + repeat)
        for name, curve in alone.curves.items():
            np.testing.assert_allclose(lane.curves[name], curve, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            lane.predict_proba(data.x), alone.predict_proba(data.x), rtol=1e-3, atol=1e-4
        )
    assert study.trials[1].value == pytest.approx(study.values[1].mean())
    by_fold = study.values[1].reshape(4, 2).mean(axis=1)
    assert study.trials[1].standard_error == pytest.approx(
        by_fold.std(ddof=1) * (1 / 4 + 1 / 3) ** 0.5
    )


def test_folds_share_their_programs_in_the_row_space_too():
    """Three copies of an example: the fold without them has a rank less."""
    data = curved(12, 30)
    data = data[[0, 0, 0, *range(1, 12)]]
    before = lanes.train_lanes._cache_size()
    space = {"learning_rate": jaxnn.loguniform(1e-3, 1e-2), "batch_size": 4, "optimizer": "gd"}
    study = search(space, data, method="random", folds=7, num_settings=3, max_epochs=3,
                   row_space=True, progress=False)  # fmt: skip
    ranks = {int(np.abs(one.space.basis).any(axis=0).sum()) for one in study.treatments.values()}
    assert len(ranks) > 1
    assert lanes.train_lanes._cache_size() == before + 1
    fitted, (train, valid) = study.fitted(1, 6), stratified_folds(data, 7)[6]
    np.testing.assert_allclose(fitted.score(valid), study.values[1, 6], atol=1e-6)
    alone = fit(study.given[1], train, valid, epochs=3)
    assert fitted.params[0]["kernel"].shape == alone.params[0]["kernel"].shape


def test_patience_ends_a_network_that_is_stuck():
    options = {"method": "random", "num_settings": 12, "max_epochs": 24, "metric": "cost"}
    whole = search(SPACE, TRAIN, VALID, progress=False, chunk=4, **options)
    study = search(SPACE, TRAIN, VALID, progress=False, chunk=4, patience=4, **options)
    expected = []
    for curve in whole.curves["valid_cost"][:, 0]:
        # the best must not be four epochs ago
        ends = [e for e in range(1, 25) if e - 1 - curve[:e].argmin() >= 4]
        expected.append(min(ends, default=24))
    assert study.until_stopped(24)[:, 0].tolist() == expected
    assert [trial.epochs for trial in study.trials] == expected
    assert min(expected) < max(expected)
    assert {trial.state for trial in study.trials} == {"COMPLETE"}
    for number, end in enumerate(expected):
        np.testing.assert_array_equal(
            study.curves["cost"][number, 0, :end], whole.curves["cost"][number, 0, :end]
        )
        assert study.values[number, 0] == study.curves["valid_cost"][number, 0, end - 1]
    best = study.best_trial.number
    assert study.refit(DATA, progress=False).curves["cost"].shape == (expected[best],)


@pytest.mark.numbers
def test_refit_is_fit_on_all_data():
    study = search(SPACE, TRAIN, VALID, method="sobol", keep="best", chunk=4, **OPTIONS)
    epochs = study.kept_epochs[study.best_trial.number, 0] + 1
    refitted = study.refit(DATA, seed=3, order_seed=4, progress=False)
    alone = fit(study.best_params, DATA, epochs=epochs, seed=3, order_seed=4)
    np.testing.assert_allclose(refitted.curves["cost"], alone.curves["cost"], rtol=1e-4)
    np.testing.assert_allclose(
        refitted.predict_proba(VALID.x), alone.predict_proba(VALID.x), rtol=1e-3, atol=1e-5
    )
    together = study.refit(DATA, top=3, seed=3, order_seed=4, progress=False)
    assert [m.setting for m in together.members] == [study.settings[n] for n in study.ranked[:3]]
    np.testing.assert_allclose(
        together.members[0].predict_proba(VALID.x),
        refitted.predict_proba(VALID.x),
        rtol=1e-3,
        atol=1e-5,
    )


@pytest.mark.parametrize("space", [pytest.param(SPACE, marks=pytest.mark.slow), MIXED])
def test_a_refit_on_all_examples_compiles_nothing(space):
    everything = TRAIN + VALID
    study = search(space, TRAIN, VALID, method="sobol", chunk=2, **OPTIONS)
    sizes = lambda: [one._cache_size() for one in (lanes.init_lanes, lanes.train_lanes)]
    before = sizes()
    refitted = study.refit(everything, top=3, seed=1, progress=False)
    assert sizes() == before
    for member in refitted.members:
        assert {*member.curves} == {"cost", "accuracy"}
        alone = fit(member.setting, everything, epochs=OPTIONS["max_epochs"], seed=1)
        np.testing.assert_allclose(member.curves["cost"], alone.curves["cost"], rtol=1e-3)
    # what is not evaluated must not look like a fault
    with jax.debug_nans(True):
        study.refit(everything, seed=1, progress=False)


def test_a_refit_uses_the_programs_of_its_search_while_that_takes_less_time():
    settings = [{"hidden": (2,), "batch_size": 16}, {"hidden": (64, 64), "batch_size": 16}]
    before = jaxnn.plan(settings, TRAIN, epochs=1)
    (shared,) = before.programs
    prepared, options = recipes(settings[:1], DATA, None), Options()
    for epochs, is_shared in ((1, True), (10**6, False)):
        (planned,) = options.plan_again(before, prepared, DATA, epochs).programs
        assert (planned.key == shared.key) == is_shared


def test_an_ensemble_averages_probabilities():
    study = search(SPACE, TRAIN, VALID, method="sobol", chunk=4, **OPTIONS)
    ensemble = study.ensemble(top=4)
    proba = [study.fitted(number).predict_proba(VALID.x) for number in study.ranked[:4]]
    np.testing.assert_allclose(ensemble.predict_proba(VALID.x), np.mean(proba, axis=0), rtol=1e-6)
    hits = np.mean(proba, axis=0).argmax(axis=1) == np.asarray(VALID.y)
    assert ensemble.score(VALID) == pytest.approx(hits.mean())
    with pytest.raises(ValueError, match="Ensemble got no members"):
        jaxnn.Ensemble([])
    other = fit({"batch_size": 20}, curved(20, 5), epochs=1)
    with pytest.raises(ValueError, match="expected one shape of data"):
        jaxnn.Ensemble([study.fitted(), other])


def test_coarse_to_fine_draws_ever_closer_to_the_best():
    space = {"learning_rate": jaxnn.loguniform(1e-6, 1e1), "optimizer": "gd"}
    study = search(space, TRAIN, VALID, method="coarse_to_fine", num_settings=24, max_epochs=5,
                   metric="cost", progress=False)  # fmt: skip
    r = np.log10([one["learning_rate"] for one in study.given]).reshape(3, 8)
    spans = np.ptp(r, axis=1)
    assert (np.diff(spans) < 0).all()
    best = np.log10(study.best_params["learning_rate"])
    assert (abs(r - best).mean(axis=1)[1:] < abs(r - best).mean()).all()
    assert study.space == space


def test_a_grid_has_every_option_and_even_places():
    space = {
        "learning_rate": jaxnn.loguniform(1e-4, 1e0),
        "l2": jaxnn.uniform(0.0, 1.0),
        "optimizer": jaxnn.choice(["gd", "adam"]),
        "hidden": (3,),
    }
    settings = sample(space, 30, method="grid")
    found = {(round(np.log10(s["learning_rate"]), 9), s["l2"], s["optimizer"]) for s in settings}
    assert found == {(r, l2, o) for r in (-4, -2, 0) for l2 in (0, 0.5, 1) for o in ("gd", "adam")}
    assert len(sample({"hidden": (3,)}, 5, method="grid")) == 1
    with pytest.raises(ValueError, match="a grid got n=1; expected 2 at least"):
        sample(space, 1, method="grid")


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_leaves_the_rungs_that_were_reached(monkeypatch):
    train_lanes, calls = chunks.train_lanes, []

    def interrupting(*arguments):
        calls.append(1)
        if len(calls) == 14:
            os.kill(os.getpid(), signal.SIGINT)
        return train_lanes(*arguments)

    monkeypatch.setattr(chunks, "train_lanes", interrupting)
    with pytest.raises(jaxnn.TrainingInterrupted, match="of 9 networks complete") as caught:
        search(SPACE, TRAIN, VALID, factor=2, min_epochs=1, chunk=1, **OPTIONS)
    study = caught.value.study
    assert len(study.rungs) >= 1
    assert {trial.state for trial in study.trials} <= {"PRUNED", "RUNNING"}
    study.summary()
    # what was trained until then, to the last rung, is there to predict
    assert study.ensemble(method="greedy").chosen.num_candidates == len(study.given)


def best_of_pairs(arena):
    rows = arena.add_drawn()
    for first in rows[::2]:
        arena.train([first, first + 1], 2)
        if not arena.is_called_off():
            arena.train(arena.keep([first, first + 1], 1), arena.budget.max_epochs)


def test_a_method_of_ones_own_is_a_row(monkeypatch, tmp_path):
    """It trains as networks do alone; interrupted in the middle, it goes on to the same bits."""
    rungs = lambda budget: [(budget.num_settings, 2), (budget.num_settings / 2, 2)]
    monkeypatch.setitem(METHODS, "best_of_pairs", Method(best_of_pairs, rungs))
    call = lambda **more: search(
        MIXED, TRAIN, VALID, method="best_of_pairs", num_settings=4, max_epochs=4, chunk=2,
        progress=False, **more,
    )  # fmt: skip
    whole = call()
    assert [rung.entered for rung in whole.rungs] == [(0, 1), (2, 3)]
    for rung in whole.rungs:
        (kept,) = rung.kept
        (dropped,) = {*rung.entered} - {kept}
        assert (whole.epochs_done[kept, 0], whole.epochs_done[dropped, 0]) == (4, 2)
        assert whole.dropped[dropped] == 2
        alone = fit(whole.given[kept], TRAIN, VALID, epochs=4).curves["valid_cost"]
        np.testing.assert_allclose(whole.curves["valid_cost"][kept, 0], alone, rtol=1e-3)

    def stop(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(jaxnn.TrainingInterrupted):
        call(directory=tmp_path, on_epoch=stop)
    again = jaxnn.resume(tmp_path, TRAIN, VALID, progress=False)
    np.testing.assert_array_equal(curves_of(again), curves_of(whole))
    assert again.rungs == whole.rungs
    whole.save(tmp_path / "study.h5")
    assert jaxnn.load(tmp_path / "study.h5").rungs == whole.rungs
