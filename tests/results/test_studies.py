"""Studies of made-up results: ranking, tables, the edge of a space, pictures."""

import re
import sys

import numpy as np
import pytest
from helpers.studies import SPACE, make_study
from scipy import stats

import jaxnn
from jaxnn import loguniform, sample
from jaxnn.compiled.networks import Foreign
from jaxnn.data.inputs import InputStatistics, Treatment
from jaxnn.reporting.summaries import at_edge, summary
from jaxnn.results.trials import Chunk, Rung
from jaxnn.settings.sampling import Settings
from jaxnn.system.display import SweepDisplay, sweep_display
from jaxnn.system.terminal import as_text


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
        *("user_attrs_cost", "user_attrs_diverged", "user_attrs_epochs", "user_attrs_interval"),
        *("user_attrs_standard_error", "user_attrs_values", "state"),
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
        (jaxnn.plot_slice, "matplotlib", "pip install 'jaxnn-lanes.plot.'"),
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
    # two values 0.1 apart: error 0.05, and Student's t of one degree of freedom is 12.7:
    # 0.2147 to 1.4853, as far as there are accuracies
    assert re.search(r"1 .* 1 .* 0.8500 ± 0.0500 .* 0.2147 to 1.0000 .* 0.1500 .* 0.2 ", first)
    assert re.search(r"2 .* 0 .* 0.5500 ± 0.0500 ", second)
    assert "learning_rate" in text
    assert "hidden" not in text
    assert "1 setting diverged (learning rates 1e+30)" in text
    assert "Memory was short." in text
    assert "0.8500 ± 0.0500" in study._repr_html_()
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
    jaxnn.plot_slice(study)


def test_fitted_refuses_what_is_not_there():
    study = make_study(rates(0.1, 0.2), [0.5, 0.6])
    for number, repeat in ((2, 0), (0, 1)):
        with pytest.raises(ValueError, match="expected below 2 and 1"):
            study.fitted(number, repeat)
    with pytest.raises(ValueError, match="number got -1"):
        study.fitted(-1)


def test_a_network_shares_no_memory_with_its_study():
    study = make_study(rates(0.1, 0.2), [0.5, 0.6])
    study.model = jaxnn.Model(lambda key: ({}, {}), lambda params, state, x, **_: (x, state), ())
    kernels, seen = np.zeros((2, 64, 16), np.float32), np.zeros((2, 16), np.float32)
    before = study.chunks[0]
    study.chunks = [
        Chunk(Foreign(study.model), {"kernel": kernels}, {"seen": seen}, before.start, before.end)
    ]
    statistics = InputStatistics(np.zeros(4), np.ones(4))
    study.treatments = {("raw", 0): Treatment(statistics, None, 4)}
    curve = study.curves["cost"].copy()
    fitted, other = study.fitted(1), study.fitted(1)
    fitted.curves["cost"][:] = 7
    fitted.setting["learning_rate"] = 7.0
    fitted.inputs.mean[:] = 7
    kernels[:], seen[:] = 7, 7
    np.testing.assert_array_equal(study.curves["cost"], curve)
    np.testing.assert_array_equal(other.curves["cost"], curve[1, 0])
    assert study.settings[1]["learning_rate"] == other.setting["learning_rate"] == 0.2
    np.testing.assert_array_equal(other.inputs.mean, 0)
    np.testing.assert_array_equal(fitted.params["kernel"], 0)
    np.testing.assert_array_equal(fitted.state["seen"], 0)


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
    assert at_edge(study) == expected
    study.summary()
    text = capsys.readouterr().out
    assert ("lies at the edge of the space" in text) == bool(expected)
    # without a space nothing can be said
    assert at_edge(make_study(list(settings), np.ones(128))) == {}


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
    # the only setting that has a value is the best, and a median says nothing
    study.dropped[:7] = 3
    study.epochs_done[:7] = 3
    axes = jaxnn.plot_learning_curves(study).axes[0]
    assert "9 settings; 7 dropped on the way; 1 diverged" in axes.get_title()
    assert [t.get_text().split(":")[0] for t in axes.get_legend().get_texts()] == ["best"]


