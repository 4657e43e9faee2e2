"""A search that was killed, interrupted or refused goes on, and ends with the same bits."""

import copy
import os
import signal
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers.comparisons import assert_same
from helpers.data import corners
from helpers.spaces import PADDED
from killing import kill, start, wait_until

import jaxnn
from jaxnn.data import batches
from jaxnn.disk import commits, directories


@pytest.fixture(scope="module")
def data():
    return corners()


class Killed(BaseException):
    """Stands for a SIGKILL, of which nothing in the process can take notice."""


@pytest.fixture
def kill_after(monkeypatch):
    """Lets a number of commits be written, and then nothing any more."""
    write = directories.write_arrays

    def kill(count):
        def write_some(path, arrays, about):
            nonlocal count
            if count == 0:
                raise Killed
            count -= 1
            write(path, arrays, about)

        monkeypatch.setattr(directories, "write_arrays", write_some)

    return kill


def searches():
    more = {"max_epochs": 18, "seeds": 2, "chunk": 4}
    return {
        "halving": {"method": "halving", "num_settings": 9, "keep": "best", **more},
        "coarse_to_fine": {"method": "coarse_to_fine", "num_settings": 9, "rounds": 3, **more},
        "optuna": {"method": "optuna", "num_settings": 9, "batch": 3, **more},
        "patience": {"method": "random", "num_settings": 8, "patience": 4, **more},
        "diverging": {
            "method": "sobol",
            "num_settings": 8,
            "space": {**PADDED, "optimizer": "gd", "learning_rate": jaxnn.loguniform(1e-1, 1e38)},
            **more,
        },
    }


@pytest.mark.slow
@pytest.mark.numbers
@pytest.mark.parametrize("name", searches())
def test_a_killed_search_ends_with_the_bits_of_the_unbroken_one(
    name, data, tmp_path, kill_after, monkeypatch
):
    options = {"space": PADDED, "train": data, "valid": 0.25, "progress": False, **searches()[name]}
    # a commit after every call, of one epoch: kills come in the middle of chunks as well
    monkeypatch.setattr(directories, "SHARE", 0)
    monkeypatch.setattr(batches, "EPOCHS_PER_CALL", 4)
    whole = jaxnn.search(**options)
    if name == "diverging":
        assert (whole.diverged >= 0).any()
        assert (whole.diverged < 0).any()
    options |= {"directory": tmp_path / "run", "commit_interval": 0}
    num_kills, study = 0, None
    while study is None:
        kill_after(2)
        try:
            study = jaxnn.search(**options)
        except Killed:
            num_kills += 1
            assert num_kills < 60, "it does not get on"
    assert num_kills >= 3
    assert_same(study, whole)
    kill_after(-1)
    again = jaxnn.resume(tmp_path / "run", data) if name == "halving" else jaxnn.search(**options)
    assert_same(again, whole)


def test_a_finished_study_is_returned_and_nothing_is_trained(data, tmp_path, monkeypatch):
    options = {"epochs": 3, "chunk": 2, "directory": tmp_path, "progress": False}
    settings = jaxnn.sample(PADDED, 8)
    study = jaxnn.sweep(settings, data, 0.25, **options)
    monkeypatch.setattr("jaxnn.searching.sweeps.open_job", None)
    for again in (jaxnn.sweep(settings, data, 0.25, **options), jaxnn.load(tmp_path)):
        assert_same(again, study)
        assert again.space == dict(PADDED)
    assert_same(jaxnn.resume(tmp_path, data), study)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".jaxnn-lock", "commit-000001.h5"]


