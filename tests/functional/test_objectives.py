"""Every objective: its steps by hand, lanes like networks alone, targets in their own units."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn.metrics
from helpers.protocols import assert_like_alone, assert_saved_and_resumed
from scipy.special import expit

import jaxnn
from jaxnn.compiled import lanes
from jaxnn.functional.metrics import METRICS
from jaxnn.functional.objectives import OBJECTIVES
from jaxnn.settings.hyperparameters import complete

EPOCHS = 8
RNG = np.random.default_rng(0)
X = RNG.normal(size=(70, 3))
REAL = 40 + 5 * X[:, 0] - 3 * np.abs(X[:, 1]) + RNG.normal(size=70)
TWO = np.stack([REAL, 1e-3 * X[:, 2]], axis=1)
CLASSES = (X[:, 0] > 0) * 1 + (X[:, 1] > 0.5)
LABELS = (X[:, :2] > 0.3) * 1.0
COUNTS = RNG.poisson(np.exp(0.5 + 0.4 * X[:, 0])).astype(float)
TARGETS = {
    "softmax": [CLASSES],
    "sigmoid": [CLASSES == 2, LABELS],
    **{name: [REAL, TWO] for name in ("squared", "absolute", "huber", "quantile")},
    "poisson": [COUNTS],
}
QUICK = [("softmax", 0), ("quantile", 0)]
CASES = [
    pytest.param(loss, place, marks=[pytest.mark.slow] if is_slow else [])
    for loss in OBJECTIVES
    for place in range(len(TARGETS[loss]))
    for is_slow in [place > 0 or loss in ("absolute", "huber")]
]
LANES = [
    # the second lane has a label smoothing and a quantile of its own
    pytest.param(loss, place, lane, marks=[] if (loss, place) in QUICK else pytest.mark.slow)
    for lane, (loss, place) in zip(
        itertools.cycle([1, 1, 2, 0]),
        [(loss, place) for loss in OBJECTIVES for place in range(len(TARGETS[loss]))],
        strict=False,
    )
]


@pytest.fixture(scope="module", autouse=True)
def in_float64():
    with jax.enable_x64(True):
        yield


def data_of(loss, place=0):
    every = jaxnn.Dataset(X, TARGETS[loss][place])
    return every[:50], every[50:]


def test_all_objectives_are_tested():
    assert TARGETS.keys() == OBJECTIVES.keys()


@pytest.mark.parametrize(("loss", "place", "lane"), LANES)
def test_a_lane_of_each_objective_equals_its_setting_alone(loss, place, lane, tmp_path):
    """Beside other optimizers and structures, with smoothing where there is any."""
    data, shapes = data_of(loss, place), itertools.cycle([(4,), (3, 2)])
    common = {"loss": loss, "learning_rate": 0.02, "batch_size": 16, "activation": "tanh"}
    settings = [
        {**common, "hidden": next(shapes), **own}
        for own in (
            {"optimizer": "adam", "quantile": 0.2, "huber_delta": 0.7},
            {"optimizer": "momentum", "quantile": 0.9, "label_smoothing": 0.1},
            {"optimizer": "lion", "learning_rate": 0.003, "batch_norm": True},
        )
    ]
    study = jaxnn.sweep(settings, *data, epochs=EPOCHS)
    assert [one.program.loss for one in study.plan.programs] == [loss]
    assert_like_alone(study, lane, data, EPOCHS)
    if place == 0:
        assert_saved_and_resumed(study, settings, data, tmp_path, epochs=EPOCHS)


# the derivative of an example's cost for one output, of outputs and targets (N, K)
SLOPES = {
    "softmax": lambda f, y: np.exp(f) / np.exp(f).sum(axis=1, keepdims=True) - np.eye(3)[y[:, 0]],
    "sigmoid": lambda f, y: expit(f) - y,
    "squared": lambda f, y: (f - y) / y.shape[1],
    "absolute": lambda f, y: np.sign(f - y) / y.shape[1],
    "huber": lambda f, y: np.clip(f - y, -0.7, 0.7) / y.shape[1],
    "quantile": lambda f, y: np.where(f < y, -0.2, 0.8) / y.shape[1],
    "poisson": lambda f, y: (np.exp(f) - y) / y.shape[1],
}


@pytest.mark.parametrize(("loss", "place"), CASES)
def test_three_steps_by_hand(loss, place):
    """Of a linear network on all examples: dJ/dW is the mean of dcost/df x^T, dJ/db of dcost/df."""
    train, _ = data_of(loss, place)
    setting = {"loss": loss, "optimizer": "gd", "batch_size": len(train), "learning_rate": 0.1}
    setting |= {"quantile": 0.2, "huber_delta": 0.7}
    fitted = jaxnn.fit(setting, train, epochs=3)
    x, y = np.asarray(train.x), np.asarray(train.y).reshape(len(train), -1)
    if complete(setting)["targets"] == "standardised":
        y = (y - y.mean(axis=0)) / y.std(axis=0)
    num_outputs = train.targets.num_outputs(loss)
    ((params,), _) = jaxnn.mlp(3, (), num_outputs).init(jax.random.key(0))
    kernel, bias = np.asarray(params["kernel"]), np.asarray(params["bias"])
    for _ in range(3):
        slope = SLOPES[loss](x @ kernel.T + bias, y) / len(x)
        kernel, bias = kernel - 0.1 * slope.T @ x, bias - 0.1 * slope.sum(axis=0)
    np.testing.assert_allclose(fitted.params[0]["kernel"], kernel, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(fitted.params[0]["bias"], bias, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("loss", ["squared", pytest.param("poisson", marks=pytest.mark.slow)])
@pytest.mark.parametrize("is_weighted", [pytest.param(False, marks=pytest.mark.slow), True])
def test_metrics_are_scikit_learns(loss, is_weighted):
    """In the targets' own units, on training and validation set, of one and of two targets."""
    for y in TARGETS[loss]:
        weights = np.linspace(0.5, 3, 70) if is_weighted else None
        every = jaxnn.Dataset(X, y, weights=weights)
        data = every[:50], every[50:]
        fitted = jaxnn.fit({"loss": loss, "hidden": (4,), "batch_size": 7}, *data, epochs=2)
        predicted, theirs = fitted.predict(data[1].x), {}
        true, own = np.asarray(data[1].y), data[1].weights
        mse = sklearn.metrics.mean_squared_error(true, predicted, sample_weight=own)
        theirs["rmse"] = np.sqrt(mse)
        theirs["mae"] = sklearn.metrics.mean_absolute_error(true, predicted, sample_weight=own)
        theirs["r2"] = sklearn.metrics.r2_score(true, predicted, sample_weight=own)
        for name, value in theirs.items():
            assert fitted.curves[f"valid_{name}"][-1] == pytest.approx(value, rel=1e-9), name
        assert fitted.score(data[1]) == pytest.approx(theirs["rmse"], rel=1e-9)
        # each measured before its own step: at a rate of nearly 0 that does not matter
        still = {"loss": loss, "hidden": (4,), "batch_size": 7, "learning_rate": 1e-300}
        fitted = jaxnn.fit(still, data[0], epochs=1)
        predicted = fitted.predict(data[0].x)
        r2 = sklearn.metrics.r2_score(data[0].y, predicted, sample_weight=data[0].weights)
        assert fitted.curves["r2"][-1] == pytest.approx(r2, rel=1e-9)


