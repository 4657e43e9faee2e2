"""Who is alive, by the clock of the one who asks; and storages that fail for a while."""

import threading
from types import SimpleNamespace

import optuna
import pytest
from helpers.searches import TRAIN, VALID
from helpers.spaces import SPACE

import jaxnn
from jaxnn.with_optuna import leases, storages
from jaxnn.with_optuna.leases import BEAT, GRACE, Leases
from jaxnn.with_optuna.storages import Patient

STATE = optuna.trial.TrialState
OPTIONS = {"method": "optuna", "num_settings": 4, "batch": 2, "max_epochs": 1, "progress": False}


@pytest.fixture
def clock(monkeypatch):
    """Time that goes on by what is slept."""
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now

    def sleep(seconds):
        clock.now += seconds

    clock.sleep = sleep
    for module in (leases, storages):
        monkeypatch.setattr(module, "time", clock)
    return clock


class Failing:
    """A storage that cannot be reached while `is_away`."""

    def __init__(self, storage):
        self.storage, self.is_away, self.calls = storage, False, 0

    def __getattr__(self, name):
        found = getattr(self.storage, name)

        def call(*arguments, **options):
            self.calls += 1
            if self.is_away:
                raise optuna.exceptions.StorageInternalError("no route to host")
            return found(*arguments, **options)

        return call


@pytest.fixture
def storage():
    return Failing(optuna.storages.InMemoryStorage())


@pytest.fixture
def study(storage):
    study = optuna.create_study(storage=storage.storage)
    for _ in range(2):
        study.add_trial(optuna.trial.create_trial(state=STATE.RUNNING))
    return study


def made(storage, study):
    return Leases(storage, study._study_id, lambda: False, said.append)


said = []


@pytest.fixture
def pair(storage, study, clock):
    """Two workers, whose beats are left to the test."""
    return [made(storage, study) for _ in range(2)]


def beats(clock, seconds, *workers):
    for _ in range(round(seconds / BEAT)):
        clock.sleep(BEAT)
        for worker in workers:
            worker.beat()


def test_who_is_silent_for_longer_than_the_grace_is_dead(pair, clock):
    one, other = pair
    assert not one.is_dead(other.worker)
    beats(clock, 2 * GRACE, one, other)
    assert not one.is_dead(other.worker)
    beats(clock, GRACE - BEAT, one)
    assert not one.is_dead(other.worker)
    beats(clock, 2 * BEAT, one)
    assert one.is_dead(other.worker)
    # it wakes
    beats(clock, BEAT, other, one)
    assert not one.is_dead(other.worker)


@pytest.mark.parametrize("is_away", [True, False])
def test_nobody_dies_of_what_befalls_the_one_who_looks(pair, clock, storage, is_away):
    """The storage is away for all, or all are suspended; one of them is back first."""
    one, other = pair
    beats(clock, 2 * BEAT, one, other)
    storage.is_away = is_away
    if is_away:
        beats(clock, 10 * GRACE, one, other)
    else:
        clock.sleep(10 * GRACE)
    storage.is_away = False
    beats(clock, BEAT, one)
    assert not one.is_dead(other.worker)
    beats(clock, GRACE, one)
    assert one.is_dead(other.worker)


def test_who_was_frozen_asks_before_it_trains_on(pair, clock, study, storage):
    one, _ = pair
    one.beat()
    one.hold(study.trials)
    calls = storage.calls
    clock.sleep(GRACE / 2 - 1)
    assert not one.is_lost()
    assert storage.calls == calls
    clock.sleep(GRACE)
    assert not one.is_lost()
    assert storage.calls > calls
    study.tell(0, state=STATE.FAIL)
    clock.sleep(GRACE)
    assert one.is_lost()
    one.hold(study.trials[1:])
    assert not one.is_lost()
    # every beat looks, too: others may be slow to take what they have found dead
    study.tell(1, state=STATE.FAIL)
    one.beat()
    assert one.is_lost()


