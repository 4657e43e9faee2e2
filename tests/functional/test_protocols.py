"""Every row of the tables passes the same tests, and so do rows that a test adds.

A lane of a mixed program is what `fit` makes of its setting alone; it is saved, loaded and resumed.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.protocols import assert_like_alone, assert_saved_and_resumed

import jaxnn
from jaxnn.compiled.updates import mixed_direction
from jaxnn.disk.encoding import encode
from jaxnn.functional.layers import ACTIVATIONS, INITIALIZERS
from jaxnn.functional.metrics import METRICS, Metric
from jaxnn.functional.objectives import OBJECTIVES
from jaxnn.functional.optimizers import DECAY_SCHEDULES, OPTIMIZERS, Optimizer, Place, Schedule
from jaxnn.reporting import plots
from jaxnn.settings.hyperparameters import HYPERPARAMETERS

TABLES = {
    "optimizer": OPTIMIZERS,
    "decay_schedule": DECAY_SCHEDULES,
    "activation": ACTIVATIONS,
    "init": INITIALIZERS,
}
ROWS = [(key, name) for key, table in TABLES.items() for name in table]
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


@pytest.fixture(scope="module")
def of_all_rows(data):
    settings = settings_of({key: name, "hidden": HIDDEN[key]} for key, name in ROWS)
    return settings, jaxnn.sweep(settings, *data, epochs=EPOCHS)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, id=f"{key}-{name}", marks=[] if is_quick else pytest.mark.slow)
        for number, (key, name) in enumerate(ROWS)
        # the last row of each table
        for is_quick in [name == [*TABLES[key]][-1]]
    ],
)
def test_a_lane_among_all_rows_equals_its_setting_alone(of_all_rows, data, number):
    settings, study = of_all_rows
    program = next(one.program for one in study.plan.programs if number in one.settings)
    name = settings[number].get("optimizer", "adam")
    assert program.is_mixed or OPTIMIZERS[name].place is None
    assert_like_alone(study, number, data, EPOCHS)


def test_all_rows_are_saved_loaded_and_resumed(of_all_rows, data, tmp_path):
    settings, study = of_all_rows
    assert_saved_and_resumed(study, settings, data, tmp_path, epochs=EPOCHS)


@pytest.mark.parametrize("key", TABLES)
def test_rows_have_the_names_that_settings_take(key):
    assert all(HYPERPARAMETERS[key].is_valid(name) for name in TABLES[key])
    assert not HYPERPARAMETERS[key].is_valid("of no table")
    for row in TABLES[key].values():
        if isinstance(row, Optimizer | Schedule):
            assert all(HYPERPARAMETERS[name].is_number for name in row.uses)
            assert {*row.defaults} <= {*row.uses, "patience"}


@pytest.mark.slow
def test_an_optimizer_without_a_place_trains_in_a_program_of_its_own(data, monkeypatch, tmp_path):
    """Yogi, which the common update knows nothing of; it trains no padded network either."""
    yogi = Optimizer(
        lambda numbers: optax.scale_by_yogi(numbers["beta1"], numbers["beta2"]),
        uses=("beta1", "beta2"),
        defaults={"beta2": 0.95},
    )
    monkeypatch.setitem(OPTIMIZERS, "yogi of a test", yogi)
    names = ["adam", "yogi of a test", "gd"]
    settings = settings_of([{"optimizer": name} for name in names], learning_rate=0.01)
    study = jaxnn.sweep(settings, *data, epochs=EPOCHS)
    assert [one["beta2"] for one in study.settings] == [0.999, 0.95, 0.999]
    found = {one.program.optimizers for one in study.plan.programs}
    assert found == {("adam", "gd"), ("yogi of a test",)}
    for number in range(len(settings)):
        assert_like_alone(study, number, data, EPOCHS)
    assert_saved_and_resumed(study, settings, data, tmp_path, epochs=EPOCHS)
    with pytest.raises(ValueError, match="expected those with a place"):
        mixed_direction(("adam", "yogi of a test"), {"optimizer": 0})


def adabelief(learning_rate, b1, eps=1e-12, nesterov=False):
    return optax.adabelief(learning_rate, b1=b1, eps=eps, nesterov=nesterov)


def muon(learning_rate):
    """It treats matrices as a whole, so padding would change what it does."""
    return optax.contrib.muon(learning_rate)


OWN = [
    {"optimizer": adabelief, "b1": 0.8, "hidden": (4,)},
    {"optimizer": adabelief, "b1": 0.95, "eps": 1e-3, "hidden": (4,), "l2": 0.0},
    {"optimizer": muon, "hidden": (4,)},
    {"optimizer": muon, "hidden": (5,), "clip_norm": 0.3, "decay_schedule": "cosine"},
    {"optimizer": "adam", "hidden": (3, 2)},
    {"optimizer": "gd", "hidden": (4,)},
]


def test_optimizers_of_ones_own(data, tmp_path):
    settings = [{"learning_rate": 0.02, "batch_size": 16, "l2": 1e-3, **one} for one in OWN]
    study = jaxnn.sweep(settings, *data, epochs=EPOCHS)
    assert [one.get("b1") for one in study.settings] == [0.8, 0.95, *[None] * 4]
    assert [one.get("eps") for one in study.settings] == [1e-12, 1e-3, *[None] * 4]
    found = {one.settings: one.program.optimizers for one in study.plan.programs}
    assert found == {(0, 1): (adabelief,), (2,): (muon,), (3,): (muon,), (4, 5): ("adam", "gd")}
    # each costs a program
    for number in (1, 3, 4):
        assert_like_alone(study, number, data, EPOCHS)
    assert "muon" in study._repr_html_()
    study.report(tmp_path / "report.html")
    assert plots.plot_slice(study) is not None
    assert_saved_and_resumed(study, settings, data, tmp_path, epochs=EPOCHS)
    again = jaxnn.load(tmp_path / "study.h5")
    assert again.settings[0]["optimizer"].name.endswith("test_protocols.adabelief")
    with pytest.raises(ValueError, match="a function that the file does not hold"):
        again.refit(data[0], top=6)


@pytest.mark.parametrize("own", [adabelief, muon, optax.yogi])
def test_an_optimizer_of_ones_own_is_optaxs(data, own):
    """Two hundred steps of softmax regression, on all examples at a time."""
    train, numbers = data[0], {"b1": 0.8} if own is adabelief else {}
    setting = {"optimizer": own, "batch_size": len(train), "learning_rate": 0.02, **numbers}
    params, state = jaxnn.mlp(3, (), 3).init(jax.random.key(0))
    model, theirs = jaxnn.mlp(3, (), 3), own(0.02, **numbers)

    def cost(params):
        logits, _ = model.apply(params, state, train.x)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, train.y))

    @jax.jit
    def step(params, opt_state):
        updates, opt_state = theirs.update(jax.grad(cost)(params), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    opt_state = theirs.init(params)
    for _ in range(200):
        params, opt_state = step(params, opt_state)
    found = jaxnn.fit(setting, train, epochs=200).params
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    jax.tree.map(close, found, params)


def test_functions_among_the_options_of_a_search(data):
    space = {
        "optimizer": jaxnn.choice([adabelief, "adam"]),
        "b1": jaxnn.uniform(0.7, 0.95),
        "learning_rate": jaxnn.loguniform(1e-3, 1e-1),
        "hidden": (4,),
    }
    for method in ("sobol", "optuna"):
        study = jaxnn.search(
            space, *data, method=method, num_settings=8, max_epochs=2, progress=False
        )
        for one in study.given:
            assert ("b1" in one) == (one["optimizer"] is adabelief)
        trials = jaxnn.to_optuna(study).trials
        assert {trial.params["optimizer"].split(".")[-1] for trial in trials} <= {
            "adabelief",
            "adam",
        }
        assert ["b1" in trial.params for trial in trials] == ["b1" in one for one in study.given]


def test_a_number_that_no_setting_has_yet(data, tmp_path):
    """A directory of two settings, of which none drew the function."""
    space = {
        "optimizer": jaxnn.choice([adabelief, "adam", "gd"]),
        "b1": jaxnn.uniform(0.7, 0.95),
        "learning_rate": jaxnn.loguniform(1e-3, 1e-1),
    }
    drawn = (jaxnn.sample(space, 2, seed=seed) for seed in range(20))
    settings = next(one for one in drawn if not any("b1" in setting for setting in one))
    study = jaxnn.sweep(settings, *data, epochs=2)
    study.save(tmp_path / "study.h5")
    again = jaxnn.load(tmp_path / "study.h5")
    assert encode(again.space) == encode(space)
    with pytest.raises(ValueError, match=r"plot_slice got .*b1.*; expected some of"):
        plots.plot_slice(study, ["b1"])


def test_functions_are_those_of_the_call(data, tmp_path):
    """In each round of a search, in what is loaded of a finished directory, and in a zoom of it."""
    space = {
        "optimizer": jaxnn.choice([adabelief, "adam"]),
        "b1": jaxnn.uniform(0.7, 0.95),
        "learning_rate": jaxnn.loguniform(1e-3, 1e-1),
    }
    options = {"num_settings": 12, "rounds": 2, "max_epochs": 2, "progress": False}
    call = lambda: jaxnn.search(
        space, *data, method="coarse_to_fine", directory=tmp_path, **options
    )
    study, again = call(), call()
    assert again.settings == study.settings
    rows = [row for row, one in enumerate(study.settings) if one["optimizer"] is adabelief]
    assert rows
    same = lambda a, b: np.testing.assert_array_equal(a, b)
    refits = [one.refit(data[0], top=12).members for one in (study, again)]
    for first, second in zip(*refits, strict=True):
        jax.tree.map(same, first.params, second.params)
    loaded = jaxnn.load(tmp_path)
    assert jaxnn.zoom(space, loaded, top=0.9) == jaxnn.zoom(space, study, top=0.9)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (lambda rate: 3, r"fails for traced numbers \(learning_rate\)"),
        (lambda: optax.sgd(0.1), "takes 0 arguments by position; expected 1"),
        (lambda rate, hidden: optax.sgd(rate), "takes hidden; expected other names"),
        (lambda rate, b1: optax.sgd(rate), "setting lacks 'b1', a number"),
        (lambda rate, b1=0.5: optax.sgd(rate, bool(b1)), r"traced numbers \(learning_rate, b1\)"),
        (lambda rate, dropout: optax.sgd(rate), "takes dropout; expected other names"),
        (optax.sgd(0.1), r"optimizer got GradientTransformation.*; expected one of"),
    ],
)
def test_functions_that_make_no_optimizer(data, own, message):
    with pytest.raises(ValueError, match=message):
        jaxnn.fit({"optimizer": own}, data[0], epochs=1)


def test_two_functions_of_one_name_are_refused(data):
    both = [lambda rate, by=by: optax.sgd(rate) for by in (1, 2)]
    with pytest.raises(ValueError, match=r"two functions of the name .*; expected names that tell"):
        jaxnn.sweep([{"optimizer": one} for one in both], *data, epochs=1)


@pytest.mark.slow
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
        assert_like_alone(study, number, data, EPOCHS)


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
        assert_like_alone(study, number, data, EPOCHS)
    # a rate of 0 from the third epoch on
    costs = study.curves["valid_cost"][:, 0]
    assert len({*costs[0, 1:].tolist()}) == 1
    assert len({*costs[1].tolist()}) == EPOCHS
    assert_saved_and_resumed(study, settings, data, tmp_path, epochs=EPOCHS)


SQUARED = OBJECTIVES["softmax"]._replace(
    cost=lambda outputs, targets, numbers: jnp.sum(
        jnp.square(outputs - jax.nn.one_hot(targets, outputs.shape[-1])), axis=-1
    ),
    labels=OBJECTIVES["softmax"].labels._replace(probabilities=jnp.asarray),
)
"""Least squares on one-hot targets."""


@pytest.mark.slow
def test_an_objective_of_ones_own(data, monkeypatch, tmp_path):
    monkeypatch.setitem(OBJECTIVES, "squared of a test", SQUARED)
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
        fitted = assert_like_alone(study, number, data, EPOCHS)
        x, y = data[1].x, np.asarray(data[1].y)
        outputs, _ = fitted.model.apply(fitted.params, fitted.state, data[1].x)
        assert fitted.score(data[1]) == pytest.approx(np.mean(fitted.predict(x) == y), rel=1e-12)
        if number in (0, 2):
            cost = np.square(outputs - np.eye(3)[y]).sum(axis=1).mean()
            assert fitted.curves["valid_cost"][-1] == pytest.approx(cost, rel=1e-9)
            np.testing.assert_allclose(fitted.predict_proba(x), outputs, rtol=1e-9, atol=1e-9)
    assert_saved_and_resumed(study, settings, data, tmp_path, epochs=EPOCHS)


def test_an_objectives_step_by_hand(data, monkeypatch):
    """Least squares of a linear network: dJ/dW = 2 / N sum of (W x - y) x^T."""
    monkeypatch.setitem(OBJECTIVES, "squared by hand", SQUARED)
    train = data[0]
    setting = {"loss": "squared by hand", "optimizer": "gd", "batch_size": len(train)}
    before, _ = jaxnn.mlp(3, (), 3).init(jax.random.key(0))
    after = jaxnn.fit({**setting, "learning_rate": 0.1}, train, epochs=1).params
    x, kernel = np.asarray(train.x), np.asarray(before[0]["kernel"])
    grad = 2 * (x @ kernel.T - np.eye(3)[train.y]).T @ x / len(x)
    np.testing.assert_allclose(after[0]["kernel"], kernel - 0.1 * grad, rtol=1e-12)


def brier(one):
    missed = jax.nn.softmax(one.outputs) - jax.nn.one_hot(one.targets, one.outputs.shape[-1])
    return one.mean(jnp.sum(jnp.square(missed), axis=-1))


@pytest.mark.parametrize("keep", ["best", pytest.param("last", marks=pytest.mark.slow)])
def test_a_metric_of_ones_own(data, monkeypatch, tmp_path, keep):
    """The root of the mean Brier score, which no mean over mini-batches is."""
    bounds = (0.0, float(np.sqrt(2)))
    metric = Metric(
        "miss",
        brier,
        is_higher_better=False,
        bounds=bounds,
        value=lambda mean, size: size * jnp.sqrt(mean),
    )
    measured = OBJECTIVES["softmax"]._replace(metrics=("accuracy", "miss"))
    monkeypatch.setitem(METRICS, "miss", metric)
    monkeypatch.setitem(OBJECTIVES, "measured in a test", measured)
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
        assert_saved_and_resumed(study, settings, data, tmp_path, epochs=EPOCHS, **options)


def test_a_metric_that_the_objective_does_not_have_is_refused(data, monkeypatch):
    monkeypatch.setitem(METRICS, "miss", Metric("miss", brier, False, (0.0, 2.0)))
    with pytest.raises(ValueError, match="metric got 'miss'; expected 'cost' or 'accuracy'"):
        jaxnn.sweep([{}], *data, epochs=1, metric="miss")
    with pytest.raises(ValueError, match=r"metric got 'hit'; expected 'accuracy', .* or 'miss'"):
        jaxnn.sweep([{}], *data, epochs=1, metric="hit")
