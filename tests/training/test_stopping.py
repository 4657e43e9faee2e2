"""`patience`, `monitor` and the schedule "plateau", against rules worked out on whole curves."""

import jax
import numpy as np
import pytest
from helpers.protocols import assert_like_alone, assert_same, assert_saved_and_resumed

import jaxnn

EPOCHS = 40


@pytest.fixture(scope="module")
def classes():
    x = np.random.default_rng(0).normal(size=(90, 3))
    every = jaxnn.Dataset(x, (x[:, 0] + x[:, 1] ** 2 > 0.5) * 1)
    return every[:60], every[60:]


@pytest.fixture(scope="module")
def reals():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(90, 3))
    every = jaxnn.Dataset(x, 3 * x[:, 0] - x[:, 1] ** 2 + rng.normal(size=90))
    return every[:60], every[60:]


SETTING = {"hidden": (8,), "learning_rate": 0.05, "batch_size": 20}


def stop_of(curve, patience, min_delta, is_higher_better):
    """The number of epochs after which training ends, by the rule of scikit-learn's MLP."""
    best, waited = np.inf, 0
    for epoch, value in enumerate(-curve if is_higher_better else curve, 1):
        waited = 0 if value < best - min_delta else waited + 1
        best = min(best, value)
        if waited >= patience:
            return epoch
    return len(curve)


@pytest.mark.parametrize(
    ("monitor", "patience", "min_delta"),
    [(None, 2, 0.0), ("cost", 1, 1e-2), ("accuracy", 3, 0.0), ("valid_accuracy", 4, 0.02)],
)
def test_training_stops_when_the_monitored_curve_no_longer_improves(
    classes, monitor, patience, min_delta
):
    whole = jaxnn.fit(SETTING, *classes, epochs=EPOCHS)
    curve = whole.curves[monitor or "valid_cost"]
    expected = stop_of(curve, patience, min_delta, "accuracy" in (monitor or ""))
    assert expected < EPOCHS
    own = {"patience": patience, "min_delta": min_delta, "monitor": monitor}
    fitted = jaxnn.fit(SETTING | own, *classes, epochs=EPOCHS)
    for name, values in fitted.curves.items():
        np.testing.assert_allclose(values, whole.curves[name][:expected], rtol=1e-5, err_msg=name)
    alone = jaxnn.fit(SETTING, *classes, epochs=expected)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, fitted.params, alone.params)
    assert fitted.diverged is None


def test_without_a_validation_set_it_waits_for_the_training_cost(classes):
    train, _ = classes
    whole = jaxnn.fit(SETTING, train, epochs=EPOCHS)
    expected = stop_of(whole.curves["cost"], 1, 0.01, is_higher_better=False)
    stopping = SETTING | {"patience": 1, "min_delta": 0.01}
    assert len(jaxnn.fit(stopping, train, epochs=EPOCHS).curves["cost"]) == expected < EPOCHS


@pytest.mark.parametrize("metric", ["accuracy", "cost"])
def test_the_best_epoch_is_kept(classes, metric):
    fitted = jaxnn.fit(SETTING, *classes, epochs=EPOCHS, keep="best", metric=metric)
    curves = fitted.curves
    order = {"accuracy": (curves["valid_cost"], -curves["valid_accuracy"]),
             "cost": (-curves["valid_accuracy"], curves["valid_cost"])}  # fmt: skip
    best = int(np.lexsort(order[metric])[0])
    assert 0 < best < EPOCHS - 1
    np.testing.assert_allclose(fitted.score(classes[1]), curves["valid_accuracy"][best], atol=1e-6)
    alone = jaxnn.fit(SETTING, *classes, epochs=best + 1)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    jax.tree.map(close, fitted.params, alone.params)


def test_a_plateau_lowers_the_learning_rate_as_a_person_would(reals):
    setting = SETTING | {"optimizer": "gd", "learning_rate": 0.3, "patience": 2}
    fitted = jaxnn.fit(
        setting | {"decay_schedule": "plateau", "decay_rate": 0.5}, *reals, epochs=EPOCHS
    )
    run = jaxnn.Run({**setting, "patience": None}, *reals)
    rate, best, waited, lowered = 0.3, np.inf, 0, 0
    for epoch in range(EPOCHS):
        run.train(1)
        cost = run.curves["valid_cost"][epoch]
        waited = 0 if cost < best else waited + 1
        best = min(best, cost)
        if waited == 2:
            rate, waited, lowered = rate / 2, 0, lowered + 1
            run.set(learning_rate=rate)
    assert lowered > 3
    for name, values in run.curves.items():
        np.testing.assert_allclose(fitted.curves[name], values, rtol=1e-4, err_msg=name)


def test_a_plateau_ends_at_the_least_learning_rate(classes):
    setting = SETTING | {"decay_schedule": "plateau", "patience": 1, "decay_rate": 1e-3}
    fitted = jaxnn.fit(setting | {"min_delta": 100.0}, *classes, epochs=EPOCHS)
    # after the first epoch every epoch lowers 0.05 to 5e-5, 5e-8; the latter is below 1e-6
    assert len(fitted.curves["cost"]) == 4


MIXED = [
    {"hidden": (8,), "patience": 2, "monitor": "cost", "min_delta": 0.02},
    {"hidden": (8,)},
    {"hidden": (5, 4), "patience": 3, "monitor": "valid_accuracy", "activation": "tanh"},
    {"hidden": (4,), "patience": 1, "decay_schedule": "plateau", "optimizer": "gd"},
    {"hidden": (8,), "patience": 5, "decay_schedule": "power", "decay_power": 0.3},
    {"hidden": (8,), "patience": 1, "min_delta": 1.0, "decay_schedule": "plateau"},
]
MIXED = [{**one, "learning_rate": 0.03, "batch_size": 20} for one in MIXED]