def test_a_foreign_model_is_given_again(data, tmp_path, kill_after):
    def apply(params, state, x, *, is_training=False, key=None, weights=None, dropout=0.0):
        return x @ params["kernel"], state + is_training

    init = lambda key: ({"kernel": jax.random.normal(key, (4, 3))}, jax.numpy.int32(0))
    options = {"epochs": 70, "model": jaxnn.Model(init, apply), "progress": False, "chunk": 1}
    settings = [{"learning_rate": 0.1}, {"learning_rate": 0.01}]
    whole = jaxnn.sweep(settings, data, 0.25, **options)
    kill_after(1)
    with pytest.raises(Killed):
        jaxnn.sweep(settings, data, 0.25, **options, directory=tmp_path, commit_interval=0)
    kill_after(-1)
    with pytest.raises(ValueError, match=r"was given a model, which is code; expected resume\(dir"):
        jaxnn.resume(tmp_path, data)
    assert_same(jaxnn.resume(tmp_path, data, model=options["model"]), whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_commits_and_says_how_to_go_on(number, data, tmp_path):
    told = []

    def signal_once(info):
        if len(told) == 20:
            os.kill(os.getpid(), number)
        # in a thread of its own: the main one has to take notice meanwhile
        time.sleep(0.002)
        told.append(info)

    settings = jaxnn.sample(PADDED, 8)
    options = {"epochs": 60, "chunk": 2, "progress": False}
    whole = jaxnn.sweep(settings, data, 0.25, **options)
    with pytest.raises(
        jaxnn.TrainingInterrupted, match=r"jaxnn\.resume\('.*', train, valid\), goes"
    ):
        jaxnn.sweep(settings, data, 0.25, **options, directory=tmp_path, on_epoch=signal_once)
    assert 0 < jaxnn.load(tmp_path).epochs_done.sum() < whole.epochs_done.sum()
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
    assert_same(jaxnn.resume(tmp_path, data), whole)


def test_lanes_that_had_diverged_before_a_signal(data, tmp_path):
    """They end as they would have: also what was noted of them."""
    # 1 - learning_rate * l2 multiplies the weights at every step
    settings = [{"optimizer": "gd", "learning_rate": 1.0, "l2": l2} for l2 in (0.01, 0.1, 10, 100)]
    options = {"epochs": 200, "chunk": 4, "progress": False}
    whole = jaxnn.sweep(settings, data, 0.25, **options)
    assert (whole.diverged >= 0).sum() == 2

    def signal_once(info):
        if info.epoch == 30 and info.number == 0:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)

    with pytest.raises(jaxnn.TrainingInterrupted):
        jaxnn.sweep(settings, data, 0.25, **options, directory=tmp_path, on_epoch=signal_once)
    assert_same(jaxnn.resume(tmp_path, data), whole)


def test_an_error_in_the_middle_loses_nothing(data, tmp_path, monkeypatch):
    settings, options = jaxnn.sample(PADDED, 8), {"epochs": 20, "chunk": 2, "progress": False}
    whole = jaxnn.sweep(settings, data, 0.25, **options)
    train_lanes, calls = jaxnn.engine.chunks.train_lanes, []

    def failing(*arguments):
        calls.append(1)
        if len(calls) > 4:
            raise RuntimeError("a device is lost")
        return train_lanes(*arguments)

    monkeypatch.setattr("jaxnn.engine.chunks.train_lanes", failing)
    with pytest.raises(RuntimeError, match="a device is lost"):
        jaxnn.sweep(settings, data, 0.25, **options, directory=tmp_path)
    monkeypatch.setattr("jaxnn.engine.chunks.train_lanes", train_lanes)
    assert jaxnn.load(tmp_path).epochs_done.sum() > 0
    assert_same(jaxnn.resume(tmp_path, data), whole)


def test_a_run_comes_back_with_its_journal(data, tmp_path, kill_after):
    """What was undone before the kill stays undone, and what was not can be undone after it."""
    setting = {"hidden": (4,), "batch_norm": True, "dropout": 0.2}
    whole = jaxnn.Run(setting, data, 0.25, progress=False)
    run = jaxnn.Run(setting, data, 0.25, progress=False, directory=tmp_path)
    for one in (whole, run):
        one.train(3)
        one.train(4)
        one.undo()
        one.set(learning_rate=0.03)
        one.train(5)
    with pytest.raises(ValueError, match=f"to which the process {os.getpid()} is writing"):
        jaxnn.Run(setting, data, 0.25, directory=tmp_path)
    kill_after(0)
    with pytest.raises(Killed):
        run.train(1)
    kill_after(-1)
    run.close()
    again = jaxnn.Run(setting, data, 0.25, progress=False, directory=tmp_path)
    assert (str(again), again.setting) == (str(whole), whole.setting)
    for one in (whole, again):
        one.train(6)
    for name, curve in whole.curves.items():
        np.testing.assert_array_equal(again.curves[name], curve)
    trees = [(one.fitted().params, one.fitted().state) for one in (whole, again)]
    jax.tree.map(np.testing.assert_array_equal, *trees)
    for one in (whole, again):
        for _ in range(4):
            one.undo()
    assert again.epoch == whole.epoch == 0
    with pytest.raises(ValueError, match="nothing to take back"):
        again.undo()
    again.close()
    again.set(learning_rate=1.0)
    with pytest.raises(ValueError, match="whose seed is 0, and now it is 1"):
        jaxnn.Run(setting, data, 0.25, seed=1, directory=tmp_path)
    for read in (jaxnn.load, lambda path: jaxnn.resume(path, data)):
        with pytest.raises(ValueError, match=r"Run\(.*directory=\.\.\.\)"):
            read(tmp_path)


