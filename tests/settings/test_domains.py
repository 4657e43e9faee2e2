import enum
import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import jaxnn
from jaxnn import choice, lograndint, loguniform, randint, reverseloguniform, sample, uniform
from jaxnn.reporting.plots import axis_ticks
from jaxnn.settings.hyperparameters import complete
from jaxnn.system.terminal import call_text


def draws(domain, n=4000, method="random"):
    return [setting["p"] for setting in sample({"p": domain}, n, seed=3, method=method)]


@pytest.mark.parametrize(
    ("domain", "distribution"),
    [
        (uniform(-1.0, 3.0), scipy.stats.uniform(-1, 4)),
        (loguniform(1e-4, 1e0), scipy.stats.loguniform(1e-4, 1)),
        (reverseloguniform(0.9, 0.999), scipy.stats.loguniform(1e-3, 1e-1)),
    ],
)
@pytest.mark.parametrize("method", ["random", "sobol"])
def test_distribution_of_numbers(domain, distribution, method):
    values = np.array(draws(domain, method=method))
    if domain.scale == "reverse log":
        values = 1 - values
    assert scipy.stats.kstest(values, distribution.cdf).pvalue > 0.01


@pytest.mark.parametrize(
    ("domain", "probabilities"),
    [
        (randint(2, 5), dict.fromkeys(range(2, 6), 0.25)),
        (
            lograndint(1, 8),
            {n: math.log((n + 0.5) / (n - 0.5)) / math.log(8.5 / 0.5) for n in range(1, 9)},
        ),
        (choice(["relu", "tanh", "sigmoid"]), dict.fromkeys(["relu", "tanh", "sigmoid"], 1 / 3)),
    ],
)
def test_distribution_of_whole_numbers_and_options(domain, probabilities):
    values = draws(domain)
    assert set(values) == set(probabilities)
    counts = [values.count(value) for value in probabilities]
    expected = [4000 * p for p in probabilities.values()]
    assert scipy.stats.chisquare(counts, expected).pvalue > 0.01


def test_reverse_log_is_the_courses_scale_for_beta():
    """Beta = 1 - 10^r: half of the draws above 0.99, a third of (0.9, 0.9999) in each decade."""
    assert np.median(draws(reverseloguniform(0.9, 0.999), 4097)) == pytest.approx(0.99, abs=1e-3)
    values = np.array(draws(reverseloguniform(0.9, 0.9999), method="sobol"))
    for low, high in ((0.9, 0.99), (0.99, 0.999), (0.999, 0.9999)):
        assert np.mean((values > low) & (values < high)) == pytest.approx(1 / 3, abs=0.01)


@given(
    st.sampled_from([uniform(-2.0, 5.0), loguniform(1e-6, 1e3), reverseloguniform(0.0, 0.9999)]),
    st.floats(0, 1),
)
def test_a_position_comes_back(domain, position):
    value = domain.value(position)
    assert domain.low <= value <= domain.high
    assert domain.position(value) == pytest.approx(position, abs=1e-6)


@given(st.integers(1, 50), st.integers(1, 50), st.floats(0, 1), st.booleans())
def test_whole_numbers_stay_inside_and_reach_both_ends(low, width, position, is_log):
    domain = (lograndint if is_log else randint)(low, low + width)
    value = domain.value(position)
    assert isinstance(value, int)
    assert low <= value <= low + width
    assert (domain.value(0.0), domain.value(1.0)) == (low, low + width)


def test_sample_fixes_plain_values_and_repeats_itself():
    space = {
        "learning_rate": loguniform(1e-4, 1e0),
        "hidden": choice([(25, 12), (64, 32)]),
        "optimizer": "momentum",
    }
    for method in ("sobol", "random"):
        settings = sample(space, 20, seed=5, method=method)
        assert settings == sample(space, 20, seed=5, method=method)
        assert settings == sample(space, 33, seed=5, method=method)[:20]
        assert settings != sample(space, 20, seed=6, method=method)
        assert settings.space == space
        assert {setting["optimizer"] for setting in settings} == {"momentum"}
        assert {setting["hidden"] for setting in settings} == {(25, 12), (64, 32)}
        for setting in settings:
            complete(setting)
    assert sample({"optimizer": "gd"}, 2) == [{"optimizer": "gd"}] * 2


