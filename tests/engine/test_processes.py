"""Several processes of one job: the study of one, bit for bit, and a lost one costs little."""

import dataclasses
import os
import re
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import optuna
import pytest
from helpers.comparisons import assert_same
from helpers.data import corners
from helpers.spaces import PADDED
from killing import ended, free_port, start

import jaxnn
from jaxnn.disk.commits import Series, newest
from jaxnn.disk.directories import Commits
from jaxnn.engine import devices, team
from jaxnn.engine.team import deal, plan_of_first
from jaxnn.formats.layout import record_content
from jaxnn.formats.parts import absorb, part_of
from jaxnn.system.processes import ALONE, all_hosts

TWO_DEVICES = "--xla_force_host_platform_device_count=2"
PAGE = Path(__file__).parents[2] / "examples" / "processes.md"


def sweep(**more):
    settings = jaxnn.sample(PADDED, 24)
    return jaxnn.sweep(settings, corners(), 0.25, epochs=12, seeds=2, chunk=4, **more)


def halving(**more):
    options = {"num_settings": 18, "max_epochs": 18, "seeds": 2, "chunk": 4, "keep": "best"}
    options |= {"valid": 0.25, "method": "halving"}
    return jaxnn.search(PADDED, corners(), **options | more)


MORE = {"folds": 2, "seeds": 1, "row_space": True, "valid": None, "patience": 6}


def asked():
    """A sampler without a seed draws otherwise in each process; the first one's settings count."""
    sampler = optuna.samplers.RandomSampler()
    options = {"num_settings": 6, "batch": 3, "max_epochs": 3, "sampler": sampler}
    return jaxnn.search(PADDED, corners(), 0.25, method="optuna", chunk=4, **options)


def refused(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except (ValueError, MemoryError, ZeroDivisionError) as error:
        print("error:", error)


def child(task, out):
    """What a process of a job does; it prints what the test reads."""
    process, directory, signals = jax.process_index(), f"{out}/directory", []
    if task == "same":
        study = sweep(directory=directory)
        study.save(f"{out}/sweep-{process}.h5")
        # on its own
        print("refit:", study.refit(corners()).curves["cost"][-1] if process == 1 else "")
        halving().save(f"{out}/halving-{process}.h5")
        asked().save(f"{out}/asked-{process}.h5")
        # networks stay where they are
        team.MOST_SHARED = 0
        study = halving(**MORE)
        study.save(f"{out}/more-{process}.h5")
        networks = (study.places[..., 0] >= 0).sum(), (study.epochs_done > 0).sum()
        print("networks:", *networks)
    elif task == "killed":

        def kill(info):
            # its lanes of the second rung are in training, and a commit has been written
            if process == 1 and info.epoch == 3:
                os.kill(os.getpid(), signal.SIGKILL)

        halving(directory=directory, commit_interval=0.0, on_epoch=kill)
    elif task == "resumed":
        study = jaxnn.resume(directory, corners())
        study.save(f"{out}/resumed-{process}.h5")
    elif task == "page":
        (code,) = re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL)
        # the job is there already, and the search is a small one
        code = re.sub(r"jaxnn.connect.*", "", code).replace("/shared/run", directory)
        names = {}
        exec(code.replace("4096", "9").replace("81", "3"), names)
        print("best:", names["study"].best_params)
        print("notes:", jaxnn.sweep([{}], corners(), 0.25, epochs=1).notes)
    elif task == "wrong":
        for wrong in (
            {"seed": process},
            {"epochs": 0 if process == 1 else 3},
            {"directory": f"{out}/directory-{process}"},
            {"directory": None if process == 1 else directory},
            {"model": None if process == 1 else jaxnn.mlp(4, (), 3)},
        ):
            refused(jaxnn.sweep, [{}], corners(), 0.25, **{"epochs": 3, **wrong})
        refused(halving, method="optuna", storage="sqlite://")
        for error in (MemoryError(), ZeroDivisionError("by zero")):

            def fail(*arguments, error=error):
                raise error

            if process == 1:
                devices.train_chunk = fail
            refused(sweep)
    elif task == "interrupted":

        def interrupt(info):
            # once: a second signal would end it
            if process == 1 and not signals:
                signals.append(info)
                os.kill(os.getpid(), signal.SIGTERM)

        try:
            sweep(directory=directory, on_epoch=interrupt)
        except jaxnn.TrainingInterrupted as interrupted:
            print("interrupted:", interrupted)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """What one process has compiled, others read."""
    folder = tmp_path_factory.mktemp("cache")
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }


@pytest.fixture
def job(tmp_path, cache):
    """Runs a task in processes of a job; returns their exit statuses and what they printed."""

    def run(task, count):
        code = (
            "import sys, jax, jaxnn, test_processes\n"
            "task, out, count, process, port = sys.argv[1:]\n"
            'jaxnn.connect("localhost:" + port, int(count), int(process),\n'
            "    heartbeat_timeout_seconds=5)\n"
            "test_processes.child(task, out)\n"
        )
        port, path = free_port(), {"PYTHONPATH": os.pathsep.join(sys.path)}
        # processes need not have as many devices
        more = {"XLA_FLAGS": TWO_DEVICES} if task == "interrupted" else {}
        processes = [
            start(
                *("-c", code, task, tmp_path, count, number, port),
                env={**os.environ, **cache, **path, **(more if number else {})},
            )
            for number in range(count)
        ]
        said = ended(processes, timeout=300)
        codes = [process.returncode for process in processes]
        if task != "killed":
            assert codes == [0] * count, said
        return codes, [out for out, _ in said]

    return run


@pytest.mark.slow
@pytest.mark.numbers
def test_two_processes_make_the_study_of_one(job, tmp_path):
    _, said = job("same", 2)
    for name, whole in (("sweep", sweep()), ("halving", halving()), ("more", halving(**MORE))):
        for process in (0, 1):
            there = jaxnn.load(tmp_path / f"{name}-{process}.h5")
            assert_same(there, whole)
            if name != "more":
                assert_same(whole, there)
    # without room to share them each has its own networks alone
    networks = [list(map(int, re.findall("networks: (.*)", out)[0].split())) for out in said]
    assert networks[0][0] + networks[1][0] == networks[0][1] == networks[1][1]
    assert 0 < networks[0][0] < networks[0][1]
    (refitted,) = re.findall("refit: (.+)", said[1])
    assert float(refitted) == pytest.approx(sweep().refit(corners()).curves["cost"][-1])
    drawn = [jaxnn.load(tmp_path / f"asked-{process}.h5") for process in (0, 1)]
    assert_same(*drawn)
    alone = jaxnn.sweep(drawn[0].given, corners(), 0.25, epochs=3, chunk=4)
    np.testing.assert_allclose(drawn[0].curves["cost"], alone.curves["cost"], rtol=1e-4)
    # each has saved its own lanes, and together they are the study
    commits = newest(tmp_path / "directory")
    known = [np.isfinite(one.arrays["curves/cost"]).all(axis=-1).sum() for one in commits]
    assert len(known) == 2
    assert sum(known) == 48
    assert min(known) > 0
    assert_same(sweep(), jaxnn.load(tmp_path / "directory"))
    assert_same(sweep(), sweep(directory=tmp_path / "directory"))


@pytest.mark.slow
@pytest.mark.numbers
def test_a_lost_process_ends_the_job_and_fewer_go_on(job, tmp_path):
    codes, _ = job("killed", 3)
    assert codes[1] == -signal.SIGKILL
    assert 0 not in codes
    known = jaxnn.load(tmp_path / "directory")
    trained = []
    shutil.copytree(tmp_path / "directory", tmp_path / "alone")
    study = halving(directory=tmp_path / "alone", on_epoch=trained.append)
    whole = halving()
    assert_same(whole, study)
    # what the commits had was not trained again
    saved = np.isfinite(known.curves["cost"]).sum()
    assert saved > 18
    assert len(trained) == np.isfinite(whole.curves["cost"]).sum() - saved
    assert {path.name[14:] for path in (tmp_path / "alone").glob("commit-*")} == {"h5"}
    job("resumed", 2)
    for process in (0, 1):
        assert_same(whole, jaxnn.load(tmp_path / f"resumed-{process}.h5"))


@pytest.mark.slow
def test_the_code_of_the_page_runs_on_two_processes(job):
    _, said = job("page", 2)
    (first,), (second,) = [re.findall("best:.*", out) for out in said]
    assert first == second
    # one chunk is too little for two
    assert all("There were chunks for 1 of 2 processes" in out for out in said)


@pytest.mark.slow
def test_what_one_process_gets_wrong_is_said_by_all(job):
    _, said = job("wrong", 2)
    errors = [[line[7:] for line in out.splitlines() if line.startswith("error:")] for out in said]
    first, second = errors
    same_calls = "the processes of a job make the same calls"
    assert second[0] == f"{same_calls}, but seed is 0 in process 0 and 1 in process 1"
    assert second[1] == "epochs got 0; expected a whole number >= 1 and below 2^31"
    assert [first[n] for n in (0, 1)] == [f"process 1 of 2: ValueError: {e}" for e in second[:2]]
    assert first[3:6] == second[3:6]
    assert "in which the processes see different files" in first[2]
    assert (
        f"{same_calls} with the same kinds of arguments, but process 0 is at 'the lock" in first[3]
    )
    assert f"{same_calls} with the same kinds of arguments, but process 0 is at 'comp" in first[4]
    assert "storage came in a job of 2 processes of JAX" in first[5]
    assert first[6:] == [
        "process 1 of 2: MemoryError: ",
        "process 1 of 2: ZeroDivisionError: by zero",
    ]
    assert second[6:] == ["", "by zero"]


@pytest.mark.slow
@pytest.mark.numbers
def test_a_signal_to_one_process_ends_all_and_the_same_call_goes_on(job, tmp_path):
    _, said = job("interrupted", 2)
    assert all("interrupted: training was interrupted" in out for out in said)
    assert_same(sweep(), sweep(directory=tmp_path / "directory"))