def test_r2_of_targets_that_do_not_vary_is_0():
    train = jaxnn.Dataset(X[:50], REAL[:50])
    same = jaxnn.Dataset(X[50:], np.full(20, 40.0))
    fitted = jaxnn.fit({}, train, same, epochs=2)
    np.testing.assert_allclose(fitted.curves["valid_r2"], 0, atol=1e-12)


@pytest.mark.parametrize(("scale", "shift"), [(1e-9, 0), (1e7, 0), (3.0, 1e6)])
def test_units_of_targets_do_not_matter(scale, shift):
    """What is trained on a y + b predicts a f + b, where targets are standardised."""
    data = data_of("huber")
    setting = {"loss": "huber", "hidden": (4,), "learning_rate": 0.01}
    plain = jaxnn.fit(setting, *data, epochs=5)
    other = [jaxnn.Dataset(one.x, scale * np.asarray(one.y) + shift) for one in data]
    scaled = jaxnn.fit(setting, *other, epochs=5)
    expected = scale * plain.predict(X) + shift
    np.testing.assert_allclose(scaled.predict(X), expected, rtol=1e-6)
    for name in ("rmse", "mae"):
        np.testing.assert_allclose(scaled.curves[name], scale * plain.curves[name], rtol=1e-6)
    np.testing.assert_allclose(scaled.curves["valid_r2"], plain.curves["valid_r2"], rtol=1e-6)


