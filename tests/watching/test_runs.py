"""A run is `fit` in stretches: to the bit, whatever was undone or branched off on the way."""

import copy
import os
import signal
import threading

import jax
import numpy as np
import pytest
from helpers.by_hand import softmax_gradients
from helpers.comparisons import leaves_equal
from helpers.data import curved
from helpers.models import counting

import jaxnn
from jaxnn import Dataset, Run, fit, mlp
from jaxnn.disk.commits import newest
from jaxnn.disk.hdf5 import write_arrays
from jaxnn.settings.hyperparameters import HYPERPARAMETERS
from jaxnn.watching.journals import UNDO_LEVELS

FULL = {
    "hidden": (6, 5),
    "batch_norm": True,
    "dropout": 0.2,
    "l2": 0.01,
    "batch_size": 16,
    "decay_schedule": "exponential",
}
SMALL = {"hidden": (5,), "learning_rate": 0.01}


@pytest.fixture
def data():
    return curved(50)


def assert_same(run, fitted):
    leaves_equal(run.fitted().params, fitted.params)
    leaves_equal(run.fitted().state, fitted.state)
    leaves_equal(run.curves, fitted.curves)


@pytest.mark.parametrize("row_space", [False, True])
def test_stretches_are_one_training(data, row_space):
    run = Run(FULL, data, 0.2, seed=3, order_seed=2, row_space=row_space)
    for epochs in (1, 4, 2):
        run.train(epochs)
    assert run.epoch == 7
    assert_same(run, fit(FULL, data, 0.2, epochs=7, seed=3, order_seed=2, row_space=row_space))


def test_a_set_number_counts_from_there_on(data):
    """Gradient descent by hand in float64: two epochs with alpha 0.05, one with 0.2 and l2 0.1."""
    with jax.enable_x64(True):
        data = Dataset(data.x, data.y)
        setting = {"hidden": (6,), "optimizer": "gd", "batch_size": 50, "learning_rate": 0.05}
        run = Run({**setting, "l2": 0.02}, data, seed=4)
        params = jax.tree.map(np.asarray, list(mlp(4, (6,), 3).init(jax.random.key(4))[0]))
        for alpha, l2, epochs in ((0.05, 0.02, 2), (0.2, 0.1, 1)):
            if epochs == 1:
                run.set(learning_rate=0.2, l2=0.1)
            run.train(epochs)
            for _ in range(epochs):
                grads, _ = softmax_gradients(params, np.asarray(data.x), np.asarray(data.y), l2)
                step = lambda w, g, alpha=alpha: w - alpha * g
                params = jax.tree.map(step, params, grads)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13),
            list(run.fitted().params),
            params,
        )
        assert run.setting["learning_rate"] == 0.2


def test_an_edit_compiles_nothing(data):
    model, traces = counting(mlp(4, (5,), 3, batch_norm=True))
    run = Run({"dropout": 0.1, "l2": 0.01, "decay_schedule": "inverse"}, data, model=model)
    run.train(2)
    first = list(traces)
    assert first
    run.set(learning_rate=0.1, beta1=0.8, l2=0.2, dropout=0.3)
    run.train(1)
    run.set(decay_rate=0.2, batch_norm_decay=0.5)
    run.train(3)
    run.undo()
    run.branch().train(2)
    assert traces == first
    # another schedule is another program, which is compiled once
    for schedule in ("staircase", "inverse", "staircase"):
        run.set(decay_schedule=schedule)
        run.train(1)
    assert traces == 2 * first


def test_every_number_may_be_set(data):
    run = Run({"hidden": (3,)}, data)
    for name, rule in HYPERPARAMETERS.items():
        if rule.is_number and name != "patience":
            run.set(**{name: 0.5})
            assert run.setting[name] == 0.5
    with pytest.raises(ValueError, match="patience got 3 in a Run, which is stopped by hand"):
        run.set(patience=3)
    run.train(2)
    run.set(clip_norm=None, warmup=0)
    run.train(1)
    run.undo()
    run.undo()
    assert run.setting["clip_norm"] == 0.5
    assert "clip_norm 0.5 -> None" in [entry.detail for entry in run.journal][-1]


def test_undo_goes_back_step_by_step(data):
    run = Run(SMALL, data, 0.2)
    run.train(3)
    run.set(learning_rate=1.0)
    run.train(2)
    run.undo()
    assert (run.epoch, run.setting["learning_rate"]) == (3, 1.0)
    run.undo()
    assert run.setting["learning_rate"] == 0.01
    run.train(2)
    assert_same(run, fit(SMALL, data, 0.2, epochs=5))
    run.undo()
    run.undo()
    assert run.epoch == 0
    assert all(len(curve) == 0 for curve in run.curves.values())
    with pytest.raises(ValueError, match="undo got a run with nothing to take back"):
        run.undo()
    run.train(4)
    assert_same(run, fit(SMALL, data, 0.2, epochs=4))


