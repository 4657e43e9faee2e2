"""Costs of examples with class, label or real targets, weighted means, l2 penalty, accuracy."""

import jax
import jax.numpy as jnp

from jaxnn.functional.types import Array, ArrayLike, Params, kernels


def softmax_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Array:
    """Returns the cross-entropy of softmax(logits) against the labels, for each example.

    L = -sum_c y_c log y_hat_c,  y_hat = softmax(z);  dL/dz = y_hat - y

    It is computed from log-softmax, so logits of any finite size are safe. A logit of -inf is a
    class of probability 0; a logit of +inf or NaN gives NaN. With all logits equal, as in a dead
    network, the cost is ln C (ln 6 = 1.79 for the six signs).

    Args:
      logits: (B, C).
      labels: integers (B,) of any type, or one-hot or any distribution (B, C). An integer outside
        0..C-1 gives NaN.

    Returns:
      (B,).

    Raises:
      ValueError: the shapes do not fit, or labels (B,) are not integers.

    >>> softmax_cross_entropy(jnp.zeros((1, 6)), jnp.array([2]))
    Array([1.7917595], dtype=float32)
    """
    logits, labels = real_array(logits), jnp.asarray(labels)
    if labels.shape == logits.shape:
        labels = labels.astype(logits.dtype)
        # where: a class of probability 0 adds nothing, even if its log is -inf
        log_probs = jax.nn.log_softmax(logits)
        return -jnp.sum(jnp.where(labels == 0, 0, labels * log_probs), axis=-1)
    if labels.shape != logits.shape[:-1] or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise ValueError(
            f"softmax_cross_entropy got labels {labels.dtype}{list(labels.shape)} with logits "
            f"{list(logits.shape)}; expected integers {list(logits.shape[:-1])} or one-hot labels "
            f"{list(logits.shape)}"
        )
    # classes down, examples across, as in the course: the layer below then gets dZ in the layout
    # in which dW is fast
    z, labels = jnp.moveaxis(logits, -1, 0), class_numbers(labels)
    classes = jnp.arange(z.shape[0], dtype=labels.dtype).reshape(-1, *(1,) * labels.ndim)
    chosen = labels[None] == classes
    z = z - jax.lax.stop_gradient(jnp.max(z, axis=0))[None]
    cost = jnp.log(jnp.sum(jnp.exp(z), axis=0)) - jnp.sum(jnp.where(chosen, z, 0), axis=0)
    return jnp.where(jnp.any(chosen, axis=0), cost, jnp.nan)


def sigmoid_cross_entropy(logits: ArrayLike, labels: ArrayLike) -> Array:
    """Returns the cross-entropy of sigmoid(logits) against labels in 0..1, elementwise.

    L = -y log(a) - (1 - y) log(1 - a),  a = sigmoid(z);  dL/dz = a - y
      = y log(1 + exp(-z)) + (1 - y) log(1 + exp(z)), where no exponential overflows.

    An outcome of probability 0 adds nothing, even if its logarithm is infinite.

    >>> sigmoid_cross_entropy(jnp.array([0.0, 100.0]), jnp.array([1.0, 1.0])).round(4)
    Array([0.6931, 0.    ], dtype=float32)
    >>> jax.grad(sigmoid_cross_entropy)(jnp.array(0.0), 1.0).item()
    -0.5
    """
    z = real_array(logits)
    y = jnp.asarray(labels).astype(z.dtype)
    if z.shape != y.shape:
        raise ValueError(
            f"sigmoid_cross_entropy got labels {list(y.shape)}; expected {list(z.shape)}"
        )
    # softplus has the right derivative at 0, unlike formulas with max and abs
    cost_of_one, cost_of_zero = jax.nn.softplus(-z), jax.nn.softplus(z)
    return jnp.where(y == 0, 0, y * cost_of_one) + jnp.where(y == 1, 0, (1 - y) * cost_of_zero)