def test_raw_targets_are_trained_as_they_are():
    train, _ = data_of("squared")
    setting = {"optimizer": "gd", "learning_rate": 1e-300, "targets": "raw"}
    fitted = jaxnn.fit(setting, train, epochs=1)
    assert fitted.target_statistics is None
    outputs, _ = fitted.model.apply(fitted.params, fitted.state, train.x)
    np.testing.assert_allclose(fitted.predict(train.x), outputs[:, 0], rtol=1e-12)
    cost = np.mean((np.asarray(outputs[:, 0]) - np.asarray(train.y)) ** 2) / 2
    assert fitted.curves["cost"][0] == pytest.approx(cost, rel=1e-12)


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_smoothed_labels_are_optaxs(loss):
    train, _ = data_of(loss)
    smooth = 0.3
    setting = {"loss": loss, "optimizer": "gd", "batch_size": len(train), "learning_rate": 0.1}
    fitted = jaxnn.fit({**setting, "label_smoothing": smooth}, train, epochs=3)
    num_outputs = train.targets.num_outputs(loss)
    params, state = jaxnn.mlp(3, (), num_outputs).init(jax.random.key(0))
    model = jaxnn.mlp(3, (), num_outputs)

    def cost(params):
        logits, _ = model.apply(params, state, train.x)
        if loss == "softmax":
            labels = optax.smooth_labels(jax.nn.one_hot(train.y, 3), smooth)
            return optax.softmax_cross_entropy(logits, labels).mean()
        labels = train.y * (1 - smooth) + smooth / 2
        return optax.sigmoid_binary_cross_entropy(logits[:, 0], labels).mean()

    for _ in range(3):
        params = jax.tree.map(lambda w, g: w - 0.1 * g, params, jax.grad(cost)(params))
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    jax.tree.map(close, fitted.params, params)
    # the curves have the plain cost
    plain = jaxnn.fit(setting, train, epochs=1)
    assert fitted.curves["cost"][0] == pytest.approx(plain.curves["cost"][0], rel=1e-12)


def test_a_new_number_of_a_loss_compiles_nothing():
    data = data_of("quantile")
    settings = [
        {"loss": "quantile", "quantile": q, "hidden": (6, 2)} for q in np.linspace(0.1, 0.9, 9)
    ]
    study = jaxnn.sweep(settings, *data, epochs=2)
    (planned,) = study.plan.programs
    assert planned.settings == tuple(range(9))
    before = lanes.train_lanes._cache_size()
    jaxnn.sweep([{**one, "quantile": one["quantile"] / 2} for one in settings], *data, epochs=2)
    assert lanes.train_lanes._cache_size() == before


def test_quantiles_have_their_shares():
    x = np.random.default_rng(1).uniform(size=(2000, 1))
    y = np.random.default_rng(2).normal(size=2000) * (0.5 + x[:, 0])
    data = jaxnn.Dataset(x, y)
    settings = [
        {"loss": "quantile", "quantile": q, "hidden": (8,), "learning_rate": 0.01}
        for q in (0.1, 0.5, 0.9)
    ]
    study = jaxnn.sweep(settings, data, data, epochs=20)
    for number, q in enumerate((0.1, 0.5, 0.9)):
        below = np.mean(y <= study.fitted(number).predict(x))
        assert below == pytest.approx(q, abs=0.03)