def test_the_last_steps_can_be_undone(data):
    run = Run(SMALL, data)
    for index in range(UNDO_LEVELS + 5):
        run.set(learning_rate=0.1 + index)
    for _ in range(UNDO_LEVELS):
        run.undo()
    assert run.setting["learning_rate"] == pytest.approx(4.1)
    with pytest.raises(ValueError, match=f"the last {UNDO_LEVELS} can be"):
        run.undo()


def test_a_branch_and_its_origin_do_not_touch_each_other(data):
    run = Run(SMALL, data, 0.2)
    run.train(3)
    branch = run.branch()
    branch.set(learning_rate=0.5)
    branch.train(3)
    run.train(2)
    assert_same(run, fit(SMALL, data, 0.2, epochs=5))
    assert not np.allclose(branch.curves["cost"][3:5], run.curves["cost"][3:])
    for _ in range(3):
        branch.undo()
    branch.train(5)
    assert_same(branch, fit(SMALL, data, 0.2, epochs=5))
    assert [entry.action for entry in run.journal] == ["train", "train"]


def test_the_journal_keeps_everything(data, capsys):
    run = Run(SMALL, data, 0.2)
    run.train(2)
    run.set(learning_rate=0.5, decay_schedule="inverse")
    run.train(3)
    run.undo()
    entries = run.journal
    assert [(entry.epoch, entry.action) for entry in entries] == [
        (2, "train"),
        (2, "set"),
        (5, "train"),
        (5, "undo"),
    ]
    assert entries[1].detail == "learning_rate 0.01 -> 0.5, decay_schedule none -> inverse"
    assert len(entries[2].curves["valid_cost"]) == 3
    print(run)
    out = capsys.readouterr().out
    assert f"{entries[0].curves['cost'][-1]:.4f}" in out
    assert "train: 3 epochs (undone)" in out
    assert "after 2 epochs" in repr(run)
    assert "learning_rate 0.01" in run._repr_html_()


def test_a_diverged_network_has_to_be_taken_back(data):
    run = Run({"optimizer": "gd", "hidden": (5,)}, data, 0.2)
    run.train(2)
    run.set(learning_rate=1e30)
    run.train(4)
    assert run.diverged is not None
    assert (run.epoch, len(run.curves["cost"])) == (6, 6)
    with pytest.raises(ValueError, match=r"stopped being finite at step \d+; expected undo\(\)"):
        run.train(1)
    assert run.study().trials[0].state == "PRUNED"
    run.undo()
    run.set(learning_rate=1e-3)
    run.train(4)
    assert_same(run, fit({"optimizer": "gd", "hidden": (5,)}, data, 0.2, epochs=6))


@pytest.mark.parametrize("row_space", [False, True])
def test_its_study_is_that_of_a_sweep(data, row_space):
    setting = {**FULL, "inputs": "centred"}
    run = Run(setting, data, 0.2, row_space=row_space)
    run.train(2)
    run.train(3)
    study = run.study()
    swept = jaxnn.sweep([setting], data, 0.2, epochs=5, row_space=row_space, progress=False)
    assert study.best_params == setting
    assert study.best_value == pytest.approx(swept.best_value)
    assert study.curves["valid_cost"].shape == swept.curves["valid_cost"].shape
    np.testing.assert_allclose(study.curves["cost"], swept.curves["cost"], rtol=1e-3)
    leaves_equal(study.fitted().params, run.fitted().params)
    leaves_equal(study.fitted().state, run.fitted().state)
    assert study.fitted().score(data) == run.fitted().score(data)
    assert study.to_dicts()[0].keys() == swept.to_dicts()[0].keys()
    study.summary()
    assert str(study.plan)
    jaxnn.plot_learning_curves(study)


def test_its_study_says_what_was_edited(data, capsys):
    run = Run(SMALL, data, 0.2)
    run.train(2)
    run.set(learning_rate=0.03)
    run.train(1)
    study = run.study("cost")
    study.summary()
    assert "Epoch 2: learning_rate 0.01 -> 0.03." in capsys.readouterr().out
    assert study.best_params["learning_rate"] == 0.03
    assert study.best_value == run.curves["valid_cost"][-1]


