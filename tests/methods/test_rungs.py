"""The rungs of halving and Hyperband."""

import pytest
from helpers.searches import TRAIN, VALID

import jaxnn
from jaxnn import loguniform
from jaxnn.methods.budgets import Budget
from jaxnn.methods.rungs import brackets, in_brackets

SPACE = {"learning_rate": loguniform(1e-4, 1e0), "hidden": (4,), "batch_size": 20}


def budget(num_settings, max_epochs, factor=3, min_epochs=1):
    return Budget(
        num_settings=num_settings,
        max_epochs=max_epochs,
        min_epochs=min_epochs,
        factor=factor,
        rounds=1,
        batch=1,
        patience=None,
        limit=None,
        stop_after=None,
        seed=0,
    )


def test_the_brackets_are_those_of_the_paper():
    """Li et al. 2018, table 1: R = 81, eta = 3, of 143 settings in all."""
    assert brackets(budget(81 + 34 + 15 + 8 + 5, 81)) == [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (12, 9), (4, 27), (2, 81)],
        [(15, 9), (5, 27), (2, 81)],
        [(8, 27), (3, 81)],
        [(5, 81)],
    ]


@pytest.mark.parametrize("count", [1, 2, 7, 64, 1000])
@pytest.mark.parametrize(("epochs", "least", "factor"), [(9, 1, 3), (50, 2, 2.5), (5, 5, 3)])
def test_brackets_train_all_settings_to_the_epochs_that_they_say(count, epochs, least, factor):
    every = brackets(budget(count, epochs, factor, least))
    assert sum(steps[0][0] for steps in every) == count
    assert all(steps[-1][1] == epochs for steps in every)
    assert min(steps[0][1] for steps in every) >= least
    assert [steps[0][1] for steps in every] == sorted(steps[0][1] for steps in every)
    work = sum(
        count * epochs for count, epochs in in_brackets(budget(count, epochs, factor, least))
    )
    by_hand = 0
    for steps in every:
        before = 0
        for rest, until in steps:
            by_hand += rest * (until - before)
            before = until
    assert work == by_hand


def test_hyperband_trains_each_bracket_in_the_same_programs():
    study = jaxnn.search(
        SPACE, TRAIN, VALID, method="hyperband", num_settings=13, max_epochs=9, progress=False
    )
    expected = brackets(budget(13, 9))
    whole = [one for steps in expected for one in steps]
    assert [(len(one.entered), one.epochs) for one in study.rungs] == whole
    first = range(expected[0][0][0])
    assert {*study.rungs[0].entered} == {*first}
    # settings of later brackets begin with more epochs
    reached = study.epochs_done[:, 0]
    begins = [steps[0][1] for steps in expected for _ in range(steps[0][0])]
    assert (reached >= begins).all()
    assert len(study.plan.programs) == 1
    assert study.given == jaxnn.sample(SPACE, 13)
    best = study.best_trial
    alone = jaxnn.fit(best.params, TRAIN, VALID, epochs=9)
    assert alone.curves["valid_cost"][-1] == pytest.approx(best.cost, rel=1e-3)


def test_hyperband_of_one_rung_trains_all():
    options = {"num_settings": 3, "max_epochs": 2, "min_epochs": 2, "progress": False}
    study = jaxnn.search(SPACE, TRAIN, VALID, method="hyperband", **options)
    assert study.is_complete.all()
    assert [(one.epochs, one.entered) for one in study.rungs] == [(2, (0, 1, 2))]
