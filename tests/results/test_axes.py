"""A study of `layers` shows depth and units by themselves: tables, plots, report, the edge."""

import json
import re

import numpy as np
import pytest
from helpers.plotly import decoded
from helpers.studies import make_study

import jaxnn
from jaxnn import choice, layers, lograndint, loguniform, randint, sample
from jaxnn.reporting.summaries import at_edge
from jaxnn.settings.domains import Choice
from jaxnn.settings.sampling import Settings

UNITS = lograndint(4, 64)
SPACE = {
    "learning_rate": loguniform(1e-4, 1e0),
    "hidden": layers(randint(0, 3), UNITS),
    "batch_size": 16,
}
GIVEN = [(), (4,), (8, 64), (32, 16, 5)]


def study_of(hidden=GIVEN, space=SPACE):
    given = [
        {"learning_rate": 10.0**-n, "hidden": one, "batch_size": 16} for n, one in enumerate(hidden)
    ]
    return make_study(Settings(given, space), np.linspace(0.9, 0.2, len(given)))


def test_columns_of_each_axis_lie_beside_the_hyperparameters():
    frame = study_of().to_dataframe()
    columns = [name for name in frame.columns if name.startswith("params_")]
    assert columns == [
        *("params_learning_rate", "params_hidden", "params_depth"),
        *("params_units_1", "params_units_2", "params_units_3", "params_batch_size"),
    ]
    assert frame["params_hidden"].tolist() == GIVEN
    assert frame["params_depth"].tolist() == [0, 1, 2, 3]
    units = frame[[f"params_units_{layer}" for layer in (1, 2, 3)]].to_numpy()
    nan = np.nan
    np.testing.assert_array_equal(units, [[nan] * 3, [4, nan, nan], [8, 64, nan], [32, 16, 5]])
    assert study_of().to_dicts()[1]["params_units_2"] is None
    funnel = study_of(
        [(64, 33), (16,)], {**SPACE, "hidden": layers(randint(1, 2), UNITS, "funnel")}
    )
    rows = funnel.to_dicts()
    assert [row["params_units"] for row in rows] == [64, 16]
    assert [row["params_depth"] for row in rows] == [2, 1]


def test_without_layers_the_columns_are_those_of_the_settings():
    space = {**SPACE, "hidden": choice(GIVEN)}
    plain = study_of(space=space)
    assert [one.name for one in plain.axes] == plain.varied == ["learning_rate", "hidden"]
    assert not any(name.startswith("params_units") for name in plain.to_dicts()[0])
    fixed = study_of([(8, 8)] * 2, {**SPACE, "hidden": layers(2, 8)})
    assert [one.name for one in fixed.axes] == ["learning_rate"]
    assert "params_depth" not in fixed.to_dicts()[0]


def test_a_domain_is_found_by_the_name_of_an_axis():
    study = study_of()
    assert study.domain("hidden") == SPACE["hidden"]
    assert study.domain("depth") == randint(0, 3)
    assert study.domain("units_2") == UNITS
    assert study.domain("learning_rate") == SPACE["learning_rate"]
    # settings outside of their space: what they have is all that is known
    outside = study_of([*GIVEN, (65,)])
    assert isinstance(outside.domain("hidden"), Choice)
    assert [one.name for one in outside.axes] == ["learning_rate", "hidden"]
    assert "params_depth" not in outside.to_dicts()[0]


def test_axes_on_which_settings_agree_are_left_out():
    study = study_of([(8, 64), (8, 32)])
    assert [one.name for one in study.axes] == ["learning_rate", "units_2"]
    assert study.varied == ["learning_rate", "hidden"]


def test_the_summary_has_a_column_for_each_axis(capsys):
    study_of().summary()
    lines = capsys.readouterr().out.splitlines()
    head = [cell.strip() for cell in re.split("[┃]", lines[2])[1:-1]]
    assert head[4:] == ["learning_rate", "depth", "units_1", "units_2", "units_3"]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line[0] == "│"]
    assert [row[5:] for row in rows] == [
        ["0", "-", "-", "-"],
        ["1", "4", "-", "-"],
        ["2", "8", "64", "-"],
        ["3", "32", "16", "5"],
    ]


def test_a_slice_of_each_axis_is_on_its_scale():
    study = study_of()
    figure = jaxnn.plot_slice(study)
    shown = {axes.get_xlabel(): axes for axes in figure.axes if axes.get_visible()}
    assert [*shown] == ["learning_rate", "depth", "units_1", "units_2", "units_3"]
    places = lambda name: shown[name].collections[1].get_offsets()[:, 0].compressed().tolist()
    # 4 to 64, half a unit more at each end
    position = lambda units: np.log(units / 3.5) / np.log(64.5 / 3.5)
    assert places("depth") == pytest.approx([0.125, 0.375, 0.625, 0.875])
    assert places("units_1") == pytest.approx([*map(position, (4, 8, 32))])
    assert places("units_2") == pytest.approx([*map(position, (64, 16))])
    assert places("units_3") == pytest.approx([position(5)])
    ticks = lambda name: [tick.get_text() for tick in shown[name].get_xticklabels()]
    assert ticks("depth") == ["0", "1", "2", "3"]
    # four to a decade, as whole numbers
    assert ticks("units_1") == ["4", "10", "25", "64"]
    np.testing.assert_allclose(shown["depth"].get_xticks(), [0.125, 0.375, 0.625, 0.875])
    names = lambda params: [one.get_xlabel() for one in jaxnn.plot_slice(study, params).axes]
    assert names(["units_2", "learning_rate"]) == ["units_2", "learning_rate"]
    assert names(["hidden"]) == ["depth", "units_1", "units_2", "units_3"]
    assert names(["batch_size"]) == ["batch_size"]
    with pytest.raises(ValueError, match=r"got \['units_4'\]; expected some of .*, depth, units_1"):
        jaxnn.plot_slice(study, ["depth", "units_4"])


