import dataclasses
from decimal import Decimal

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import jaxnn
from jaxnn import Dataset, hold_out
from jaxnn.data.inputs import InputStatistics, indistinct_features, input_statistics, scale_ratio

X = np.arange(12.0).reshape(4, 3)
Y = [0, 1, 2, 1]


def test_numbers_become_the_default_types():
    data = Dataset(X.astype(np.int16), np.array(Y, np.uint8), weights=[1, 2, 0, 1])
    assert (data.x.dtype, data.y.dtype, data.weights.dtype) == ("float32", "int32", "float32")
    np.testing.assert_array_equal(data.x, X)
    with jax.enable_x64(True):
        assert Dataset(X, Y).x.dtype == "float64"


def test_number_of_classes():
    assert Dataset(X, Y).num_classes == 3
    assert Dataset(X, Y, 5).num_classes == 5
    assert Dataset(X, [0, 0, 0, 0]).num_classes == 2


@pytest.mark.parametrize(
    "labels",
    [
        np.array([Y]),
        np.array(Y)[:, None],
        np.eye(3, dtype=int)[Y],
        np.eye(3, dtype=int)[Y].T,
        np.eye(3, dtype=bool)[Y].T,
    ],
    ids=["(1, N)", "(N, 1)", "(N, C)", "(C, N)", "booleans"],
)
def test_labels_in_other_forms(labels):
    for data in (Dataset(X, labels), Dataset(X, labels * 1.0, 3)):
        np.testing.assert_array_equal(data.y, Y)
        assert data.y.dtype == np.int32
        assert (data.num_classes, data.is_real, data.target_shape) == (3, False, ())
        assert data.exact_y is None


def test_one_hot_labels_keep_classes_that_do_not_occur():
    one_hot = np.eye(7, dtype=int)[Y]
    assert Dataset(X, one_hot).num_classes == 7
    assert Dataset(X, one_hot.T).num_classes == 7


def test_square_one_hot_labels_with_one_reading():
    square = np.eye(4, dtype=int)
    rows = square[[1, 1, 0, 2]]
    for labels in (rows, rows.T):
        np.testing.assert_array_equal(Dataset(X, labels).y, [1, 1, 0, 2])
    np.testing.assert_array_equal(Dataset(X, square[[1, 0, 2, 3]]).y, [1, 0, 2, 3])


@pytest.mark.parametrize(
    "rows", [slice(1, 3), [3, 0], np.array([True, False, True, False]), [-1], np.array([2, 2])]
)
def test_rows_are_picked_as_numpy_picks_them(rows):
    data = Dataset(X, Y, weights=[1, 2, 3, 4])[rows]
    np.testing.assert_array_equal(data.x, X[rows])
    np.testing.assert_array_equal(data.y, np.array(Y)[rows])
    np.testing.assert_array_equal(data.weights, np.array([1, 2, 3, 4])[rows])
    assert data.num_classes == 3


def test_rows_that_are_not_there_are_refused():
    data = Dataset(X, Y)
    with pytest.raises(IndexError, match="index 9 is out of bounds"):
        data[[9]]
    for rows in (2, [], slice(4, None)):
        with pytest.raises(ValueError, match="expected a slice, indices or a mask"):
            data[rows]


def test_sum():
    both = Dataset(X, Y) + Dataset(X + 1, Y, weights=[2, 2, 2, 2])
    np.testing.assert_array_equal(both.x, np.concatenate([X, X + 1]))
    np.testing.assert_array_equal(both.weights, [1] * 4 + [2] * 4)
    assert (Dataset(X, Y) + Dataset(X, Y)).weights is None
    with pytest.raises(ValueError, match=r"got features of shape \(2,\); expected \(3,\)"):
        Dataset(X, Y) + Dataset(X[:, :2], Y)
    with pytest.raises(ValueError, match="got 4 classes; expected 3"):
        Dataset(X, Y) + Dataset(X, Y, 4)
    with pytest.raises(TypeError, match="got ndarray; expected a Dataset"):
        Dataset(X, Y) + X


