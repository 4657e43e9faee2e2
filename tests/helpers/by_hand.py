"""Training written out in NumPy, float64: what a lane, whatever it shares a program with, must be.

The course's formulas, layer by layer, with the random numbers by the rules that the package states.
The weight in row r, column c of layer i is what JAX's generator makes of the counter (r, c) with
the key fold_in(key, i). The mask of unit r, example c in step t is made likewise with the key
fold_in(fold_in(fold_in(key, 2^31 - 1), t), i).
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jax.extend.random import threefry_2x32
from scipy.special import expit

MOST_UNITS, MOST_EXAMPLES = 16, 32
NUMBERS = {
    "momentum": 0.8,
    "beta1": 0.85,
    "beta2": 0.97,
    "epsilon": 1e-3,
    "weight_decay": 0.3,
}
ROWS, COLUMNS = np.indices((MOST_UNITS, max(MOST_UNITS, MOST_EXAMPLES)), np.uint32)


@jax.jit
def _words(key):
    # JAX encrypts the first half of the counters together with the second
    return threefry_2x32(jax.random.key_data(key), jnp.append(ROWS, COLUMNS))


def uniform(key):
    """For each place, the centre of the interval that the upper 26 bits of two words name."""
    high, low = np.asarray(_words(key)).reshape(2, *ROWS.shape) >> 6
    return (high * 2.0**26 + low + 0.5) / 2.0**52


def first_weights(setting, num_features, num_classes, key):
    units = (num_features, *setting["hidden"], num_classes)
    params = []
    for layer, (num_in, num_out) in enumerate(itertools.pairwise(units)):
        layer_key = jax.random.fold_in(key, layer)
        both = num_in + num_out
        variance = {"he": 2 / num_in, "xavier": 2 / both, "lecun": 1 / num_in}
        deviation = np.sqrt(variance[setting["init"].split("_")[0]])
        if setting["init"].endswith("uniform"):
            draws = deviation * np.sqrt(3) * (2 * uniform(layer_key) - 1)
        else:
            draws = deviation * scipy.stats.norm.ppf(uniform(layer_key))
        one = {"kernel": draws[:num_out, :num_in]}
        if setting["batch_norm"] and layer < len(units) - 2:
            one |= {"scale": np.ones((num_out, 1)), "offset": np.zeros((num_out, 1))}
        else:
            one["bias"] = np.zeros((num_out, 1))
        params.append(one)
    return params


TANH_SCALE = np.sqrt(2 / np.pi)

# Klambauer et al. 2017
SELU, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

ACTIVATIONS = {
    "relu": (lambda z: np.maximum(z, 0), lambda z, a: (z > 0) * 1.0),
    "leaky_relu": (lambda z: np.where(z >= 0, z, 0.01 * z), lambda z, a: np.where(z >= 0, 1, 0.01)),
    "tanh": (np.tanh, lambda z, a: 1 - a * a),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z, a: a * (1 - a)),
    "identity": (lambda z: z, lambda z, a: np.ones_like(z)),
    "gelu": (
        lambda z: z / 2 * (1 + np.tanh(TANH_SCALE * (z + 0.044715 * z**3))),
        lambda z, a: (
            (1 + np.tanh(TANH_SCALE * (z + 0.044715 * z**3))) / 2
            + z
            / 2
            * TANH_SCALE
            * (1 + 3 * 0.044715 * z**2)
            / np.cosh(TANH_SCALE * (z + 0.044715 * z**3)) ** 2
        ),
    ),
    "silu": (lambda z: z * expit(z), lambda z, a: expit(z) * (1 + z * (1 - expit(z)))),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(z)), lambda z, a: np.where(z > 0, 1, np.exp(z))),
    "selu": (
        lambda z: SELU * np.where(z > 0, z, SELU_ALPHA * np.expm1(z)),
        lambda z, a: SELU * np.where(z > 0, 1, SELU_ALPHA * np.exp(z)),
    ),
    "mish": (
        lambda z: z * np.tanh(np.logaddexp(z, 0)),
        lambda z, a: np.tanh(np.logaddexp(z, 0)) + z * expit(z) / np.cosh(np.logaddexp(z, 0)) ** 2,
    ),
    "softplus": (lambda z: np.logaddexp(z, 0), lambda z, a: expit(z)),
}


def gradients(setting, params, averages, x, y, step_key):
    """The gradient of a mini-batch; moves the running averages of batch norm along."""
    activate, slope = ACTIVATIONS[setting["activation"]]
    a, kept, count = x.T, [], len(y)
    for layer, one in enumerate(params[:-1]):
        memory = {"below": a}
        z = one["kernel"] @ a
        if setting["batch_norm"]:
            mean, variance = z.mean(1, keepdims=True), z.var(1, keepdims=True)
            decay = setting["batch_norm_decay"]
            for name, value in (("mean", mean), ("variance", variance)):
                averages[layer][name] = decay * averages[layer][name] + (1 - decay) * value
            memory["deviation"] = np.sqrt(variance + 1e-5)
            memory["norm"] = (z - mean) / memory["deviation"]
            z = one["scale"] * memory["norm"] + one["offset"]
        else:
            z = z + one["bias"]
        memory["z"], memory["a"] = z, activate(z)
        memory["mask"] = np.ones_like(z)
        if setting["dropout"] > 0:
            draws = uniform(jax.random.fold_in(step_key, layer))[: len(z), :count]
            memory["mask"] = (draws >= setting["dropout"]) / (1 - setting["dropout"])
        a = memory["a"] * memory["mask"]
        kept.append(memory)
    logits = params[-1]["kernel"] @ a + params[-1]["bias"]
    shifted = np.exp(logits - logits.max(0))
    dz = (shifted / shifted.sum(0) - np.eye(len(logits))[y].T) / count
    grads = [{"kernel": dz @ a.T, "bias": dz.sum(1, keepdims=True)}]
    da = params[-1]["kernel"].T @ dz
    for one, memory in zip(params[-2::-1], kept[::-1], strict=True):
        dz = da * memory["mask"] * slope(memory["z"], memory["a"])
        own = {}
        if setting["batch_norm"]:
            own["scale"] = (dz * memory["norm"]).sum(1, keepdims=True)
            own["offset"] = dz.sum(1, keepdims=True)
            dn = dz * one["scale"]
            along = (dn * memory["norm"]).mean(1, keepdims=True)
            dz = (dn - dn.mean(1, keepdims=True) - memory["norm"] * along) / memory["deviation"]
        else:
            own["bias"] = dz.sum(1, keepdims=True)
        own["kernel"] = dz @ memory["below"].T
        grads.insert(0, own)
        da = one["kernel"].T @ dz
    for one, own in zip(params, grads, strict=True):
        own["kernel"] = own["kernel"] + setting["l2"] * one["kernel"]
    return grads


def clipped(setting, grads):
    """The gradients of all layers together, scaled to a norm of at most clip_norm."""
    if setting["clip_norm"] is None:
        return grads
    norm = np.sqrt(sum((leaf**2).sum() for own in grads for leaf in own.values()))
    scale = min(1, setting["clip_norm"] / norm)
    return [{name: scale * leaf for name, leaf in own.items()} for own in grads]


def moved(setting, w, grad, moments, step, alpha, is_kernel=False):
    decay = setting["weight_decay"] * is_kernel * (setting["optimizer"] in ("adamw", "lion"))
    new, moments = _moved(setting, w, grad, moments, step, alpha)
    return new - alpha * decay * w, moments


def _moved(setting, w, grad, moments, step, alpha):
    v, s = moments
    beta1, beta2, epsilon = setting["beta1"], setting["beta2"], setting["epsilon"]
    if setting["optimizer"] == "gd":
        return w - alpha * grad, moments
    if setting["optimizer"] == "momentum":
        v = setting["momentum"] * v + (1 - setting["momentum"]) * grad
        return w - alpha * v, (v, s)
    if setting["optimizer"] == "nesterov":
        v = setting["momentum"] * v + (1 - setting["momentum"]) * grad
        return w - alpha * (setting["momentum"] * v + (1 - setting["momentum"]) * grad), (v, s)
    if setting["optimizer"] == "lion":
        sign = np.sign(beta1 * v + (1 - beta1) * grad)
        return w - alpha * sign, (beta2 * v + (1 - beta2) * grad, s)
    s = beta2 * s + (1 - beta2) * grad**2
    if setting["optimizer"] == "rmsprop":
        return w - alpha * grad / (np.sqrt(s) + epsilon), (v, s)
    v = beta1 * v + (1 - beta1) * grad
    v_hat, s_hat = v / (1 - beta1**step), s / (1 - beta2**step)
    return w - alpha * v_hat / (np.sqrt(s_hat) + epsilon), (v, s)


def decayed(setting, now, epochs):
    """At `now`, which is 1.5 in the middle of the second of so many epochs."""
    if now < setting["warmup"]:
        return setting["learning_rate"] * now / setting["warmup"]
    since, last = now - setting["warmup"], epochs - setting["warmup"]
    t, k = np.floor(since + 1e-12) / setting["decay_every"], setting["decay_rate"]
    factor = {
        "none": 1.0,
        "inverse": 1 / (1 + k * t),
        "exponential": k**t,
        "inverse_sqrt": 1 / np.sqrt(1 + k * t),
        "power": (1 + k * t) ** -setting["decay_power"],
        # in a few epochs it has not waited long enough
        "plateau": k ** (setting["plateaus"][int(now)] if "plateaus" in setting else 0),
        "staircase": k ** np.floor(t),
        "cosine": (1 + np.cos(np.pi * since / last)) / 2,
    }
    return setting["learning_rate"] * factor[setting["decay_schedule"]]


def plateaus(costs, patience):
    """For each epoch, how often before it `patience` epochs in a row were not the best so far."""
    best, waited, count, found = np.inf, 0, 0, []
    for cost in costs:
        found.append(count)
        waited = 0 if cost < best else waited + 1
        best = min(best, cost)
        if waited == patience:
            waited, count = 0, count + 1
    return found


def order_of(order_seed, epoch, num_examples):
    """An epoch's order: the ranks of a counter-based generator's 64-bit numbers."""
    generator = np.random.Philox(key=np.array([order_seed, epoch], np.uint64))
    return np.argsort(generator.random_raw(num_examples), kind="stable")


def trained(setting, x, y, num_classes, *, epochs, seed, order_seed=0, nudge=0.0):
    """Parameters and running averages after some epochs, as the package's `fit` names them."""
    setting = {"weight_decay": 0.0, "clip_norm": None, "warmup": 0.0, **setting}
    # a network that diverges overflows
    with np.errstate(all="ignore"):
        return _trained(setting, x, y, num_classes, epochs, seed, order_seed, nudge)


