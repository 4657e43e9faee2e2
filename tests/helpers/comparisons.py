"""Comparisons of whole studies."""

import jax
import numpy as np

KEPT = ("diverged", "epochs_done", "ends", "dropped", "kept_epochs")


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