def test_it_is_a_frozen_pytree():
    data = Dataset(X, Y)
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.x = X
    doubled = jax.jit(lambda data: jax.tree.map(lambda a: 2 * a, data))(data)
    assert isinstance(doubled, Dataset)
    np.testing.assert_array_equal(doubled.x, 2 * X)
    assert doubled.num_classes == 3
    picked = jnp.eye(2, 4, dtype=int)
    sums = jax.vmap(lambda data, rows: data[rows].x.sum(), (None, 0))(data, picked)
    np.testing.assert_array_equal(sums, [X[[1, 0, 0, 0]].sum(), X[[0, 1, 0, 0]].sum()])


def test_hold_out_is_stratified_and_complete():
    y = np.repeat([0, 1, 2], [50, 28, 22])
    data = Dataset(np.arange(200.0).reshape(100, 2), y)
    rest, held_out = hold_out(data, 0.2, seed=1)
    np.testing.assert_array_equal(np.bincount(held_out.y), [10, 6, 4])
    rows = np.sort(np.concatenate([rest.x, held_out.x])[:, 0])
    np.testing.assert_array_equal(rows, data.x[:, 0])
    np.testing.assert_array_equal(hold_out(data, 0.2, seed=1)[1].x, held_out.x)
    assert not np.array_equal(hold_out(data, 0.2, seed=2)[1].x, held_out.x)


def test_hold_out_carries_weights():
    data = Dataset(X, [0, 0, 1, 1], weights=X[:, 0] + 1)
    for part in hold_out(data, 0.5):
        np.testing.assert_array_equal(np.sort(part.y), [0, 1])
        np.testing.assert_array_equal(part.weights, part.x[:, 0] + 1)


@pytest.mark.parametrize("fraction", [np.nan, 0.0, 1.0, -0.1, 0.01, 0.99])
def test_hold_out_refuses_an_empty_side(fraction):
    with pytest.raises(ValueError, match="hold-out"):
        hold_out(Dataset(X, Y), fraction)


def test_input_statistics_match_numpy():
    rng = np.random.default_rng(0)
    x = rng.normal(5, 3, (20, 2, 3))
    data = Dataset(x, rng.integers(0, 2, 20))
    mean, deviation = input_statistics("standardised", data)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-6)
    np.testing.assert_allclose(deviation, x.std(0), rtol=1e-5)
    centred = input_statistics("centred", data)
    np.testing.assert_array_equal(centred.deviation, 1)
    np.testing.assert_allclose(centred.normalise(data.x), x - x.mean(0), atol=1e-5)
    assert input_statistics("raw", data) is None


def test_a_constant_feature_becomes_zero():
    x = np.column_stack([np.full(10, 0.1), np.arange(10)])
    statistics = input_statistics("standardised", Dataset(x, [0, 1] * 5))
    assert isinstance(statistics, InputStatistics)
    normal = np.asarray(statistics.normalise(jnp.asarray(x)))
    np.testing.assert_allclose(normal[:, 0], 0, atol=1e-6)
    np.testing.assert_allclose(normal[:, 1].std(), 1, rtol=1e-6)
    with jax.enable_x64(True):  # ten times 0.1 has a mean beside 0.1
        statistics = input_statistics("standardised", Dataset(x, [0, 1] * 5))
        np.testing.assert_allclose(statistics.normalise(jnp.asarray(x))[:, 0], 0, atol=1e-12)


def test_a_small_deviation_beside_a_large_mean_is_not_a_constant():
    x = 1e9 + np.array([[0.0], [1024.0], [0.0], [1024.0]])
    statistics = input_statistics("standardised", Dataset(x, Y))
    np.testing.assert_allclose(np.asarray(statistics.normalise(x))[:, 0], [-1, 1, -1, 1], atol=0.2)


def test_statistics_leave_out_examples_of_weight_zero():
    weighted = input_statistics("standardised", Dataset(X, Y, weights=[1, 1, 1, 0]))
    alone = input_statistics("standardised", Dataset(X[:3], Y[:3]))
    np.testing.assert_allclose(weighted.mean, alone.mean)
    np.testing.assert_allclose(weighted.deviation, alone.deviation)


@pytest.mark.parametrize("inputs", ["centred", "standardised"])
def test_whole_weights_count_examples_repeatedly(inputs):
    counts, x = [3, 1, 2, 5], X**2
    weighted = input_statistics(inputs, Dataset(x, Y, weights=counts))
    repeated = np.repeat(x, counts, axis=0)
    np.testing.assert_allclose(weighted.mean, repeated.mean(0), rtol=1e-6)
    deviation = repeated.std(0) if inputs == "standardised" else np.ones(3)
    np.testing.assert_allclose(weighted.deviation, deviation, rtol=1e-6)