def squared_error(outputs: ArrayLike, targets: ArrayLike) -> Array:
    """Returns half of the squared error, for each example.

    L = 1/2 mean_k (f_k - y_k)^2;  dL/df_k = (f_k - y_k) / K, as scikit-learn's MLPRegressor.

    Args:
      outputs: f, (B,) or (B, K).
      targets: y, of the same shape.

    Returns:
      (B,), the mean over the K targets.

    Raises:
      ValueError: the shapes differ, or are neither of these.

    >>> squared_error(jnp.array([[1.0, 2.0]]), jnp.array([[0.0, 4.0]]))
    Array([1.25], dtype=float32)
    """
    outputs, targets = _pair("squared_error", outputs, targets)
    missed = outputs - targets
    return _target_mean(0.5 * missed, missed)


def absolute_error(outputs: ArrayLike, targets: ArrayLike) -> Array:
    """Returns the absolute error, for each example; arguments as of `squared_error`.

    L = mean_k |f_k - y_k|;  dL/df_k = sign(f_k - y_k) / K, 0 where they are equal.

    >>> absolute_error(jnp.array([1.0, 2.0]), jnp.array([0.0, 4.0]))
    Array([1., 2.], dtype=float32)
    """
    outputs, targets = _pair("absolute_error", outputs, targets)
    missed = outputs - targets
    # a product, unlike jnp.abs, has the derivative 0 at 0
    return _target_mean(missed * jnp.sign(missed))


def huber_loss(outputs: ArrayLike, targets: ArrayLike, delta: ArrayLike = 1.0) -> Array:
    """Returns the Huber loss, for each example; other arguments as of `squared_error`.

    L = mean_k { d^2 / 2 if |d| <= delta, else delta (|d| - delta / 2) },  d = f_k - y_k;
    dL/df_k = clip(d, -delta, delta) / K

    Args:
      delta: a finite number > 0, in the units of the targets; it may be traced.

    Source: Huber 1964, "Robust Estimation of a Location Parameter"; as `optax.losses.huber_loss`.

    >>> huber_loss(jnp.array([0.5, 3.0]), jnp.zeros(2), delta=2.0)
    Array([0.125, 4.   ], dtype=float32)
    """
    outputs, targets = _pair("huber_loss", outputs, targets)
    delta = jnp.asarray(delta).astype(outputs.dtype)
    missed = jnp.abs(outputs - targets)
    inner = jnp.minimum(missed, delta)
    return _target_mean(0.5 * inner, inner) + _target_mean(missed - inner, delta)


def quantile_loss(outputs: ArrayLike, targets: ArrayLike, quantile: ArrayLike = 0.5) -> Array:
    """Returns the pinball loss, for each example; other arguments as of `squared_error`.

    L = mean_k { q (y_k - f_k) if f_k < y_k, else (1 - q) (f_k - y_k) };
    dL/df_k = -q / K below the target, (1 - q) / K above it, 0 where they are equal.

    It is least where f is the quantile q of the targets; for q = 1/2 it is half of the absolute
    error.

    Args:
      quantile: q, a number between 0 and 1; it may be traced.

    Source: Koenker and Bassett 1978, "Regression Quantiles"; as scikit-learn's mean_pinball_loss.

    >>> quantile_loss(jnp.array([0.0, 4.0]), jnp.array([1.0, 2.0]), quantile=0.75)
    Array([0.75, 0.5 ], dtype=float32)
    """
    outputs, targets = _pair("quantile_loss", outputs, targets)
    q = jnp.asarray(quantile).astype(outputs.dtype)
    missed = outputs - targets
    # as above
    return _target_mean(missed * jnp.where(missed < 0, -q, jnp.where(missed > 0, 1 - q, 0)))


