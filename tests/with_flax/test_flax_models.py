"""Flax networks: what `from_flax` makes of them against Flax's own calls, and our batch norm."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

import jaxnn
from jaxnn import Dataset, fit, from_flax, sweep


class Linen(nn.Module):
    """Convolution, batch norm, dropout."""

    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.relu(
            nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.Conv(4, (3, 3))(x))
        )
        x = nn.Dropout(0.2, deterministic=not train)(x.reshape(len(x), -1))
        return nn.Dense(3)(x)


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(2, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, momentum=0.9, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(4 * 16, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)])

    def __call__(self, x):
        x = nnx.relu(self.norm(self.conv(x)))
        x = self.dropout(x.reshape(len(x), -1))
        for layer in self.layers:
            x = layer(x)
        return x


MODULES = {"linen": Linen(), "nnx": Nnx}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 4, 4, 2))
    y = (x[..., 0].mean((1, 2)) > 0).astype(int) + (x[..., 1].mean((1, 2)) > 0.1)
    return Dataset(x[:30], y[:30], 3), Dataset(x[30:], y[30:], 3)


@pytest.fixture(params=MODULES)
def model(request, data):
    return from_flax(MODULES[request.param], data[0].x[:1])


def test_linen_by_flax_itself(data):
    """First weights, an evaluation, and a step with its dropout and statistics."""
    x, key = data[0].x, jax.random.key(3)
    module, model = Linen(), from_flax(Linen(), x[:1])
    params, state = model.init(key)
    variables = module.init(key, x[:1], train=False)
    jax.tree.map(np.testing.assert_array_equal, {"params": params, **state}, dict(variables))
    logits, same = model.apply(params, state, x)
    np.testing.assert_array_equal(logits, module.apply(variables, x, train=False))
    assert same is state
    logits, state = model.apply(params, state, x, is_training=True, key=key)
    expected, new = module.apply(
        variables, x, train=True, rngs={"dropout": key}, mutable=["batch_stats"]
    )
    np.testing.assert_array_equal(logits, expected)
    jax.tree.map(np.testing.assert_array_equal, state, dict(new))


def test_nnx_by_flax_itself(data):
    x, key = data[0].x, jax.random.key(3)
    module, model = Nnx(nnx.Rngs(key)), from_flax(Nnx, x[:1])
    params, state = model.init(key)
    np.testing.assert_array_equal(params["layers"][1]["kernel"], module.layers[1].kernel[...])
    module.eval()
    np.testing.assert_allclose(model.apply(params, state, x)[0], module(x), rtol=1e-6)
    module.train()
    module(x)
    first, new = model.apply(params, state, x, is_training=True, key=key)
    np.testing.assert_allclose(new["norm"]["mean"], module.norm.mean[...], rtol=1e-6)
    again, _ = model.apply(params, state, x, is_training=True, key=key)
    other, _ = model.apply(params, state, x, is_training=True, key=jax.random.key(4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_lane_is_the_network_trained_alone(model, data):
    settings = [{"learning_rate": rate, "batch_size": 8} for rate in (1e-2, 1e-3)]
    study = sweep(settings, *data, epochs=3, model=model, progress=False)
    for number, setting in enumerate(settings):
        alone = fit(setting, *data, epochs=3, model=model)
        np.testing.assert_allclose(study.fitted(number).curves["cost"], alone.curves["cost"], 1e-4)
    assert study.fitted(0).curves["cost"][-1] < study.fitted(0).curves["cost"][0]


def test_saved_and_loaded(model, data, tmp_path):
    fitted = fit({"batch_size": 8}, *data, epochs=1, model=model)
    fitted.save(tmp_path / "network.h5")
    loaded = jaxnn.load(tmp_path / "network.h5", model)
    np.testing.assert_array_equal(loaded.predict_proba(data[0].x), fitted.predict_proba(data[0].x))


def test_batch_norm_is_ours():
    """The same dense network in both, statistics and all, from equal weights in float64."""

    class Dense(nn.Module):
        @nn.compact
        def __call__(self, x, train: bool):
            norm = nn.BatchNorm(not train, momentum=0.9, epsilon=1e-5, param_dtype=float)
            x = nn.relu(norm(nn.Dense(5, use_bias=False, param_dtype=float)(x)))
            return nn.Dense(3, param_dtype=float)(x)

    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        data = Dataset(rng.normal(size=(24, 4)), np.arange(24) % 3)
        ours, theirs = jaxnn.mlp(4, (5,), 3, batch_norm=True), from_flax(Dense(), data.x[:1])
        (first, last), _ = ours.init(jax.random.key(0))

        def init(key):
            params = {
                "Dense_0": {"kernel": first["kernel"].T},
                "BatchNorm_0": {"scale": first["scale"], "bias": first["offset"]},
                "Dense_1": {"kernel": last["kernel"].T, "bias": last["bias"]},
            }
            return params, theirs.init(key)[1]

        setting = {"learning_rate": 0.1, "optimizer": "gd", "batch_size": 8, "l2": 0.01}
        model = jaxnn.Model(init, theirs.apply, ())
        mine = fit(setting | {"hidden": (5,), "batch_norm": True}, data, epochs=20)
        flax = fit(setting, data, epochs=20, model=model)
        np.testing.assert_allclose(mine.curves["cost"], flax.curves["cost"], rtol=1e-9)
        norm = flax.state["batch_stats"]["BatchNorm_0"]
        np.testing.assert_allclose(mine.state[0]["mean"], norm["mean"], rtol=1e-7)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Linen, "expected an instance of flax.linen.Module"),
        (Nnx(nnx.Rngs(0)), "for flax.nnx, whose instances have weights already, a function"),
        (3, "from_flax got <class 'int'>; expected an instance"),
        (nn.Conv(3, (3, 3)), r"makes \(1, 4, 4, 3\) of inputs \(1, 4, 4, 2\); expected logits"),
    ],
)
def test_bad_input(module, message):
    with pytest.raises(ValueError, match=message):
        from_flax(module, jnp.ones((1, 4, 4, 2)))


class Wide(nn.Module):
    hidden: tuple[int, ...]

    @nn.compact
    def __call__(self, x):
        x = x.reshape(len(x), -1)
        for units in self.hidden:
            x = nn.relu(nn.Dense(units)(x))
        return nn.Dense(3)(x)


@pytest.mark.slow
def test_a_function_makes_the_model_of_each_structure(data, tmp_path):
    made = []

    def network(structure):
        made.append(structure["hidden"])
        return from_flax(Wide(structure["hidden"]), data[0].x[:1])

    settings = [
        {"hidden": hidden, "learning_rate": rate, "batch_size": 8}
        for rate in (1e-1, 1e-2)
        for hidden in ((4,), (8, 4))
    ]
    study = sweep(settings, *data, epochs=3, model=network, progress=False)
    assert sorted(made) == [(4,), (8, 4)]
    assert sorted(one.settings for one in study.plan.programs) == [(0, 2), (1, 3)]
    for number, setting in enumerate(settings):
        model = from_flax(Wide(setting["hidden"]), data[0].x[:1])
        alone = fit(setting, *data, epochs=3, model=model)
        lane = study.fitted(number)
        np.testing.assert_allclose(lane.curves["cost"], alone.curves["cost"], 1e-4)
    lane.save(tmp_path / "network.h5")
    loaded = jaxnn.load(tmp_path / "network.h5", network)
    np.testing.assert_array_equal(loaded.predict_proba(data[0].x), lane.predict_proba(data[0].x))
    again = fit(settings[3], *data, epochs=3, model=network)
    np.testing.assert_array_equal(again.curves["cost"], alone.curves["cost"])
    assert study.refit(data[0] + data[1], progress=False).curves["cost"].shape == (3,)
    with pytest.raises(ValueError, match="model got a function that makes 3; expected"):
        fit(settings[0], *data, epochs=1, model=lambda structure: 3)


def compact(call):
    """A linen module with this `__call__`."""
    return type("Module", (nn.Module,), {"__call__": nn.compact(call)})()


X = np.random.default_rng(0).normal(3, 2, size=(32, 4))


def test_every_stream_of_random_numbers_has_keys_of_its_own():
    def call(self, x, train):
        ones = jnp.ones_like(x)
        masks = [
            nn.Dropout(0.5, rng_collection=name, deterministic=not train)(ones)
            for name in ("dropout", "drop", "noise")
        ]
        return jnp.concatenate(masks, axis=1)

    model = from_flax(compact(call), X[:1])
    params, state = model.init(jax.random.key(0))
    step = lambda key: model.apply(params, state, X, is_training=True, key=jax.random.key(key))[0]
    masks = np.split(np.asarray(step(1)) > 0, 3, axis=1)
    for mask in masks:
        assert 0.3 < mask.mean() < 0.7
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert 0.3 < (masks[one] == masks[other]).mean() < 0.7
    np.testing.assert_array_equal(step(1), step(1))
    assert not np.array_equal(step(1), step(2))
    np.testing.assert_array_equal(model.apply(params, state, X)[0], 1)


def head(x, is_training, is_deterministic):
    x = nn.BatchNorm(use_running_average=not is_training)(nn.Dense(4)(x))
    return nn.Dense(2)(nn.Dropout(0.5, deterministic=is_deterministic)(x))


def by_is_train(self, x, is_train=False):
    return head(x, is_train, not is_train)


def by_is_eval(self, x, is_eval=True):
    return head(x, not is_eval, is_eval)


def by_two(self, x, train, deterministic):
    return head(x, train, deterministic)


@pytest.mark.parametrize("call", [by_is_train, by_is_eval, by_two])
def test_a_module_is_told_by_each_of_its_names(call):
    model = from_flax(compact(call), X[:1])
    params, state = model.init(jax.random.key(0))
    step = lambda key: model.apply(params, state, X, is_training=True, key=jax.random.key(key))
    assert not np.array_equal(step(1)[0], step(2)[0])
    assert step(1)[1]["batch_stats"]["BatchNorm_0"]["mean"].any()
    logits, same = model.apply(params, state, X)
    assert same is state
    assert not np.array_equal(logits, step(1)[0])


class OwnField(nn.Module):
    train: bool = False

    @nn.compact
    def __call__(self, x):
        return head(x, self.train, not self.train)


@pytest.mark.parametrize(
    "module",
    [
        OwnField(),
        compact(lambda self, x, mode="eval": head(x, mode == "train", mode == "eval")),
        compact(lambda self, x: head(x, False, True)),
    ],
    ids=["a field", "a word", "frozen"],
)
def test_batch_norm_and_dropout_that_do_not_hear_are_named(module):
    with pytest.warns(
        UserWarning, match="^BatchNorm_0, Dropout_0 of the module will work as in ev"
    ):
        from_flax(module, X[:1])


def test_dropout_of_rate_0_need_not_hear():
    call = lambda self, x: nn.Dense(2)(nn.Dropout(0.0, deterministic=True)(x))
    assert from_flax(compact(call), X[:1]).numbers == ()


class WithDropout(nnx.Module):
    def __init__(self, rngs):
        self.layer = nnx.Linear(4, 2, rngs=rngs)
        # frozen as it is made: train() wakes it
        self.dropout = nnx.Dropout(0.5, rng_collection="noise", deterministic=True, rngs=rngs)

    def __call__(self, x):
        return self.layer(self.dropout(x))


class Told(WithDropout):
    def __call__(self, x, train=False):
        return self.layer(self.dropout(x, deterministic=not train))


class ToldByAnotherName(WithDropout):
    def __call__(self, x, testing=True):
        return self.layer(self.dropout(x, deterministic=testing))


class WithoutKeys(WithDropout):
    def __init__(self, rngs):
        super().__init__(rngs)
        self.dropout = nnx.Dropout(0.5)


class Growing(WithDropout):
    def __init__(self, rngs):
        super().__init__(rngs)
        self.seen = nnx.BatchStat(jnp.zeros(1))

    def __call__(self, x):
        self.seen.set_value(jnp.zeros(len(self.seen[...]) + 1))
        return self.layer(x)


@pytest.mark.parametrize("module", [Told, WithDropout])
def test_nnx_is_told_and_has_keys_for_every_stream(module):
    model = from_flax(module, X[:1])
    params, state = model.init(jax.random.key(0))
    step = lambda key: model.apply(params, state, X, is_training=True, key=jax.random.key(key))[0]
    assert not np.array_equal(step(1), step(2))
    layer = jax.tree.map(np.asarray, params["layer"])
    expected = X @ layer["kernel"] + layer["bias"]
    np.testing.assert_allclose(model.apply(params, state, X)[0], expected, rtol=1e-4, atol=1e-4)


REFUSED = {
    "an unknown flag": (
        compact(lambda self, x, testing=True: nn.Dense(2)(x)),
        "takes testing; expected inputs alone, or an argument that tells it whether it trains",
    ),
    "another argument": (compact(lambda self, x, labels: nn.Dense(2)(x)), "takes labels; expected"),
    "an unknown flag of nnx": (
        ToldByAnotherName,
        "takes testing; expected inputs alone, or an arg",
    ),
    "dropout that is never told": (
        compact(lambda self, x: nn.Dense(2)(nn.Dropout(0.5)(x))),
        'cannot be initialised: ValueError: Parameter "deterministic" must be passed',
    ),
    "dropout without an end": (
        compact(lambda self, x: nn.Dense(2)(nn.Dropout(0.5, deterministic=False)(x))),
        "cannot be called in evaluation: InvalidRngError: Dropout_0 needs PRNG",
    ),
    "statistics of each batch": (
        compact(lambda self, x: nn.Dense(2)(nn.BatchNorm(use_running_average=False)(x))),
        "cannot be called in evaluation: ModifyScopeVariableError",
    ),
    "two outputs in training": (
        compact(lambda self, x, train: (nn.Dense(2)(x), x) if train else nn.Dense(2)(x)),
        r"makes <class 'tuple'> of inputs \(1, 4\); expected logits",
    ),
    "nnx dropout without keys": (
        WithoutKeys,
        "cannot be called in training: ValueError: `determin",
    ),
    "state that grows": (Growing, "whose state seen changes its shape or type in a step"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_train_is_refused_at_once(name):
    module, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        from_flax(module, X[:1])
