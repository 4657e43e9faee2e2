"""A greedy ensemble is the one that a plain loop over all networks' own predictions chooses."""

import numpy as np
import pytest
from helpers.data import corners, halves

import jaxnn
from jaxnn.results import predictions
from jaxnn.system import checks

RATES = (3e-3, 1e-2, 3e-2, 0.1)
SETTINGS = [{"learning_rate": rate, "hidden": (units,)} for rate in RATES for units in (3, 6)]
X = np.random.default_rng(3).normal(size=(120, 4))
SLOPE = X @ [1.0, -2.0, 0.5, 0.0] + 0.3 * X[:, 1] ** 2
LABELS = np.stack([SLOPE > 0, X[:, 0] > X[:, 1]], axis=1) * 1.0


def swept(data, settings=SETTINGS, **options):
    return jaxnn.sweep(settings, data, 0.4, epochs=6, progress=False, **options)


def chosen_by_loop(predictions, loss_of, size, initial):
    """The candidates (A, n, ...) that are chosen, the loss of the best step and of the best one."""
    alone = [loss_of(one) for one in predictions]
    picks = sorted(range(len(alone)), key=alone.__getitem__)[:initial]
    steps = [loss_of(np.mean(predictions[picks], axis=0))]
    while len(picks) < size:
        losses = [
            loss_of(np.mean(predictions[[*picks, a]], axis=0)) for a in range(len(predictions))
        ]
        picks.append(min(range(len(losses)), key=losses.__getitem__))
        steps.append(losses[picks[-1]])
    best = min(range(len(steps)), key=steps.__getitem__)
    if steps[best] > min(alone):
        return chosen_by_loop(predictions, loss_of, size, 1)
    return picks[: initial + best], steps[best], min(alone)


def check_choice(study, candidates, predictions, loss_of, metric, size=8, initial=1):
    picks, loss, of_best = chosen_by_loop(predictions.astype(float), loss_of, size, initial)
    options = {"method": "greedy", "size": size, "initial": initial, "metric": metric}
    chosen = study.ensemble(**options).chosen
    found = dict(zip(zip(*chosen[:2], strict=True), chosen.counts, strict=True))
    assert found == {candidates[a]: picks.count(a) for a in picks}
    assert chosen.num_candidates == len(candidates)
    np.testing.assert_allclose(chosen.value, -loss if metric == "accuracy" else loss, rtol=1e-4)
    assert abs(chosen.best_value) == pytest.approx(abs(of_best), rel=1e-4)
    return chosen


@pytest.mark.parametrize("initial", [1, 4])
@pytest.mark.parametrize("metric", ["cost", "accuracy"])
def test_classes_are_chosen_by_their_mean_probabilities(metric, initial):
    study = swept(corners(120), seeds=2)
    (valid,) = study.held_out
    y, rows = np.asarray(valid.y), np.arange(len(valid))
    candidates = [(number, repeat) for number in range(len(SETTINGS)) for repeat in range(2)]
    found = np.stack([study.fitted(*one).predict_proba(valid.x) for one in candidates])
    cost = lambda p: -np.log(p[rows, y]).mean()
    loss_of = cost if metric == "cost" else lambda p: -(p.argmax(axis=1) == y).mean()
    if metric == "accuracy":
        # ties by cost: accuracies are multiples of 1 / 48
        loss_of = lambda p: -(p.argmax(axis=1) == y).mean() + 1e-6 * cost(p)
    chosen = check_choice(study, candidates, found, loss_of, metric, initial=initial)
    ensemble = study.ensemble(method="greedy", size=8, initial=initial, metric=metric)
    mean = ensemble.predict_proba(valid.x)
    assert chosen.cost == pytest.approx(cost(mean), rel=1e-4)
    best = min(found, key=loss_of)
    differences = -np.log(mean[rows, y]) + np.log(best[rows, y])
    assert chosen.difference == pytest.approx(differences.mean(), rel=1e-3)
    error = differences.std(ddof=1) / np.sqrt(len(y))
    assert chosen.standard_error == pytest.approx(error, rel=1e-3)


