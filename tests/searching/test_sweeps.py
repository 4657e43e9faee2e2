"""The promises of a sweep: what a lane is, and what it does not depend on."""

import dataclasses
import inspect
import os
import signal
import sys
import time
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.comparisons import assert_lane_is_solo, assert_same_bits, networks
from helpers.data import curved
from helpers.models import counting
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import jaxnn
from jaxnn import Dataset, Model, fit, mlp, search, sweep
from jaxnn.compiled import lanes
from jaxnn.engine import chunks
from jaxnn.engine.options import Options

pytestmark = pytest.mark.numbers

# every two of optimizer, batch norm and dropout together, with the schedules taken in turn
STRUCTURES = [
    {"optimizer": optimizer, "batch_norm": batch_norm, "dropout": dropout, "decay_schedule": decay}
    for optimizer, batch_norm, dropout, decay in (
        ("gd", True, 0.2, "inverse"),
        ("momentum", False, 0.2, "inverse_sqrt"),
        ("rmsprop", False, 0.0, "staircase"),
        ("adam", True, 0.0, "exponential"),
    )
]


# where the structure is not the point: one, with batch norm, so that it is compiled once
BATCH_NORM = {"batch_norm": True}


@pytest.fixture
def data():
    """40 training examples: mini-batches of 16 leave one of 8."""
    data = curved(44)
    return data[:40], data[40:]


def numbers(structure, index):
    """A setting whose every number differs from its neighbours'."""
    return {
        **structure,
        "hidden": (6, 5),
        "batch_size": 16,
        "learning_rate": 0.002 * (1 + index),
        "l2": 0.003 * (1 + index),
        "dropout": structure.get("dropout", 0.0) * (1 + index / 7),
        "momentum": 0.9 - index / 10,
        "beta1": 0.8 + index / 50,
        "beta2": 0.99 - index / 50,
        "epsilon": 10.0 ** -(4 + index),
        "batch_norm_decay": 0.9 - index / 20,
        "decay_rate": 0.9 - index / 10,
        "decay_every": 5.0 + index,
    }


@pytest.mark.parametrize(
    "structure",
    [
        pytest.param(one, id="-".join(map(str, one.values())), marks=marks)
        for number, one in enumerate(STRUCTURES)
        for marks in [[] if number == len(STRUCTURES) - 1 else [pytest.mark.slow]]
    ],
)
def test_a_lane_is_the_network_trained_alone(structure):
    """Promise 1: 201 steps in float64, with a smaller last mini-batch."""
    with jax.enable_x64(True):
        data = curved(44)
        train, valid = data[:40], data[40:]
        candidates = [numbers(structure, index) for index in range(3)]
        study = sweep(candidates, train, valid, epochs=67, seeds=2, seed=5, chunk=4, order_seed=3)
        for number, repeat in ((0, 0), (1, 1), (2, 0)):
            alone = fit(candidates[number], train, valid, epochs=67, seed=5 + repeat, order_seed=3)
            assert_lane_is_solo(study, number, repeat, alone, 1e-9)


def test_mixed_structures_and_inputs_train_in_one_call(data):
    candidates = [
        {"hidden": (5,), "batch_size": 16},
        {"hidden": (3, 4), "optimizer": "momentum", "inputs": "standardised"},
        {"hidden": (5,), "batch_size": 16, "inputs": "centred", "learning_rate": 0.01},
        {"hidden": (), "dropout": 0.1, "decay_schedule": "inverse"},
    ]
    study = sweep(candidates, *data, epochs=8)
    # of which each is a program
    for number in (1, 2):
        alone = fit(candidates[number], *data, epochs=8)
        assert_lane_is_solo(study, number, 0, alone, 1e-4)
        np.testing.assert_allclose(
            study.fitted(number).predict_proba(data[1].x),
            alone.predict_proba(data[1].x),
            rtol=1e-3,
        )