def test_the_report_has_coordinates_and_columns_of_each_axis(tmp_path):
    study_of().report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    find = lambda pattern: json.loads(re.search(pattern, page, re.MULTILINE)[1])
    table = find(r"^const table = (.*);$")
    assert table["head"][7:] == ["learning_rate", "depth", "units_1", "units_2", "units_3"]
    assert [row[8:] for row in table["rows"]] == [
        [0, "-", "-", "-"],
        [1, 4, "-", "-"],
        [2, 8, 64, "-"],
        [3, 32, 16, 5],
    ]
    (figure,) = find(r"^draw\(\"coordinates\", (.*)\);$")["data"]
    shown = {one["label"]: one for one in figure["dimensions"]}
    assert shown["depth"]["range"] == [0, 1]
    assert decoded(shown["depth"]["values"]) == pytest.approx([0.125, 0.375, 0.625, 0.875])
    # settings without a second layer lie below the axis's own values, at a tick of their own
    second = shown["units_2"]
    assert (second["range"], second["tickvals"][0], second["ticktext"][0]) == ([-0.1, 1], -0.1, "-")
    low = [-0.1, -0.1]
    values = [UNITS.position(64), UNITS.position(16)]
    assert decoded(second["values"]) == pytest.approx(low + values)


@pytest.mark.parametrize(
    ("goodness", "expected"),
    [
        (lambda units: -abs(np.log(units[0] / 16)), {}),
        (lambda units: units[0], {"units_1": 64}),
        (lambda units: -units[0], {"units_1": 4}),
        # the best have a second layer, and it is wide
        (lambda units: units[1] if len(units) > 1 else 0, {"units_2": 64}),
        (lambda units: len(units), {"depth": 40}),
        # fewer layers than none are not allowed
        (lambda units: -len(units), {}),
    ],
)
def test_the_edge_of_each_axis_is_pointed_out(goodness, expected, capsys):
    is_deep = expected.keys() == {"depth"} or goodness((1,) * 9) == -9
    domain = layers(randint(0, 40), 8) if is_deep else layers(randint(1, 2), UNITS)
    settings = sample({"hidden": domain}, 128, seed=1)
    study = make_study(settings, [goodness(one["hidden"]) for one in settings])
    assert at_edge(study) == expected
    study.summary()
    text = capsys.readouterr().out
    for name, bound in expected.items():
        assert f"at the edge of the space: {name} near {bound}; widen it" in text


def test_units_of_one_cannot_be_widened():
    settings = sample({"hidden": layers(2, lograndint(1, 64), "brick")}, 64, seed=1)
    assert at_edge(make_study(settings, [-one["hidden"][0] for one in settings])) == {}


def test_a_number_of_the_model_is_no_axis():
    """A name that came to the settings after they were drawn keeps its column."""
    study = study_of()
    for setting in (*study.given, *study.settings):
        setting["depth"] = 0.5
    rows = study.to_dicts()
    assert [row["params_depth"] for row in rows] == [0.5] * 4
    assert rows[1]["params_units_1"] == 4


ADAM = {"optimizer": "adam", "learning_rate": loguniform(1e-4, 1e-2)}
MOMENTUM = {"optimizer": "momentum", "learning_rate": loguniform(1e-2, 1e0)}


def test_settings_of_several_spaces_share_the_columns_and_axes_of_their_names():
    settings = sample([ADAM, MOMENTUM], 16)
    study = make_study(settings, np.linspace(0.9, 0.2, 16))
    assert [one.name for one in study.axes] == ["optimizer", "learning_rate"]
    axis, rates = study.domain("learning_rate"), [one["learning_rate"] for one in settings]
    assert (axis.low, axis.high, axis.scale) == (min(rates), max(rates), "log")
    assert study.to_dataframe()["params_learning_rate"].tolist() == rates
    jaxnn.plot_slice(study, ["learning_rate"])


def test_options_that_are_ranges_lie_on_one_axis_with_the_others():
    space = {"dropout": choice([0.0, jaxnn.uniform(0.1, 0.5)])}
    study = make_study(sample(space, 16), np.linspace(0.9, 0.2, 16))
    assert [one.name for one in study.axes] == ["dropout"]
    assert study.domain("dropout").low == 0.0
    assert [name for name in study.to_dicts()[0] if name.startswith("params")] == ["params_dropout"]


def test_each_space_has_edges_of_its_own():
    """Momentum is best at 0.01, which lies in the middle of all rates and at its own edge."""
    settings = sample([ADAM, MOMENTUM], 64)
    distance = lambda one: (one["optimizer"] == "adam") + one["learning_rate"]
    order = sorted(range(64), key=lambda n: distance(settings[n]))
    values = np.empty(64)
    values[order] = np.linspace(0.9, 0.1, 64)
    assert at_edge(make_study(settings, values)) == {"learning_rate": 0.01}


def test_an_option_that_is_a_range_has_an_edge():
    space = {"dropout": choice([0.0, jaxnn.uniform(0.1, 0.5)])}
    settings = sample(space, 64)
    order = sorted(range(64), key=lambda n: -settings[n]["dropout"])
    values = np.empty(64)
    values[order] = np.linspace(0.9, 0.1, 64)
    assert at_edge(make_study(settings, values)) == {"dropout": 0.5}