@pytest.mark.numbers
def test_a_lane_is_stopped_as_it_is_alone(classes, tmp_path):
    """In one program of all lanes, saved, and resumed after an interrupt."""
    with jax.enable_x64(True):
        data = [jaxnn.Dataset(one.original, np.asarray(one.y)) for one in classes]
        study = jaxnn.sweep(MIXED, *data, epochs=EPOCHS, progress=False)
        assert len(study.plan.programs) == 1
        for number in range(len(MIXED)):
            fitted = assert_like_alone(study, number, data, EPOCHS)
            assert len(fitted.curves["cost"]) == study.trials[number].epochs
        assert len({*study.until_stopped(EPOCHS)[:, 0].tolist()}) > 3
        assert study.is_complete.all()
        options = {"epochs": EPOCHS, "progress": False}
        assert_saved_and_resumed(study, MIXED, data, tmp_path, **options)
        loaded = jaxnn.load(tmp_path / "study.h5")
        np.testing.assert_array_equal(loaded.stopped, study.stopped)


def test_a_halving_ranks_what_was_stopped_by_its_last_value(classes):
    space = {"learning_rate": jaxnn.loguniform(1e-3, 1e-1), "hidden": (8,), "batch_size": 20}
    options = {"num_settings": 9, "min_epochs": 6, "max_epochs": 54, "progress": False}
    study = jaxnn.search(space, *classes, patience=2, metric="cost", **options)
    first = study.rungs[0]
    stopped = study.stopped[:, 0]
    assert (stopped[list(first.entered)] > 0).sum() > 1
    # the last third of six epochs
    curve = study.curves["valid_cost"][:, 0]
    held = [[row[min(e, (s if s > 0 else 54) - 1)] for e in (4, 5)]
            for row, s in zip(curve, stopped, strict=True)]  # fmt: skip
    expected = np.argsort(np.mean(held, axis=1), kind="stable")[: len(first.kept)]
    assert sorted(expected) == sorted(first.kept)


def test_a_refit_needs_no_validation_set(classes):
    train, valid = classes
    study = jaxnn.sweep(
        [SETTING | {"patience": 3, "monitor": "valid_cost"}], train, valid, epochs=EPOCHS,
        progress=False,
    )  # fmt: skip
    epochs = int(study.stopped[0, 0])
    assert 0 < epochs < EPOCHS
    refitted = study.refit(train + valid, progress=False)
    alone = jaxnn.fit(SETTING, train + valid, epochs=epochs)
    np.testing.assert_allclose(refitted.curves["cost"], alone.curves["cost"], rtol=1e-4)


def test_searching_with_patience_is_a_space_with_it(classes):
    space = {"learning_rate": jaxnn.loguniform(1e-3, 1e0), "hidden": (4,), "batch_size": 20}
    options = {"method": "random", "num_settings": 6, "max_epochs": 20, "progress": False}
    study = jaxnn.search(space, *classes, patience=3, **options)
    own = {"patience": 3, "monitor": "valid_accuracy"}
    other = jaxnn.search(space | own, *classes, **options)
    assert_same(study, other)
    np.testing.assert_array_equal(study.stopped, other.stopped)
    asked = jaxnn.search(space, *classes, patience=3, **options | {"method": "optuna"})
    alone = jaxnn.fit(asked.given[0], *classes, epochs=20)
    assert len(alone.curves["cost"]) == asked.trials[0].epochs
    assert (asked.stopped > 0).any()
    with pytest.raises(ValueError, match="patience came with 'monitor' in the space"):
        jaxnn.search(space | {"monitor": "cost"}, *classes, patience=3, **options)


@pytest.mark.filterwarnings("ignore:.*not finite")
def test_a_network_that_diverges_is_not_stopped(classes):
    setting = {"optimizer": "gd", "hidden": (8,), "batch_size": 20, "patience": 2}
    settings = [setting | {"learning_rate": rate} for rate in (1e30, 0.05)]
    study = jaxnn.sweep(settings, *classes, epochs=EPOCHS, progress=False)
    assert study.diverged[0, 0] >= 0
    assert study.stopped[:, 0].tolist()[0] == -1
    assert study.trials[0].state == "PRUNED"
    assert jaxnn.fit(settings[0], *classes, epochs=EPOCHS).diverged == study.diverged[0, 0]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"patience": 0}, "patience got 0"),
        ({"patience": 3, "min_delta": -1.0}, "min_delta got -1.0"),
        ({"patience": 3, "monitor": "loss"}, "monitor got 'loss'"),
        ({"patience": 3, "monitor": "rmse"}, "monitor got 'rmse'; expected one of cost, accuracy"),
        ({"patience": 3, "monitor": "valid_cost"}, "without a validation set"),
        ({"patience": None, "decay_schedule": "plateau"}, "patience got None with the schedule"),
    ],
)
def test_bad_stops(classes, setting, message):
    with pytest.raises(ValueError, match=message):
        jaxnn.fit(setting, classes[0], epochs=3)


def test_what_needs_a_validation_set_or_an_end(classes):
    with pytest.raises(ValueError, match='keep got "best" without a validation set'):
        jaxnn.fit({}, classes[0], epochs=3, keep="best")
    with pytest.raises(ValueError, match="patience got 3 in a Run"):
        jaxnn.Run({"patience": 3}, *classes)
    with pytest.raises(ValueError, match="metric got 'rmse'"):
        jaxnn.fit({}, *classes, epochs=3, keep="best", metric="rmse")
