"""The plan: which settings share a program; what it costs; what it must not depend on."""

import dataclasses
from collections import Counter

import jax
import numpy as np
import pytest
from helpers.comparisons import assert_lane_is_solo
from helpers.data import halves

import jaxnn
from jaxnn import Dataset, choice, fit, loguniform, mlp, plan, reverseloguniform, sample
from jaxnn.compiled import lanes
from jaxnn.planning.costs import RATES
from jaxnn.planning.joining import MOST_PROGRAMS

SPACE = {
    "hidden": choice([(25, 12), (50, 25), (64, 32), (128, 64), (64, 32, 16), (128,)]),
    "batch_size": choice([16, 32, 64, 128]),
    "optimizer": choice(["gd", "momentum", "rmsprop", "adam"]),
    "activation": choice(["relu", "tanh", "leaky_relu"]),
    "batch_norm": choice([False, True]),
    "learning_rate": loguniform(1e-4, 1e-1),
    "momentum": reverseloguniform(0.9, 0.999),
}


def shaped(num_examples, num_features, num_classes=6):
    y = np.arange(num_examples) % num_classes
    return Dataset(np.zeros((num_examples, num_features), np.float32), y)


SIGNS, DIGITS = shaped(1080, 12288), shaped(1437, 64, 10)


@pytest.mark.parametrize("seed", range(3))
def test_256_mixed_settings_on_signs_take_few_programs_and_little_padding(seed):
    """The measure of the plan: hidden units, depth, mini-batch size and more differ."""
    planned = plan(sample(SPACE, 256, seed, method="random"), SIGNS, epochs=60)
    assert len(planned.programs) <= 14
    assert planned.padded_share <= 0.25
    assert planned.compile_seconds <= 0.15 * planned.seconds