def test_chunks_are_dealt_whole_and_evenly():
    data = corners()
    settings = jaxnn.sample(PADDED, 96)
    planned = jaxnn.plan(settings, data)
    waiting = [
        (one, [(number, repeat) for number in one.settings for repeat in (0, 1)])
        for one in planned.programs
    ]
    together = lambda lane: (lane[1], settings[lane[0]]["batch_size"])
    owners = deal(waiting, together, 3)
    assert owners.keys() == {(number, repeat) for number in range(96) for repeat in (0, 1)}
    assert deal(waiting, together, 3) == owners
    busy = np.zeros(3)
    for one, lanes in waiting:
        chunks = 0
        for process in range(3):
            mine = Counter(together(lane) for lane in lanes if owners[lane] == process)
            own = sum(-(-count // one.chunk) for count in mine.values())
            chunks += own
            busy[process] += own * one.seconds / one.num_chunks
        # no process fills up a chunk that another could have completed
        everywhere = Counter(map(together, lanes))
        assert chunks == sum(-(-count // one.chunk) for count in everywhere.values())
    assert busy.min() > 0


@pytest.fixture(scope="module")
def study():
    return halving()


def test_parts_make_the_whole_in_any_order(study):
    lanes = [(number, repeat) for number in range(18) for repeat in (0, 1)]
    order = np.random.default_rng(0).permutation(len(lanes))
    shares = [[lanes[index] for index in order[start::3]] for start in range(3)]
    first, *others = [part_of(study, share, is_whole=not n) for n, share in enumerate(shares)]
    for part in (first, *others):
        known = {
            (int(part.setting_numbers[n]), int(k)) for n, k in np.argwhere(part.study.epochs_done)
        }
        assert known == set(shares[0] if part is first else shares[1 if part is others[0] else 2])
    whole = first.study
    for part in others[::-1]:
        absorb(whole, part)
    assert_same(study, whole)
    assert_same(whole, study)


def test_a_part_that_knows_less_changes_nothing(study):
    less = part_of(study, [(0, 0), (0, 1), (3, 1)], networks=())
    cut = part_of(study, [(n, k) for n in range(18) for k in (0, 1)], is_whole=True).study
    absorb(cut, less)
    assert_same(study, cut)


def test_a_network_of_an_earlier_epoch_is_not_kept(study):
    lane = tuple(np.argwhere(study.epochs_done == study.epochs_done.max())[0])
    later = part_of(study, [lane], networks=())
    before = part_of(study, [lane], is_whole=True).study
    before.epochs_done[lane] -= 1
    absorb(before, later)
    with pytest.raises(ValueError, match="has no network here"):
        before.fitted(*map(int, lane))
    absorb(before, part_of(study, [lane]))
    fitted = [one.fitted(*map(int, lane)) for one in (before, study)]
    jax.tree.map(np.testing.assert_array_equal, *[one.params for one in fitted])


def test_commits_of_other_numbers_of_processes_stay_until_the_end(tmp_path):
    arrays = lambda: ([("a", np.arange(3))], {"identity": {}, "is_finished": True})
    for series in (Series(1, 2), Series(2, 2), Series()):
        ours = Commits(tmp_path, 0.0, series=series)
        assert not ours.finished or series.of == 1
        for _ in range(3):
            ours.write(arrays)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        *("commit-000002.1-of-2.h5", "commit-000003.1-of-2.h5"),
        *("commit-000005.2-of-2.h5", "commit-000006.2-of-2.h5"),
        *("commit-000008.h5", "commit-000009.h5"),
    ]
    assert [one.path.name for one in Commits(tmp_path, 0.0).finished] == ["commit-000009.h5"]
    ours.remove_others()
    assert len([*tmp_path.iterdir()]) == 2


def test_a_directory_is_read_from_the_commit_that_knows_most(tmp_path, study):
    lanes = [(number, repeat) for number in range(18) for repeat in (0, 1)]
    stale = part_of(study, lanes[:8]).study
    stale = dataclasses.replace(stale, rungs=[], treatments=study.treatments)
    # one process, and then two, of which one has not saved anything yet
    for known, series in ((stale, Series()), (study, Series(1, 2))):
        arrays, about = record_content(known)
        content = (arrays, {**about, "identity": {}, "is_finished": False})
        Commits(tmp_path, 0.0, series=series).write(lambda content=content: content)
    assert_same(study, jaxnn.load(tmp_path))


def test_alone_a_process_says_it_to_itself():
    assert all_hosts() == ALONE
    assert ALONE.exchange("a meeting", b"some") == [b"some"]
    assert ALONE.from_first("a meeting", b"some") == b"some"
    with pytest.raises(KeyError), ALONE.raised_together("a meeting"):
        raise KeyError
    alone = team.Team()
    assert [alone.in_any("a meeting", is_so) for is_so in (False, True)] == [False, True]
    assert alone.is_same("a meeting", lambda: 1 / 0)
    plan = jaxnn.plan([{}], corners())
    assert plan_of_first(ALONE, plan, None) is plan
