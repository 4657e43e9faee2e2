"""What every row of a table promises: a lane is the network alone, and is saved and resumed."""

import jax
import numpy as np
import pytest

import jaxnn
from jaxnn.disk.encoding import encode


def assert_like_alone(study, number, data, epochs):
    """To 1e-9 in float64, design promise 1; returns the network."""
    mine, alone = study.fitted(number), jaxnn.fit(study.given[number], *data, epochs=epochs)
    close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    jax.tree.map(close, (mine.params, mine.state), (alone.params, alone.state))
    for name, curve in alone.curves.items():
        close(mine.curves[name], curve)
    return mine


def assert_same(first, second):
    # a file has the names of functions
    assert encode(first.settings) == encode(second.settings)
    for name, curve in first.curves.items():
        np.testing.assert_array_equal(curve, second.curves[name], err_msg=name)
    np.testing.assert_array_equal(first.ranking, second.ranking)
    for number in range(len(first.given)):
        trees = [(one.fitted(number).params, one.fitted(number).state) for one in (first, second)]
        jax.tree.map(np.testing.assert_array_equal, *trees)


def assert_saved_and_resumed(study, settings, data, folder, **options):
    """From its file, and from a directory that an interrupt left behind."""
    study.save(folder / "study.h5")
    assert_same(study, jaxnn.load(folder / "study.h5"))
    for number in range(len(settings)):
        fitted = study.fitted(number)
        fitted.save(folder / "network.h5")
        again = jaxnn.load(folder / "network.h5")
        np.testing.assert_array_equal(fitted.predict(data[1].x), again.predict(data[1].x))

    def interrupt(info):
        # the first call trains one epoch; later ones may train all that are left
        if info.epoch == 1:
            raise KeyboardInterrupt

    options |= {"directory": folder / "sweep", "commit_interval": 0.0}
    with pytest.raises(jaxnn.TrainingInterrupted) as caught:
        jaxnn.sweep(settings, *data, on_epoch=interrupt, **options)
    assert not caught.value.study.is_complete.all()
    assert_same(study, jaxnn.sweep(settings, *data, **options))
