"""Signals, however many and whenever they come, lose nothing that was trained."""

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

import jaxnn
from jaxnn.engine import monitors
from jaxnn.system.signals import (
    TrainingInterrupted,
    deferred_interrupt,
    ended_by_interrupt,
    held_signals,
)
from jaxnn.training import fitting
from jaxnn.watching.journals import Journal

INT, TERM = signal.SIGINT, signal.SIGTERM
DATA = jaxnn.Dataset(np.random.default_rng(0).normal(size=(64, 2)), np.arange(64) % 2)
EPOCHS = 5000
"""So many that a test which is not interrupted is seen."""


@pytest.fixture(autouse=True)
def handlers():
    """Those of a terminal; a process started in the background ignores Ctrl-C."""
    before = [signal.signal(INT, signal.default_int_handler), signal.getsignal(TERM)]
    yield
    assert signal.getsignal(INT) is signal.default_int_handler, "not given back"
    assert signal.getsignal(TERM) is before[1], "not given back"
    signal.signal(INT, before[0])


@pytest.fixture
def heard():
    """Signals that reach the program's own handlers."""
    heard = []
    before = [signal.signal(one, lambda number, frame: heard.append(number)) for one in (INT, TERM)]
    yield heard
    for one, handler in zip((INT, TERM), before, strict=True):
        signal.signal(one, handler)


@pytest.mark.parametrize("numbers", [(INT,), (TERM, TERM), (TERM, INT), (INT, INT, TERM)])
def test_the_first_is_kept_and_later_ones_are_the_programs_own(numbers, heard):
    with deferred_interrupt() as is_interrupted:
        assert not is_interrupted()
        for number in numbers:
            signal.raise_signal(number)
        assert is_interrupted()
    assert heard == [*numbers[1:]]
    signal.raise_signal(TERM)
    assert heard[-1] == TERM


@pytest.mark.parametrize("second", [INT, TERM])
def test_a_second_in_the_middle_of_the_first_does_not_wait_for_it(second, heard, monkeypatch):
    """The handler is in Python code when it comes."""
    plain, left = signal.signal, [second, second]

    def interrupted(number, handler):
        if is_on and left:
            signal.raise_signal(left.pop())
        return plain(number, handler)

    is_on = False
    monkeypatch.setattr("signal.signal", interrupted)
    with deferred_interrupt() as is_interrupted:
        is_on = True
        signal.raise_signal(TERM)
        assert is_interrupted()
        assert left == []


def test_ctrl_c_in_the_middle_of_the_first_leaves_no_handler_behind(monkeypatch):
    plain, left = signal.signal, [INT, INT]

    def interrupted(number, handler):
        old = plain(number, handler)
        if left and handler is signal.default_int_handler:
            signal.raise_signal(left.pop())
        return old

    monkeypatch.setattr("signal.signal", interrupted)
    with ended_by_interrupt() as is_interrupted:
        signal.raise_signal(INT)
        pytest.fail("the second one acts at once")
    assert is_interrupted()


def test_it_is_asked_by_other_threads():
    with deferred_interrupt() as is_interrupted, ThreadPoolExecutor(1) as threads:
        assert threads.submit(is_interrupted).result() is False
        signal.raise_signal(INT)
        assert threads.submit(is_interrupted).result() is True


def test_one_in_another_has_the_first_signal(heard):
    with deferred_interrupt() as outer, deferred_interrupt() as inner:
        signal.raise_signal(INT)
        assert (outer(), inner()) == (False, True)
        signal.raise_signal(INT)
        assert (outer(), inner()) == (True, True)
        signal.raise_signal(INT)
        assert heard == [INT]
    signal.raise_signal(INT)
    assert heard == [INT, INT]


@pytest.mark.parametrize("handler", [None, signal.SIG_IGN], ids=["not of Python", "ignored"])
@pytest.mark.parametrize("manager", [deferred_interrupt, held_signals])
def test_some_handlers_are_left_alone(handler, manager, monkeypatch):
    calls = []
    monkeypatch.setattr("signal.getsignal", lambda number: handler)
    monkeypatch.setattr("signal.signal", lambda *arguments: calls.append(arguments))
    with manager():
        pass
    assert calls == []
    monkeypatch.undo()