@pytest.mark.parametrize("metric", ["accuracy", pytest.param("cost", marks=pytest.mark.slow)])
def test_keep_best_keeps_the_network_of_the_best_epoch(data, metric):
    candidates = [numbers(BATCH_NORM, index) for index in range(4)]
    for one in candidates:
        one["learning_rate"] *= 30
    last = sweep(candidates, *data, epochs=15, metric=metric, chunk=4)
    best = sweep(candidates, *data, epochs=15, metric=metric, chunk=4, keep="best")
    for number in range(4):
        curves = last.fitted(number).curves
        hits, costs = curves["valid_accuracy"], curves["valid_cost"]
        keys = (costs, -hits) if metric == "accuracy" else (-hits, costs)
        epoch = np.lexsort(keys)[0]
        assert best.kept_epochs[number, 0] == epoch
        assert best.trials[number].value == curves[f"valid_{metric}"][epoch]
        fitted = best.fitted(number)
        held_out = jaxnn.evaluate(fitted.model, fitted.params, fitted.state, data[1])
        np.testing.assert_allclose(held_out[metric], best.values[number, 0], rtol=1e-4)
        assert last.trials[number].value == curves[f"valid_{metric}"][-1]
    assert (best.kept_epochs < 14).any()


def test_a_lane_is_the_network_trained_alone_in_float32(data):
    candidates = [numbers(BATCH_NORM, index) for index in range(3)]
    study = sweep(candidates, *data, epochs=60, chunk=4)
    for number in range(3):
        alone = fit(candidates[number], *data, epochs=60)
        assert_lane_is_solo(study, number, 0, alone, 1e-3)


@pytest.mark.slow
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "learning_rate": st.floats(1e-5, 1e2),
                "l2": st.floats(0, 0.5, allow_subnormal=False),
                "dropout": st.floats(0.01, 0.9),
                "beta1": st.floats(0, 0.999, allow_subnormal=False),
                "beta2": st.floats(0.5, 0.9999),
                "epsilon": st.floats(1e-8, 1e-2),
                "batch_norm_decay": st.floats(0, 1, allow_subnormal=False),
                "decay_rate": st.floats(0, 3, allow_subnormal=False),
                "decay_every": st.floats(0.1, 30),
            }
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 1000),
)
def test_any_numbers_give_the_network_trained_alone(drawn, seed):
    """Promise 1 for random spaces; where a setting is chaotic, to what 1e-15 makes of it."""
    structure = {"hidden": (5,), "batch_norm": True, "decay_schedule": "inverse", "batch_size": 16}
    with jax.enable_x64(True):
        data = curved(44)
        train, valid = data[:40], data[40:]
        candidates = [{**structure, **one} for one in drawn]
        study = sweep(candidates, train, valid, epochs=10, seed=seed, chunk=4)
        number = seed % len(candidates)
        alone = fit(candidates[number], train, valid, epochs=10, seed=seed)
        plain = mlp(4, (5,), 3, batch_norm=True)
        nudged = fit(candidates[number], train, valid, epochs=10, seed=seed, model=_nudged(plain))
        flat = lambda f: np.concatenate([np.ravel(x) for x in jax.tree.leaves(f.params)])
        scale = np.abs(flat(alone)).max()
        tolerance = max(1e-9 * scale, 100 * np.abs(flat(nudged) - flat(alone)).max())
        assume(np.isfinite(tolerance))
        assert np.abs(flat(study.fitted(number)) - flat(alone)).max() <= tolerance


NUDGED = {}


def _nudged(plain):
    """The same model with first weights that differ by 1e-15; one object, so it compiles once."""

    def init(key):
        params, state = plain.init(key)
        return jax.tree.map(lambda leaf: leaf * (1 + 1e-15), params), state

    return NUDGED.setdefault(plain, Model(init, plain.apply, plain.numbers))


