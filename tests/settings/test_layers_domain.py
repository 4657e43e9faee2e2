"""`layers`: how many hidden layers, and how many units each."""

import itertools
import math
import re
from collections import Counter

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import jaxnn
from jaxnn import choice, layers, lograndint, loguniform, randint, sample, uniform
from jaxnn.disk.encoding import decode, encode
from jaxnn.engine.identities import _as_trained
from jaxnn.results.axes import span
from jaxnn.settings.alternatives import axes_in
from jaxnn.settings.domains import Choice
from jaxnn.settings.hyperparameters import complete
from jaxnn.settings.sampling import checked_space, drawn_setting

SHAPES = ("free", "brick", "funnel")


def drawn(domain, n=4000, method="random"):
    return [one["hidden"] for one in sample({"hidden": domain}, n, seed=3, method=method)]


def goodness(counts, shares):
    """The p-value of a chi-square test; all that was drawn has a share."""
    assert {*counts} <= {*shares}
    total = sum(counts.values())
    expected = [total * share for share in shares.values()]
    return scipy.stats.chisquare([counts[key] for key in shares], expected).pvalue


def log_shares(low, high):
    width = math.log((high + 0.5) / (low - 0.5))
    return {n: math.log((n + 0.5) / (n - 0.5)) / width for n in range(low, high + 1)}


@pytest.mark.parametrize("method", ["random", "sobol"])
def test_depth_and_units_of_each_layer_are_drawn_by_themselves(method):
    """Depth: a third each. Units: log, the same for each layer whatever the depth."""
    found = drawn(layers(randint(1, 3), lograndint(2, 6)), 4096, method)
    assert goodness(Counter(map(len, found)), dict.fromkeys((1, 2, 3), 1 / 3)) > 0.01
    for layer in range(3):
        units = Counter(one[layer] for one in found if len(one) > layer)
        assert goodness(units, log_shares(2, 6)) > 0.01
    pairs = Counter(one[:2] for one in found if len(one) > 1)
    shares = log_shares(2, 6)
    both = {(a, b): shares[a] * shares[b] for a, b in itertools.product(shares, shares)}
    assert goodness(pairs, both) > 0.01


@pytest.mark.parametrize("shape", ["brick", "funnel"])
def test_a_shape_draws_one_number_of_units(shape):
    found = drawn(layers(choice([0, 2, 4]), choice([8, 16]), shape))
    assert goodness(Counter(map(len, found)), dict.fromkeys((0, 2, 4), 1 / 3)) > 0.01
    assert goodness(Counter(one[0] for one in found if one), {8: 1 / 2, 16: 1 / 2}) > 0.01
    assert () in found
    if shape == "brick":
        assert all(len({*one}) == 1 for one in found if one)
    else:
        assert {one for one in found if one[:1] == (16,)} == {(16, 9), (16, 13, 10, 7)}


def test_each_layer_may_have_a_domain_of_its_own():
    domain = layers(randint(1, 3), (64, choice([8, 16]), randint(2, 3)))
    assert [*domain.axes("hidden")] == ["depth", "units_2", "units_3"]
    assert {*drawn(domain, 500)} == {
        (64,),
        *itertools.product([64], [8, 16]),
        *itertools.product([64], [8, 16], [2, 3]),
    }


@pytest.mark.parametrize(
    ("depth", "units", "outputs", "expected"),
    [
        # step floor(63 / 3) = 21, and 22 - 21 = 1 is the output
        (3, 64, 1, (64, 43, 22)),
        # floor(90 / 4) = 22
        (4, 100, 10, (100, 78, 56, 34)),
        (1, 100, 10, (100,)),
        (2, 10, 10, (10, 10)),
        # narrower than the outputs: no step back
        (3, 4, 10, (4, 4, 4)),
        # floor(4 / 8) = 0
        (8, 5, 1, (5,) * 8),
        (3, 1, 1, (1, 1, 1)),
        # floor(1023 / 5) = 204
        (5, 1024, 1, (1024, 820, 616, 412, 208)),
        (0, 64, 1, ()),
    ],
)
def test_a_funnel_falls_in_equal_steps(depth, units, outputs, expected):
    assert drawn(layers(depth, units, "funnel", outputs), 1) == [expected]