@pytest.mark.parametrize("with_space", [True, False])
def test_a_slice_puts_each_parameter_on_its_scale(with_space):
    space = {**SPACE, "hidden": jaxnn.choice([(25, 12), ()])}
    settings = sample(space, 16)
    study = make_study(
        settings if with_space else list(settings),
        np.linspace(0.2, 1, 16),
        diverged=[[-1]] * 15 + [[2]],
    )
    study.dropped[3] = 2
    figure = jaxnn.plot_slice(study)
    axes = {axes.get_xlabel(): axes for axes in figure.axes}
    assert list(axes) == [name for name in study.settings[0] if name in space]
    assert "16 settings: validation accuracy; 1 without" in figure.get_suptitle()
    ticks = {
        name: dict(
            zip((t.get_text() for t in one.get_xticklabels()), one.get_xticks(), strict=True)
        )
        for name, one in axes.items()
    }
    assert {"25-12", "none"} == set(ticks["hidden"])
    dropped, complete, best = (found.get_offsets() for found in axes["learning_rate"].collections)
    assert (len(dropped), len(complete)) == (1, 14)
    if with_space:
        assert ticks["learning_rate"]["0.01"] == pytest.approx(0.5)
        assert "0.99" in ticks["beta1"]
        r = np.log10(settings[14]["learning_rate"])
        assert best[0][0] == pytest.approx((r + 4) / 4)
        # the worst fifth is at the edge
        assert best[0][1] == pytest.approx(study.best_value)
    mixed = [
        {"optimizer": name, "momentum": 0.5 + k / 10} for k, name in enumerate(["adam", "momentum"])
    ]
    two = make_study(mixed, [0.2, 0.9])
    shown = jaxnn.plot_slice(two, ["momentum"]).axes[0].collections[1].get_offsets()
    assert shown[:, 0].compressed().tolist() == [two.domain("momentum").position(0.6)]
    with pytest.raises(ValueError, match="settings are all equal"):
        jaxnn.plot_slice(make_study(rates(0.1, 0.1), [0.1, 0.2]))
    with pytest.raises(
        ValueError, match=r"plot_slice got \['momentu'\]; expected some of learning_"
    ):
        jaxnn.plot_slice(study, ["momentu"])