def power_loss(outputs, targets, power, weight=1.0):
    return weight * jnp.mean(jnp.abs(outputs - targets).reshape(len(targets), -1) ** power, axis=1)


def negative_gain(logits, labels):
    """Of which every value is below 0."""
    return jax.nn.softplus(-logits[jnp.arange(len(labels)), labels]) - 100


@pytest.mark.parametrize("place", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_loss_of_ones_own(place, tmp_path):
    data = data_of("squared", place)
    common = {"loss": power_loss, "hidden": (4,), "learning_rate": 0.02, "targets": "standardised"}
    settings = [{**common, "power": power} for power in (2.0, 1.5)]
    settings.append({**common, "power": 2.0, "weight": 3.0, "hidden": (3, 2)})
    study = jaxnn.sweep(settings, *data, epochs=EPOCHS)
    assert [one["weight"] for one in study.settings] == [1.0, 1.0, 3.0]
    assert [one.settings for one in study.plan.programs] == [(0, 1, 2)]
    for number in (1, 2):
        assert_like_alone(study, number, data, EPOCHS)
    # twice the squared loss: gradient descent with half of the rate
    own = {"optimizer": "gd", "learning_rate": 0.01}
    ours = jaxnn.fit({**common, **own, "power": 2.0}, data[0], epochs=3)
    theirs = jaxnn.fit({"hidden": (4,), "optimizer": "gd", "learning_rate": 0.02}, *data, epochs=3)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-9)
    assert_saved_and_resumed(study, settings, data, tmp_path, epochs=EPOCHS)
    again = jaxnn.load(tmp_path / "study.h5")
    assert again.best_value == study.best_value
    assert again.fitted().score(data[1]) == study.fitted().score(data[1])


def test_a_loss_of_ones_own_on_classes(tmp_path):
    data = data_of("softmax")
    study = jaxnn.sweep([{"loss": negative_gain}], *data, epochs=3, seeds=3, metric="cost")
    low, high = study.trial(0).interval
    assert low < high < 0
    fitted = study.fitted()
    assert {*fitted.predict(X).tolist()} <= {0, 1, 2}
    assert 0 <= fitted.score(data[1]) <= 1
    with pytest.raises(ValueError, match="outputs are no probabilities; expected predict"):
        fitted.predict_proba(X)
    study.save(tmp_path / "study.h5")
    assert jaxnn.load(tmp_path / "study.h5").trial(0).interval == (low, high)