def test_the_picture_marks_edits_and_what_was_undone(data):
    run = Run(SMALL, data, 0.2)
    run.train(3)
    run.set(learning_rate=0.5)
    run.train(2)
    run.undo()
    run.branch().plot()
    axes = run.plot().axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["learning_rate 0.01 -> 0.5"]
    drawn = [line for line in axes.lines if len(line.get_xdata()) and line.get_ydata()[0] != 0]
    undone = [line for line in drawn if line.get_linestyle() == ":"]
    assert [line.get_xdata().tolist() for line in undone] == [[4, 5], [4, 5]]
    np.testing.assert_array_equal(
        axes.lines[0].get_ydata(), run.curves["cost"], err_msg="the first curve is the cost's"
    )
    assert run.plot("valid_accuracy").axes[0].get_ylabel() == "validation accuracy"
    Run(SMALL, data).plot()


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_leaves_a_run_that_can_go_on(data):
    run = Run(SMALL, data)
    run.train(1)
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(jaxnn.TrainingInterrupted, match="training was interrupted after"):
        run.train(10**6)
    done = run.epoch
    assert 1 < done < 10**6
    run.train(2)
    assert_same(run, fit(SMALL, data, epochs=done + 2))


def reversed_stands(about, arrays):
    about["stands"].reverse()


FEW = Dataset(np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2)
FORGED = {
    "stands twice": (lambda about, arrays: about.update(stands=[0, 0]), "stands"),
    "stands beyond": (lambda about, arrays: about.update(stands=[0, 9]), "stands"),
    "stands of a branch": (
        lambda about, arrays: about["entries"][0].__setitem__(1, "undo"),
        "stan",
    ),
    "stands backwards": (reversed_stands, "rising places of entries"),
    "an action": (lambda about, arrays: about["entries"][0].__setitem__(1, "<b>"), "has entries"),
    "a detail": (lambda about, arrays: about["entries"][0].__setitem__(2, 3), "has entries"),
    "another epoch": (lambda about, arrays: about["moments"][-1].__setitem__(2, 7), "expected 7"),
    "a state below 0": (lambda about, arrays: about["moments"][0].__setitem__(0, -1), "moments"),
    "a state beyond": (lambda about, arrays: about["moments"][0].__setitem__(0, 10**9), "states"),
    "no moment": (lambda about, arrays: about.update(moments=[]), "has moments"),
    "no more moments": (
        lambda about, arrays: about.update(moments=about["moments"] * 3),
        "expected one more than can go",
    ),
    "a setting": (
        lambda about, arrays: about["moments"][-1].__setitem__(1, {"learning_rate": -1}),
        "learning_rate got -1",
    ),
    "another structure": (
        lambda about, arrays: about["moments"][-1].__setitem__(
            1, {"hidden": {"tuple": [9]}, "batch_size": 10}
        ),
        r"a moment with hidden \(9,\); expected \(3,\), as the run was begun with",
    ),
    **{
        f"another {name}": (
            lambda about, arrays, name=name: arrays.update(
                {one: array + 1 for one, array in arrays.items() if one.endswith(f"1/{name}")}
            ),
            "a state after .*; expected the state after 2 epochs",
        )
        for name in ("epoch", "step", "opt_state/count")
    },
    "diverged later": (
        lambda about, arrays: arrays.update({"states/1/diverged": np.array(99, np.int32)}),
        "of which step 99 diverged",
    ),
    "diverged with a cost": (
        lambda about, arrays: arrays.update({"states/1/diverged": np.array(1, np.int32)}),
        "a state that diverged at step 1 .* and curves that end with",
    ),
    "seconds": (lambda about, arrays: about.update(seconds=[-1, 0]), "has seconds"),
    "a curve": (lambda about, arrays: arrays.update({"entries/0/<b>": np.ones(2)}), "curves"),
    "two axes": (lambda about, arrays: arrays.update({"entries/0/cost": np.ones((2, 1))}), "curv"),
    "a short one": (
        lambda about, arrays: [
            arrays.update({name: array[:1]}) for name, array in arrays.items() if "entries" in name
        ],
        "curves of .1. epochs; expected 2",
    ),
}


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """A run of two epochs and an edit."""
    folder = tmp_path_factory.mktemp("run")
    run = Run({"hidden": (3,), "batch_size": 10}, FEW, 0.25, directory=folder)
    run.train(epochs=2)
    run.set(learning_rate=0.1)
    run.close()
    return newest(folder)[0]


@pytest.mark.parametrize("name", [*FORGED, "nothing"])
def test_a_commit_is_checked_before_a_run_goes_on_with_it(name, committed, tmp_path):
    path, arrays, about = copy.deepcopy(committed)
    change, message = FORGED.get(name, (lambda about, arrays: None, ""))
    change(about, arrays)
    write_arrays(tmp_path / path.name, arrays.items(), about)
    again = lambda: Run({"hidden": (3,), "batch_size": 10}, FEW, 0.25, directory=tmp_path)
    if name == "nothing":
        assert (again().epoch, len(again().journal)) == (2, 2)
        return
    with pytest.raises(ValueError, match=rf"commit-000002\.h5.*{message}"):
        again()
