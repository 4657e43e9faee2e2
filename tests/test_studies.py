"""Studies of made-up results: ranking, tables, the edge of a space, pictures."""

import re
import sys
from datetime import datetime

import numpy as np
import pytest

import jaxnn
from jaxnn import loguniform, reverseloguniform, sample, uniform
from jaxnn.preparing import Treatment
from jaxnn.progress import SweepDisplay, sweep_display
from jaxnn.settings import complete
from jaxnn.spaces import Settings
from jaxnn.studies import Chunk, Study


def make_study(given, accuracy, cost=None, *, metric="accuracy", epochs=5, diverged=None):
    """A study whose validation curves end at the given (S,) or (S, K) values."""
    accuracy = np.asarray(accuracy, float).reshape(len(given), -1)
    cost = 1 - accuracy if cost is None else np.asarray(cost, float).reshape(accuracy.shape)
    rise = np.linspace(0, 1, epochs)
    curves = {
        "cost": cost[..., None] + 1 - rise,
        "accuracy": accuracy[..., None] * rise,
        "valid_cost": cost[..., None] + 1 - rise,
        "valid_accuracy": accuracy[..., None] * rise,
    }
    diverged = np.full(accuracy.shape, -1) if diverged is None else np.asarray(diverged)
    for curve in curves.values():
        curve[diverged >= 0] = np.nan
    lanes = np.arange(accuracy.size).reshape(accuracy.shape)
    start, end = datetime(2026, 1, 1, 12), datetime(2026, 1, 1, 13)
    return Study(
        given=given,
        settings=[complete(setting) for setting in given],
        model=None,
        metric=metric,
        plan=jaxnn.plan(given, jaxnn.Dataset(np.ones((40, 4)), np.arange(40) % 3)),
        treatments={"raw": Treatment(None, None, 4)},
        input_shape=(4,),
        num_classes=3,
        curves=curves,
        diverged=diverged,
        epochs_done=np.full(accuracy.shape, epochs),
        kept_epochs=np.full(accuracy.shape, epochs - 1),
        places=np.stack([np.zeros_like(lanes), lanes], axis=-1),
        chunks=[Chunk(None, (), (), start, end)],
        seconds=2.0,
        compile_seconds=0.5,
    )


def rates(*values):
    return [{"learning_rate": value} for value in values]


def test_ranking_by_mean_then_cost_then_number():
    given = rates(0.1, 0.2, 0.3, 0.4, 0.5)
    accuracy = [[0.5, 0.7], [0.9, 0.9], [0.6, 0.6], [0.9, 0.9], [0.6, 0.6]]
    cost = [[1, 1], [0.4, 0.4], [0.8, 0.8], [0.2, 0.3], [0.8, 0.8]]
    study = make_study(given, accuracy, cost)
    assert study.ranking.tolist() == [3, 1, 2, 4, 0]
    assert study.best_params == {"learning_rate": 0.4}
    assert study.best_value == pytest.approx(0.9)
    assert study.trials[0].values == pytest.approx((0.5, 0.7))
    by_cost = make_study(given, accuracy, cost, metric="cost")
    assert by_cost.ranking.tolist() == [3, 1, 2, 4, 0]
    assert by_cost.best_value == pytest.approx(0.25)
    tied = make_study(given, accuracy, np.ones((5, 2)), metric="cost")
    assert tied.ranking.tolist() == [1, 3, 0, 2, 4]


def test_a_diverged_repetition_puts_its_setting_last():
    study = make_study(rates(0.1, 0.2), [[0.99, 0.99], [0.1, 0.2]], diverged=[[-1, 7], [-1, -1]])
    assert study.ranking.tolist() == [1, 0]
    assert [trial.state for trial in study.trials] == ["PRUNED", "COMPLETE"]
    assert study.trials[0].diverged == (None, 7)
    assert np.isnan(study.trials[0].value)


def test_columns_are_optunas():
    """As in optuna.Study.trials_dataframe (Optuna 4): one column a parameter and attribute."""
    study = make_study([*rates(0.1, 0.2), {"l2": 1.0}], [0.5, 0.7, 0.6])
    frame = study.to_dataframe()
    assert list(frame.columns) == [
        *("number", "value", "datetime_start", "datetime_complete", "duration"),
        *("params_learning_rate", "params_l2"),
        *("user_attrs_cost", "user_attrs_diverged", "user_attrs_values", "state"),
    ]
    assert frame["value"].tolist() == pytest.approx([0.5, 0.7, 0.6])
    assert frame["duration"].dt.total_seconds().tolist() == [3600.0] * 3
    assert frame["params_l2"].isna().tolist() == [True, True, False]
    assert frame.to_dict("records")[1]["state"] == "COMPLETE"
    assert [row["number"] for row in study.to_dicts()] == [0, 1, 2]


