"""Every row of the tables passes the same tests, and so do rows that a test adds.

A lane of a mixed program is what `fit` makes of its setting alone; it is saved, loaded and resumed.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxnn
from jaxnn.compiled.objectives import METRICS, OBJECTIVES, Metric
from jaxnn.compiled.updates import mixed_direction
from jaxnn.functional.layers import ACTIVATIONS, INITIALIZERS
from jaxnn.functional.losses import weighted_mean
from jaxnn.functional.optimizers import DECAY_SCHEDULES, OPTIMIZERS, Optimizer, Place, Schedule
from jaxnn.results import plots
from jaxnn.settings.hyperparameters import HYPERPARAMETERS, Hyperparameter

TABLES = {
    "optimizer": OPTIMIZERS,
    "decay_schedule": DECAY_SCHEDULES,
    "activation": ACTIVATIONS,
    "init": INITIALIZERS,
}
ROWS = [(key, name) for key, table in TABLES.items() for name in table]
# rows of a table that are no structure, schedules, share the program of `fit`
HIDDEN = dict(zip(TABLES, [(4,), (3, 2), (4, 3), (3,)], strict=True))
EPOCHS = 8


@pytest.fixture(scope="module", autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def data(in_float64):
    x = np.random.default_rng(0).normal(size=(70, 3))
    every = jaxnn.Dataset(x, (x[:, 0] > 0) * 1 + (x[:, 1] > 0.5))
    return every[:50], every[50:]


def settings_of(rows, **common):
    """A setting for each row, which are padded to one structure."""
    base = {"learning_rate": 0.02, "batch_size": 16, "l2": 1e-3, **common}
    shapes = itertools.cycle([(4,), (3, 2)])
    return [{"hidden": next(shapes), **base, **row} for row in rows]


def assert_like_alone(study, number, data):
    """To 1e-9 in float64, design promise 1."""
    mine, alone = study.fitted(number), jaxnn.fit(study.given[number], *data, epochs=EPOCHS)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    jax.tree.map(close, (mine.params, mine.state), (alone.params, alone.state))
    for name, curve in alone.curves.items():
        close(mine.curves[name], curve)
    return mine


def assert_same(first, second):
    assert first.settings == second.settings
    for name, curve in first.curves.items():
        np.testing.assert_array_equal(curve, second.curves[name], err_msg=name)
    np.testing.assert_array_equal(first.ranking, second.ranking)
    for number in range(len(first.given)):
        trees = [(one.fitted(number).params, one.fitted(number).state) for one in (first, second)]
        jax.tree.map(np.testing.assert_array_equal, *trees)


def assert_saved_and_resumed(study, settings, data, folder, **options):
    """From its file, and from a directory that an interrupt left behind."""
    study.save(folder / "study.h5")
    assert_same(study, jaxnn.load(folder / "study.h5"))
    for number in range(len(settings)):
        fitted = study.fitted(number)
        fitted.save(folder / "network.h5")
        again = jaxnn.load(folder / "network.h5")
        np.testing.assert_array_equal(fitted.predict(data[1].x), again.predict(data[1].x))

    def interrupt(info):
        # the first call trains one epoch; later ones may train all that are left
        if info.epoch == 1:
            raise KeyboardInterrupt

    options |= {"epochs": EPOCHS, "directory": folder / "sweep", "commit_interval": 0.0}
    with pytest.raises(jaxnn.TrainingInterrupted) as caught:
        jaxnn.sweep(settings, *data, on_epoch=interrupt, **options)
    assert not caught.value.study.is_complete.all()
    assert_same(study, jaxnn.sweep(settings, *data, **options))


@pytest.fixture(scope="module")
def of_all_rows(data):
    settings = settings_of({key: name, "hidden": HIDDEN[key]} for key, name in ROWS)
    return settings, jaxnn.sweep(settings, *data, epochs=EPOCHS)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, id="-".join(row), marks=[pytest.mark.slow] if number % 4 else [])
        for number, row in enumerate(ROWS)
    ],
)
def test_a_lane_among_all_rows_equals_its_setting_alone(of_all_rows, data, number):
    settings, study = of_all_rows
    program = next(one.program for one in study.plan.programs if number in one.settings)
    name = settings[number].get("optimizer", "adam")
    assert program.is_mixed or OPTIMIZERS[name].place is None
    assert_like_alone(study, number, data)


def test_all_rows_are_saved_loaded_and_resumed(of_all_rows, data, tmp_path):
    settings, study = of_all_rows
    assert_saved_and_resumed(study, settings, data, tmp_path)


@pytest.mark.parametrize("key", TABLES)
def test_rows_have_the_names_that_settings_take(key):
    assert all(HYPERPARAMETERS[key].is_valid(name) for name in TABLES[key])
    assert not HYPERPARAMETERS[key].is_valid("of no table")
    for row in TABLES[key].values():
        if isinstance(row, Optimizer | Schedule):
            assert all(HYPERPARAMETERS[name].is_number for name in row.uses)
            assert {*row.defaults} <= {*row.uses}


def test_an_optimizer_without_a_place_trains_in_a_program_of_its_own(data, monkeypatch, tmp_path):
    """Optax's Lion moves by signs, which the common update knows nothing of."""
    lion = Optimizer(
        lambda numbers: optax.scale_by_lion(numbers["beta1"], numbers["beta2"]),
        uses=("beta1", "beta2"),
        defaults={"beta2": 0.95},
    )
    monkeypatch.setitem(OPTIMIZERS, "lion of a test", lion)
    names = ["adam", "lion of a test", "gd"]
    settings = settings_of([{"optimizer": name} for name in names], learning_rate=0.01)
    study = jaxnn.sweep(settings, *data, epochs=EPOCHS)
    assert [one["beta2"] for one in study.settings] == [0.999, 0.95, 0.999]
    found = {one.program.optimizers for one in study.plan.programs}
    assert found == {("adam", "gd"), ("lion of a test",)}
    for number in range(len(settings)):
        assert_like_alone(study, number, data)
    assert_saved_and_resumed(study, settings, data, tmp_path)
    with pytest.raises(ValueError, match="expected those with a place"):
        mixed_direction(("adam", "lion of a test"), {"optimizer": 0})