def test_bits_do_not_depend_on_the_companions(data):
    """Promise 2: lanes permuted, added, removed, poisoned; chunks of a fixed size, filled up."""
    candidates = [numbers(BATCH_NORM, index) for index in range(6)]
    run = lambda some: networks(sweep(some, *data, epochs=12, chunk=4))
    before = run(candidates)
    order = [3, 0, 5, 1, 4, 2]
    for lane, number in zip(run([candidates[n] for n in order]), order, strict=True):
        assert_same_bits(lane, before[number])
    assert_same_bits(run(candidates[2:3])[0], before[2])
    more = run([*candidates, *candidates[:3]])
    for lane, number in zip(more, [0, 1, 2, 3, 4, 5, 0, 1, 2], strict=True):
        assert_same_bits(lane, before[number])
    poisoned = run([{**candidates[0], "learning_rate": 1e30}, *candidates[1:]])
    for number in range(1, 6):
        assert_same_bits(poisoned[number], before[number])


def test_the_same_call_gives_the_same_bits(data):
    """Promise 6."""
    candidates = [numbers(BATCH_NORM, index) for index in range(3)]
    run = lambda: networks(sweep(candidates, *data, epochs=5, seeds=2, chunk=4))
    first, second = run(), run()
    for a, b in zip(first, second, strict=True):
        assert_same_bits(a, b)


def small_sweep():
    data = curved(44)
    candidates = [{"hidden": (5,), "batch_size": 20, "learning_rate": i / 99} for i in range(1, 10)]
    return sweep(candidates, data[:40], data[40:], epochs=12, seeds=2, chunk=2, progress=False)


@pytest.mark.slow
def test_bits_do_not_depend_on_the_number_of_devices(run_python, tmp_path):
    """Eight devices and chunks that do not divide by them."""
    path = tmp_path / "eight.npz"
    code = f"""
import os, sys
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
sys.path[:0] = {sys.path!r}
import jax, numpy as np
from helpers.comparisons import networks
from test_sweeps import small_sweep
assert len(jax.devices()) == 8
study = small_sweep()
assert len(study.chunks) == 9
np.savez({str(path)!r}, *(np.asarray(leaf) for lane in networks(study) for leaf in lane))
"""
    run_python(code)
    leaves = [leaf for lane in networks(small_sweep()) for leaf in lane]
    with np.load(path) as file:
        assert_same_bits(leaves, list(file.values()))


def test_a_diverged_lane_stops_is_marked_and_ranked_last(data):
    """Promise 3."""
    candidates = [numbers(BATCH_NORM, index) for index in range(3)]
    candidates[1]["learning_rate"] = 1e30
    study = sweep(candidates, *data, epochs=9, chunk=4)
    alone = fit(candidates[1], *data, epochs=9)
    assert study.diverged[1, 0] == alone.diverged
    assert study.ranking[-1] == 1
    trial = study.trials[1]
    assert (trial.state, trial.diverged) == ("PRUNED", (alone.diverged,))
    assert np.isnan(trial.value)
    lane = study.fitted(1)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((lane.params, lane.state)))
    assert np.isnan(lane.curves["cost"][-1])
    assert study.best_trial.number != 1


def test_lanes_that_diverge_leave_the_others_their_bits(data):
    """256 lanes; a third diverge, at steps that chance decides."""
    draw = np.random.default_rng(0)
    fine = [
        {"optimizer": "gd", "hidden": (5,), "activation": "tanh", "learning_rate": float(rate)}
        for rate in draw.uniform(0.01, 0.5, 256)
    ]
    wild = set(draw.choice(256, 85, replace=False).tolist())
    # the slower ones multiply a weight by 1 - rate * l2 at every step, until it overflows
    mixed = [
        {**setting, "l2": float(10 ** draw.uniform(1.2, 3.5)), "learning_rate": 0.5}
        if number in wild
        else {**setting, "l2": 1e-3}
        for number, setting in enumerate(fine)
    ]
    study = sweep(mixed, *data, epochs=40, progress=False)
    harmless = sweep(
        [{**setting, "l2": 1e-3} for setting in fine], *data, epochs=40, progress=False
    )
    steps = study.diverged[sorted(wild), 0]
    # a few stop short of it: an element that would overflow keeps its value
    assert (steps >= 0).sum() >= 77
    assert len({*steps.tolist()}) > 5
    others = sorted({*range(256)} - wild)
    assert (study.diverged[others] < 0).all()
    first, second = networks(study), networks(harmless)
    for number in others:
        assert_same_bits(first[number], second[number])