def test_two_classes_may_be_of_both_losses():
    settings = [{**one, "loss": loss} for one in SETTINGS[::3] for loss in ("softmax", "sigmoid")]
    study = swept(halves(120), settings)
    (valid,) = study.held_out
    y = np.asarray(valid.y)
    found = np.stack([study.fitted(a).predict_proba(valid.x) for a in range(len(settings))])
    cost = lambda p: -np.log(p[np.arange(len(y)), y]).mean()
    candidates = [(a, 0) for a in range(len(settings))]
    check_choice(study, candidates, found, cost, None)
    hits = lambda p: -(p.argmax(axis=1) == y).mean() + 1e-6 * cost(p)
    check_choice(study, candidates, found, hits, "accuracy")


def test_labels_are_chosen_by_their_mean_probabilities():
    study = swept(jaxnn.Dataset(X, LABELS), [{**one, "loss": "sigmoid"} for one in SETTINGS])
    (valid,) = study.held_out
    y = np.asarray(valid.y)
    found = np.stack([study.fitted(a).predict_proba(valid.x) for a in range(len(SETTINGS))])
    cost = lambda p: -(y * np.log(p) + (1 - y) * np.log1p(-p)).sum(axis=1).mean()
    candidates = [(a, 0) for a in range(len(SETTINGS))]
    check_choice(study, candidates, found, cost, None)
    hits = lambda p: -((p > 0.5) == (y > 0.5)).mean() + 1e-6 * cost(p)
    check_choice(study, candidates, found, hits, "accuracy")


@pytest.mark.parametrize("loss", ["squared", "huber", "poisson"])
def test_real_targets_are_chosen_by_the_loss_of_their_mean(loss):
    targets = 100 + 20 * SLOPE
    if loss == "poisson":
        targets = np.random.default_rng(0).poisson(np.exp(SLOPE / 3)).astype(float)
    study = swept(jaxnn.Dataset(X, targets), [{**one, "loss": loss} for one in SETTINGS])
    (valid,) = study.held_out
    y = np.asarray(valid.y, float)
    found = np.stack([study.fitted(a).predict(valid.x) for a in range(len(SETTINGS))])
    by = study.fitted(0).target_statistics

    def cost(points):
        if loss == "poisson":
            return float(np.mean(jaxnn.poisson_loss(np.log(points), y)))
        errors = (points - y) / by.deviation
        if loss == "squared":
            return np.mean(np.asarray(jaxnn.squared_error(errors, np.zeros(len(errors)))))
        delta = study.settings[0]["huber_delta"]
        return np.mean(np.asarray(jaxnn.huber_loss(errors, np.zeros(len(errors)), delta)))

    candidates = [(a, 0) for a in range(len(SETTINGS))]
    check_choice(study, candidates, found, cost, None)
    rmse = lambda points: np.sqrt(np.mean((points - y) ** 2))
    chosen = check_choice(study, candidates, found, rmse, "rmse")
    ensemble = study.ensemble(method="greedy", size=8, initial=1, metric="rmse")
    assert ensemble.score(valid) == pytest.approx(chosen.value, rel=1e-4)
    mae = lambda points: np.mean(abs(points - y))
    check_choice(study, candidates, found, mae, "mae")


def folded(data, **options):
    space = {"learning_rate": jaxnn.loguniform(1e-3, 0.1), "hidden": (4,)}
    options = {"num_settings": 6, "max_epochs": 6, "method": "random", **options}
    return jaxnn.search(space, data, folds=3, progress=False, **options)


@pytest.mark.parametrize("targets", ["classes", "real"])
def test_parts_of_other_folds_are_refused(targets, tmp_path):
    data = corners(119) if targets == "classes" else jaxnn.Dataset(X, 100 + 20 * SLOPE)
    study = folded(data)
    study.save(tmp_path / "study.h5")
    again = jaxnn.load(tmp_path / "study.h5")
    right, wrong = (
        [valid for _, valid in jaxnn.stratified_folds(data, 3, seed)] for seed in (0, 1)
    )
    assert again.ensemble(method="greedy", data=right).chosen.num_examples == len(data)
    for parts in (wrong, right[::-1]):
        with pytest.raises(ValueError, match=r"expected .* as on the part that the fold held out"):
            again.ensemble(method="greedy", data=parts)


