"""Real targets of data sets, their statistics, and their way through splits and treatments."""

from decimal import Decimal

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import sklearn.preprocessing
from hypothesis import given
from hypothesis import strategies as st

import jaxnn
from jaxnn import Dataset
from jaxnn.data.datasets import check_compatible
from jaxnn.data.inputs import Treatment, treatment
from jaxnn.data.targets import (
    TARGETS,
    TargetStatistics,
    constant_targets,
    target_deviation,
    target_statistics,
)
from jaxnn.engine.identities import _fingerprint
from jaxnn.engine.options import hold_out_note

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
ONE = RNG.normal(5, 3, 40)
TWO = RNG.normal([5, -100], [3, 0.01], (40, 2))
FAR = 1e9 + RNG.normal(size=(40, 2))


@pytest.mark.parametrize(
    ("y", "shape"),
    [
        (ONE, ()),
        (ONE[:, None], ()),
        (ONE[None], ()),
        (ONE.tolist(), ()),
        (ONE.astype(np.float16), ()),
        (jnp.asarray(ONE), ()),
        (pd.Series(ONE), ()),
        (pd.DataFrame({"y": ONE}), ()),
        (TWO, (2,)),
        (pd.DataFrame(TWO), (2,)),
        (np.arange(40.0), ()),
        (np.arange(40.0) % 2, ()),
    ],
)
@pytest.mark.parametrize("x64", [False, True])
def test_floats_are_real_targets(y, shape, x64):
    with jax.enable_x64(x64):
        data = Dataset(X, y)
        assert (data.num_classes, data.is_real, data.target_shape) == (None, True, shape)
        assert data.y.shape == (40, *shape)
        assert data.y.dtype == (np.float64 if x64 else np.float32)
        expected = np.asarray(y).reshape(40, *shape)
        np.testing.assert_allclose(data.y, expected, rtol=1e-6)
        np.testing.assert_allclose(data.original_y, expected, rtol=1e-6)


def test_one_example_of_several_targets():
    data = Dataset(np.ones((1, 3)), [[0.5, 1.5]])
    assert (data.y.shape, data.target_shape) == ((1, 2), (2,))
    assert Dataset(np.ones((1, 3)), [[0.5]]).y.shape == (1,)


def test_num_classes_makes_whole_floats_classes():
    labels = np.arange(40) % 3
    for y in (labels * 1.0, labels[:, None] * 1.0, np.eye(3)[labels], np.eye(3)[labels].T):
        data = Dataset(X, y, num_classes=3)
        np.testing.assert_array_equal(data.y, labels)
        assert data.y.dtype == np.int32


@pytest.mark.parametrize("num_columns", [2, 3])
def test_one_hot_floats_are_real_with_a_warning(num_columns):
    y = np.eye(num_columns)[np.arange(40) % num_columns]
    with pytest.warns(UserWarning, match=f"num_classes={num_columns} if they are") as told:
        data = Dataset(X, y)
    assert told[0].filename == __file__
    np.testing.assert_array_equal(data.y, y)
    assert data.target_shape == (num_columns,)
    # these are not one-hot
    assert Dataset(X, np.ones((40, 2))).is_real
    assert Dataset(X, np.eye(2)[[0] * 40] / 2).is_real
    assert Dataset([[1.0]], [[1.0]]).target_shape == ()


@pytest.mark.parametrize("dtype", [bool, int, np.uint8])
def test_labels_of_0_and_1_are_real_targets(dtype):
    labels = RNG.integers(0, 2, (40, 3))
    data = Dataset(X, labels.astype(dtype))
    assert (data.is_real, data.target_shape, data.y.dtype) == (True, (3,), np.float32)
    np.testing.assert_array_equal(data.y, labels)
    assert data.exact_y is None
    # one column is two classes
    assert Dataset(X, labels[:, :1].astype(dtype)).num_classes == 2


@pytest.mark.parametrize(
    ("column", "is_real"),
    [
        (pd.Series([0, 1, 2], dtype="Int64"), False),
        (pd.Series([0, 1, 1], dtype="boolean"), False),
        (pd.Series([0, np.int8(1), True, np.True_][:3], dtype=object), False),
        (pd.Series([0, 1, 2], dtype="Float64"), True),
        (pd.Series([0, 1, 2.0], dtype=object), True),
        (pd.Series([0, 1, Decimal(2)], dtype=object), True),
        (pd.Series([0, 1, 2**70], dtype=object), True),
        (pd.DataFrame({"a": [0, 1, 1], "b": [True, True, False]}), True),
        (pd.DataFrame({"a": [0, 1, 1], "b": pd.array([1, 0, 0], "Int64")}), False),
    ],
)
def test_columns_of_data_frames_are_what_their_type_says(column, is_real):
    assert Dataset(np.ones((3, 1)), column).is_real == is_real


