"""Optuna asks, lanes train; studies of ours written as Optuna's."""

import sys

import jax
import numpy as np
import optuna
import pytest
from helpers.searches import TRAIN, VALID, curves_of
from helpers.spaces import MIXED, SPACE
from helpers.studies import make_study

import jaxnn
from jaxnn import search, to_optuna
from jaxnn.engine import chunks
from jaxnn.with_optuna.parameters import Parameter

optuna.logging.set_verbosity(optuna.logging.ERROR)
OPTIONS = {"method": "optuna", "num_settings": 12, "batch": 4, "max_epochs": 2, "progress": False}
DONE = optuna.trial.TrialState


@pytest.mark.parametrize(
    ("name", "domain", "values"),
    [
        ("learning_rate", jaxnn.loguniform(1e-4, 1e0), (1e-4, 0.3, 1.0)),
        ("dropout", jaxnn.uniform(0.0, 0.5), (0.0, 0.2)),
        ("momentum", jaxnn.reverseloguniform(0.9, 0.999), (0.9, 0.95, 0.999)),
        ("batch_size", jaxnn.randint(1, 64), (1, 7, 64)),
        ("batch_size", jaxnn.lograndint(1, 64), (1, 7, 64)),
        ("hidden", jaxnn.choice([(25, 12), (), (5,)]), ((25, 12), (), (5,))),
        ("batch_norm", jaxnn.choice([True, False]), (True, False)),
        ("hidden", jaxnn.choice(["2-1", (2, 1)]), ("2-1", (2, 1))),
    ],
)
def test_a_value_goes_to_optuna_and_back(name, domain, values):
    parameter = Parameter(name, domain)
    for value in values:
        there = parameter.to_optuna(value)
        assert parameter.distribution._contains(parameter.distribution.to_internal_repr(there))
        is_scaled = domain == jaxnn.reverseloguniform(0.9, 0.999)
        expected = pytest.approx(value, rel=1e-12) if is_scaled else value
        assert parameter.from_optuna(there) == expected


def test_one_minus_momentum_is_searched_on_a_logarithmic_scale():
    parameter = Parameter("momentum", jaxnn.reverseloguniform(0.9, 0.999))
    assert parameter.name == "1 - momentum"
    low, high = parameter.distribution.low, parameter.distribution.high
    assert (low, high) == pytest.approx((1e-3, 1e-1))
    assert parameter.distribution.log


@pytest.mark.slow
def test_it_asks_trains_and_tells(tmp_path, run_python):
    """A second process reads all trials from the file."""
    url = f"sqlite:///{tmp_path}/trials.db"
    study = search(MIXED, TRAIN, VALID, storage=url, name="ours", **OPTIONS)
    assert len(study.given) == 12
    code = "import optuna, sys; s = optuna.load_study(study_name='ours', storage=sys.argv[1]);"
    code += "print([(t.number, t.state.name, t.value) for t in s.trials])"
    told = eval(run_python(code, url).stdout)
    assert told == [(t.number, t.state, pytest.approx(t.value)) for t in study.trials]
    there = optuna.load_study(study_name="ours", storage=url)
    for trial, setting in zip(there.trials, study.given, strict=True):
        assert trial.params["learning_rate"] == setting["learning_rate"]
        assert 1 - trial.params["1 - momentum"] == pytest.approx(setting["momentum"])
        assert trial.params["hidden"] == "-".join(map(str, setting["hidden"]))
    # the same name goes on, to as many settings in all
    done = search(MIXED, TRAIN, VALID, storage=url, name="ours", **OPTIONS)
    assert not done.given
    assert "Other processes trained 12 of the 12 settings" in str(done.notes)
    more = search(MIXED, TRAIN, VALID, storage=url, name="ours", **OPTIONS | {"num_settings": 15})
    assert len(more.given) == 3
    trials = optuna.load_study(study_name="ours", storage=url).trials
    assert [trial.state for trial in trials] == [DONE.COMPLETE] * 15
    # the same seed has drawn others
    assert len({trial.params["learning_rate"] for trial in trials}) == 15


def test_the_same_call_gives_the_same_study_with_any_sampler():
    first, second = (search(SPACE, TRAIN, VALID, **OPTIONS) for _ in range(2))
    assert first.given == second.given
    np.testing.assert_array_equal(curves_of(first), curves_of(second))
    sampler = optuna.samplers.RandomSampler(seed=1)
    other = search(SPACE, TRAIN, VALID, sampler=sampler, **OPTIONS)
    drawn = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    distribution = optuna.distributions.FloatDistribution(1e-3, 1e0, log=True)
    rate = drawn.ask({"learning_rate": distribution}).params["learning_rate"]
    assert other.given[0]["learning_rate"] == rate