def test_normalised_inputs_keep_the_digits_that_float32_has_not():
    """Seconds since 1970 that differ by minutes, of which float32 knows every 128th."""
    near = np.random.default_rng(0).normal(size=(40, 3))
    data = Dataset(1.7e9 + 30 * near, np.arange(40) % 2)
    assert data.x.dtype == np.float32
    for inputs, expected in (
        ("standardised", (near - near.mean(0)) / near.std(0)),
        ("centred", 30 * (near - near.mean(0))),
    ):
        statistics = input_statistics(inputs, data)
        np.testing.assert_allclose(data.normalised(statistics).x, expected, rtol=1e-4, atol=1e-5)
        some = np.array([3, 17, 3])
        for part in (data[some], (data[:5] + data[5:])[some], data.weighted(data.x[:, 0])[some]):
            np.testing.assert_allclose(
                part.normalised(statistics).x, expected[some], rtol=1e-4, atol=1e-5
            )


def test_only_what_float32_cannot_hold_is_kept_beside_it():
    rng = np.random.default_rng(0)
    for x in (rng.normal(size=(9, 2)), 100 + rng.normal(size=(9, 2)), np.full((9, 2), 1e30)):
        assert Dataset(x, [0] * 9).exact is None
    assert Dataset(np.arange(18).reshape(9, 2) + 2**40, [0] * 9).exact is not None
    kept = Dataset(1e5 + rng.normal(size=(9, 2)), [0] * 9)
    assert kept.exact is not None
    assert len(jax.tree.leaves(kept)) == 2


def test_the_kept_digits_are_nobodys_to_change():
    data = Dataset(1.7e9 + np.arange(8.0).reshape(4, 2), Y)
    statistics = input_statistics("standardised", data)
    for array in (data.original, data[:2].original, (data + data).original, *statistics):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0


def test_weights_that_a_device_takes_for_nothing_are_refused():
    assert Dataset(X, Y, weights=np.full(4, 1e-30)).weights is not None
    with pytest.raises(ValueError, match=r"weights got 1e-40 at most; expected 1e-30 or more"):
        Dataset(X, Y, weights=np.full(4, 1e-40))


def test_splits_leave_examples_of_weight_0_out():
    weights = np.arange(40) % 4 > 0
    data = Dataset(np.arange(80.0).reshape(40, 2), np.arange(40) % 2, weights=weights)
    rest, held_out = hold_out(data, 0.2)
    assert (len(rest), len(held_out)) == (24, 6)
    assert rest.weights.all()
    for train, valid in jaxnn.stratified_folds(data, 4):
        assert (train.weights.sum(), valid.weights.sum()) in ((22, 8), (23, 7))


@pytest.mark.parametrize("size", [1e-200, 1e-40, 1e-30, 1e30, 3e37])
def test_features_of_any_size_are_standardised(size):
    """Below 1.2e-38 a device takes a number for 0, and squares overflow long before 3e38."""
    x = np.random.default_rng(0).normal(size=(50, 2))
    data = Dataset(size * x, np.arange(50) % 2)
    normal = data.normalised(input_statistics("standardised", data)).x
    np.testing.assert_allclose(normal, (x - x.mean(0)) / x.std(0), rtol=1e-4, atol=1e-5)


def test_features_that_a_type_cannot_tell_apart_are_found():
    rng = np.random.default_rng(0)
    columns = [rng.normal(size=40), 1.7e9 + 30 * rng.normal(size=40), np.full(40, 1.7e9)]
    x = np.column_stack(columns)
    data = Dataset(x, np.arange(40) % 2)
    assert indistinct_features("raw", data) == [1]
    assert indistinct_features("standardised", data) == []
    # what came in float32 has no more digits
    assert indistinct_features("standardised", Dataset(x.astype(np.float32), data.y)) == [1]
    with pytest.warns(
        UserWarning, match="float32 tells few values of these features .* vary little: 1 "
    ):
        jaxnn.fit({"batch_norm": True, "hidden": (2,)}, data, epochs=1)