def test_when_all_diverge_there_is_no_best(data):
    gd = {"optimizer": "gd", "hidden": (5, 5)}
    candidates = [{**gd, "learning_rate": rate} for rate in (1e30, 1e32)]
    study = sweep(candidates, *data, epochs=200)
    with pytest.raises(ValueError, match=r"none of the 2 settings has a value.*diverged"):
        study.best_params  # noqa: B018
    assert study.fitted(0).diverged is not None


def test_programs_are_traced_once_for_each_structure(data):
    """Promise 5: new numbers, more settings, more epochs, other seeds trace nothing at all."""
    model, traces = counting(mlp(4, (5,), 3))
    candidates = [numbers({}, index) for index in range(3)]
    before = lanes.train_lanes._cache_size()
    sweep(candidates, *data, epochs=3, model=model, chunk=2)
    first = list(traces)
    assert set(first) == {(16, 4), (8, 4)}
    assert lanes.train_lanes._cache_size() == before + 1
    changed = [{**one, "learning_rate": 0.3, "l2": 0.1, "beta1": 0.5} for one in candidates]
    with jax.no_tracing():
        sweep(changed * 4, *data, epochs=9, seed=7, seeds=3, order_seed=1, model=model, chunk=2)
    assert traces == first
    sweep(candidates, *data, epochs=1, model=model, chunk=3)
    assert lanes.train_lanes._cache_size() == before + 2
    sweep([{**one, "batch_size": 20} for one in candidates], *data, epochs=1, model=model, chunk=2)
    assert len(traces) > len(first)


def test_a_fraction_is_held_out_as_in_fit():
    data = curved(60)
    study = sweep([{}], data, 0.25, epochs=3, order_seed=4)
    alone = fit({}, data, 0.25, epochs=3, order_seed=4)
    assert_lane_is_solo(study, 0, 0, alone, 1e-5)
    assert any("15 of 60 examples" in note for note in study.notes)