@pytest.mark.parametrize(("seconds", "is_lost"), [(GRACE + 20, False), (1e9, True)])
def test_training_waits_for_a_storage_that_is_away(pair, clock, study, storage, seconds, is_lost):
    """For others, which reach it, may have taken what is trained."""
    one, _ = pair
    one.beat()
    one.hold(study.trials)
    storage.is_away, end, sleep = True, clock.now + seconds, clock.sleep

    def until_it_is_back(seconds):
        sleep(seconds)
        storage.is_away = clock.now < end

    clock.sleep = until_it_is_back
    clock.sleep(GRACE - 1)
    said.clear()
    assert not one.is_lost()
    assert storage.is_away, "it trains on within the grace"
    assert not said
    clock.sleep(2)
    assert one.is_lost() == is_lost
    assert storage.is_away == is_lost
    assert said == ["The storage is out of reach: training waits for it."]


def test_a_worker_says_that_it_has_gone_and_leaves_no_thread(storage, study, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.01)
    before, waited = threading.active_count(), threading.Event()
    with made(storage, study) as one:
        assert one.is_alone
        with made(storage, study) as other:
            assert not other.is_alone
            storage.is_away = True
            waited.wait(0.05)
            storage.is_away = False
        one.beat()
        assert one.is_dead(other.worker)
        assert not other.is_dead(one.worker)
    assert threading.active_count() == before


def test_a_storage_that_fails_is_asked_again_for_a_while(storage, study, clock):
    told, sleep = [], clock.sleep

    def until_it_is_back(seconds):
        sleep(seconds)
        storage.is_away = clock.now < end

    clock.sleep, end = until_it_is_back, clock.now + 30
    patient, storage.is_away = Patient(storage), True
    patient.say = told.append
    assert len(patient.get_all_trials(study._study_id)) == 2
    assert told == ["The storage fails: no route to host. It is tried for 120 s."]
    end, storage.is_away = clock.now + 1e9, True
    with pytest.raises(optuna.exceptions.StorageInternalError, match="no route"):
        patient.get_all_trials(study._study_id)
    # once was enough
    start = clock.now
    with pytest.raises(optuna.exceptions.StorageInternalError, match="no route"):
        patient.get_all_trials(study._study_id)
    assert clock.now == start


def test_what_a_storage_answers_is_no_failure(storage, study):
    study.tell(0, state=STATE.FAIL)
    calls = storage.calls
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        Patient(storage).set_trial_state_values(0, STATE.COMPLETE, [1.0])
    assert storage.calls == calls + 1


def test_a_search_outlives_a_storage_that_fails_now_and_then(storage, clock, monkeypatch):
    """Every call fails once, such as by a connection that is cut."""
    failed = set()

    def call(self, make):
        key = len(failed)
        failed.add(key)
        storage.is_away = key % 2 == 0
        return real(self, lambda: again(make))

    def again(make):
        try:
            return make()
        finally:
            storage.is_away = False

    real = Patient.attempt
    monkeypatch.setattr(Patient, "attempt", call)
    study = jaxnn.search(SPACE, TRAIN, VALID, storage=storage, name="ours", **OPTIONS)
    assert study.is_complete.all()
    trials = optuna.load_study(study_name="ours", storage=storage.storage).trials
    assert [trial.state for trial in trials] == [STATE.COMPLETE] * 4


def test_what_cannot_be_opened_is_refused_before_work_starts():
    def search(storage, **options):
        return jaxnn.search(SPACE, TRAIN, VALID, storage=storage, **{**OPTIONS, **options})

    with pytest.raises(ModuleNotFoundError, match=r"storage got 'mysql.*driver is missing"):
        search("mysql+pyodbc://me:secret@host/trials")
    storage = optuna.storages.InMemoryStorage()
    search(storage, name="ours")
    with pytest.raises(ValueError, match="name got 'ours', a study of the direction 'maximize'"):
        search(storage, name="ours", metric="cost")
    before = optuna.create_study(storage=storage, study_name="other", direction="maximize")
    before.ask({"learning_rate": optuna.distributions.CategoricalDistribution([0.1])})
    with pytest.raises(ValueError, match="name got 'other', a study whose parameter 'learning_r"):
        search(storage, name="other")