def test_sobol_fills_every_parameter_more_evenly_than_chance():
    space = {name: uniform(0.0, 1.0) for name in ("a", "b", "c")}
    for seed in range(5):
        gaps = {}
        for method in ("sobol", "random"):
            settings = sample(space, 64, seed, method=method)
            points = np.array([list(setting.values()) for setting in settings])
            gaps[method] = scipy.stats.qmc.discrepancy(points)
        assert gaps["sobol"] < gaps["random"] / 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: uniform(1, 1), "low 1 and high 1; expected low < high"),
        (lambda: uniform(2, 1), "low 2 and high 1; expected low < high"),
        (lambda: loguniform(0, 1), "logarithmic range got the bound 0; expected bounds > 0"),
        (lambda: loguniform(-4, 0), "bound -4; expected bounds > 0, as values"),
        (lambda: lograndint(0, 9), "logarithmic range got the bound 0"),
        (lambda: reverseloguniform(0.9, 1), r"0.9 and 1; expected bounds in \[0, 1\)"),
        (lambda: reverseloguniform(-1, 0.9), r"expected bounds in \[0, 1\)"),
        (lambda: uniform(0, float("inf")), "bound inf; expected a finite number"),
        (lambda: uniform("a", 1), "bound 'a'; expected a finite number"),
        (lambda: uniform(False, True), "bound False; expected a finite number"),
        (lambda: randint(1, 2.5), "bound 2.5; expected a whole number"),
        (lambda: choice([]), r"choice got \[\]; expected a list of at least one option"),
        (lambda: choice("relu"), "choice got 'relu'; expected a list"),
        (lambda: sample({}, 0), "n got 0; expected a whole number >= 1"),
        (
            lambda: sample([1], 2),
            "space got 1; expected a dict, name -> domain or value, or a list",
        ),
        (
            lambda: sample({}, 2, method="lhs"),
            "method got 'lhs'; expected 'sobol', 'random' or 'grid'",
        ),
        (lambda: sample({"learning_rate": uniform(-1, 1)}, 2), "learning_rate got -1.0; expected"),
        (lambda: sample({"dropout": uniform(0, 1.5)}, 2), "dropout got 1.5; expected"),
        (lambda: sample({"batch_size": uniform(1, 9)}, 2), "batch_size got 1.0; expected a whole"),
        (lambda: sample({"learning_rate": [0.1, 1]}, 2), "or a domain such as jaxnn.choice"),
        (lambda: sample({"activation": choice(["relu", "swish"])}, 2), "activation got 'swish'"),
        (lambda: uniform(0, 10**400), r"bound 10{190,}\.\.\.; expected a finite number"),
        (lambda: randint(1, 10**400), "expected a whole number"),
        (lambda: uniform(-1e308, 1e308), "expected closer bounds"),
        (lambda: choice([{3}]), r"choice got \{3\}; expected numbers, text, True"),
        (lambda: sample({"batch_size": 10**400}, 2), "batch_size got 10+"),
        (lambda: sample({"own": {3}}, 2), r"own got \{3\}; expected numbers, text"),
        (lambda: sample({3: 1.0}, 2), "expected a dict, name -> domain or value"),
        (
            lambda: sample({"l2": uniform(0, 1)}, 2**31 - 1),
            "n got 2,147,483,647: .* of memory here",
        ),
    ],
)
def test_bad_spaces_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (jaxnn.uniform(0, 0.5), "jaxnn.uniform(0, 0.5)"),
        (jaxnn.loguniform(1e-4, 1), "jaxnn.loguniform(0.0001, 1)"),
        (jaxnn.reverseloguniform(0.9, 0.999), "jaxnn.reverseloguniform(0.9, 0.999)"),
        (jaxnn.randint(np.int64(1), 3), "jaxnn.randint(1, 3)"),
        (jaxnn.lograndint(16, 256), "jaxnn.lograndint(16, 256)"),
        (
            jaxnn.choice([[25, 12], (), None, "adam", np.float64(0.5)]),
            "jaxnn.choice([(25, 12), (), None, 'adam', 0.5])",
        ),
    ],
)
def test_the_text_of_a_domain_is_what_makes_it(domain, text):
    assert repr(domain) == text
    assert eval(text) == domain