@pytest.mark.parametrize(
    ("call", "module", "message"),
    [
        (lambda study: study.to_dataframe(), "pandas", "to_dicts gives the same rows"),
        (jaxnn.plot_parallel_coordinate, "matplotlib", "pip install 'jaxnn-lanes.plot.'"),
        (jaxnn.plot_learning_curves, "matplotlib", "pip install 'jaxnn-lanes.plot.'"),
    ],
)
def test_a_missing_extra_is_named(monkeypatch, call, module, message):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=message):
        call(make_study(rates(0.1, 0.2), [0.5, 0.6]))


def test_summary_tells_what_a_person_wants_to_know(capsys):
    given = [{"learning_rate": r, "hidden": (4, 3), "l2": 0.1} for r in (0.1, 0.2, 1e30)]
    study = make_study(
        given, [[0.5, 0.6], [0.8, 0.9], [0, 0]], diverged=[[-1, -1], [-1, -1], [3, 3]]
    )
    study.notes.append("Memory was short.")
    study.summary()
    text = capsys.readouterr().out
    assert "3 settings x 2 repetitions, 5 epochs: 6 networks in 2.0 s (3.0 a second)" in text
    first, second = (line for line in text.splitlines() if line.startswith("│"))
    assert re.search(r"1 .* 1 .* 0.8500 ± 0.0707 .* 0.1500 .* 0.2 ", first)
    assert re.search(r"2 .* 0 .* 0.5500 ± 0.0707 ", second)
    assert "learning_rate" in text
    assert "hidden" not in text
    assert "1 setting diverged (learning rates 1e+30)" in text
    assert "Memory was short." in text
    assert "0.8500 ± 0.0707" in study._repr_html_()
    assert make_study(rates(0.1), [0.5])._repr_html_().startswith("<pre")


def test_summary_leaves_out_numbers_that_play_no_part(capsys):
    given = [{"optimizer": name, "momentum": m} for name, m in (("adam", 0.5), ("momentum", 0.6))]
    make_study(given, [0.9, 0.8]).summary()
    first, second = (line for line in capsys.readouterr().out.splitlines() if line[0] == "│")
    assert re.search(r"adam │ +- │", first)
    assert re.search(r"momentum │ +0.6 │", second)


def test_summary_of_a_study_in_which_all_diverged(capsys):
    study = make_study(rates(0.1, 0.2), [0, 0], diverged=[[1], [2]])
    study.summary()
    assert "No setting has a value: 2 settings diverged" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no best one"):
        study.best_trial  # noqa: B018
    with pytest.raises(ValueError, match="no best one"):
        study.fitted()


def test_a_network_that_blew_up_in_its_last_step_is_not_ranked(capsys):
    study = make_study(rates(0.1, 0.2), [0.9, 0.5], [np.nan, 1.0])
    assert study.ranked.tolist() == [1]
    study.summary()
    assert "Not ranked: 1 setting without a finite validation cost" in capsys.readouterr().out


def test_settings_outside_of_their_space_are_drawn_and_summed_up():
    settings = sample({"l2": loguniform(1e-6, 1e-2), "hidden": jaxnn.choice([[4, 3], [5]])}, 8)
    settings[0]["l2"] = 0.0
    settings.append({"hidden": (7,)})
    study = make_study(settings, np.linspace(0.9, 0.1, 9))
    study.summary()
    jaxnn.plot_parallel_coordinate(study)


def test_fitted_refuses_what_is_not_there():
    study = make_study(rates(0.1, 0.2), [0.5, 0.6])
    for number, repeat in ((2, 0), (0, 1)):
        with pytest.raises(ValueError, match="expected below 2 and 1"):
            study.fitted(number, repeat)
    with pytest.raises(ValueError, match="number got -1"):
        study.fitted(-1)


SPACE = {
    "learning_rate": loguniform(1e-4, 1e0),
    "beta1": reverseloguniform(0.5, 0.999),
    "dropout": uniform(0.0, 0.5),
}