def test_lion_by_hand(data, monkeypatch):
    """One step of softmax regression in NumPy: each weight moves by alpha."""
    lion = Optimizer(lambda n: optax.scale_by_lion(n["beta1"], n["beta2"]), ("beta1", "beta2"))
    monkeypatch.setitem(OPTIMIZERS, "lion by hand", lion)
    train = data[0]
    setting = {"optimizer": "lion by hand", "batch_size": len(train), "learning_rate": 0.01}
    before, _ = jaxnn.mlp(3, (), 3).init(jax.random.key(0))
    after = jaxnn.fit(setting, train, epochs=1).params
    logits = train.x @ before[0]["kernel"].T
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    grad = (shares - np.eye(3)[train.y]).T @ train.x / len(train)
    expected = before[0]["kernel"] - 0.01 * np.sign(grad)
    np.testing.assert_allclose(after[0]["kernel"], expected, rtol=1e-12)


def test_an_optimizer_with_a_place_joins_the_mixed_programs(data, monkeypatch):
    corrected = Optimizer(
        lambda numbers: optax.ema(numbers["momentum"], debias=True),
        uses=("momentum",),
        place=Place(mean="momentum", is_corrected=True),
    )
    monkeypatch.setitem(OPTIMIZERS, "corrected momentum of a test", corrected)
    names = ["corrected momentum of a test", "rmsprop"]
    settings = settings_of([{"optimizer": name} for name in names])
    study = jaxnn.sweep(settings, *data, epochs=EPOCHS)
    assert [one.program.optimizers for one in study.plan.programs] == [tuple(sorted(names))]
    for number in range(len(settings)):
        assert_like_alone(study, number, data)


def test_a_schedule_of_ones_own(data, monkeypatch, tmp_path):
    own = Schedule(
        lambda numbers, epoch, epochs: jnp.where(epoch < 2, 1, numbers["decay_rate"]),
        uses=("decay_rate",),
        defaults={"decay_rate": 0.0},
    )
    monkeypatch.setitem(DECAY_SCHEDULES, "halt of a test", own)
    # shapes that no other test has: a program that is compiled already knows the old schedules
    rows = [{"decay_schedule": name} for name in ("halt of a test", "none")]
    settings = [one | {"hidden": (5, *one["hidden"])} for one in settings_of(rows)]
    study = jaxnn.sweep(settings, *data, epochs=EPOCHS)
    assert study.settings[0]["decay_rate"] == 0
    for number in range(len(settings)):
        assert_like_alone(study, number, data)
    # a rate of 0 from the third epoch on
    costs = study.curves["valid_cost"][:, 0]
    assert len({*costs[0, 1:].tolist()}) == 1
    assert len({*costs[1].tolist()}) == EPOCHS
    assert_saved_and_resumed(study, settings, data, tmp_path)


SQUARED = OBJECTIVES["softmax"]._replace(
    cost=lambda outputs, targets: jnp.sum(
        jnp.square(outputs - jax.nn.one_hot(targets, outputs.shape[-1])), axis=-1
    ),
    probabilities=lambda outputs: outputs,
)
"""Least squares on one-hot targets."""

LOSS = Hyperparameter("softmax", lambda value: value in OBJECTIVES, "a name in OBJECTIVES")