def test_a_domain_in_a_message_is_what_the_user_wrote():
    with pytest.raises(ValueError, match=r"l2 got jaxnn\.loguniform\(1e-06, 0\.001\); expected"):
        jaxnn.settings.hyperparameters.complete({"l2": jaxnn.loguniform(1e-6, 1e-3)})


def test_a_call_is_cut_between_items_and_stays_in_balance():
    space = {f"name {n}": jaxnn.choice([f"it's, {n}", (n, "{["), n]) for n in range(40)}
    text = call_text(lambda space: None, {"space": space})
    text = text.removeprefix("jaxnn.<lambda>(space=").removesuffix(")")
    assert 500 < len(text) < 610
    names = {"jaxnn": jaxnn}
    assert text.endswith(("...}", "...])}"))
    start = text.replace("...])}", "])}").replace("...}", "}")
    shown = eval(start, names)
    # the last one shown may have lost options
    for name, domain in [*shown.items()][:-1]:
        assert domain == space[name]
    assert 5 < len(shown) < 40
    assert call_text(lambda space: None, {"space": "x" * 700}).endswith("xxx...)")


class Units(enum.IntEnum):
    FEW = 4


class Name(str, enum.Enum):  # noqa: UP042 (its str() is another text)
    TANH = "tanh"


def test_spaces_are_kept_in_plain_values():
    """What NumPy, fractions and enumerations bring; and nobody else's list."""
    hidden = [Units.FEW, np.int8(3)]
    space = {
        "learning_rate": uniform(Fraction(1, 8), np.float32(0.5)),
        "activation": choice([Name.TANH, np.str_("relu")]),
        "hidden": hidden,
        "l2": Fraction(1, 4),
    }
    settings = sample(space, 8)
    hidden.append(9)
    expected = {
        "learning_rate": uniform(0.125, 0.5),
        "activation": choice(["tanh", "relu"]),
        "hidden": (4, 3),
        "l2": 0.25,
    }
    assert settings.space == expected
    assert repr(settings.space) == repr(expected)
    kinds = {(name, type(value)) for one in settings for name, value in one.items()}
    assert kinds == {
        ("learning_rate", float),
        ("activation", str),
        ("hidden", tuple),
        ("l2", float),
    }


def test_the_widest_ranges_overflow_nowhere():
    for domain in (loguniform(1e-300, 1e300), lograndint(1, 10**300), uniform(0, 1e308)):
        values = [domain.value(position) for position in (0.0, 0.5, 1.0)]
        assert domain.low <= values[0] < values[1] < values[2] <= domain.high
        assert domain.value(1.05) > domain.high


@pytest.mark.parametrize(
    "domain",
    [loguniform(1, 10**30), uniform(0, 2**70), lograndint(1, 10**30), randint(-(2**70), 2**70)],
)
def test_an_axis_marks_numbers_beyond_64_bits(domain):
    texts, places = zip(*axis_ticks(domain), strict=True)
    assert len({*texts}) == len(texts) >= 4
    assert places == tuple(sorted(places))
    assert 0 <= places[0] <= places[-1] <= 1


def test_an_axis_marks_few_of_many_options():
    """And a place among them is found without a search through all."""
    many = choice([*range(1, 50_001)])
    marks = axis_ticks(many)
    assert len(marks) == 50
    assert (marks[0], marks[-1]) == (("1", 0.5 / 50_000), ("50000", 49_999.5 / 50_000))
    assert sum(many.position(one) for one in many.options) == pytest.approx(25_000)
    assert choice([3, 1, 3]).position(3) == 0.5 / 3
