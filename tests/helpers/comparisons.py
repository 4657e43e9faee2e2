"""Comparisons of trees, of lanes and of whole studies."""

import jax
import numpy as np

KEPT = ("diverged", "epochs_done", "ends", "dropped", "parent", "born", "kept_epochs")


def assert_same(first, second):
    """All that two studies say, and all their networks."""
    assert first.settings == second.settings
    assert (first.rungs, first.notes) == (second.rungs, second.notes)
    for name, curve in first.curves.items():
        np.testing.assert_array_equal(curve, second.curves[name], err_msg=name)
    for name in KEPT:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    for number, repeat in np.argwhere(first.places[..., 0] >= 0).tolist():
        one, other = first.fitted(number, repeat), second.fitted(number, repeat)
        trees = [(fitted.params, fitted.state) for fitted in (one, other)]
        jax.tree.map(np.testing.assert_array_equal, *trees)


def leaves_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def networks(study):
    """All weights and curves of a study, by lane."""
    lanes = [study.fitted(*lane) for lane in np.ndindex(study.diverged.shape)]
    return [jax.tree.leaves((lane.params, lane.state, lane.curves)) for lane in lanes]


def assert_same_bits(a, b):
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def assert_lane_is_solo(study, number, repeat, alone, rtol):
    lane = study.fitted(number, repeat)
    for a, b in zip(
        jax.tree.leaves((lane.params, lane.state, lane.curves)),
        jax.tree.leaves((alone.params, alone.state, alone.curves)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)
    assert lane.setting == alone.setting
    assert lane.diverged == alone.diverged