def test_an_objective_of_ones_own(data, monkeypatch, tmp_path):
    monkeypatch.setitem(OBJECTIVES, "squared of a test", SQUARED)
    monkeypatch.setitem(HYPERPARAMETERS, "loss", LOSS)
    rows = [
        {"loss": "squared of a test"},
        {"loss": "softmax"},
        {"loss": "squared of a test", "optimizer": "gd", "batch_norm": True},
    ]
    settings = settings_of(rows)
    study = jaxnn.sweep(settings, *data, epochs=EPOCHS)
    found = {one.program.loss: one.settings for one in study.plan.programs}
    assert found == {"squared of a test": (0, 2), "softmax": (1,)}
    for number in range(len(settings)):
        fitted = assert_like_alone(study, number, data)
        x, y = data[1].x, np.asarray(data[1].y)
        outputs, _ = fitted.model.apply(fitted.params, fitted.state, data[1].x)
        assert fitted.score(data[1]) == pytest.approx(np.mean(fitted.predict(x) == y), rel=1e-12)
        if number in (0, 2):
            cost = np.square(outputs - np.eye(3)[y]).sum(axis=1).mean()
            assert fitted.curves["valid_cost"][-1] == pytest.approx(cost, rel=1e-9)
            np.testing.assert_allclose(fitted.predict_proba(x), outputs, rtol=1e-9, atol=1e-9)
    assert_saved_and_resumed(study, settings, data, tmp_path)


def test_an_objectives_step_by_hand(data, monkeypatch):
    """Least squares of a linear network: dJ/dW = 2 / N sum of (W x - y) x^T."""
    monkeypatch.setitem(OBJECTIVES, "squared by hand", SQUARED)
    monkeypatch.setitem(HYPERPARAMETERS, "loss", LOSS)
    train = data[0]
    setting = {"loss": "squared by hand", "optimizer": "gd", "batch_size": len(train)}
    before, _ = jaxnn.mlp(3, (), 3).init(jax.random.key(0))
    after = jaxnn.fit({**setting, "learning_rate": 0.1}, train, epochs=1).params
    x, kernel = np.asarray(train.x), np.asarray(before[0]["kernel"])
    grad = 2 * (x @ kernel.T - np.eye(3)[train.y]).T @ x / len(x)
    np.testing.assert_allclose(after[0]["kernel"], kernel - 0.1 * grad, rtol=1e-12)


def brier(cost, outputs, targets, weights):
    missed = jax.nn.softmax(outputs) - jax.nn.one_hot(targets, outputs.shape[-1])
    return weighted_mean(jnp.sum(jnp.square(missed), axis=-1), weights)


@pytest.mark.parametrize("keep", ["best", pytest.param("last", marks=pytest.mark.slow)])
def test_a_metric_of_ones_own(data, monkeypatch, tmp_path, keep):
    """The root of the mean Brier score, which no mean over mini-batches is."""
    bounds = (0.0, float(np.sqrt(2)))
    metric = Metric("miss", brier, is_higher_better=False, bounds=bounds, value=jnp.sqrt)
    measured = OBJECTIVES["softmax"]._replace(metrics=("accuracy", "miss"))
    monkeypatch.setitem(METRICS, "miss", metric)
    monkeypatch.setitem(OBJECTIVES, "measured in a test", measured)
    monkeypatch.setitem(HYPERPARAMETERS, "loss", LOSS)
    common = {"loss": "measured in a test", "hidden": (4,)}
    settings = [common | {"learning_rate": rate} for rate in (0.3, 0.1, 0.03)]
    options = {"metric": "miss", "keep": keep}
    study = jaxnn.sweep(settings, *data, epochs=EPOCHS, **options)
    for number in range(3):
        fitted = study.fitted(number)
        missed = fitted.predict_proba(data[1].x) - np.eye(3)[data[1].y]
        expected = np.sqrt(np.square(missed).sum(axis=1).mean())
        assert study.trial(number).value == pytest.approx(expected, rel=1e-9)
        curve = study.curves["valid_miss"][number, 0]
        assert study.kept_epochs[number, 0] == (curve.argmin() if keep == "best" else EPOCHS - 1)
    assert study.ranking.tolist() == np.argsort(study.values[:, 0], kind="stable").tolist()
    assert "valid miss" in study._repr_html_()
    study.report(tmp_path / "report.html")
    for plot in (plots.plot_learning_curves, plots.plot_slice):
        assert plot(study) is not None
    assert jaxnn.to_optuna(study).direction.name == "MINIMIZE"
    if keep == "best":
        assert_saved_and_resumed(study, settings, data, tmp_path, **options)


def test_a_metric_that_the_objective_does_not_have_is_refused(data, monkeypatch):
    monkeypatch.setitem(METRICS, "miss", Metric("miss", brier, False, (0.0, 2.0)))
    with pytest.raises(ValueError, match="metric got 'miss'; expected 'cost' or 'accuracy'"):
        jaxnn.sweep([{}], *data, epochs=1, metric="miss")
    with pytest.raises(ValueError, match="metric got 'hit'; expected 'accuracy', 'cost' or 'miss'"):
        jaxnn.sweep([{}], *data, epochs=1, metric="hit")