def test_a_run_is_saved_in_the_middle_of_a_stretch(data, tmp_path, kill_after, monkeypatch):
    monkeypatch.setattr(batches, "EPOCHS_PER_CALL", 4)
    monkeypatch.setattr(directories, "SHARE", 0)
    options = {"progress": False, "directory": tmp_path, "commit_interval": 0}
    run = jaxnn.Run({"hidden": (4,)}, data, 0.25, **options)
    kill_after(3)
    with pytest.raises(Killed):
        run.train(200)
    kill_after(-1)
    del run
    again = jaxnn.Run({"hidden": (4,)}, data, 0.25, **options)
    assert again.epoch >= 3
    assert again.journal[-1].detail == f"{again.epoch} epochs, broken off"
    again.train(200 - again.epoch)
    whole = jaxnn.fit({"hidden": (4,)}, data, 0.25, epochs=200)
    np.testing.assert_array_equal(again.curves["valid_cost"], whole.curves["valid_cost"])


def test_another_search_is_refused_and_the_difference_named(data, tmp_path, monkeypatch):
    options = {"space": PADDED, "train": data, "valid": 0.25, "num_settings": 3, "max_epochs": 3}
    options |= {"chunk": 2, "directory": tmp_path, "progress": False}
    jaxnn.search(**options)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = jaxnn.Dataset(np.asarray(data.x) + 1e-6, data.y)
    wider = {**PADDED, "learning_rate": jaxnn.loguniform(1e-3, 1)}
    for change, message in [
        ({"num_settings": 4}, r"whose num_settings is 3, and now it is 4; expected the call"),
        ({"seed": 1}, "whose seed is 0, and now it is 1"),
        ({"valid": 0.2}, "whose valid is 0.25, and now it is 0.2"),
        ({"space": wider}, r"whose space\.learning_rate\.high is 10\.0, and now it is 1"),
        (
            {"train": other},
            "whose train is 120 examples of 3 classes, SHA-256 .*, and now it is 120",
        ),
        ({"method": "random"}, "whose method is halving, and now it is random"),
    ]:
        with pytest.raises(ValueError, match=message):
            jaxnn.search(**{**options, **change})
    with pytest.raises(ValueError, match="whose function is search, and now it is sweep"):
        jaxnn.sweep([{}], data, 0.25, epochs=1, directory=tmp_path)
    with pytest.raises(ValueError, match="whose train is"):
        jaxnn.resume(tmp_path, other)
    monkeypatch.setattr("jaxnn.engine.identities.__version__", "9.9")
    with pytest.raises(ValueError, match=r"whose jaxnn is 0\..*, and now it is 9\.9"):
        jaxnn.resume(tmp_path, data)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_sampler_that_draws_otherwise_is_refused(data, tmp_path, kill_after):
    optuna = pytest.importorskip("optuna")
    options = {"method": "optuna", "num_settings": 8, "batch": 4, "max_epochs": 2, "chunk": 2}
    options |= {"directory": tmp_path, "commit_interval": 0, "progress": False}
    sampler = lambda seed: optuna.samplers.RandomSampler(seed=seed)
    kill_after(1)
    with pytest.raises(Killed):
        jaxnn.search(PADDED, data, 0.25, sampler=sampler(0), **options)
    kill_after(-1)
    with pytest.raises(ValueError, match=r"setting 0 is not the one that the directory holds.*see"):
        jaxnn.search(PADDED, data, 0.25, sampler=sampler(1), **options)
    assert jaxnn.search(PADDED, data, 0.25, sampler=sampler(0), **options).is_complete.all()


CHILD = """
import sys
import numpy as np
import jaxnn
from jaxnn.disk import directories
directories.SHARE = 0
x = np.random.default_rng(0).normal(size=(120, 4))
data = jaxnn.Dataset(x, (x[:, 0] > 0) * 1)
space = {"learning_rate": jaxnn.loguniform(1e-3, 1e1), "hidden": (4,)}
study = jaxnn.search(space, data, 0.25, num_settings=27, min_epochs=400, max_epochs=3600, chunk=2,
                     directory=sys.argv[1], commit_interval=0, progress=False)
study.save(sys.argv[2])
"""


