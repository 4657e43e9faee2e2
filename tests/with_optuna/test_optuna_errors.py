"""What a sampler or a storage may do in the middle of a search: nothing trained is lost by it."""

import sys

import optuna
import pytest
from helpers.searches import TRAIN, VALID

import jaxnn
from jaxnn import TrainingInterrupted, search
from jaxnn.with_optuna import storages

optuna.logging.set_verbosity(optuna.logging.ERROR)
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
STATE = optuna.trial.TrialState
SPACE = {"dropout": jaxnn.uniform(0.1, 0.5), "hidden": (3,)}
FINITE = {
    "learning_rate": jaxnn.choice([1e-3, 1e-2, 1e-1]),
    "momentum": jaxnn.choice([0.5, 0.9]),
    "hidden": (3,),
}
GRID = {"learning_rate": [1e-3, 1e-2, 1e-1], "momentum": [0.5, 0.9]}
OPTIONS = {"method": "optuna", "num_settings": 6, "batch": 3, "max_epochs": 1, "progress": False}


EXHAUSTIVE = {
    "brute force": lambda: optuna.samplers.BruteForceSampler(seed=0),
    "strict brute force": lambda: optuna.samplers.BruteForceSampler(
        seed=0, avoid_premature_stop=True
    ),
    "grid": lambda: optuna.samplers.GridSampler(GRID, seed=0),
}


@pytest.mark.parametrize("batch", [4, 32])
@pytest.mark.parametrize("kind", EXHAUSTIVE)
def test_a_sampler_that_has_no_setting_more_ends_the_search(kind, batch):
    storage = optuna.storages.InMemoryStorage()
    options = OPTIONS | {"num_settings": 9, "batch": batch, "storage": storage, "name": "all"}
    study = search(FINITE, TRAIN, VALID, sampler=EXHAUSTIVE[kind](), **options)
    tried = {(one["learning_rate"], one["momentum"]) for one in study.given}
    assert len(study.given) == len(tried) == 6
    assert study.is_complete.all()
    assert "The sampler ended the search after 6 settings; num_settings was 9." in study.notes
    trials = optuna.load_study(study_name="all", storage=storage).trials
    assert [trial.state for trial in trials] == [STATE.COMPLETE] * 6
    # and so does the next process
    assert not search(FINITE, TRAIN, VALID, sampler=EXHAUSTIVE[kind](), **options).given


def test_a_grid_that_is_just_large_enough_says_nothing():
    sampler = EXHAUSTIVE["grid"]()
    study = search(FINITE, TRAIN, VALID, sampler=sampler, **OPTIONS)
    assert (len(study.given), [note for note in study.notes if "sampler" in note]) == (6, [])


class Faulty(optuna.samplers.RandomSampler):
    """Does something at the fifth setting that it draws, or when it is told of the first batch."""

    def __init__(self, fault):
        super().__init__(seed=0)
        self.fault, self.calls = fault, 0

    def sample_independent(self, study, trial, name, distribution):
        self.calls += 1
        if self.calls == 5:
            if isinstance(self.fault, BaseException):
                raise self.fault
            if self.fault == "stop":
                study.stop()
            elif self.fault != "after":
                return self.fault
        return super().sample_independent(study, trial, name, distribution)

    def after_trial(self, study, trial, state, values):
        if self.fault == "after":
            raise RuntimeError("no more")