def test_labels_and_two_classes():
    one = jaxnn.fit({"loss": "sigmoid", "learning_rate": 0.1}, *data_of("sigmoid"), epochs=20)
    probabilities = one.predict_proba(X)
    assert probabilities.shape == (70, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(one.predict(X), probabilities[:, 1] > 0.5)
    assert one.params[-1]["kernel"].shape == (1, 3)
    data = data_of("sigmoid", 1)
    many = jaxnn.fit({"loss": "sigmoid", "learning_rate": 0.1}, *data, epochs=20)
    assert many.predict(X).shape == many.predict_proba(X).shape == (70, 2)
    np.testing.assert_array_equal(many.predict(X), many.predict_proba(X) > 0.5)
    hits = np.mean(many.predict(data[1].x) == np.asarray(data[1].y))
    assert many.score(data[1]) == pytest.approx(hits, rel=1e-12)
    assert many.curves["valid_accuracy"][-1] == pytest.approx(hits, rel=1e-12)
    # the sum over labels, as in scikit-learn's MLPClassifier
    theirs = sum(
        sklearn.metrics.log_loss(data[1].y[:, k], many.predict_proba(data[1].x)[:, k])
        for k in range(2)
    )
    assert many.curves["valid_cost"][-1] == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize(
    "loss", ["squared", *(pytest.param(n, marks=pytest.mark.slow) for n in ("sigmoid", "softmax"))]
)
def test_ensembles_average(loss):
    for place in range(len(TARGETS[loss])):
        data = data_of(loss, place)
        settings = [{"loss": loss, "learning_rate": rate} for rate in (0.01, 0.1, 0.03)]
        study = jaxnn.sweep(settings, *data, epochs=5)
        ensemble = study.ensemble(top=3)
        y = np.asarray(data[1].y)
        if loss == "squared":
            mean = np.mean([one.predict(X) for one in ensemble.members], axis=0)
            np.testing.assert_allclose(ensemble.predict(X), mean, rtol=1e-12)
            expected = np.sqrt(np.mean((ensemble.predict(data[1].x) - y) ** 2))
            with pytest.raises(ValueError, match="'squared', whose outputs are no probabilities"):
                ensemble.predict_proba(X)
        else:
            expected = np.mean(ensemble.predict(data[1].x) == y)
        assert ensemble.score(data[1]) == pytest.approx(expected, rel=1e-9)
        refit = study.refit(data[0] + data[1], top=2)
        assert np.isfinite(refit.score(data[1]))


@pytest.mark.parametrize(
    "metric", [None, *(pytest.param(n, marks=pytest.mark.slow) for n in ("r2", "mae", "cost"))]
)
def test_studies_of_real_targets_are_ranked(metric, tmp_path):
    data = data_of("squared")
    settings = [{"hidden": (6,), "learning_rate": 10.0**-r} for r in range(5)]
    study = jaxnn.sweep(settings, *data, epochs=6, metric=metric, keep="best")
    name = metric or "rmse"
    assert study.metric == name
    curve = study.curves[f"valid_{name}"][:, 0]
    best = curve.max(axis=1) if name == "r2" else curve.min(axis=1)
    np.testing.assert_array_equal(study.values[:, 0], best)
    order = np.argsort(-best if name == "r2" else best, kind="stable")
    assert study.ranking.tolist() == order.tolist()
    direction = jaxnn.to_optuna(study).direction.name
    assert direction == ("MAXIMIZE" if METRICS[name].is_higher_better else "MINIMIZE")
    assert f"valid {name}" in study._repr_html_()
    study.report(tmp_path / "report.html")
    for plot in (jaxnn.plot_learning_curves, jaxnn.plot_slice):
        assert plot(study) is not None


@pytest.mark.slow
def test_searches_on_real_targets():
    data, every = data_of("squared"), jaxnn.Dataset(X, REAL)
    space = {
        "hidden": (4,),
        "learning_rate": jaxnn.loguniform(1e-3, 1e-1),
        "loss": jaxnn.choice(["squared", "huber"]),
    }
    # of one size, so that the searches share their programs
    options = {"max_epochs": 6, "num_settings": 9, "chunk": 3, "progress": False}
    halving = jaxnn.search(space, *data, method="halving", **options)
    assert len(halving.rungs) == 3
    assert halving.best_value == halving.fitted().curves["valid_rmse"][-1]
    assert jaxnn.plot_rungs(halving) is not None
    folds = jaxnn.search(space, every, method="coarse_to_fine", folds=3, patience=2, **options)
    assert np.isfinite(folds.best_value)
    asked = jaxnn.search(space, *data, method="optuna", metric="r2", **options)
    assert asked.best_value == asked.values.max()
    part = jaxnn.search(space, every, 0.3, method="random", seeds=2, **options)
    assert "at random" in part.notes[0]


def test_a_run_and_the_row_space_on_real_targets():
    wide = np.random.default_rng(3).normal(size=(30, 50))
    data = jaxnn.Dataset(wide, wide[:, 0] * 1e3), jaxnn.Dataset(wide, wide[:, 1] * 1e3)
    setting = {"hidden": (4,), "optimizer": "gd", "learning_rate": 0.1, "batch_size": 10}
    run = jaxnn.Run(setting, *data, row_space=True)
    run.train(3)
    run.train(2)
    alone = jaxnn.fit(setting, *data, epochs=5, row_space=True)
    np.testing.assert_array_equal(run.fitted().predict(wide), alone.predict(wide))
    assert run.study().metric == "rmse"
    study = jaxnn.sweep([setting], *data, epochs=5, row_space=True)
    np.testing.assert_allclose(study.fitted().predict(wide), alone.predict(wide), rtol=1e-9)


def test_evaluate_of_real_targets():
    data = data_of("squared", 1)[1]
    model = jaxnn.mlp(3, (4,), 2)
    params, state = model.init(jax.random.key(0))
    found = {k: float(v) for k, v in jaxnn.evaluate(model, params, state, data).items()}
    outputs = np.asarray(model.apply(params, state, data.x)[0])
    assert found["r2"] == pytest.approx(
        sklearn.metrics.r2_score(np.asarray(data.y), outputs), rel=1e-9
    )
    y = np.asarray(data.y)
    assert found["cost"] == pytest.approx(np.mean((outputs - y) ** 2) / 2, rel=1e-12)
    pinball = float(
        jaxnn.evaluate(model, params, state, data, loss="quantile", quantile=0.3)["cost"]
    )
    theirs = sklearn.metrics.mean_pinball_loss(np.asarray(data.y), outputs, alpha=0.3)
    assert pinball == pytest.approx(theirs, rel=1e-12)


SET = jaxnn.Dataset(X, REAL)


@pytest.mark.parametrize(
    ("setting", "data", "message"),
    [
        ({"loss": "softmax"}, SET, "'softmax' for train, which has real targets; expected classes"),
        ({"loss": "squared"}, jaxnn.Dataset(X, CLASSES), "has 3 classes; expected real targets"),
        ({"loss": "sigmoid"}, jaxnn.Dataset(X, CLASSES), "has 3 classes; expected two classes"),
        ({"loss": "sigmoid"}, SET, "expected two classes, or labels 0 and 1"),
        ({"loss": "poisson"}, jaxnn.Dataset(X, -COUNTS), "expected real targets >= 0"),
        ({}, jaxnn.Dataset(X, np.full(70, 2.5)), "targets that do not vary, 2.5 in all"),
        ({}, jaxnn.Dataset(X, np.stack([REAL, 0 * REAL], 1)), "target 1 of targets that do not"),
        (
            {"loss": "poisson", "targets": "standardised"},
            jaxnn.Dataset(X, COUNTS),
            "expected 'raw'",
        ),
        ({"loss": power_loss}, SET, "setting lacks 'power'"),
        ({"loss": lambda outputs: outputs}, SET, "takes 1 arguments by position; expected 2"),
        ({"loss": lambda outputs, y: jnp.sum(outputs)}, SET, r"returns \(\(\), .*costs \(3,\)"),
        ({"loss": lambda outputs, y: np.asarray(outputs)}, SET, "fails under jax.grad"),
        ({"loss": lambda outputs, y, p: outputs ** int(p), "p": 2}, SET, r"numbers \(p\)"),
        ({"loss": lambda outputs, y: (outputs > y) * 1}, SET, "fails under jax.grad|returns"),
    ],
)
def test_losses_that_do_not_fit_are_refused(setting, data, message):
    before = lanes.train_lanes._cache_size()
    for call in (
        lambda: jaxnn.fit(setting, data, epochs=1),
        lambda: jaxnn.sweep([setting], data, 0.3, epochs=1),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert lanes.train_lanes._cache_size() == before


def test_targets_that_float32_cannot_tell_apart_are_trained_exactly():
    with jax.enable_x64(False):
        y = 1.7e9 + np.arange(70) * 0.1
        data = jaxnn.Dataset(X, y)
        fitted = jaxnn.fit({"hidden": (4,)}, data, epochs=2)
        assert abs(fitted.predict(X) - y).max() < 20
        with pytest.raises(ValueError, match=r"do not vary, 1700000000 in all 70 .* of float32"):
            jaxnn.fit({"targets": "raw"}, data, epochs=1)
        both = jaxnn.Dataset(X, np.stack([np.full(70, 2.5), y], axis=1))
        with pytest.raises(ValueError, match=r"target 1 of targets that do not vary, 1700000000"):
            jaxnn.fit({"targets": "raw"}, both, epochs=1)
        tiny = jaxnn.Dataset(X, 1e-41 * X[:, 0])
        with pytest.raises(ValueError, match="expected a range of 1e-32 at least"):
            jaxnn.fit({}, tiny, epochs=1)
        for size in (1e-28, 1e30):
            fitted = jaxnn.fit({"hidden": (4,)}, jaxnn.Dataset(X, size * X[:, 0]), epochs=1)
            assert 0.1 * size < fitted.curves["rmse"][-1] < 10 * size


def test_a_gradient_that_is_not_finite_marks_the_network():
    root = lambda outputs, targets: jnp.sqrt(jnp.square(outputs - targets))
    x, y = np.concatenate([np.zeros((1, 3)), X[:63]]), np.concatenate([[0.0], X[:63, 0]])
    setting = {"loss": root, "targets": "raw", "batch_size": 64}
    fitted = jaxnn.fit(setting, jaxnn.Dataset(x, y), epochs=3)
    assert fitted.diverged == 0
    assert np.isnan(fitted.curves["cost"]).all()


def test_scores_of_other_targets_are_refused():
    fitted = jaxnn.fit({}, SET, epochs=1)
    for other in (jaxnn.Dataset(X, CLASSES), jaxnn.Dataset(X[:2], TWO[:2])):
        with pytest.raises(ValueError, match=r"score got data with .*; expected real targets"):
            fitted.score(other)
        with pytest.raises(ValueError, match=r"score got data with .*; expected real targets"):
            jaxnn.Ensemble([fitted]).score(other)


def test_outputs_that_are_not_finite_predict_nan_with_a_warning():
    fitted = jaxnn.fit({"targets": "raw"}, jaxnn.Dataset(X, TWO), epochs=1)
    (layer,) = fitted.params
    broken = {"kernel": layer["kernel"], "bias": jnp.array([-jnp.inf, 0.0])}
    fitted = dataclasses.replace(fitted, params=(broken,))
    with pytest.warns(UserWarning, match="outputs are not finite for 70 of 70"):
        assert np.isnan(fitted.predict(X)).all()


def test_evaluate_names_what_it_lacks():
    model = jaxnn.mlp(3, (), 1)
    network = (model, *model.init(jax.random.key(0)), SET)
    with pytest.raises(ValueError, match="loss got 'hubr'; expected one of softmax"):
        jaxnn.evaluate(*network, loss="hubr")
    default, given = (
        jaxnn.evaluate(*network, loss="quantile", **own) for own in ({}, {"quantile": 0.5})
    )
    assert default["cost"] == given["cost"]


def test_validation_sets_that_do_not_fit_are_refused():
    train = jaxnn.Dataset(X, COUNTS)
    valid = jaxnn.Dataset(X, COUNTS - 5)
    for call in (
        lambda: jaxnn.fit({"loss": "poisson"}, train, valid, epochs=1),
        lambda: jaxnn.sweep([{"loss": "poisson"}], train, valid, epochs=1),
    ):
        with pytest.raises(ValueError, match=r"'poisson' for valid, .* expected real targets >= 0"):
            call()


def test_metrics_that_objectives_do_not_have_are_refused():
    with pytest.raises(ValueError, match="metric got 'accuracy'; expected 'cost', 'rmse', 'mae'"):
        jaxnn.sweep([{}], SET, 0.3, epochs=1, metric="accuracy")
    settings = [{"loss": "squared"}, {"loss": "absolute"}]
    with pytest.raises(ValueError, match="'cost' for settings with the losses squared, absolute"):
        jaxnn.sweep(settings, SET, 0.3, epochs=1, metric="cost")


def test_raw_targets_may_be_constant():
    fitted = jaxnn.fit(
        {"targets": "raw", "learning_rate": 0.1}, jaxnn.Dataset(X, np.full(70, 2.5)), epochs=200
    )
    np.testing.assert_allclose(fitted.predict(X), 2.5, atol=0.05)
    # as in scikit-learn
    np.testing.assert_allclose(fitted.curves["r2"], 0, atol=1e-6)