def test_the_sampler_learns_from_what_it_was_told():
    """TPE after its ten random settings tries better learning rates than chance."""
    space = {"learning_rate": jaxnn.loguniform(1e-6, 1e0), "optimizer": "gd"}
    study = search(space, TRAIN, VALID, metric="cost", **OPTIONS | {"num_settings": 40, "batch": 5})
    values = study.values[:, 0]
    assert values[20:].mean() < values[:10].mean() - 0.1


def test_a_diverged_lane_is_told_as_pruned_with_its_last_finite_value():
    space = {
        "learning_rate": jaxnn.choice([1e-2, 1e38]),
        "optimizer": "gd",
        "hidden": (3,),
        "batch_size": 40,
    }
    storage = optuna.storages.InMemoryStorage()
    options = OPTIONS | {"max_epochs": 4, "storage": storage, "name": "wild"}
    study = search(space, TRAIN, VALID, **options)
    there = optuna.load_study(study_name="wild", storage=storage).trials
    wild = [number for number, steps in enumerate(study.diverged[:, 0]) if steps >= 0]
    assert wild
    for number, trial in enumerate(there):
        assert trial.state == (DONE.PRUNED if number in wild else DONE.COMPLETE)
        if number in wild:
            curve = study.curves["valid_accuracy"][number, 0]
            (known,) = np.nonzero(np.isfinite(curve))
            expected = {known[-1] + 1: pytest.approx(curve[known[-1]])} if known.size else {}
            assert trial.intermediate_values == expected


def test_what_was_asked_and_not_trained_has_failed(monkeypatch):
    storage = optuna.storages.InMemoryStorage()
    calls = []

    def breaking(*arguments):
        calls.append(1)
        if len(calls) > 2:
            raise OSError("the power is gone")
        return train_lanes(*arguments)

    train_lanes = chunks.train_lanes
    monkeypatch.setattr(chunks, "train_lanes", breaking)
    with pytest.raises(OSError, match="the power is gone"):
        search(SPACE, TRAIN, VALID, storage=storage, name="cut", **OPTIONS)
    states = [trial.state for trial in optuna.load_study(study_name="cut", storage=storage).trials]
    assert states[-4:] == [DONE.FAIL] * 4
    assert set(states[:-4]) <= {DONE.COMPLETE}
    # it comes first when the study is gone on with
    monkeypatch.undo()
    study = search(SPACE, TRAIN, VALID, storage=storage, name="cut", **OPTIONS)
    trials = optuna.load_study(study_name="cut", storage=storage).trials
    assert sum(trial.state == DONE.COMPLETE for trial in trials) == 12
    failed = [trial.params["learning_rate"] for trial in trials if trial.state == DONE.FAIL]
    assert [given["learning_rate"] for given in study.given[:4]] == failed


def test_what_a_user_has_enqueued_is_trained_first():
    storage = optuna.storages.InMemoryStorage()
    there = optuna.create_study(study_name="ours", storage=storage, direction="maximize")
    there.enqueue_trial({"learning_rate": 0.125})
    there.add_trial(optuna.trial.create_trial(value=0.5))
    study = search(SPACE, TRAIN, VALID, storage=storage, name="ours", **OPTIONS)
    assert study.given[0]["learning_rate"] == 0.125
    assert len({given["learning_rate"] for given in study.given}) == len(study.given) == 12
    # a trial of the user's own is knowledge, and counts for nothing
    assert [trial.state for trial in there.trials] == [DONE.COMPLETE] * 13
    assert there.trials[0].params.keys() == there.trials[2].params.keys()


def test_what_memory_is_too_short_for_has_ended(monkeypatch):
    def short(*arguments):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(chunks, "train_lanes", short)
    storage = optuna.storages.InMemoryStorage()
    with pytest.warns(UserWarning, match="Memory is too short for one lane"):
        search(SPACE, TRAIN, VALID, storage=storage, name="ours", chunk=1, **OPTIONS)
    trials = optuna.load_study(study_name="ours", storage=storage).trials
    assert [trial.state for trial in trials] == [DONE.FAIL] * 12