def _trained(setting, x, y, num_classes, epochs, seed, order_seed, nudge):
    key = jax.random.key(seed)
    dropout_key = jax.random.fold_in(key, 2**31 - 1)
    params = first_weights(setting, x.shape[1], num_classes, key)
    params = [{name: leaf * (1 + nudge) for name, leaf in one.items()} for one in params]
    moments = [dict.fromkeys(one, (0.0, 0.0)) for one in params]
    hidden = setting["hidden"] if setting["batch_norm"] else ()
    averages = [{"mean": np.zeros((n, 1)), "variance": np.ones((n, 1))} for n in hidden]
    step = 0
    for epoch in range(epochs):
        order = order_of(order_seed, epoch, len(y))
        starts = range(0, len(y), setting["batch_size"])
        for start in starts:
            now = epoch + start / setting["batch_size"] / len(starts)
            alpha = decayed(setting, now, epochs)
            rows = order[start : start + setting["batch_size"]]
            step_key = jax.random.fold_in(dropout_key, step)
            grads = gradients(setting, params, averages, x[rows], y[rows], step_key)
            grads = clipped(setting, grads)
            step += 1
            for one, own, memory in zip(params, grads, moments, strict=True):
                for name in one:
                    one[name], memory[name] = moved(
                        setting, one[name], own[name], memory[name], step, alpha, name == "kernel"
                    )
    flat = lambda tree: tuple(
        {name: leaf if name == "kernel" else leaf[:, 0] for name, leaf in one.items()}
        for one in tree
    )
    return flat(params), flat(averages)