@given(st.integers(1, 12), st.integers(1, 300), st.integers(1, 40))
def test_a_funnel_never_widens_nor_gets_narrower_than_its_outputs(depth, units, outputs):
    (found,) = drawn(layers(depth, units, "funnel", outputs), 1)
    steps = {wide - narrow for wide, narrow in itertools.pairwise(found)}
    assert len(found) == depth
    assert len(steps) <= 1
    assert min(found) >= min(units, outputs) >= 1
    # the step to the output layer is the widest
    if units >= outputs and steps:
        assert 0 <= min(steps) <= found[-1] - outputs < min(steps) + depth


numbers = st.integers(1, 40)
parts = st.one_of(
    numbers,
    st.tuples(numbers, numbers).map(lambda one: randint(one[0], one[0] + one[1])),
    st.tuples(numbers, numbers).map(lambda one: lograndint(one[0], one[0] + one[1])),
    st.lists(numbers, min_size=1, max_size=4).map(choice),
)
depths = st.one_of(
    st.integers(0, 4),
    st.integers(0, 2).map(lambda low: randint(low, low + 2)),
    st.lists(st.integers(0, 4), min_size=1, max_size=3).map(choice),
)


def greatest(depth):
    return max(depth.options) if isinstance(depth, Choice) else getattr(depth, "high", depth)


@st.composite
def domains(draw):
    depth, shape = draw(depths), draw(st.sampled_from(SHAPES))
    count = greatest(depth)
    if shape == "free" and draw(st.booleans()):
        units = tuple(draw(st.lists(parts, min_size=count, max_size=count)))
    else:
        units = draw(parts)
    return layers(depth, units, shape, outputs=draw(st.integers(1, 5)))


def joined(domain, values):
    """The layers of which each axis has a value; those that are not used have none."""
    return domain.drawn("hidden", lambda axis, _: values.get(axis))


@given(domains(), st.integers(0, 9))
def test_a_value_goes_to_its_axes_and_back(domain, seed):
    axes = domain.axes("hidden")
    for hidden in (one["hidden"] for one in sample({"hidden": domain}, 8, seed)):
        complete({"hidden": hidden})
        found = domain.split("hidden", hidden)
        assert found.keys() <= axes.keys()
        assert joined(domain, found) == hidden
        assert domain.holds("hidden", [hidden])
        assert ("depth" in found) == ("depth" in axes)
        # those of further layers are absent, and any number in their place changes nothing
        assert sum(name != "depth" for name in found) <= len(hidden)
        rest = {name: axis.value(0.3) for name, axis in axes.items() if name not in found}
        assert joined(domain, rest | found) == hidden


@given(domains())
def test_text_and_file_give_the_domain_back(domain):
    assert eval(repr(domain)) == domain
    again = decode(encode(domain))
    assert again == domain
    assert repr(again) == repr(domain)


def test_an_axis_for_each_number_that_is_drawn():
    units = lograndint(16, 256)
    axes = lambda *arguments: layers(*arguments).axes("hidden")
    depth = randint(1, 3)
    assert axes(depth, units) == {"depth": depth, **{f"units_{i}": units for i in (1, 2, 3)}}
    assert axes(2, units) == {"units_1": units, "units_2": units}
    assert axes(depth, units, "brick") == {"depth": depth, "units": units}
    assert axes(depth, 64, "funnel") == {"depth": depth}
    assert axes(depth, [64, units, 8]) == {"depth": depth, "units_2": units}
    assert axes(2, 64) == axes(0, units) == axes(0, units, "brick") == axes(0, ()) == {}
    space = {"learning_rate": loguniform(1e-4, 1), "hidden": layers(depth, 8), "optimizer": "gd"}
    assert [*axes_in(space)] == ["learning_rate", "depth"]
    found = {"learning_rate": 0.1, "depth": 2}
    assert drawn_setting(space, lambda axis, _: found[axis]) == {
        "learning_rate": 0.1,
        "hidden": (8, 8),
        "optimizer": "gd",
    }