@pytest.fixture(scope="module")
def halved():
    return search(MIXED, TRAIN, VALID, num_settings=9, max_epochs=3, seeds=2, progress=False)


def test_to_optuna_has_every_setting_and_curve(halved, tmp_path):
    there = to_optuna(halved, f"sqlite:///{tmp_path}/ours.db", "halving")
    there = optuna.load_study(study_name="halving", storage=f"sqlite:///{tmp_path}/ours.db")
    for ours, trial in zip(halved.trials, there.trials, strict=True):
        # Optuna's pictures know complete trials alone
        assert trial.state == DONE.COMPLETE
        dropped = int(halved.dropped[ours.number])
        assert trial.user_attrs.get("dropped at epoch", 0) == dropped
        assert trial.value == pytest.approx(ours.value)
        curve = halved.curves["valid_accuracy"][ours.number].mean(axis=0)[: ours.epochs]
        assert [*trial.intermediate_values.values()] == pytest.approx(curve.tolist())
        assert trial.user_attrs["values"] == pytest.approx(list(ours.values))
        assert trial.params["learning_rate"] == ours.params["learning_rate"]
    assert there.best_trial.number == halved.best_trial.number
    assert there.user_attrs["fixed"]["batch_norm"] is True
    optuna.importance.get_param_importances(
        there, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    with pytest.raises(ValueError, match="got the name 'halving', which the storage has"):
        to_optuna(halved, f"sqlite:///{tmp_path}/ours.db", "halving")


def test_optunas_pictures_show_what_was_dropped_and_its_best_is_ours():
    """By hand: a dropped setting has the highest value, and two of the last rung are equal."""
    study = make_study(
        [{"learning_rate": 10.0**-n} for n in range(5)],
        [0.6, 0.8, 0.95, 0.8, 0.7],
        [0.5, 0.4, 0.1, 0.3, 0.6],
    )
    study.dropped[[2, 4]] = 2
    study.epochs_done[[2, 4]], study.kept_epochs[[2, 4]] = 2, 1
    for curve in study.curves.values():
        curve[[2, 4], :, 2:] = curve[[2, 4], :, -1:]
        curve[[2, 4], :, 1] = curve[[2, 4], :, -1]
    assert study.best_trial.number == 3
    assert study.trials[2].value == 0.95
    there = to_optuna(study)
    assert there.best_trial.number == 3
    assert [trial.value for trial in there.trials] == pytest.approx([0.6, 0.8, 0.95, 0.8, 0.7])
    assert [trial.user_attrs.get("dropped at epoch") for trial in there.trials] == [
        *(None, None, 2, None, 2)
    ]
    fine, dropped = optuna.visualization.plot_slice(there).data
    assert (sorted(fine.y), sorted(dropped.y)) == (
        pytest.approx([0.6, 0.8, 0.8]),
        pytest.approx([0.7, 0.95]),
    )
    history = {one.name: one for one in optuna.visualization.plot_optimization_history(there).data}
    assert [*history["Infeasible Trial"].x] == [2, 4]
    assert [*history["Best Value"].y] == pytest.approx([0.6, 0.8, 0.8, 0.8, 0.8])
    # the same where less is better
    study.metric = "cost"
    assert to_optuna(study).best_trial.number == study.best_trial.number == 3


@pytest.mark.parametrize("is_killed", [False, True])
def test_all_is_written_or_nothing(halved, tmp_path, monkeypatch, is_killed):
    url = f"sqlite:///{tmp_path}/ours.db"
    add_trial, calls = optuna.study.Study.add_trial, []

    def failing(self, trial):
        calls.append(1)
        if len(calls) == 4:
            raise OSError("no space left on device")
        add_trial(self, trial)

    with monkeypatch.context() as broken:
        broken.setattr(optuna.study.Study, "add_trial", failing)
        if is_killed:
            # what a kill leaves: nothing is cleaned up
            broken.setattr(optuna, "delete_study", lambda **arguments: None)
        with pytest.raises(OSError, match="no space left"):
            to_optuna(halved, url, "ours")
    assert optuna.get_all_study_names(url) == (["ours"] if is_killed else [])
    assert len(to_optuna(halved, url, "ours").trials) == 9


def test_a_missing_extra_is_named(halved, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    for call in (lambda: to_optuna(halved), lambda: search(SPACE, TRAIN, VALID, **OPTIONS)):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'jaxnn-lanes\[optuna\]'"):
            call()