@pytest.mark.slow
def test_a_process_killed_at_any_moment_goes_on(tmp_path, run_python):
    """A short form of `benchmarks/reliability.py kills`."""
    run_python(CHILD, str(tmp_path / "whole"), str(tmp_path / "whole.h5"))
    whole, draw = jaxnn.load(tmp_path / "whole.h5"), np.random.default_rng(0)
    num_kills, directory = 0, tmp_path / "killed"
    for _ in range(3):
        process = start("-c", CHILD, directory, tmp_path / "killed.h5", stdout=None, stderr=None)
        # the first commit comes when all is compiled; then a moment, often in a commit
        wait_until(lambda: list(directory.glob("commit-*")), process)
        time.sleep(draw.uniform(0, 0.5))
        num_kills += kill(process)
    run_python(CHILD, str(directory), str(tmp_path / "killed.h5"))
    assert num_kills
    assert_same(jaxnn.load(tmp_path / "killed.h5"), whole)
    assert len(list(directory.iterdir())) == 3, "two commits and the lock"


@pytest.mark.slow
def test_nothing_grows_over_many_epochs(data, tmp_path, monkeypatch):
    """Memory, open files and threads, with a commit after every call."""
    resident, handles = [], []

    def look(info):
        if info.epoch % 100 == 0:
            pages = Path("/proc/self/statm").read_text().split()[1]
            resident.append(int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6)
            handles.append(len(os.listdir("/proc/self/fd")))

    if not Path("/proc/self/statm").exists():
        pytest.skip("memory is read from /proc")
    monkeypatch.setattr(directories, "SHARE", 0)
    threads = threading.active_count()
    options = {"epochs": 2000, "directory": tmp_path, "commit_interval": 0, "progress": False}
    jaxnn.sweep([{"hidden": (4,)}], data, 0.25, **options, on_epoch=look)
    assert len(resident) == 20
    assert resident[-1] - resident[4] < 5, "MB"
    assert max(handles[4:]) - min(handles[4:]) <= 1, "a commit in the middle"
    assert threading.active_count() == threads
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ["", ".h5", ".h5"]


FORGED = {
    "a lane beyond": (
        lambda arrays, about: arrays["states/0/lanes"].__setitem__((0, 1), 9),
        "state",
    ),
    "a setting beyond": (
        lambda arrays, about: arrays["states/0/lanes"].__setitem__((0, 0), 9),
        "9",
    ),
    "a lane twice": (
        lambda arrays, about: arrays["states/0/lanes"].__setitem__(1, [0, 0]),
        "two st",
    ),
    "no program": (
        lambda arrays, about: about.update(states=[{}]),
        "expected a program with lanes",
    ),
    "another optimizer": (
        lambda arrays, about: about["states"][0]["Program"].update(optimizers={"tuple": ["gd"]}),
        "expected {'adam'} among them",
    ),
    "other networks": (
        lambda arrays, about: about["states"][0]["Program"]["model"]["Mixture"].update(
            units={"tuple": [4, 7, 3]}
        ),
        "it holds networks of Mixture",
    ),
    **{
        f"another {name}": (
            lambda arrays, about, name=name: arrays[f"states/0/{name}"].__iadd__(1),
            "a state after .*; expected the state after",
        )
        for name in ("epoch", "step", "opt_state/count")
    },
    "diverged later": (
        lambda arrays, about: arrays["states/0/diverged"].__iadd__(2**30),
        "a state after .*; expected the state after",
    ),
    "another argument": (
        lambda arrays, about: about["identity"]["arguments"].update(storage="sqlite:///x.db"),
        "it holds the arguments",
    ),
    "no identity": (lambda arrays, about: about.update(identity=3), "lacks a part"),
}


@pytest.fixture(scope="module")
def broken_off(data, tmp_path_factory):
    """The commit of a sweep that was interrupted in the middle of its training."""
    folder = tmp_path_factory.mktemp("broken")
    settings = [{"hidden": (3,)}, {"hidden": (3,), "learning_rate": 0.1}]

    def interrupt(info):
        if info.epoch == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(jaxnn.TrainingInterrupted):
        jaxnn.sweep(settings, data, 0.25, epochs=5000, directory=folder, commit_interval=0.0,
                    progress=False, on_epoch=interrupt)  # fmt: skip
    return commits.newest(folder)[0]


@pytest.mark.parametrize("name", FORGED)
def test_a_commit_is_checked_before_a_search_goes_on_with_it(name, broken_off, data, tmp_path):
    change, message = FORGED[name]
    path, arrays, about = copy.deepcopy(broken_off)
    change(arrays, about)
    directories.write_arrays(tmp_path / path.name, arrays.items(), about)
    with pytest.raises(ValueError, match=rf"{path.name}.*{message}"):
        jaxnn.resume(tmp_path, data)
