import numpy as np
import pytest

import jaxnn


@pytest.fixture(scope="module")
def signs():
    return jaxnn.generated_signs()


def test_shapes_classes_and_range(signs):
    train, test, classes = signs
    assert train.x.shape == (1080, 64, 64, 3)
    assert test.x.shape == (120, 64, 64, 3)
    assert classes == (0, 1, 2, 3, 4, 5)
    assert (train.num_classes, test.num_classes) == (6, 6)
    np.testing.assert_array_equal(np.bincount(train.y), 180)
    np.testing.assert_array_equal(np.bincount(test.y), 20)
    assert 0 <= float(train.x.min()) < 0.2
    assert 0.8 < float(train.x.max()) <= 1


def test_a_seed_gives_the_same_pictures_and_another_one_others(signs):
    again, _, _ = jaxnn.generated_signs(seed=0)
    np.testing.assert_array_equal(again.x, signs[0].x)
    other, _, _ = jaxnn.generated_signs(seed=1)
    assert float(abs(other.x - signs[0].x).mean()) > 0.05


def test_no_picture_is_drawn_twice_and_labels_are_shuffled(signs):
    train, test, _ = signs
    pictures = np.concatenate([train.x, test.x]).reshape(1200, -1)
    assert len(np.unique(pictures, axis=0)) == 1200
    assert (np.diff(np.asarray(train.y)) == 0).mean() < 0.3


@pytest.mark.slow
def test_pictures_can_be_learned_and_are_not_trivial(signs):
    """A small network learns them; softmax regression on the mean colour does not."""
    train, test, _ = signs
    setting = {"hidden": (25, 12), "inputs": "centred", "learning_rate": 1e-3}
    fitted = jaxnn.fit(setting, train, epochs=60)
    assert fitted.score(train) > 0.9
    assert 0.45 < fitted.score(test) < 0.95
    colour = lambda data: jaxnn.Dataset(np.asarray(data.x).mean((1, 2)), data.y, 6)
    by_colour = jaxnn.fit({"learning_rate": 0.05}, colour(train), epochs=60)
    assert by_colour.score(colour(test)) < 0.4


@pytest.mark.parametrize("seed", [-1, 1.5, True, "0"])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ValueError, match="seed got"):
        jaxnn.generated_signs(seed)