def test_other_names_of_a_space_are_drawn_as_ever():
    """A domain after layers has its own column of the points; without layers nothing changed."""
    space = {"l2": uniform(0, 1), "hidden": layers(2, 8), "dropout": uniform(0, 0.5)}
    without = {name: 8 if name == "hidden" else domain for name, domain in space.items()}
    for method in ("sobol", "random", "grid"):
        ours = sample(space, 16, seed=1, method=method)
        plain = sample(without | {"hidden": (8, 8)}, 16, seed=1, method=method)
        assert ours == plain
    more = sample(space | {"hidden": layers(randint(1, 2), 8)}, 16, seed=1)
    assert more == sample(space | {"hidden": layers(randint(1, 2), 8)}, 33, seed=1)[:16]


def test_a_grid_has_no_setting_twice():
    space = {"hidden": layers(choice([0, 1, 2]), choice([4, 8])), "optimizer": "gd"}
    settings = sample(space, 12, method="grid")
    options = [(), (4,), (8,), *itertools.product([4, 8], [4, 8])]
    assert sorted(one["hidden"] for one in settings) == sorted(options)
    assert settings[0]["hidden"] == ()
    with pytest.raises(ValueError, match="a grid got n=11; expected 12 at least"):
        sample(space, 11, method="grid")
    # of ranges as many values of each axis as n allows: 27 = 3 x 3 x 3
    ranges = {"hidden": layers(randint(1, 2), randint(1, 100))}
    found = [one["hidden"] for one in sample(ranges, 27, method="grid")]
    units = (1, 51, 100)
    assert sorted(found) == sorted([*((one,) for one in units), *itertools.product(units, units)])


def test_numbers_of_other_types_are_the_same_domain():
    plain = layers(randint(1, 3), choice([64, 32]))
    other = layers(randint(1.0, np.int64(3)), choice([64.0, np.float32(32)]))
    assert other == plain
    assert repr(other) == repr(plain)
    assert encode(_as_trained("hidden", other)) == encode(_as_trained("hidden", plain))
    assert layers(np.int8(2), 64.0, np.str_("brick")) == layers(2, 64, "brick")
    assert repr(layers(np.int8(2), 64.0, np.str_("brick"))) == repr(layers(2, 64, "brick"))
    assert {type(n) for one in drawn(other, 20) for n in one} == {int}
    assert layers(2, [64, 32]) == layers(2, (64, 32))
    assert hash(layers(2, [64, 32])) == hash(layers(2, (64, 32)))


def test_a_space_is_known_to_hold_its_own_values_alone():
    domain = layers(randint(1, 2), lograndint(4, 8))
    assert span("hidden", [(4,), (8, 5)], domain) is domain
    for other in [(), (3,), (4, 9), (4, 4, 4)]:
        assert not domain.holds("hidden", [other])
        assert isinstance(span("hidden", [(4,), other], domain), Choice)
    funnel = layers(randint(0, 3), lograndint(4, 64), "funnel")
    assert funnel.holds("hidden", [(64, 43, 22), ()])
    assert not funnel.holds("hidden", [(64, 43, 22), (64, 43, 21)])
    assert not layers(2, 8).holds("hidden", [(8,)])


def test_the_deepest_networks_can_be_drawn():
    (one,) = drawn(layers(256, randint(1, 2)), 1, "sobol")
    assert len(one) == 256
    complete({"hidden": one})