@pytest.mark.parametrize("seeds", [1, 2])
def test_folds_are_judged_out_of_fold(seeds):
    # 119 examples: the last fold is filled up with a copy of weight 0
    data = corners(119)
    study = folded(data, seeds=seeds)
    parts = [valid.counted() for _, valid in jaxnn.stratified_folds(data, 3)]
    y = np.concatenate([one.y for one in parts])
    assert len(y) == 119
    candidates = [(number, repeat) for number in range(6) for repeat in range(seeds)]
    found = np.stack(
        [
            np.concatenate(
                [
                    study.fitted(number, fold * seeds + repeat).predict_proba(part.x)
                    for fold, part in enumerate(parts)
                ]
            )
            for number, repeat in candidates
        ]
    )
    cost = lambda p: -np.log(p[np.arange(len(y)), y]).mean()
    chosen = check_choice(study, candidates, found, cost, None)
    assert chosen.num_examples == 119
    ensemble = study.ensemble(method="greedy", size=8, initial=1)
    members = [
        (count / 3, study.fitted(number, fold * seeds + repeat).predict_proba(X))
        for number, repeat, count in zip(*chosen[:3], strict=True)
        for fold in range(3)
    ]
    total = sum(weight for weight, _ in members)
    mean = sum(weight * found for weight, found in members) / total
    np.testing.assert_allclose(ensemble.predict_proba(X), mean, rtol=1e-5)


def test_a_weight_of_two_is_an_example_twice():
    data, more = corners(60), np.r_[np.arange(20), np.arange(40)]
    study = swept(corners(120))
    weighted = jaxnn.Dataset(data.x, data.y, 3, np.r_[np.full(20, 2.0), np.ones(20), np.zeros(20)])
    one, other = (
        study.ensemble(method="greedy", data=some).chosen for some in (weighted, data[more])
    )
    assert one[:3] == other[:3]
    assert (one.num_examples, other.num_examples) == (40, 60)
    np.testing.assert_allclose(one[6:11], other[6:11], rtol=1e-5)


def test_more_steps_are_no_worse_and_one_is_the_best_network():
    study = swept(corners(120))
    choices = [study.ensemble(method="greedy", size=size, initial=1) for size in range(1, 12)]
    values = [one.chosen.value for one in choices]
    assert (np.diff(values) <= 0).all()
    assert values[-1] < values[0]
    first = study.ensemble(method="greedy", size=1).chosen
    costs = study.curves["valid_cost"][:, 0, -1]
    assert (first.numbers, first.counts) == ((int(costs.argmin()),), (1,))
    assert (first.difference, first.standard_error) == (0, 0)


def test_dropped_networks_take_part_and_diverged_ones_do_not():
    space = {"learning_rate": jaxnn.choice([1e-2, 0.1, 1e30]), "optimizer": "gd", "hidden": (3,)}
    study = jaxnn.search(space, corners(120), 0.4, num_settings=12, max_epochs=9, progress=False)
    has_diverged = (study.diverged >= 0).any(axis=1)
    assert 0 < has_diverged.sum() < 11
    assert study.dropped.any()
    ensemble = study.ensemble(method="greedy")
    assert ensemble.chosen.num_candidates == 12 - has_diverged.sum() > len(study.ranked)
    assert not has_diverged[[*ensemble.chosen.numbers]].any()


def test_a_loaded_study_needs_its_validation_examples(tmp_path):
    data = corners(120)
    for study, given in (
        (swept(data), jaxnn.hold_out(data, 0.4)[1]),
        (folded(data), [valid for _, valid in jaxnn.stratified_folds(data, 3)]),
    ):
        study.save(tmp_path / "study.h5")
        again = jaxnn.load(tmp_path / "study.h5")
        with pytest.raises(ValueError, match="files do not hold; expected a"):
            again.ensemble(method="greedy")
        chosen = again.ensemble(method="greedy", data=given).chosen
        assert chosen == study.ensemble(method="greedy").chosen
        with pytest.raises(ValueError, match="data got"):
            again.ensemble(method="greedy", data=data if study.folds > 1 else [data])


def test_the_call_of_a_finished_directory_knows_its_validation_examples(tmp_path):
    data = corners(60)
    first, again = (swept(data, SETTINGS[:2], directory=tmp_path) for _ in range(2))
    assert first.ensemble(method="greedy").chosen == again.ensemble(method="greedy").chosen