def test_a_network_normalises_what_it_predicts_as_it_did_its_training_set(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 3))
    labels = (x[:, 0] > 0) * 1
    setting = {"inputs": "standardised", "learning_rate": 0.1}
    near = jaxnn.fit(setting, Dataset(x, labels), epochs=10)
    far = jaxnn.fit(setting, Dataset(1.7e9 + 30 * x, labels), epochs=10)
    far.save(tmp_path / "network.h5")
    for network in (far, jaxnn.load(tmp_path / "network.h5")):
        probabilities = network.predict_proba(1.7e9 + 30 * x)
        np.testing.assert_allclose(probabilities, near.predict_proba(x), atol=1e-3)
        assert network.score(Dataset(1.7e9 + 30 * x, labels)) > 0.9


def test_scale_ratio():
    x = np.column_stack([np.arange(4), 1000 * np.arange(4), np.ones(4)])
    assert scale_ratio(Dataset(x, Y)) == pytest.approx(1000)
    assert scale_ratio(Dataset(np.ones((4, 2)), Y)) == 1


def test_hold_out_keeps_its_fraction_when_classes_are_small():
    for size, fraction in ((3, 0.5), (5, 0.5), (5, 0.1), (2, 0.2)):
        y = np.repeat(np.arange(100), size)
        rest, held_out = hold_out(Dataset(np.zeros((len(y), 1)), y), fraction)
        assert len(held_out) == round(fraction * len(y))
        counts = np.bincount(held_out.y, minlength=100)
        assert counts.max() - counts.min() <= 1
        assert len(rest) + len(held_out) == len(y)


def aligned(values, dtype):
    """An array whose memory JAX would share: it begins at a multiple of 64 bytes."""
    values = np.asarray(values, dtype)
    raw = np.zeros(values.nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    array = raw[start : start + values.nbytes].view(dtype).reshape(values.shape)
    array[:] = values
    return array


@pytest.mark.parametrize("kind", ["array", "view", "memmap", "another library's"])
def test_a_set_keeps_what_it_was_given(kind, tmp_path):
    given = {
        "x": aligned(np.ones((64, 32)), np.float32),
        "y": aligned(np.arange(64) % 2, np.int32),
        "weights": aligned(np.ones(64), np.float32),
    }
    shown = given
    if kind == "view":
        shown = {name: array[:] for name, array in given.items()}
    elif kind == "memmap":
        for name, array in given.items():
            given[name] = np.memmap(tmp_path / name, array.dtype, "w+", shape=array.shape)
            given[name][:] = array
        shown = given
    elif kind == "another library's":
        shown = {name: memoryview(array) for name, array in given.items()}
    data = Dataset(**shown)
    for array in given.values():
        array[:] = 7
    np.testing.assert_array_equal(data.x, 1)
    np.testing.assert_array_equal(data.y, np.arange(64) % 2)
    np.testing.assert_array_equal(data.weights, 1)


def test_a_set_outlives_the_jax_array_that_it_was_given():
    x = jnp.asarray(X, float)
    data = Dataset(x, jnp.asarray(Y))
    x.delete()
    np.testing.assert_array_equal(data.x, X)


FRAMES = {
    "whole, real, boolean": pd.DataFrame({"a": [1, 2], "b": [0.5, 0.25], "c": [True, False]}),
    "nullable": pd.DataFrame(
        {
            "a": pd.array([1, 2], "Int64"),
            "b": pd.array([0.5, 0.25], "Float64"),
            "c": pd.array([True, False], "boolean"),
        }
    ),
    "objects": pd.DataFrame(
        {"a": [1, 2], "b": [Decimal("0.5"), 0.25], "c": [True, 0]}, dtype=object
    ),
    "one name": pd.DataFrame([[1, 0.5, True], [2, 0.25, False]], columns=["a", "a", "a"]),
    "sparse": pd.DataFrame(
        {"a": pd.arrays.SparseArray([1, 2]), "b": [0.5, 0.25], "c": [True, False]}
    ),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_data_frame_of_numbers_in_columns_of_any_type(name):
    data = Dataset(FRAMES[name], pd.Series([0, 1], dtype="Int64"), weights=pd.Series([1, 2]))
    np.testing.assert_array_equal(data.x, [[1, 0.5, 1], [2, 0.25, 0]])
    np.testing.assert_array_equal(data.y, [0, 1])
    np.testing.assert_array_equal(data.weights, [1, 2])


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series([1, 0], dtype=object),
        pd.Series([True, False], dtype="boolean"),
        pd.Series(pd.Categorical([1, 0])),
        pd.DataFrame({"y": [1, 0]}),
    ],
)
def test_labels_as_a_column(labels):
    np.testing.assert_array_equal(Dataset(np.ones((2, 1)), labels).y, [1, 0])