@pytest.mark.parametrize("has_weights", [True, False])
def test_every_validation_example_counts_by_its_weight(data, has_weights):
    """Evaluated in three pieces of 51, the last one filled up: against one piece by hand."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(151, 4)), rng.integers(0, 3, 151)
    valid = Dataset(x, y, 3, rng.random(151) if has_weights else None)
    study = sweep([{"hidden": (5,)}], data[0], valid, epochs=3)
    fitted = study.fitted()
    held_out = jaxnn.evaluate(fitted.model, fitted.params, fitted.state, valid)
    np.testing.assert_allclose(study.trials[0].cost, held_out["cost"], rtol=1e-5)
    np.testing.assert_allclose(study.best_value, held_out["accuracy"], rtol=1e-5)


def test_a_foreign_model_with_numbers_of_its_own(data):
    def apply(params, state, x, *, temperature, is_training=False, key=None, weights=None):
        return x @ params["kernel"] / temperature, state

    init = lambda key: ({"kernel": jax.random.normal(key, (4, 3))}, ())
    model = Model(init, apply, ("temperature",))
    candidates = [{"temperature": t, "learning_rate": 0.1} for t in (0.5, 1.0, 2.0)]
    study = sweep(candidates, *data, epochs=5, model=model)
    for number, candidate in enumerate(candidates):
        alone = fit(candidate, *data, epochs=5, model=model)
        assert_lane_is_solo(study, number, 0, alone, 1e-5)


def test_short_memory_halves_the_chunk_and_says_so(data, monkeypatch):
    candidates = [numbers(BATCH_NORM, index) for index in range(7)]
    plain = networks(sweep(candidates, *data, epochs=4, chunk=4))
    train_lanes = chunks.train_lanes

    def crowded(program, states, *rest):
        if len(states.diverged) > 4:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return train_lanes(program, states, *rest)

    monkeypatch.setattr(chunks, "train_lanes", crowded)
    with pytest.warns(UserWarning, match="Memory was short: went on with"):
        study = sweep(candidates, *data, epochs=4, chunk=16)
    assert [note for note in study.notes if "with 4 lanes" in note]
    for a, b in zip(networks(study), plain, strict=True):
        assert_same_bits(a, b)


def test_a_structure_that_fits_no_memory_leaves_the_others(data, monkeypatch):
    train_lanes = chunks.train_lanes

    def crowded(program, *rest):
        if program.networks.hidden:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")
        return train_lanes(program, *rest)

    monkeypatch.setattr(chunks, "train_lanes", crowded)
    with pytest.warns(UserWarning, match="too short for one lane of a structure: 1 network"):
        study = sweep([{"hidden": (3,)}, {}], *data, epochs=4, chunk=1)
    assert [trial.state for trial in study.trials] == ["RUNNING", "COMPLETE"]
    assert study.best_trial.number == 1
    with pytest.raises(ValueError, match="setting 0 has no network here"):
        study.fitted(0)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_leaves_a_study_of_what_was_reached(data, monkeypatch):
    train_lanes, calls = chunks.train_lanes, []

    def interrupting(*arguments):
        calls.append(1)
        if len(calls) == 21:
            os.kill(os.getpid(), signal.SIGINT)
        if len(calls) >= 21:
            # the main thread has to notice before the others are through
            time.sleep(0.05)
        return train_lanes(*arguments)

    candidates = [numbers(BATCH_NORM, index % 5) for index in range(80)]
    whole = networks(sweep(candidates, *data, epochs=2, chunk=4))
    monkeypatch.setattr(chunks, "train_lanes", interrupting)
    # 20 chunks of two calls each, one epoch a call: after 21 calls one chunk at least is complete,
    # which one depends on the threads
    with pytest.raises(jaxnn.TrainingInterrupted, match=r"of 80 networks complete") as caught:
        sweep(candidates, *data, epochs=2, chunk=4)
    study = caught.value.study
    states = [trial.state for trial in study.trials]
    assert set(states) == {"COMPLETE", "RUNNING"}
    for number, state in enumerate(states):
        if state == "COMPLETE":
            lane = study.fitted(number)
            assert_same_bits(jax.tree.leaves((lane.params, lane.state, lane.curves)), whole[number])
    assert study.best_trial.state == "COMPLETE"
    study.summary()


def test_lanes_and_studies_hold_arrays_alone(data):
    """Promise 7."""
    study = sweep([numbers(BATCH_NORM, 0)], *data, epochs=1, chunk=4)
    for chunk in study.chunks:
        leaves = jax.tree.leaves((chunk.params, chunk.state))
        assert all(isinstance(leaf, np.ndarray | jax.Array) for leaf in leaves)


def test_features_of_wildly_different_scales_are_warned_of(data):
    train, valid = (part.normalised(_scales()) for part in data)
    with pytest.warns(UserWarning, match="deviations differ by a factor"):
        sweep([{}], train, valid, epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sweep([numbers(BATCH_NORM, 0)], train, valid, epochs=1, chunk=4)


def _scales():
    from jaxnn.data.inputs import InputStatistics

    return InputStatistics(jnp.zeros(4), jnp.array([1.0, 1.0, 1.0, 1e-6]))


def test_progress_is_silent_when_asked(data, capfd):
    sweep([{}], *data, epochs=2, progress=False)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("function", "lacking"), [(sweep, {"folds", "select"}), (search, set())])
def test_the_options_are_arguments_by_name_and_default(function, lacking):
    options = {field.name: field.default for field in dataclasses.fields(Options)}
    parameters = inspect.signature(function).parameters.items()
    own = {name: parameter.default for name, parameter in parameters if name in options}
    assert own == {name: value for name, value in options.items() if name not in lacking}


def test_what_is_refitted_has_no_curves_of_validation(data):
    train, valid = data
    study = sweep([{}, {"learning_rate": 0.1}], train, valid, epochs=2, progress=False)
    assert {*study.refit(train, progress=False).curves} == {"cost", "accuracy"}