WHOLE = r"expected a whole number from 1 to 2147483647, or of such numbers jaxnn\.randint"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: layers(1, 0), f"layers got units 0; {WHOLE}"),
        (lambda: layers(1, 2**31), "layers got units 2147483648; expected"),
        (lambda: layers(1, -3), "layers got units -3"),
        (lambda: layers(1, 2.5), "layers got units 2.5"),
        (lambda: layers(1, math.nan), "layers got units nan"),
        (lambda: layers(1, math.inf), "layers got units inf"),
        (lambda: layers(1, True), "layers got units True"),
        (lambda: layers(1, "many"), "layers got units 'many'"),
        (lambda: layers(1, None), "layers got units None"),
        (lambda: layers(1, randint(0, 8)), r"layers got units jaxnn\.randint\(0, 8\); expected"),
        (lambda: layers(1, uniform(1, 8)), r"layers got units jaxnn\.uniform\(1, 8\); expected a"),
        (lambda: layers(1, loguniform(1, 8)), r"units jaxnn\.loguniform\(1, 8\); expected a whole"),
        (
            lambda: layers(1, choice([8, 0])),
            r"layers got units jaxnn\.choice\(\[8, 0\]\); expected",
        ),
        (lambda: layers(1, choice([8, "a"])), "layers got units jaxnn.choice"),
        (lambda: layers(1, choice([(8,)])), "layers got units jaxnn.choice"),
        (lambda: layers(1, layers(1, 8)), r"layers got units jaxnn\.layers\("),
        (lambda: layers(1, (choice([8, 0]),)), r"layers got units jaxnn\.choice\(\[8, 0\]\)"),
        (lambda: layers(1, ((8,),)), r"layers got units \(8,\)"),
        (
            lambda: layers(-1, 8),
            "layers got depth -1; expected a whole number from 0 to 256, or of",
        ),
        (lambda: layers(257, 8), "layers got depth 257; expected a whole number from 0 to 256"),
        (lambda: layers(randint(-1, 3), 8), r"layers got depth jaxnn\.randint\(-1, 3\)"),
        (lambda: layers(randint(1, 257), 8), r"layers got depth jaxnn\.randint\(1, 257\)"),
        (lambda: layers(choice([1, 300]), 8), r"layers got depth jaxnn\.choice\(\[1, 300\]\)"),
        (lambda: layers(uniform(1, 3), 8), r"layers got depth jaxnn\.uniform\(1, 3\); expected"),
        (lambda: layers((1, 2), 8), r"layers got depth \(1, 2\)"),
        (lambda: layers(1, 8, "cone"), "shape got 'cone'; expected one of free, brick, funnel"),
        (lambda: layers(1, 8, 3), "shape got 3; expected one of free, brick, funnel"),
        (
            lambda: layers(randint(1, 3), (16, 8)),
            r"layers got 2 units, \(16, 8\), for a depth of at most 3; expected 3, one for each",
        ),
        (lambda: layers(1, (16, 8)), "layers got 2 units, .* for a depth of at most 1; expected 1"),
        (
            lambda: layers(2, (16, 8), "brick"),
            r"layers got units \(16, 8\) with the shape 'brick', .*; expected one number or domain",
        ),
        (lambda: layers(2, [16, 8], "funnel"), "with the shape 'funnel'"),
        (lambda: layers(1, 8, "funnel", 0), "outputs got 0; expected a whole number >= 1"),
        (lambda: layers(1, 8, "funnel", 1.5), "outputs got 1.5; expected a whole number >= 1"),
        (
            lambda: sample({"batch_size": layers(1, 8)}, 2),
            r"space: batch_size got jaxnn\.layers\(.*, which draws layers; expected it for",
        ),
        (lambda: sample({"own": layers(1, 8)}, 2), "space: own got jaxnn.layers"),
        (
            lambda: sample({"hidden": layers(randint(1, 2), 8), "depth": 3}, 2),
            "space has 'depth', and so are called the axes of hidden, .*; expected another name",
        ),
        (
            lambda: sample({"units_2": uniform(0, 1), "hidden": layers(2, randint(1, 8))}, 2),
            "space has 'units_2', and so",
        ),
        (
            lambda: choice([(8,), layers(1, 8)]),
            r"choice got the option jaxnn\.layers\(.*\); expected plain values, ranges or choices",
        ),
        (
            lambda: complete({"hidden": layers(1, 8)}),
            r"hidden got jaxnn\.layers\(.*; expected a tu",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_name_clashes_with_axes_that_are_drawn_alone():
    space = {"hidden": layers(2, randint(1, 8), "brick"), "depth": 0.5}
    assert checked_space(space) == space
    text = "space has 'units', and so are called the axes of hidden"
    with pytest.raises(ValueError, match=re.escape(text)):
        checked_space(space | {"units": 0.5})


@pytest.mark.parametrize(
    "content",
    [
        {"depth": 300, "units": 8},
        {"depth": 1, "units": {"tuple": [8, 8]}},
        {"depth": 1, "units": 8, "shape": "cone"},
        {"depth": 1, "units": [8, {}]},
        {"depth": {"Layers": {"depth": 1, "units": 1}}, "units": 8},
        {"depth": 1},
        {"depth": 1, "units": 8, "width": 3},
    ],
)
def test_a_file_with_other_layers_is_refused(content):
    with pytest.raises(ValueError, match=r"layers got|shape got|Layers does not have the fields"):
        decode({"Layers": content})


def test_the_domain_is_public():
    assert jaxnn.layers is layers
