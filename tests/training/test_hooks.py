"""The hook: every epoch of every network once, and never in the way."""

import numpy as np
import pytest

import jaxnn
from jaxnn import Dataset, Run, TrainingInterrupted, fit, search, sweep

DATA = Dataset(np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2)
SETTING = {"hidden": (4,), "batch_size": 10, "learning_rate": 0.1}


def test_every_epoch_of_every_network_is_told_once():
    told = {}
    settings = [SETTING, SETTING | {"learning_rate": 0.01}, SETTING | {"batch_size": 20}]
    study = sweep(settings, DATA, 0.2, epochs=5, seeds=2, progress=False,
                  on_epoch=lambda info: told.setdefault(info[:3], info))  # fmt: skip
    assert sorted(told) == [(n, k, e) for n in range(3) for k in range(2) for e in range(1, 6)]
    for (number, repeat, epoch), info in told.items():
        assert info.setting == settings[number]
        assert info.values == {
            name: curve[number, repeat, epoch - 1] for name, curve in study.curves.items()
        }


def test_a_search_tells_what_it_trains():
    told = []
    space = SETTING | {"learning_rate": jaxnn.loguniform(1e-3, 1e-1)}
    study = search(space, DATA, 0.2, num_settings=4, max_epochs=4, factor=2, progress=False,
                   on_epoch=told.append)  # fmt: skip
    assert len({info[:3] for info in told}) == len(told) == study.epochs_done.sum()


@pytest.mark.parametrize("way", ["fit", "run"])
def test_one_network_tells_its_epochs(way):
    told = []
    if way == "fit":
        curves = fit(SETTING, DATA, epochs=4, on_epoch=told.append).curves
    else:
        run = Run(SETTING, DATA, on_epoch=told.append)
        run.train(epochs=3)
        run.train(epochs=1)
        curves = run.curves
    assert [info.epoch for info in told] == [1, 2, 3, 4]
    assert [info.values["cost"] for info in told] == curves["cost"].tolist()


def test_a_hook_that_raises_is_said_once_and_stops_nothing():
    told = []

    def fails(info):
        told.append(info)
        raise OSError("disk full")

    with pytest.warns(UserWarning, match="on_epoch raised OSError: disk full, at epoch 1") as said:
        study = sweep([SETTING] * 2, DATA, 0.2, epochs=3, progress=False, on_epoch=fails)
    assert len(said) == len(told) == 1
    assert study.is_complete.all()
    run = Run(SETTING, DATA, on_epoch=fails)
    with pytest.warns(UserWarning, match="on_epoch raised OSError"):
        run.train(epochs=2)
    run.train(epochs=2)  # warnings are errors
    assert (len(told), run.epoch) == (2, 4)


def test_a_diverged_network_is_told_of_no_more():
    told = []
    wild = {"learning_rate": 1e30, "optimizer": "gd", "hidden": (4,), "batch_size": 10}
    fitted = fit(wild, DATA, epochs=4, on_epoch=told.append)
    assert fitted.diverged is not None
    assert len(told) == np.isfinite(fitted.curves["cost"]).sum() < 4


@pytest.mark.parametrize("train", [fit, sweep], ids=["fit", "sweep"])
def test_what_is_no_function_is_refused(train):
    with pytest.raises(ValueError, match="on_epoch got 3; expected a function of an EpochInfo"):
        train(SETTING if train is fit else [SETTING], DATA, 0.2, epochs=1, on_epoch=3)


@pytest.mark.parametrize(
    ("way", "kind"),
    [
        ("fit", KeyboardInterrupt),
        ("run", SystemExit),
        ("sweep", SystemExit),
        ("fit", GeneratorExit),
    ],
)
def test_an_interrupt_of_the_hook_ends_training_with_what_was_reached(way, kind):
    def stop(info):
        if info.epoch == 2:
            raise kind

    run = Run(SETTING, DATA, 0.2, on_epoch=stop, progress=False)
    options = {"on_epoch": stop, "progress": False}
    calls = {
        "fit": lambda: fit(SETTING, DATA, 0.2, epochs=10**6, **options),
        "run": lambda: run.train(10**6),
        "sweep": lambda: sweep([SETTING], DATA, 0.2, epochs=10**4, **options),
    }
    with pytest.raises(TrainingInterrupted) as caught:
        calls[way]()
    assert type(caught.value.__cause__) is kind
    if way == "sweep":
        study = caught.value.study
        assert 2 <= study.epochs_done[0, 0] < 10**4
        network, cost = study.fitted(0), study.reached("valid_cost")[0, 0]
    else:
        network = caught.value.fitted
        cost = network.curves["valid_cost"][-1]
    assert np.isfinite(cost)
    assert network.predict(DATA.x).shape == (len(DATA),)
    if way == "run":
        before = run.epoch
        assert before < 10**6
        run.train(1)
        assert run.epoch == before + 1


def test_an_error_whose_text_is_an_error_stops_the_calls_alone():
    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    def fail(info):
        raise Mute

    with pytest.warns(UserWarning, match="on_epoch raised Mute, at epoch 1 of setting 0"):
        study = sweep([SETTING], DATA, 0.2, epochs=3, progress=False, on_epoch=fail)
    assert study.is_complete.all()


@pytest.mark.parametrize("way", ["sweep", "run"])
def test_a_hook_may_change_what_it_is_given(way):
    def tell(info):
        info.setting["run"] = info.setting.pop("hidden")
        info.values.clear()

    setting = SETTING | {"hidden": [4]}
    if way == "sweep":
        study = sweep([setting], DATA, 0.2, epochs=3, progress=False, on_epoch=tell)
    else:
        run = Run(setting, DATA, 0.2, on_epoch=tell)
        setting["hidden"].append(5)
        run.train(epochs=3)
        study = run.study()
        run.journal.clear()
        assert len(run.journal) == 1
    assert study.given == [SETTING]
    study.best_params.clear()
    study.fitted().setting.clear()
    study.fitted().curves["cost"][:] = 0
    assert study.given == [SETTING]
    assert study.settings[0]["hidden"] == (4,)
    assert study.curves["cost"].all()