@pytest.mark.parametrize("data", [SIGNS, DIGITS], ids=["signs", "digits"])
def test_every_setting_has_one_program_that_fits_it(data):
    settings = sample({**SPACE, "inputs": choice(["raw", "centred"])}, 100, seed=1)
    planned = plan(settings, data, seeds=3)
    numbers = [number for one in planned.programs for number in one.settings]
    assert sorted(numbers) == list(range(100))
    for one in planned.programs:
        mixture = one.program.networks
        for number in one.settings:
            setting = settings[number]
            least, most = one.program.batch_sizes
            assert least <= setting["batch_size"] <= most
            assert setting["optimizer"] in one.program.optimizers
            assert setting["inputs"] == one.inputs
            assert setting["activation"] in mixture.activations
            assert setting["batch_norm"] in mixture.batch_norms
            assert len(setting["hidden"]) in mixture.depths
            widest = (*mixture.hidden, 0, 0)
            assert all(n <= most for n, most in zip(setting["hidden"], widest, strict=False))
        assert one.num_lanes == 3 * len(one.settings)
        # the lanes of a chunk have one mini-batch size
        sizes = Counter(settings[number]["batch_size"] for number in one.settings)
        assert one.num_chunks == sum(-(-3 * count // one.chunk) for count in sizes.values())
        assert one.real_seconds <= one.seconds * (1 + 1e-9)
    assert 0 <= planned.padded_share < 1


def test_a_plan_is_a_pure_function_and_does_not_depend_on_the_order():
    settings = list(sample(SPACE, 60, seed=2))
    first, second = plan(settings, SIGNS), plan(settings, SIGNS)
    assert first.programs == second.programs
    order = np.random.default_rng(0).permutation(60)
    shuffled = plan([settings[number] for number in order], SIGNS)
    groups = lambda planned, name: {
        (one.program, one.chunk, frozenset(name(n) for n in one.settings))
        for one in planned.programs
    }
    assert groups(shuffled, lambda n: int(order[n])) == groups(first, lambda n: n)


def test_equal_structure_is_one_program_whose_chunk_does_not_depend_on_the_lanes():
    """Promise 2: a lane's bits would depend on its companions otherwise."""
    setting = {"hidden": (25, 12)}
    plans = [plan([setting] * count, SIGNS) for count in (1, 5, 40)]
    assert [len(one.programs) for one in plans] == [1, 1, 1]
    assert {(one.programs[0].program, one.programs[0].chunk) for one in plans} == {
        (plans[0].programs[0].program, 4)
    }
    assert not plans[0].programs[0].program.is_mixed
    assert plans[2].padded_share == pytest.approx(0, abs=1e-9)
    # one lane in a chunk of four: three quarters are thrown away
    assert plans[0].padded_share == pytest.approx(3 / 4)


def test_compiling_is_weighed_against_padded_work():
    settings = [{"hidden": (8 * n, n)} for n in range(1, 9)]

    def count(epochs=60, **rates):
        """With repetitions enough to fill all chunks: joining would save fillers as well."""
        rates = RATES["cpu"]._replace(**rates)
        return len(plan(settings, SIGNS, epochs=epochs, seeds=32, rates=rates).programs)

    assert count(compile=1e9) == 1
    assert count(compile=0.0, compile_layer=0.0) == 8
    # the longer the training, the more programs are worth their compilation
    programs = [count(epochs, compile=40.0) for epochs in (1, 60, 5000)]
    assert programs == sorted(programs)
    assert programs[0] == 1 < programs[-1]


def test_what_cannot_share_a_program_does_not():
    settings = [
        {"hidden": (5,)},
        {"hidden": ()},
        {"hidden": (6,), "batch_size": 16},
        {"hidden": (5,), "inputs": "centred"},
        # filled up to more than four times its size
        {"hidden": (5,), "batch_size": 3},
        {"hidden": (7, 3), "optimizer": "gd", "activation": "tanh", "dropout": 0.5, "l2": 0.1},
    ]
    planned = plan(settings, DIGITS)
    assert sorted(one.settings for one in planned.programs) == [(0, 2, 5), (1,), (3,), (4,)]
    mixed = next(one.program for one in planned.programs if one.settings == (0, 2, 5))
    assert mixed.batch_sizes == (16, 32)
    assert (mixed.optimizers, mixed.switches) == (("adam", "gd"), ("dropout", "l2"))
    assert mixed.networks.units == (64, 7, 3, 10)


def test_more_programs_than_twelve_are_worth_their_padding():
    """Units from 16 to 1,024: joined to twelve programs, the narrow ones train as wide ones."""
    widths = [16, 25, 40, 64, 101, 161, 256, 406, 645, 1024]
    settings = [
        {"hidden": (units,) * depth, "batch_size": size, "learning_rate": 1e-3 * seed}
        for units in widths
        for depth in (1, 2, 3)
        for size in (8, 16, 32, 64, 128)
        for seed in range(1, 11)
    ]
    planned = plan(settings, shaped(600, 18, 4), epochs=243)
    assert MOST_PROGRAMS < len(planned.programs) < 3 * MOST_PROGRAMS
    assert planned.padded_share < 0.5
    assert planned.compile_seconds < 0.05 * planned.seconds


def test_there_are_at_most_twelve_programs_where_that_can_be():
    rates = RATES["cpu"]._replace(compile=0.0, compile_layer=0.0)
    settings = [{"hidden": (n,)} for n in range(1, 30)]
    assert len(plan(settings, SIGNS, seeds=32, rates=rates).programs) == MOST_PROGRAMS
    # networks of one's own are not filled up to a greater mini-batch
    sizes = [{"batch_size": n} for n in range(1, 20)]
    assert len(plan(sizes, SIGNS, rates=rates, model=mlp(12288, (), 6)).programs) == 19


def test_small_networks_share_a_program_across_sizes_of_mini_batches():
    """Where compiling costs more than filling up, not where it is free or the work is large."""
    settings = [{"hidden": (32, 16), "batch_size": size} for size in (32, 64)]
    (one,) = plan(settings, DIGITS, seeds=32).programs
    assert one.program.batch_sizes == (32, 64)
    # lanes of 32 take twice the steps, each filled up to 64
    alone = plan(settings[1:], DIGITS, seeds=32).programs[0]
    steps = {size: -(-len(DIGITS) // size) for size in (32, 64)}
    assert one.seconds == pytest.approx(alone.seconds * sum(steps.values()) / steps[64])
    free = RATES["cpu"]._replace(compile=0.0, compile_layer=0.0)
    assert len(plan(settings, DIGITS, seeds=32, rates=free).programs) == 2
    assert len(plan(settings, SIGNS, seeds=64, epochs=1000).programs) == 2


def test_thousands_of_structures_are_planned():
    space = {**SPACE, "hidden": choice([(n, m) for n in range(8, 128) for m in (4, 8)])}
    planned = plan(sample(space, 3000, seed=0), DIGITS)
    assert sum(one.num_lanes for one in planned.programs) == 3000
    assert len(planned.programs) <= MOST_PROGRAMS


def test_print_and_html_tell_what_a_person_wants_to_know():
    settings = [{"hidden": (64, 32)}, {"hidden": (25,), "optimizer": "gd", "batch_norm": True}] * 9
    planned = plan(settings, SIGNS, seeds=2, epochs=60)
    text = str(planned)
    assert "18 settings x 2 on cpu: 36 lanes in" in text
    assert "1,080 examples, 12,288 features, 60 epochs" in text
    for word in ("64-32", "adam", "gd", "relu", "Padded work", "of compiling", "MB a chunk"):
        assert word in text, word
    assert max(map(len, text.splitlines())) <= 120
    assert "row_space=True trains about" in text
    assert "exact for gd and momentum, another path for adam and rmsprop" in " ".join(text.split())
    assert "row_space" not in str(plan(settings, DIGITS))
    assert "row_space" not in str(plan(settings, SIGNS, row_space=True))
    assert planned._repr_html_().startswith("<pre")
    assert "64-32" in planned._repr_html_()


def test_a_long_plan_shows_its_first_programs():
    data = Dataset(np.eye(8), np.arange(8) % 2)
    whole = plan([{"hidden": (5,), "batch_size": 4}], data)
    (one,) = whole.programs
    assert "more." not in str(dataclasses.replace(whole, programs=(one,) * 200))
    text = str(dataclasses.replace(whole, programs=(one,) * 1300))
    assert "... and 1,100 programs more." in text
    assert text.count("relu") == 200


def test_the_row_space_is_planned_with_fewer_features():
    settings = [{"hidden": (25, 12)}, {"hidden": (64, 32)}]
    pixels, rotated = (
        plan(settings, SIGNS, seeds=32, row_space=row_space) for row_space in (False, True)
    )
    assert (pixels.num_features, rotated.num_features) == (12288, 1080)
    assert rotated.seconds < pixels.seconds / 3
    assert plan(settings, DIGITS, row_space=True).num_features == 64


@pytest.fixture
def data():
    data = halves(50, 4)
    return data[:40], data[40:]


SETTINGS = [{"hidden": (6, 5)}, {"hidden": (3,), "optimizer": "gd"}, {"hidden": (4,)}]


def test_a_sweep_compiles_its_plan_and_keeps_it(data):
    """Promise 5: compilations equal the plan's programs, and the next sweep has none."""
    before = lanes.train_lanes._cache_size()
    study = jaxnn.sweep(SETTINGS, *data, epochs=2)
    assert study.plan.programs == plan(SETTINGS, data[0], epochs=2).programs
    assert lanes.train_lanes._cache_size() == before + len(study.plan.programs)
    changed = [{**setting, "learning_rate": 0.1} for setting in SETTINGS]
    with jax.no_tracing():
        jaxnn.sweep(changed, *data, epochs=2, seed=3, seeds=2, plan=study.plan)


@pytest.mark.slow
def test_a_sweep_trains_by_the_plan_that_it_is_given(data):
    rates = RATES["cpu"]._replace(compile=0.0, compile_layer=0.0)
    apart = plan(SETTINGS, data[0], seeds=32, rates=rates)
    together = plan(SETTINGS, data[0])
    assert len(apart.programs) > len(together.programs) == 1
    for planned in (apart, together):
        study = jaxnn.sweep(SETTINGS, *data, epochs=3, plan=planned)
        assert study.plan is planned
        for number, setting in enumerate(SETTINGS):
            assert_lane_is_solo(study, number, 0, fit(setting, *data, epochs=3), 1e-4)


def test_a_plan_for_other_settings_is_refused_before_anything_compiles(data):
    planned = plan(SETTINGS, data[0])
    others = {
        "expected one for these 2": SETTINGS[:2],
        r"settings\[0\] that does not fit": [{"hidden": (9, 9)}, *SETTINGS[1:]],
        r"settings\[2\] that does not": [*SETTINGS[:2], {"hidden": (4,), "batch_size": 16}],
        r"settings\[1\] that does not": [SETTINGS[0], {"inputs": "centred"}, SETTINGS[2]],
    }
    for message, settings in others.items():
        with jax.no_tracing(), pytest.raises(ValueError, match=message):
            jaxnn.sweep(settings, *data, epochs=1, plan=planned)
    with pytest.raises(ValueError, match="plan got 5; expected one made by"):
        jaxnn.sweep(SETTINGS, *data, epochs=1, plan=5)
    with pytest.raises(
        ValueError, match="one for row_space=False; expected one for row_space=True"
    ):
        jaxnn.sweep(SETTINGS, *data, epochs=1, plan=planned, row_space=True)
    damaged = dataclasses.replace(planned, programs=planned.programs * 2)
    with pytest.raises(ValueError, match="plan got"):
        jaxnn.sweep(SETTINGS, *data, epochs=1, plan=damaged)