def test_a_real_set_is_a_pytree_with_a_static_part_that_hashes():
    data = Dataset(X, TWO, weights=np.ones(40))
    leaves, structure = jax.tree.flatten(data)
    assert len(leaves) == 3
    assert hash(structure) == hash(jax.tree.structure(Dataset(X, TWO, weights=np.ones(40))))
    again = jax.jit(lambda one: one)(data)
    assert (again.is_real, again.target_shape) == (True, (2,))
    np.testing.assert_array_equal(again.y, data.y)
    picked = jax.jit(lambda one, rows: one[rows])(data, jnp.array([3, 5]))
    np.testing.assert_array_equal(picked.y, data.y[jnp.array([3, 5])])
    assert picked.num_classes is None


def test_targets_that_float32_cannot_hold_are_kept_beside_it():
    assert Dataset(X, ONE).exact_y is None
    assert Dataset(X, TWO[:, 0]).exact_y is None
    assert Dataset(X, np.full(40, 1e9)).exact_y is None
    data = Dataset(X, FAR)
    assert len(jax.tree.leaves(data)) == 2
    assert jax.tree.map(lambda leaf: leaf, data).exact_y is None
    rows = np.array([3, 17, 3])
    parts = {
        "all": (data, slice(None)),
        "rows": (data[rows], rows),
        "sum": ((data[:5] + data[5:])[rows], rows),
        "weighted": (data.weighted(data.x[:, 0])[rows], rows),
        "normalised": (treatment("standardised", data, False).treated(data), slice(None)),
        "counted": (data.weighted(jnp.arange(40.0)).counted(), slice(1, None)),
    }
    for part, picked in parts.values():
        np.testing.assert_array_equal(part.original_y, FAR[picked])
        with pytest.raises(ValueError, match="read-only"):
            part.original_y[:] = 0
    mixed = data + jax.tree.map(lambda leaf: leaf, data)
    np.testing.assert_array_equal(mixed.original_y[:40], FAR)
    np.testing.assert_array_equal(mixed.original_y[40:], FAR.astype(np.float32))
    with jax.enable_x64(True):
        assert Dataset(X, FAR).exact_y is None


def test_a_set_keeps_its_own_targets():
    y = FAR.copy()
    data = Dataset(X, y)
    y[:] = 0
    np.testing.assert_array_equal(data.original_y, FAR)
    np.testing.assert_array_equal(data.y, FAR.astype(np.float32))


def test_parts_and_sums_keep_their_kind():
    """All targets of the first rows are whole, and one-hot."""
    y = np.concatenate([np.eye(2)[np.arange(20) % 2], TWO[20:]])
    data = Dataset(X, y)
    for part in (data[:20], data[:20] + data[:20], data[:20].followed_by(data[:20])):
        assert part.is_real
        assert part.target_shape == (2,)
        assert jnp.issubdtype(part.y.dtype, jnp.floating)


def test_sets_of_different_targets_do_not_fit():
    one, two, classes = Dataset(X, ONE), Dataset(X, TWO), Dataset(X, np.arange(40) % 3)
    for data in (one, two, classes):
        check_compatible(data, data[:2], "valid")
    with pytest.raises(
        ValueError, match=r"valid got real targets \(2,\); expected real targets, as"
    ):
        check_compatible(one, two, "valid")
    with pytest.raises(ValueError, match=r"valid got 3 classes; expected real targets, as in"):
        check_compatible(one, classes, "valid")
    message = r"sum got real targets; expected 3 classes.*unless num_classes is given"
    with pytest.raises(ValueError, match=message):
        classes + one