def poisson_loss(log_rates: ArrayLike, targets: ArrayLike) -> Array:
    """Returns half of the Poisson deviance of rates exp(z), for each example.

    L = mean_k exp(z_k) - y_k z_k + y_k log y_k - y_k,  0 log 0 = 0;  dL/dz_k = (exp(z_k) - y_k) / K

    It is 0 at z = log y and positive elsewhere. With t = z - log y it is y (exp(t) - 1 - t): for a
    small t the difference is summed as t^2/2 (1 + t/3 (1 + t/4 (1 + ...))).

    Args:
      log_rates: z, (B,) or (B, K).
      targets: y >= 0 of the same shape, such as counts. One below 0 gives NaN.

    Returns:
      (B,), the mean over the K targets; infinite where exp(z) overflows.

    Raises:
      ValueError: the shapes differ, or are neither of these.

    Source: McCullagh and Nelder 1989; twice as much is scikit-learn's mean_poisson_deviance.

    >>> poisson_loss(jnp.log(jnp.array([3.0, 2.0])), jnp.array([3.0, 0.0])).round(4)
    Array([0., 2.], dtype=float32)
    """
    z, y = _pair("poisson_loss", log_rates, targets)
    # devices take smaller numbers for 0
    has_count = y >= jnp.finfo(y.dtype).tiny
    count = jnp.where(has_count, y, 1)
    t = z - jnp.log(count)
    is_near = has_count & (jnp.abs(t) < 0.5)
    near = jnp.where(is_near, t, 0)
    series = jnp.ones_like(t)
    # the last term is below 2^-53 of the first
    for n in range(16, 2, -1):
        series = 1 + near * series / n
    # where inside of where: what is not chosen must have a finite gradient
    far = jnp.exp(jnp.where(is_near, 0, z))
    far -= jnp.where(has_count & (t < jnp.inf), count * (1 + t), 0)
    cost = jnp.where(is_near, count * (0.5 * near * near * series), far)
    return _target_mean(jnp.where(y >= 0, cost, jnp.nan))


def _pair(name: str, outputs: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    """Returns both in the type of the outputs; raises ValueError for their shapes."""
    outputs, targets = real_array(outputs), jnp.asarray(targets)
    if outputs.shape != targets.shape or outputs.ndim not in (1, 2):
        raise ValueError(
            f"{name} got outputs {list(outputs.shape)} with targets {list(targets.shape)}; "
            "expected (B,) or (B, K) for both"
        )
    return outputs, targets.astype(outputs.dtype)


def _target_mean(costs: Array, times: Array | float = 1) -> Array:
    """Returns the mean of costs * times over the targets, (B, K) to (B,).

    Costs are divided first, so that no product or sum overflows where the mean does not.
    """
    return costs * times if costs.ndim == 1 else jnp.sum(costs / costs.shape[1] * times, axis=1)


def real_array(values: ArrayLike) -> Array:
    """Returns an array of floats; Python's numbers and integers get the default type."""
    values = jnp.asarray(values)
    return values if jnp.issubdtype(values.dtype, jnp.floating) else values.astype(float)


def class_numbers(labels: ArrayLike) -> Array:
    """Returns labels in a type of at least 32 bits, which can hold any number of classes."""
    labels = jnp.asarray(labels)
    is_small = labels.dtype == bool or jnp.iinfo(labels.dtype).bits < 32
    return labels.astype(jnp.int32) if is_small else labels


def weighted_mean(values: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Returns sum(w * values) / sum(w) over the examples (B,); the plain mean without weights.

    The value of an example of weight 0 is ignored, even NaN; if all weights are 0, the mean is 0.
    Only the ratios of weights matter: their sum may exceed the range of the type.

    >>> weighted_mean(jnp.array([1.0, 3.0, jnp.nan]), jnp.array([1.0, 1.0, 0.0]))
    Array(2., dtype=float32)
    """
    values = real_array(values)
    if weights is None:
        return jnp.mean(values)
    weights = jnp.asarray(weights).astype(values.dtype)
    # divided by a power of two near the largest weight, which only prevents overflow (a quarter of
    # it, so that the reciprocal is not a subnormal number, which devices flush to 0)
    size = jax.lax.reduce_precision(jnp.max(weights) / 4, jnp.finfo(weights.dtype).nexp, 0)
    shares = weights / jax.lax.stop_gradient(jnp.where(size > 0, size, 1))
    total = jnp.sum(shares)
    return jnp.sum(jnp.where(shares > 0, values * shares, 0)) / jnp.where(total > 0, total, 1)


def l2_penalty(params: Params) -> Array:
    """Returns 1/2 sum of squared kernels, without scales, offsets and biases.

    Kernels are the leaves named "kernel", in parameters of `mlp` and of Flax.

    >>> l2_penalty({"kernel": jnp.array([3.0, 4.0]), "scale": jnp.array([9.0])})
    Array(12.5, dtype=float32)
    """
    of_kernel = lambda leaf, is_kernel: jnp.sum(jnp.square(leaf)) if is_kernel else None
    squares = jax.tree.leaves(jax.tree.map(of_kernel, params, kernels(params)))
    return 0.5 * sum(squares, jnp.zeros(()))