def test_a_refit_trains_each_chosen_setting_once():
    data = corners(120)
    study = swept(data, seeds=2)
    chosen = study.ensemble(method="greedy").chosen
    refit = study.refit(data, method="greedy", progress=False)
    by_setting = {
        number: sum(c for n, c in zip(chosen.numbers, chosen.counts, strict=True) if n == number)
        for number in chosen.numbers
    }
    assert [one.setting for one in refit.members] == [study.settings[one] for one in by_setting]
    counts = np.array([*by_setting.values()])
    np.testing.assert_allclose(refit.weights, counts / counts.sum())
    again = jaxnn.fit(refit.members[0].setting, data, epochs=6)
    np.testing.assert_allclose(refit.members[0].curves["cost"], again.curves["cost"], rtol=1e-3)


def test_bad_input_is_refused():
    study = swept(corners(60), SETTINGS[:2])
    for options, message in (
        ({"method": "stacking"}, "method got 'stacking'; expected 'best' or 'greedy'"),
        ({"size": 0}, "size got 0"),
        ({"initial": 0}, "initial got 0"),
        ({"metric": "rmse"}, "metric got 'rmse'; expected 'cost' or 'accuracy'"),
        ({"data": 3}, "data got int; expected a Dataset"),
        (
            {"data": halves(20)},
            r"data got inputs \[3\] and 2 classes; expected \[4\] and 3 classes",
        ),
        ({"data": corners(20).weighted(np.zeros(20))}, "only examples of weight 0"),
    ):
        with pytest.raises(ValueError, match=message):
            study.ensemble(**{"method": "greedy", **options})
    with pytest.raises(ValueError, match="metric came with method='best', which does not use"):
        study.ensemble(metric="cost")
    with pytest.raises(ValueError, match="top came with method='greedy', which does not use"):
        study.refit(corners(60), top=3, method="greedy")
    with pytest.raises(ValueError, match="method got 'stacking'"):
        study.refit(corners(60), method="stacking")
    with pytest.raises(ValueError, match=r"^valid got int; expected a Dataset"):
        study.refit(corners(60), method="greedy", valid=3)


def test_networks_without_probabilities_are_left_out():
    def own(outputs, targets):
        return jaxnn.softmax_cross_entropy(outputs, targets)

    study = swept(corners(60), [{"loss": own}])
    with pytest.raises(ValueError, match="outputs are no probabilities that could be averaged"):
        study.ensemble(method="greedy")
    study = swept(corners(60), [{"loss": own}, *SETTINGS[:2]])
    with pytest.warns(UserWarning, match="leaves out 1 of 3 networks"):
        chosen = study.ensemble(method="greedy").chosen
    assert chosen.num_candidates == 2
    assert 0 not in chosen.numbers


def test_predictions_that_do_not_fit_are_refused(monkeypatch):
    study = swept(corners(60), SETTINGS[:2])
    monkeypatch.setattr(checks, "host_memory", lambda: 100)
    with pytest.raises(ValueError, match="data got 24 examples: the predictions of 2 networks"):
        study.ensemble(method="greedy")


def test_a_choice_compiles_for_chunks_and_not_for_networks():
    for count in (4, 12):
        settings = [
            {"learning_rate": rate, "hidden": (5,)} for rate in np.linspace(0.01, 0.1, count)
        ]
        study = swept(corners(66), settings)
        before = predictions._outputs._cache_size()
        study.ensemble(method="greedy")
        assert predictions._outputs._cache_size() - before <= len(study.chunks)
        before = predictions._outputs._cache_size()
        study.ensemble(method="greedy", metric="accuracy")
        assert predictions._outputs._cache_size() == before


def test_without_a_finite_network_there_is_no_choice():
    settings = [{"learning_rate": 1e30, "optimizer": "gd", "hidden": (3,)}] * 2
    study = swept(corners(60), settings)
    with pytest.raises(ValueError, match="none of the 2 settings has a network with finite"):
        study.ensemble(method="greedy")


def test_an_ensemble_is_never_worse_than_the_best_network_where_it_was_chosen():
    """Networks that hardly learned begin, and stay: then the best one begins alone."""
    settings = [{"learning_rate": rate} for rate in (0.1, 1e-6, 2e-6, 3e-6, 4e-6)]
    study = swept(corners(120), settings)
    chosen = study.ensemble(method="greedy", size=5).chosen
    assert chosen.value <= chosen.best_value
    assert chosen.numbers[0] == 0
