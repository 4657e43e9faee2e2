"""Independent processes search one study together, and some of them die."""

import os
import signal
import subprocess
from collections import Counter

import optuna
import postgres
import pytest
from killing import printed, start

from jaxnn.with_optuna.ledgers import RETRY_OF, Ledger

pytestmark = pytest.mark.slow
optuna.logging.set_verbosity(optuna.logging.ERROR)
STATE = optuna.trial.TrialState
NUM_SETTINGS, BATCH = 12, 4

CHILD = """
import os, signal, sys, time, threading
import jax
import numpy as np
import optuna
import jaxnn
from jaxnn.data import batches
from jaxnn.with_optuna import leases

jax.config.update("jax_disable_most_optimizations", True)
optuna.logging.set_verbosity(optuna.logging.ERROR)
leases.BEAT, leases.GRACE, leases.POLL, batches.EPOCHS_PER_CALL = 0.2, 3.0, 0.2, 2
place, fate = sys.argv[1:]
storage = place
if place.endswith(".log"):
    backend = optuna.storages.journal.JournalFileBackend(place)
    storage = optuna.storages.JournalStorage(backend)
x = np.random.default_rng(0).normal(size=(120, 4))
data = jaxnn.Dataset(x, (x[:, 0] > 0) * 1)
space = {"learning_rate": jaxnn.loguniform(1e-3, 1e-1), "hidden": (4,)}
has_begun = False


def on_epoch(info):
    global has_begun
    if has_begun:
        return
    has_begun = True
    # both have a batch in hand when one of them dies
    print("begun", flush=True)
    sys.stdin.readline()
    if fate != "lives":
        os.kill(os.getpid(), getattr(signal, fate))


study = jaxnn.search(
    space, data, 0.25, method="optuna", num_settings=12, batch=4, max_epochs=20, storage=storage,
    name="shared", progress=False, on_epoch=on_epoch,
)
assert not [one.name for one in threading.enumerate() if one.name == "jaxnn leases"]
print(study.is_complete.all(axis=1).tolist(), study.notes, flush=True)
"""


def child(place, fate):
    return start("-c", CHILD, place, fate, stdin=subprocess.PIPE)


@pytest.fixture
def place(request, tmp_path):
    """What a child makes its storage of."""
    if request.param == "postgresql":
        if postgres.missing():
            pytest.skip(postgres.missing())
        with postgres.server("fsync=off") as url:
            yield url
    else:
        yield f"sqlite:///{tmp_path}/a.db" if request.param == "sqlite" else tmp_path / "a.log"


def opened(place):
    if str(place).endswith(".log"):
        backend = optuna.storages.journal.JournalFileBackend(str(place))
        return optuna.storages.JournalStorage(backend)
    return optuna.storages.get_storage(str(place).replace("postgresql:", "postgresql+psycopg2:"))


def begin(*processes):
    for process in processes:
        assert process.stdout.readline() == "begun\n", process.stderr.read()[-3000:]
    for process in processes:
        process.stdin.write("go on\n")
        process.stdin.flush()


def result(process):
    (out,) = printed([process], timeout=120)
    return out


def check(trials):
    """All settings have ended, none of them twice; returns how many were repeated."""
    ledger = Ledger(trials, NUM_SETTINGS)
    assert ledger.is_done
    complete = [trial for trial in trials if trial.state == STATE.COMPLETE]
    assert {trial.number for trial in complete} == {trial.number for trial in ledger.lasts}
    assert len({trial.params["learning_rate"] for trial in complete}) == NUM_SETTINGS
    assert not [trial for trial in trials if trial.state == STATE.RUNNING]
    repeated = Counter(trial.user_attrs.get(RETRY_OF) for trial in complete)
    del repeated[None]
    assert set(repeated.values()) == {1}
    return len(repeated)


@pytest.mark.parametrize("place", ["sqlite", "journal", "postgresql"], indirect=True)
def test_what_a_killed_process_had_is_taken_up_once(place):
    victim, other = child(place, "SIGKILL"), child(place, "lives")
    begin(victim, other)
    out = result(other)
    victim.communicate(timeout=60)
    assert victim.returncode == -signal.SIGKILL
    storage = opened(place)
    trials = optuna.load_study(study_name="shared", storage=storage).trials
    assert check(trials) == BATCH
    # the one that lived has trained all of them
    assert out.startswith(str([True] * NUM_SETTINGS))
    storage.remove_session()


@pytest.mark.parametrize("place", ["journal"], indirect=True)
def test_a_frozen_process_leaves_what_it_has_lost(place):
    victim, other = child(place, "SIGSTOP"), child(place, "lives")
    begin(victim, other)
    out = result(other)
    os.kill(victim.pid, signal.SIGCONT)
    late = result(victim)
    trials = optuna.load_study(study_name="shared", storage=opened(place)).trials
    assert check(trials) == BATCH
    assert out.startswith(str([True] * NUM_SETTINGS))
    # it has stopped in the middle of its batch
    assert late.startswith(str([False] * BATCH))
    assert "Other processes trained 12 of the 12 settings. One of theirs, trial" in late