@pytest.mark.parametrize("manager", [deferred_interrupt, ended_by_interrupt, held_signals])
def test_in_other_threads_nothing_changes(manager):
    seen = []

    def work():
        with manager():
            seen.append(signal.getsignal(INT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_held_signals_come_afterwards_once_each(heard):
    with held_signals():
        for number in (INT, TERM, INT):
            signal.raise_signal(number)
        assert heard == []
    assert heard == [INT, TERM]

    def fail(error):
        with held_signals():
            signal.raise_signal(INT)
            raise error

    with pytest.raises(TrainingInterrupted):
        fail(TrainingInterrupted("says it already"))
    assert heard == [INT, TERM]
    with pytest.raises(ValueError, match="own"):
        fail(ValueError("own"))
    assert heard == [INT, TERM, INT]


def test_a_second_ctrl_c_ends_a_block_quietly():
    reached = []
    with ended_by_interrupt() as is_interrupted:
        signal.raise_signal(INT)
        reached.append(1)
        signal.raise_signal(INT)
        reached.append(2)
    assert reached == [1]
    assert is_interrupted()
    with ended_by_interrupt() as is_interrupted:
        pass
    assert not is_interrupted()


@pytest.mark.parametrize("number", [INT, TERM])
def test_one_comes_as_soon_as_the_handlers_are_set(number, monkeypatch):
    plain, left = signal.signal, [number]

    def interrupted(which, handler):
        old = plain(which, handler)
        if left and which == number:
            signal.raise_signal(left.pop())
        return old

    monkeypatch.setattr("signal.signal", interrupted)
    with deferred_interrupt() as is_interrupted:
        assert is_interrupted()


def signalling(function, number=INT, count=1, is_after=False):
    """The function, with signals before or after what it does."""

    def call(*arguments, **options):
        if not is_after:
            [signal.raise_signal(number) for _ in range(count)]
        result = function(*arguments, **options)
        if is_after:
            [signal.raise_signal(number) for _ in range(count)]
        return result

    return call


@pytest.mark.parametrize(
    ("name", "is_after"),
    [("train_stretch", True), ("fitted_of", False), ("fitted_of", True)],
)
@pytest.mark.parametrize("count", [1, 3])
def test_a_network_is_kept_though_they_came_after_its_last_epoch(
    name, is_after, count, monkeypatch
):
    function = getattr(fitting, name)
    monkeypatch.setattr(fitting, name, signalling(function, INT, count, is_after))
    with pytest.raises(TrainingInterrupted, match="after 2 epochs") as caught:
        jaxnn.fit({}, DATA, epochs=2)
    assert len(caught.value.fitted.curves["cost"]) == 2


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_study_is_kept_though_it_came_in_its_last_warning(number, monkeypatch):
    monkeypatch.setattr(monitors, "warn_caller", signalling(monitors.warn_caller, number))

    def fail(info):
        raise RuntimeError("mine")

    with (
        pytest.warns(UserWarning, match="mine"),
        pytest.raises(TrainingInterrupted, match="1 of 1 networks complete") as caught,
    ):
        jaxnn.sweep([{}], DATA, 0.25, epochs=2, progress=False, on_epoch=fail)
    assert caught.value.study.is_complete.all()


def test_set_and_undo_are_done_whole(monkeypatch):
    run = jaxnn.Run({}, DATA)
    write = Journal.write
    for is_after in (False, True):
        monkeypatch.setattr(Journal, "write", signalling(write, is_after=is_after))
        with pytest.raises(KeyboardInterrupt):
            run.set(learning_rate=0.5)
        assert (run.setting["learning_rate"], run.journal[-1].action) == (0.5, "set")
        with pytest.raises(KeyboardInterrupt):
            run.undo()
        assert (run.setting["learning_rate"], run.journal[-1].action) == (0.001, "undo")
    with pytest.raises(ValueError, match="nothing to take back"):
        run.undo()


def many_at(epoch, count):
    """A hook that sends signals at an epoch, and gives the main thread time to hear each."""
    left = [count]

    def tell(info):
        if info.epoch >= epoch:
            while left[0]:
                left[0] -= 1
                os.kill(os.getpid(), INT)
                time.sleep(0.02)

    return tell


def assert_as_alone(fitted, setting):
    """What was reached is a network of so many epochs, to the bit."""
    done = len(fitted.curves["cost"])
    assert 0 < done < EPOCHS
    again = jaxnn.fit(setting, DATA, epochs=done)
    jax.tree.map(np.testing.assert_array_equal, fitted.params, again.params)
    np.testing.assert_array_equal(fitted.curves["cost"], again.curves["cost"])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_network_is_kept(count):
    setting = {"hidden": (3,)}
    with pytest.raises(TrainingInterrupted, match="interrupted after") as caught:
        jaxnn.fit(setting, DATA, epochs=EPOCHS, on_epoch=many_at(10, count))
    assert_as_alone(caught.value.fitted, setting)


def test_a_network_is_kept_though_all_came_while_it_was_compiled():
    plain = jaxnn.mlp(2, (), 2)

    def apply(params, state, x, *, is_training=False, **rest):
        if is_training:
            for _ in range(3):
                os.kill(os.getpid(), INT)
        return plain.apply(params, state, x, is_training=is_training, **rest)

    with pytest.raises(TrainingInterrupted) as caught:
        jaxnn.fit({}, DATA, epochs=9, model=jaxnn.Model(plain.init, apply, plain.numbers))
    assert caught.value.fitted.curves["cost"].shape == (1,)


def test_a_network_is_kept_though_they_came_in_the_progress_line(monkeypatch):
    class Stream:
        encoding, num_written = "utf-8", 0

        def write(self, text):
            self.num_written += 1
            if threading.current_thread() is threading.main_thread():
                os.kill(os.getpid(), INT)
            return len(text)

        def flush(self):
            pass

        def isatty(self):
            return False

    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    with pytest.raises(TrainingInterrupted) as caught:
        jaxnn.fit({}, DATA, epochs=3, progress=True)
    assert stream.num_written > 0
    assert len(caught.value.fitted.curves["cost"]) == 3


@pytest.mark.parametrize("count", [2, 3, 6])
def test_a_study_is_kept(count, tmp_path):
    settings = [{"hidden": (3,), "learning_rate": rate} for rate in (0.01, 0.02, 0.03)]
    threads = threading.active_count()
    with pytest.raises(TrainingInterrupted, match=r"of 3 networks complete; .*resume") as caught:
        jaxnn.sweep(
            settings,
            DATA,
            0.25,
            epochs=EPOCHS,
            chunk=1,
            directory=tmp_path,
            progress=False,
            on_epoch=many_at(10, count),
        )
    assert threading.active_count() == threads, "no thread writes to it any more"
    study = caught.value.study
    assert 0 < study.epochs_done.sum() < 3 * EPOCHS
    there = jaxnn.load(tmp_path)
    np.testing.assert_array_equal(there.epochs_done, study.epochs_done)
    for curves, saved in zip(study.curves.values(), there.curves.values(), strict=True):
        np.testing.assert_array_equal(curves, saved)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_run_and_its_commits_are_whole_though_they_came_in_a_commit(count, tmp_path, monkeypatch):
    replace, left = os.replace, [0]

    def signalling(*paths):
        while left[0]:
            left[0] -= 1
            os.kill(os.getpid(), INT)
        replace(*paths)

    monkeypatch.setattr("os.replace", signalling)
    run = jaxnn.Run({}, DATA, directory=tmp_path, commit_interval=0)
    run.train(1)
    left[0] = count
    with pytest.raises(TrainingInterrupted):
        run.train(EPOCHS)
    assert left == [0]
    run.close()
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.suffix) == [".h5", ".h5"]
    again = jaxnn.Run({}, DATA, directory=tmp_path)
    assert again.epoch == run.epoch > 1
    jax.tree.map(np.testing.assert_array_equal, again.fitted().params, run.fitted().params)


def test_a_study_is_kept_though_they_came_in_its_last_commit(tmp_path, monkeypatch):
    replace = os.replace

    def signalling(*paths):
        for _ in range(3):
            os.kill(os.getpid(), INT)
        replace(*paths)

    monkeypatch.setattr("os.replace", signalling)
    with pytest.raises(TrainingInterrupted, match="1 of 1 networks complete") as caught:
        jaxnn.sweep([{}], DATA, 0.25, epochs=2, directory=tmp_path, progress=False)
    assert caught.value.study.is_complete.all()
    assert jaxnn.load(tmp_path).is_complete.all()