BAD_COLUMNS = [
    (["u", "v"], "x got 'u' in column 'b'; expected real numbers"),
    ([None, "v"], "x got 'v' in column 'b'; expected real numbers"),
    (pd.array([1, None], "Int64"), "x got 1 missing values in column 'b', the first in example 1"),
    (
        pd.array([None, None], "boolean"),
        "x got 2 missing values in column 'b', the first in ex.* 0",
    ),
    ([np.nan, 1.0], "x got 1 missing values in column 'b', the first in example 0; expected numb"),
    (pd.Series([1, None], dtype=object), "x got 1 missing values in column 'b', the first in"),
    (pd.Categorical([0, 1]), "x got type category in column 'b'; expected real numbers: leave"),
    (pd.to_datetime(["2020-01-01", "2021-01-01"]), r"x got type datetime64\[.*\] in column 'b'"),
    ([1j, 2j], "x got type complex128 in column 'b'"),
]


@pytest.mark.parametrize(("column", "message"), BAD_COLUMNS)
def test_a_column_of_something_else_is_named(column, message):
    with pytest.raises(ValueError, match=message):
        Dataset(pd.DataFrame({"a": [1, 2], "b": column}), [0, 1])


class Frame:
    """What frames of polars (columns by name) and tables of pyarrow (columns, names) can do."""

    def __init__(self, columns, is_arrow):
        self.schema = self.columns = [*columns]
        if is_arrow:
            self.column_names, self.columns = [*columns], [*columns.values()]
        self._columns = columns

    def __getitem__(self, name):
        return self._columns[name]


@pytest.mark.parametrize("is_arrow", [False, True])
def test_frames_of_other_libraries(is_arrow):
    columns = {"a": np.array([1, 2]), "b": np.array([True, False])}
    np.testing.assert_array_equal(Dataset(Frame(columns, is_arrow), [0, 1]).x, [[1, 1], [2, 0]])
    columns["b"] = np.array(["u", "v"])
    with pytest.raises(ValueError, match="x got type <U1 in column 'b'"):
        Dataset(Frame(columns, is_arrow), [0, 1])


def hidden(values):
    return np.ma.masked_array(values, np.arange(np.size(values)).reshape(np.shape(values)) == 1)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"x": hidden(X)}, "x"),
        ({"x": [hidden(row) for row in X]}, "x"),
        ({"y": hidden(Y)}, "y"),
        ({"y": hidden(np.eye(3)[Y])}, "y"),
        ({"weights": hidden(np.ones(4))}, "weights"),
    ],
)
def test_what_a_mask_hides_is_refused(change, name):
    with pytest.raises(ValueError, match=rf"^{name} got \d values hidden by a mask; expected"):
        Dataset(**{"x": X, "y": Y, **change})


def test_a_mask_that_hides_nothing_is_no_matter():
    data = Dataset(np.ma.masked_array(X), np.ma.masked_array(Y, mask=False))
    np.testing.assert_array_equal(data.x, X)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.float16])
def test_one_hot_labels_of_small_types(dtype):
    """300 classes: more than an 8-bit sum can count."""
    labels = np.arange(300) * 7 % 300
    for one_hot in (np.eye(300)[labels[:200]], np.eye(300)[labels[:200]].T):
        num_classes = 300 if dtype is np.float16 else None
        data = Dataset(np.ones((200, 1)), one_hot.astype(dtype), num_classes)
        np.testing.assert_array_equal(data.y, labels[:200])
        assert data.num_classes == 300
    # 257 ones are 1 modulo 256
    assert Dataset(np.ones((4, 1)), np.ones((4, 257), dtype)).is_real
    with pytest.raises(ValueError, match="expected class numbers"):
        Dataset(np.ones((4, 1)), np.ones((4, 257), dtype), 257)