def steps_by_hand(name, w, grads, alpha):
    """Weights after one step for each gradient: the formulas in float64; a kernel."""
    setting, moments = {"optimizer": name, **NUMBERS}, (np.zeros_like(w), np.zeros_like(w))
    for t, dw in enumerate(grads, 1):
        w, moments = moved(setting, w, dw, moments, t, alpha, is_kernel=True)
    return w


def softmax_gradients(params, x, y, l2):
    """dJ/dW by the course's formulas: dZ = Y_hat - Y, dW = dZ A^T / m, db = sum dZ / m."""
    activations = [x.T]
    for number, layer in enumerate(params):
        z = layer["kernel"] @ activations[-1] + layer["bias"][:, None]
        activations.append(np.maximum(z, 0) if number < len(params) - 1 else z)
    logits = activations[-1] - activations[-1].max(0)
    y_hat = np.exp(logits) / np.exp(logits).sum(0)
    cost = -np.log(y_hat[y, np.arange(len(y))]).sum()
    dz, grads = y_hat - np.eye(len(y_hat))[y].T, []
    for number in reversed(range(len(params))):
        a, w = activations[number], params[number]["kernel"]
        grads.insert(0, {"kernel": dz @ a.T / len(y) + l2 * w, "bias": dz.mean(1)})
        dz = (w.T @ dz) * (a > 0)
    return grads, cost
