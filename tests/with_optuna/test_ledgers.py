"""What several workers leave in a storage adds up, wherever they are killed."""

import random
import threading

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxnn.settings.distributions import uniform
from jaxnn.with_optuna.ledgers import ENDED, RETRY_OF, WORKER, Ledger, has_ended, owners
from jaxnn.with_optuna.parameters import Parameters
from jaxnn.with_optuna.workers import Result, Worker

optuna.logging.set_verbosity(optuna.logging.ERROR)
STATE = optuna.trial.TrialState
RATE = Parameters({"rate": uniform(0.0, 1.0)})


def trial(number, state, worker=None, retry_of=None, **attrs):
    """As a storage would return it."""
    attrs |= {} if worker is None else {WORKER: worker}
    attrs |= {} if retry_of is None else {RETRY_OF: retry_of}
    found = optuna.trial.create_trial(
        state=STATE[state],
        value=1.0 if state == "COMPLETE" else None,
        params={"rate": 0.5},
        distributions=RATE.distributions,
        user_attrs=attrs,
    )
    found.number = number
    return found


def test_a_ledger_by_hand():
    trials = [
        # a user's own, which is not counted
        trial(0, "COMPLETE"),
        trial(1, "COMPLETE", "a"),
        # repeated by b, which failed too, and by c, which came later and is superfluous
        trial(2, "FAIL", "a"),
        trial(3, "RUNNING", "b"),
        trial(4, "FAIL", "b", retry_of=2),
        trial(5, "RUNNING", "c", retry_of=2),
        trial(6, "RUNNING", "c", retry_of=4),
        trial(7, "WAITING"),
        trial(8, "FAIL", "a", **{ENDED: "memory was short"}),
        trial(9, "FAIL", "a"),
        # one more than was asked for
        trial(10, "RUNNING", "c"),
    ]
    ledger = Ledger(trials, 6)
    assert [last.number for last in ledger.lasts] == [1, 6, 3, 7, 8, 9]
    assert [one.number for one in ledger.left] == [7, 9]
    assert not ledger.is_done
    held, superfluous = ledger.held_by("c", trials)
    assert [one.number for one in held] == [6]
    assert [one.number for one in superfluous] == [5, 10]
    # what was superfluous is wanted once more are asked for
    assert [last.number for last in Ledger(trials, 8).lasts][-1] == 10
    assert Ledger(trials, 8).num_missing == 1
    assert Ledger(trials, 1).is_done


class Killed(BaseException):
    pass


class Actor(threading.Thread):
    """A worker that makes a step, which is one call of its storage, when it is told to."""

    def __init__(self, name, storage, num_settings, batch, is_dead):
        super().__init__(daemon=True)
        self.go, self.is_there = threading.Semaphore(0), threading.Semaphore(0)
        self.is_killed = self.is_leaving = self.has_ended = False
        self.error, self.batch, self.told = None, batch, []
        self._storage = storage
        study = optuna.load_study(
            study_name="shared", storage=storage, sampler=optuna.samplers.RandomSampler()
        )
        self.worker = Worker(study, RATE, num_settings, name=name, is_dead=is_dead)
        study._storage = self.worker._storage = self
        self.start()
        self.is_there.acquire()

    def __getattr__(self, name):
        found = getattr(self._storage, name)

        def stepped(*arguments, **options):
            if threading.current_thread() is self:
                self.is_there.release()
                self.go.acquire()
                if self.is_killed:
                    raise Killed
            return found(*arguments, **options)

        return stepped if callable(found) else found

    def run(self):
        try:
            while not self.is_leaving and (asked := self.worker.ask(self.batch)) is not None:
                for one in asked:
                    if self.is_leaving:
                        break
                    rate = one.params["rate"]
                    if rate > 0.9:
                        self.worker.give_up(one, "memory was short")
                    else:
                        result = Result(one, rate) if rate < 0.8 else Result(one, None, {1: rate})
                        if self.worker.tell([result]) == [True]:
                            self.told.append(one.number)
            self.worker.leave()
        except Killed:
            pass
        except BaseException as error:
            self.error = error
        self.has_ended = True
        self.is_there.release()

    def step(self):
        if not self.has_ended:
            self.go.release()
            self.is_there.acquire()


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 2**32),
    st.integers(1, 7),
    st.integers(1, 4),
    st.integers(0, 2),
    st.integers(1, 30),
)
def test_each_setting_ends_once_wherever_workers_are_killed(
    seed, count, batch, num_enqueued, length
):
    """Workers make single calls in any order; some are killed, leave, or are frozen and go on."""
    draw, storage = random.Random(seed), optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="shared", storage=storage)
    for number in range(num_enqueued):
        study.enqueue_trial({"rate": number / 10})
    frozen, actors = set(), []

    def is_dead(name):
        return actors[int(name)].has_ended or actors[int(name)] in frozen

    def make():
        actors.append(Actor(str(len(actors)), storage, count, batch, is_dead))

    for _ in range(3):
        make()
    for _ in range(draw.randint(0, 60)):
        actor, action = draw.choice(actors), draw.random()
        if action < 0.05 and len(actors) < 6:
            actor.is_killed = True
            actor.step()
            make()
        elif action < 0.15:
            frozen ^= {actor}
        elif action < 0.17:
            actor.is_leaving = True
        elif actor not in frozen:
            for _ in range(draw.randint(1, length)):
                actor.step()
    frozen.clear()
    make()
    for _ in range(5_000):
        going = [actor for actor in actors if not actor.has_ended]
        if not going:
            break
        actor = draw.choice(going)
        for _ in range(draw.randint(1, length)):
            actor.step()
    assert [actor.error for actor in actors] == [None] * len(actors)
    assert all(actor.has_ended for actor in actors)
    trials = study.get_trials()
    ledger = Ledger(trials, count)
    assert ledger.is_done
    # exactly these have ended: no other was trained to its end, and none twice
    ended = sorted(one.number for one in trials if has_ended(one))
    assert ended == sorted(last.number for last in ledger.lasts)
    assert len({last.params["rate"] for last in ledger.lasts}) == count
    told = [number for actor in actors for number in actor.told]
    assert len(set(told)) == len(told)
    assert set(told) <= set(ended)
    for last in ledger.lasts:
        assert (last.state == STATE.FAIL) == (last.params["rate"] > 0.9)
        assert len(owners(last)) == 1
    enqueued = [number / 10 for number in range(min(num_enqueued, count))]
    assert {last.params["rate"] for last in ledger.lasts} >= set(enqueued)
    # nothing is left that somebody would wait for
    for one in trials:
        if one.state == STATE.RUNNING:
            assert all(actors[int(owner)].is_killed for owner in owners(one))


@pytest.mark.parametrize("num_settings", [3, 5])
def test_a_worker_that_is_alone_trains_all_that_were_asked_for(num_settings):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    worker = Worker(study, RATE, num_settings, name="a", is_dead=lambda name: False)
    sizes = []
    while (asked := worker.ask(2)) is not None:
        sizes.append(len(asked))
        assert worker.tell([Result(one, 0.5) for one in asked]) == [True] * len(asked)
        # the first value counts, and ends the setting
        assert worker.tell([Result(asked[0], 0.7)]) == [True]
    assert sizes == [2] * (num_settings // 2) + [1]
    assert [one.state for one in study.trials] == [STATE.COMPLETE] * num_settings
    assert {one.value for one in study.trials} == {0.5}