@pytest.mark.parametrize("y", [ONE, TWO])
def test_statistics_match_scikit_learn(y):
    data = Dataset(X, y)
    statistics = target_statistics(data)
    assert all(one.dtype == np.float64 and one.shape == data.target_shape for one in statistics)
    scaler = sklearn.preprocessing.StandardScaler().fit(y.reshape(40, -1))
    np.testing.assert_allclose(np.ravel(statistics.mean), scaler.mean_, rtol=1e-7)
    np.testing.assert_allclose(np.ravel(statistics.deviation), scaler.scale_, rtol=1e-5)
    normal = statistics.standardise(data.original_y)
    assert normal.dtype == np.float32
    expected = scaler.transform(y.reshape(40, -1)).reshape(y.shape)
    np.testing.assert_allclose(normal, expected, rtol=1e-3, atol=1e-4)
    restored = statistics.restore(normal)
    assert restored.dtype == np.float64
    np.testing.assert_allclose(restored, y, rtol=1e-6)
    np.testing.assert_allclose(target_deviation(data), scaler.scale_, rtol=1e-5)
    assert target_deviation(data).shape == (data.y.size // 40,)
    for one in statistics:
        with pytest.raises(ValueError, match="read-only"):
            one[...] = 0


def test_classes_have_no_statistics():
    data = Dataset(X, np.arange(40) % 3)
    assert target_statistics(data) is None
    assert constant_targets(data) == []
    assert treatment("raw", data, False).targets is None
    same = treatment("raw", data, False).treated(data, "standardised")
    np.testing.assert_array_equal(same.y, data.y)
    assert TARGETS == ("raw", "standardised")


def test_far_targets_keep_the_digits_that_float32_has_not():
    data = Dataset(X, FAR)
    expected = (FAR - FAR.mean(0)) / FAR.std(0)
    by = treatment("raw", data, False)
    assert isinstance(by.targets, TargetStatistics)
    treated = by.treated(data, targets="standardised")
    np.testing.assert_allclose(treated.y, expected, atol=1e-6)
    assert treated.exact_y is None
    np.testing.assert_allclose(by.targets.restore(treated.y), FAR, rtol=0, atol=1e-6)
    # raw ones are as they came
    np.testing.assert_array_equal(by.treated(data).y, data.y)
    np.testing.assert_array_equal(by.treated(data, "raw").original_y, FAR)


def test_whole_weights_count_examples_repeatedly():
    counts = RNG.integers(0, 4, 40)
    weighted = target_statistics(Dataset(X, TWO, weights=counts))
    repeated = np.repeat(TWO, counts, axis=0)
    np.testing.assert_allclose(weighted.mean, repeated.mean(0), rtol=1e-6)
    np.testing.assert_allclose(weighted.deviation, repeated.std(0), rtol=1e-4)
    deviation = target_deviation(Dataset(X, ONE, weights=counts))
    np.testing.assert_allclose(deviation, [np.repeat(ONE, counts).std()], rtol=1e-5)


def test_examples_of_weight_0_change_nothing():
    weights = (np.arange(40) < 30) * 1.0
    y = np.where(weights[:, None] > 0, TWO, 1e30)
    alone, some = (target_statistics(one) for one in (Dataset(X[:30], TWO[:30]),
                                                      Dataset(X, y, weights=weights)))  # fmt: skip
    # the original numbers are kept in the second, since float32 is too coarse for 1e30 beside them
    np.testing.assert_allclose(some.mean, alone.mean, rtol=1e-6)
    np.testing.assert_allclose(some.deviation, alone.deviation, rtol=1e-3)


def test_constant_targets():
    y = np.column_stack([np.full(40, 0.1), ONE, np.where(np.arange(40) < 39, 7.0, 8.0)])
    weights = (np.arange(40) < 39) * 1.0
    data = Dataset(X, y, weights=weights)
    assert constant_targets(data) == [0, 2]
    assert constant_targets(Dataset(X, y)) == [0]
    assert constant_targets(Dataset(X, ONE)) == []
    assert constant_targets(Dataset(X, np.full(40, 0.1))) == [0]
    np.testing.assert_array_equal(target_deviation(data)[[0, 2]], 0)
    statistics = target_statistics(data)
    np.testing.assert_array_equal(statistics.deviation[[0, 2]], 1)
    normal = statistics.standardise(data.original_y)
    np.testing.assert_allclose(normal[:39, [0, 2]], 0, atol=1e-6)
    np.testing.assert_allclose(statistics.restore(np.zeros(3))[[0, 2]], [0.1, 7], rtol=1e-7)
    with jax.enable_x64(True):  # forty times 0.1 has a mean beside 0.1
        assert constant_targets(Dataset(X, np.full(40, 0.1))) == [0]


NUMBERS = st.floats(-(2.0**100), 2.0**100, width=32)


@given(st.lists(NUMBERS, min_size=2, max_size=20))
def test_standardised_targets_of_any_size_come_back(values):
    y = np.array(values)
    statistics = target_statistics(Dataset(np.ones((len(y), 1)), y))
    normal = statistics.standardise(y)
    assert np.isfinite(normal).all()
    assert abs(normal.mean()) < 1e-4
    back = statistics.restore(normal)
    np.testing.assert_allclose(back, y, rtol=1e-6, atol=1e-6 * abs(y).max())
    with jax.enable_x64(True):
        back = statistics.restore(statistics.standardise(y))
        np.testing.assert_allclose(back, y, rtol=1e-14, atol=1e-14 * abs(y).max())


@pytest.mark.parametrize("inputs", ["raw", "centred", "standardised"])
@pytest.mark.parametrize("in_row_space", [False, True])
def test_treatments_of_inputs_carry_targets(inputs, in_row_space):
    data = Dataset(RNG.normal(size=(10, 30)), FAR[:10], weights=np.arange(10.0) + 1)
    by = treatment(inputs, data, in_row_space)
    treated = by.treated(data)
    np.testing.assert_array_equal(treated.original_y, FAR[:10])
    assert treated.is_real
    assert by.treated(data, "standardised").y.shape == (10, 2)
    np.testing.assert_array_equal(by.treated(data, "standardised").x, treated.x)
    assert Treatment(by.statistics, by.space, by.num_features).targets is None


@pytest.mark.parametrize("y", [ONE, TWO, (TWO > [5, -100]) * 1])
@pytest.mark.parametrize("num_folds", [2, 3, 7, 40])
def test_folds_of_real_targets_are_a_random_split_of_one_shape(y, num_folds):
    weights = np.where(np.arange(40) % 8 == 0, 0, 1.0)[: 40 if num_folds < 8 else 0]
    x = np.arange(40.0)[:, None]
    data = Dataset(x, y, weights=weights if len(weights) else None)
    counted = np.flatnonzero(data.host_weights())
    folds = jaxnn.stratified_folds(data, num_folds, seed=3)
    assert len({(train.x.shape, valid.x.shape) for train, valid in folds}) == 1
    held_out = [valid.counted() for _, valid in folds]
    rows = np.concatenate([part.x[:, 0] for part in held_out]).astype(int)
    np.testing.assert_array_equal(np.sort(rows), counted)
    least = len(counted) // num_folds
    assert all(least <= len(part) <= least + 1 for part in held_out)
    for train, valid in folds:
        assert train.is_real
        together = np.concatenate([train.counted().x[:, 0], valid.counted().x[:, 0]]).astype(int)
        np.testing.assert_array_equal(np.sort(together), counted)
        np.testing.assert_array_equal(train.y, np.asarray(data.y)[np.asarray(train.x[:, 0], int)])
    again = jaxnn.stratified_folds(data, num_folds, seed=3)
    np.testing.assert_array_equal(again[0][0].x, folds[0][0].x)
    assert np.any(np.diff(rows) < 0) or num_folds == 40


@pytest.mark.parametrize("y", [ONE, TWO, np.zeros(40)])
def test_hold_out_of_real_targets(y):
    data = Dataset(np.arange(40.0)[:, None], y)
    rest, held_out = jaxnn.hold_out(data, 0.2, seed=1)
    assert (len(rest), len(held_out)) == (32, 8)
    rows = np.sort(np.concatenate([rest.x, held_out.x])[:, 0])
    np.testing.assert_array_equal(rows, np.arange(40))
    np.testing.assert_array_equal(held_out.y, np.asarray(data.y)[np.asarray(held_out.x[:, 0], int)])
    assert not np.array_equal(jaxnn.hold_out(data, 0.2, seed=2)[1].x, held_out.x)


def test_the_note_on_what_was_held_out_says_how():
    for y, how in ((ONE, "at random"), (np.arange(40) % 2, "stratified")):
        parts = [jaxnn.hold_out(Dataset(X, y), 0.25)]
        expected = f"Validation: 10 of 40 examples of the training set, {how}."
        assert hold_out_note(0.25, parts) == expected


def test_identities_know_targets_to_the_last_digit():
    far = Dataset(X, FAR)
    assert _fingerprint(far).startswith("40 examples of real targets (2,), SHA-256 ")
    assert _fingerprint(Dataset(X, ONE)).startswith("40 examples of real targets, SHA-256 ")
    assert _fingerprint(far) == _fingerprint(Dataset(X, FAR))
    moved = Dataset(X, FAR + 1e-6)
    np.testing.assert_array_equal(moved.y, far.y)
    assert _fingerprint(moved) != _fingerprint(far)
    whole = Dataset(X, np.arange(40) % 3)
    assert _fingerprint(whole).startswith("40 examples of 3 classes, SHA-256 ")
    assert _fingerprint(whole) != _fingerprint(Dataset(X, np.arange(40) % 3.0))