FAULTS = {
    "an error": (RuntimeError("no luck"), "raised RuntimeError: no luck"),
    "an import": (ImportError("no torch"), "raised ImportError: no torch"),
    "NaN": (float("nan"), "raised ValueError: "),
    "outside": (-1.0, "The value -1.0 of parameter 'dropout' isn't contained"),
    "an error when told": ("after", "raised RuntimeError: no more"),
    "Ctrl-C": (KeyboardInterrupt("now"), "training was interrupted"),
    "exit": (SystemExit(3), "training was interrupted"),
    "an interrupt of its own": (TrainingInterrupted("mine"), "training was interrupted"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_an_error_of_the_sampler_ends_with_what_was_trained(what):
    fault, message = FAULTS[what]
    storage = optuna.storages.InMemoryStorage()
    with pytest.raises(TrainingInterrupted, match=message) as caught:
        search(SPACE, TRAIN, VALID, sampler=Faulty(fault), storage=storage, name="a", **OPTIONS)
    study = caught.value.study
    assert len(study.ranked) == len(study.given) == 3
    assert study.fitted().score(VALID) == pytest.approx(study.best_value)
    assert caught.value.__cause__ is not None
    trials = optuna.load_study(study_name="a", storage=storage).trials
    values = [trial.value for trial in trials if trial.state == STATE.COMPLETE]
    assert values == study.values[:, 0].tolist()
    # it is gone on with
    done = search(SPACE, TRAIN, VALID, storage=storage, name="a", **OPTIONS)
    assert 0 < len(done.given) <= 3


def test_a_sampler_may_stop_when_it_likes():
    study = search(SPACE, TRAIN, VALID, sampler=Faulty("stop"), **OPTIONS)
    assert len(study.ranked) == len(study.given) == 5
    assert "The sampler ended the search after 5 settings" in str(study.notes)


def test_an_error_before_anything_was_trained_is_a_sentence():
    def ask(sampler, **options):
        return search(SPACE, TRAIN, VALID, sampler=sampler, **{**OPTIONS, **options})

    with pytest.raises(ValueError, match=r"sampler Faulty, raised RuntimeError: no luck; nothing"):
        ask(Faulty(RuntimeError("no luck")), batch=6)
    with pytest.raises(ValueError, match="BruteForceSampler, raised ValueError: FloatDist"):
        ask(optuna.samplers.BruteForceSampler())
    with pytest.raises(ValueError, match=r"sampler got <class .*; expected None, or a sampler"):
        ask(optuna.samplers.RandomSampler)
    with pytest.raises(ImportError, match="no torch"):
        ask(Faulty(ImportError("no torch")), batch=6)


@pytest.mark.parametrize(
    ("sampler", "package"),
    [
        (optuna.samplers.CmaEsSampler, "cmaes"),
        (optuna.samplers.GPSampler, "torch"),
        (lambda: optuna.samplers.PartialFixedSampler({}, optuna.samplers.GPSampler()), "torch"),
    ],
)
def test_a_package_that_a_sampler_needs_later_is_named_first(sampler, package, monkeypatch):
    try:
        made = sampler()
    except ModuleNotFoundError:
        pytest.skip("this Optuna says so when the sampler is made")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=f"which needs {package}: pip install {package}"):
        search(SPACE, TRAIN, VALID, sampler=made, **OPTIONS)


@pytest.mark.filterwarnings("ignore:Fixed parameter")
def test_an_enqueued_setting_that_cannot_be_trained_is_named_once():
    storage = optuna.storages.InMemoryStorage()
    there = optuna.create_study(study_name="a", storage=storage, direction="maximize")
    space = SPACE | {"batch_size": jaxnn.randint(1, 40)}
    there.enqueue_trial({"batch_size": 999, "dropout": 0.2})
    there.enqueue_trial({"batch_size": 8, "dropout": 0.2, "unknown": 3})
    options = {**OPTIONS, "storage": storage, "name": "a", "num_settings": 2}
    with pytest.raises(ValueError, match="trial 0 cannot be trained: batch_size got 999"):
        search(space, TRAIN, VALID, **options)
    assert search(space, TRAIN, VALID, **options).given == [
        {"dropout": 0.2, "hidden": (3,), "batch_size": 8}
    ]


class Leaky(optuna.storages.InMemoryStorage):
    """Its server goes away after the first batch, and its errors show how it is reached."""

    url = "postgresql://me:s3cr3t@host/trials"

    def set_trial_state_values(self, trial_id, state, values=None):
        if trial_id >= 3:
            try:
                raise OSError(f"no route to {self.url}")
            except OSError as error:
                raise optuna.exceptions.StorageInternalError("cannot commit") from error
        return super().set_trial_state_values(trial_id, state, values)


def test_an_error_of_the_storage_ends_with_what_was_trained_and_shows_no_password(
    monkeypatch, capsys
):
    monkeypatch.setattr(storages, "PATIENCE", 0.0)
    monkeypatch.setattr(storages, "_RETRY_AFTER", 0.01)
    with pytest.raises(TrainingInterrupted, match="StorageInternalError: cannot commit") as caught:
        search(SPACE, TRAIN, VALID, storage=Leaky(), name="a", **OPTIONS)
    assert len(caught.value.study.ranked) == len(caught.value.study.given) == 6
    chain, error = [], caught.value
    while error is not None:
        chain.append(f"{error!r}")
        error = error.__cause__ or error.__context__
    assert len(chain) > 1
    assert "s3cr3t" not in "".join(chain) + "".join(capsys.readouterr())


@pytest.mark.parametrize(
    "asked",
    ["get_study_directions", "get_study_user_attrs", "get_all_trials", "set_study_user_attr"],
)
def test_a_storage_that_fails_when_it_is_opened_is_named(asked, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("no route")

    monkeypatch.setattr(storages, "PATIENCE", 0.0)
    monkeypatch.setattr(storages, "_RETRY_AFTER", 0.01)
    storage = optuna.storages.InMemoryStorage()
    monkeypatch.setattr(storage, asked, fail)
    message = r"storage got <InMemoryStorage>, which cannot be opened \(no route\); expected None"
    with pytest.raises(ValueError, match=message):
        search(SPACE, TRAIN, VALID, storage=storage, name="a", **OPTIONS)