def test_rungs_are_drawn_as_far_as_they_were_trained():
    study = make_study(rates(0.1, 0.2, 0.3), [0.3, 0.6, 0.9], epochs=9)
    with pytest.raises(ValueError, match="a study without rungs"):
        jaxnn.plot_rungs(study)
    study.rungs = [Rung(3, (0, 1, 2), (2,)), Rung(9, (2,), (2,))]
    study.dropped[:2] = study.epochs_done[:2] = 3
    study.curves["valid_accuracy"][:2, :, 3:] = np.nan
    axes = jaxnn.plot_rungs(study).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["3", "9"]
    assert [text.get_text() for text in axes.texts] == ["3", "1"]
    assert "56% of the epochs" in axes.get_title()
    ends = [line.get_xydata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(ends, [[3, 0.3 * 2 / 8], [3, 0.6 * 2 / 8]])


def test_what_was_dropped_comes_after_what_was_trained_to_the_end():
    study = make_study(rates(*[0.1] * 5), [0.2, 0.9, 0.6, 0.7, 0.9], epochs=9,
                       diverged=[[-1], [-1], [-1], [-1], [3]])  # fmt: skip
    study.dropped[[1, 2, 3]] = study.epochs_done[[1, 2, 3], 0] = 3, 6, 6
    study.kept_epochs[[1, 2, 3], 0] = 2, 5, 5
    assert study.ranking.tolist() == [0, 3, 2, 1, 4]
    assert study.ranked.tolist() == [0]
    assert [trial.state for trial in study.trials] == ["COMPLETE", *["PRUNED"] * 4]
    assert study.trials[1].value == pytest.approx(0.9 * 2 / 8)
    assert study.trials[1].epochs == 3
    assert np.isnan(study.values[1, 0])


def test_the_lower_bound_prefers_what_is_sure():
    values = [[0.90, 0.92, 0.91], [0.99, 0.80, 0.97]]
    study = make_study(rates(0.1, 0.2), values)
    assert study.best_trial.number == 1
    study.select = "lower_bound"
    assert study.best_trial.number == 0
    by_cost = make_study(rates(0.1, 0.2), values, 1 - np.array(values), metric="cost")
    by_cost.select = "lower_bound"
    assert by_cost.best_trial.number == 0


def test_settings_are_compared_seed_by_seed(capsys):
    """Common seeds: a difference much smaller than the spread can be real."""
    rng = np.random.default_rng(0)
    common = rng.normal(0.8, 0.05, 8)
    values = np.stack([common, common - 0.01 + rng.normal(0, 0.002, 8), common - 0.3])
    study = make_study(rates(0.1, 0.2, 0.3), values)
    comparison = study.compare(0, 1)
    expected = stats.ttest_rel(values[0], values[1])
    assert comparison.p_value == pytest.approx(expected.pvalue)
    assert comparison.interval == pytest.approx(tuple(expected.confidence_interval()))
    assert comparison.is_real
    assert study.contenders() == []
    values[1] = common - 0.01 + rng.normal(0, 0.04, 8)
    study = make_study(rates(0.1, 0.2, 0.3), values)
    assert not study.compare(0, 1).is_real
    assert "cannot be told apart" in str(study.compare(0, 1))
    assert study.contenders() == [1 - study.best_trial.number]
    study.summary()
    assert f"Cannot be told apart from the best: settings {study.contenders()[0]}." in (
        capsys.readouterr().out
    )
    alone = make_study(rates(0.1, 0.2), [0.5, 0.6])
    assert alone.contenders() == []
    with pytest.raises(ValueError, match="compare got one repetition"):
        alone.compare(0, 1)
    with pytest.raises(ValueError, match="compare got setting 7; expected below 2"):
        alone.compare(0, 7)
    with pytest.raises(ValueError, match="compare got setting 0, which was not trained"):
        make_study(rates(0.1, 0.2), [0.5, 0.6], diverged=[[1], [-1]]).compare(1, 0)


def test_progress_prints_plain_lines_outside_of_a_terminal(capfd, monkeypatch):
    monkeypatch.setattr(SweepDisplay, "SECONDS_BETWEEN_LINES", -1.0)
    with sweep_display(400, 10, None) as display:
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
    with sweep_display(400, 10, False) as display:
        display("training", 200, 0.75, 3)
    assert capfd.readouterr() == ("", "")


def test_settings_remember_their_space():
    settings = sample(SPACE, 3)
    assert make_study(settings, [1, 2, 3]).space == SPACE
    assert isinstance(settings, Settings)
    assert make_study(list(settings), [1, 2, 3]).space is None


def test_intervals_end_where_the_metric_does():
    """By hand: 0.99 +- t(2) s / sqrt(3) ends beyond 1, and a small cost's begins below 0."""
    given = [{"learning_rate": 0.1}, {"learning_rate": 0.2}]
    study = make_study(given, [[0.97, 1.0, 1.0], [0.0, 0.03, 0.0]])
    reach = stats.t.ppf(0.975, 2) * np.std([0.97, 1, 1], ddof=1) / np.sqrt(3)
    assert study.trials[0].interval == (pytest.approx(0.99 - reach), 1.0)
    assert study.trials[1].interval == (0.0, pytest.approx(0.01 + reach))
    assert study.to_dicts()[0]["user_attrs_interval"][1] == 1.0
    assert "to 1.0000" in as_text(summary(study, 2))
    assert study.compare(0, 1).interval[1] == 1.0
    study.metric = "cost"
    low, high = study.trials[0].interval
    assert (low, high) == (0.0, pytest.approx(0.01 + reach))
    # of nothing there is none
    assert np.isnan(make_study(given, [0.9, 0.8]).trials[0].interval).all()


def test_names_are_text_to_matplotlib():
    """Between two dollars it reads mathematics, and fails where they are none."""
    name = "$\\nothing$ [/b]"
    study = make_study([{"learning_rate": rate} for rate in (0.1, 0.2, 0.3)], [0.1, 0.2, 0.3])
    for number, setting in enumerate(study.settings):
        setting[name] = float(number)
    figure = jaxnn.plot_slice(study, [name])
    figure.draw_without_rendering()
    assert figure.axes[0].get_xlabel() == name.replace("$", "\\$")