@pytest.mark.parametrize(
    ("goodness", "expected"),
    [
        (lambda s: -abs(np.log10(s["learning_rate"]) + 2), {}),
        (lambda s: s["learning_rate"], {"learning_rate": 1.0}),
        (lambda s: -s["learning_rate"], {"learning_rate": 1e-4}),
        (lambda s: s["beta1"], {"beta1": 0.999}),
        (lambda s: s["dropout"], {"dropout": 0.5}),
        # dropout below 0 is not allowed, so there is nothing to widen
        (lambda s: -s["dropout"], {}),
    ],
)
def test_the_edge_of_the_space_is_pointed_out(goodness, expected, capsys):
    settings = sample(SPACE, 128, seed=1)
    study = make_study(settings, [goodness(setting) for setting in settings])
    assert study.at_edge() == expected
    study.summary()
    text = capsys.readouterr().out
    assert ("lies at the edge of the space" in text) == bool(expected)
    # without a space nothing can be said
    assert make_study(list(settings), np.ones(128)).at_edge() == {}


def test_learning_curves_mark_the_best_and_the_median():
    settings = sample(SPACE, 9)
    study = make_study(settings, np.linspace(0.1, 0.9, 9), diverged=[[-1]] * 8 + [[2]])
    axes = jaxnn.plot_learning_curves(study).axes[0]
    lines = {line.get_label().split(":")[0]: line for line in axes.lines}
    np.testing.assert_allclose(lines["best"].get_ydata(), study.curves["valid_accuracy"][7, 0])
    np.testing.assert_allclose(lines["median"].get_ydata(), study.curves["valid_accuracy"][3, 0])
    assert len(axes.lines) == 9 + 2
    assert "1 diverged" in axes.get_title()
    assert jaxnn.plot_learning_curves(study, "cost").axes[0].get_yscale() == "log"
    with pytest.raises(ValueError, match="curve got 'loss'; expected one of cost, accuracy"):
        jaxnn.plot_learning_curves(study, "loss")
    lost = make_study(settings[:1], [0], diverged=[[1]])
    assert not jaxnn.plot_learning_curves(lost).axes[0].get_legend()


@pytest.mark.parametrize("with_space", [True, False])
def test_parallel_coordinates_put_each_parameter_on_its_scale(with_space):
    space = {**SPACE, "hidden": jaxnn.choice([(25, 12), ()])}
    settings = sample(space, 16)
    study = make_study(
        settings if with_space else list(settings),
        np.linspace(0, 1, 16),
        diverged=[[-1]] * 15 + [[2]],
    )
    axes = jaxnn.plot_parallel_coordinate(study).axes[0]
    names = [label.get_text() for label in axes.get_xticklabels()]
    assert set(names) == {*space, "validation accuracy"}
    texts = {text.get_text(): text.get_position() for text in axes.texts}
    assert {"25-12", "none"} <= set(texts)
    best = axes.lines[0].get_ydata()
    if with_space:
        assert texts["0.01"] == (names.index("learning_rate") + 0.03, pytest.approx(0.5))
        assert texts["0.99"][0] == names.index("beta1") + 0.03
        r = np.log10(settings[14]["learning_rate"])
        assert best[names.index("learning_rate")] == pytest.approx((r + 4) / 4)
    with pytest.raises(ValueError, match="settings are all equal"):
        jaxnn.plot_parallel_coordinate(make_study(rates(0.1, 0.1), [0.1, 0.2]))


def test_progress_prints_plain_lines_outside_of_a_terminal(capfd, monkeypatch):
    monkeypatch.setattr(SweepDisplay, "SECONDS_BETWEEN_LINES", -1.0)
    with sweep_display(40, 10, None) as display:
        display("compiling 1 of 2", 0, None, 0)
        display("training", 40, 0.5, 0)
        display("training", 200, 0.75, 3)
    out, err = capfd.readouterr()
    assert out == ""
    first, compiled, second = err.splitlines()
    assert compiled == "jaxnn training: 4/40 networks, best so far 0.5000"
    assert first == "jaxnn compiling 1 of 2: 0/40 networks"
    assert re.fullmatch(
        r"jaxnn training: 20/40 networks, \S+ a second, best so far 0.7500, 3 diverged, \S+ s left",
        second,
    )
    with sweep_display(40, 10, False) as display:
        display("training", 200, 0.75, 3)
    assert capfd.readouterr() == ("", "")


def test_settings_remember_their_space():
    settings = sample(SPACE, 3)
    assert make_study(settings, [1, 2, 3]).space == SPACE
    assert isinstance(settings, Settings)
    assert make_study(list(settings), [1, 2, 3]).space is None
