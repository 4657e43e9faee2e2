"""Batch norm with explicit state."""

import jax
import jax.numpy as jnp

from jaxnn.functional.types import Array, Model, Params, State


def init_batch_norm(num_units: int) -> tuple[Params, State]:
    """Returns params, scale 1 and offset 0, and state, mean 0 and variance 1, each (H,)."""
    return (
        {"scale": jnp.ones(num_units), "offset": jnp.zeros(num_units)},
        {"mean": jnp.zeros(num_units), "variance": jnp.ones(num_units)},
    )


def batch_norm(
    params: Params,
    state: State,
    z: Array,
    *,
    is_training: bool,
    decay: float | Array = 0.9,
    epsilon: float | Array = 1e-5,
    weights: Array | None = None,
) -> tuple[Array, State]:
    """Normalises each unit over the mini-batch, then scales and shifts it by learned amounts.

    z_norm = (z - mu) / sqrt(sigma^2 + epsilon),  z_tilde = gamma * z_norm + beta
    running <- decay * running + (1 - decay) * batch      (mean and variance, while training)

    In training mu and sigma^2 are the mini-batch's; otherwise they are the running averages, and
    the state is returned unchanged. Numerical choices:

    - statistics over the examples (axis 1), one mean and variance for each unit;
    - the biased variance (divided by the count), in the output and in the running average;
    - epsilon inside the root; a unit that is constant, as in a batch of one, becomes its offset;
    - the first example with a weight is subtracted before the mean is computed, which changes
      nothing in exact arithmetic and avoids cancellation where the mean is large (1e4);
    - the variance is the mean of squared differences, never E[z^2] - E[z]^2;
    - running averages start at 0 and 1 without bias correction (their first values keep a weight of
      0.9^34 = 3 % after one epoch of SIGNS);
    - a mini-batch whose weights are all 0 does not change the running averages.

    Args:
      params: `scale` (H,), the course's gamma, and `offset` (H,), its beta.
      state: running `mean` (H,) and `variance` (H,).
      z: (H, B), before the activation, as in the course.
      is_training: static.
      decay: decay of the running averages, in [0, 1].
      epsilon: added to the variance, > 0.
      weights: (B,); an example of weight 0 is ignored.

    Returns:
      z_tilde (H, B) and the new state.

    Source: Ioffe and Szegedy 2015.

    >>> params, state = init_batch_norm(1)
    >>> out, state = batch_norm(params, state, jnp.array([[1.0, 3.0]]), is_training=True)
    >>> out.round(3), state["mean"], state["variance"]
    (Array([[-1.,  1.]], dtype=float32), Array([0.2], dtype=float32), Array([1.], dtype=float32))
    """
    if is_training:
        # any example with a weight will do; one of weight 0 may be huge
        first = 0 if weights is None else jnp.argmax(weights > 0)
        shift = jax.lax.stop_gradient(z[:, first])[:, None]
        shifted = z - shift
        shifted_mean = _mean(shifted, weights)
        centred = shifted - shifted_mean
        variance = _mean(jnp.square(centred), weights)
        batch = {"mean": (shift + shifted_mean)[:, 0], "variance": variance[:, 0]}
        kept = decay if weights is None else jnp.where(jnp.any(weights > 0), decay, 1)
        state = jax.tree.map(lambda old, new: kept * old + (1 - kept) * new, state, batch)
    else:
        centred, variance = z - state["mean"][:, None], state["variance"][:, None]
    gain = params["scale"][:, None] * jax.lax.rsqrt(variance + epsilon)
    return centred * gain + params["offset"][:, None], state


def _mean(values: Array, weights: Array | None) -> Array:
    """Returns the mean over the examples, (H, B) -> (H, 1); 0 if all weights are 0."""
    if weights is None:
        return jnp.mean(values, axis=1, keepdims=True)
    total = jnp.sum(weights)
    total = jnp.where(total > 0, total, 1)
    counted = jnp.where(weights[None] > 0, values * weights[None], 0)
    return jnp.sum(counted, axis=1, keepdims=True) / total


def population_statistics(
    model: Model, params: Params, state: State, x: Array, weights: Array | None = None
) -> State:
    """Returns the mean and variance of every batch-norm layer over the whole training set.

    This is the course's alternative to running averages at test time: one pass over all examples
    with the final parameters, in which each layer normalises by its own statistics.

    Args:
      model: an `mlp`.
      params, state: its trained parameters and state.
      x: all training inputs (N, ...), normalised by `fitted.inputs.normalise(x)` if the network
        normalises its inputs.
      weights: (N,) or None.

    Returns:
      a state that replaces the old one; `params` do not change.

    >>> from jaxnn import mlp
    >>> model = mlp(2, (3,), 2, batch_norm=True)
    >>> params, state = model.init(jax.random.key(0))
    >>> x = jnp.array([[0.0, 1.0], [2.0, 3.0]])
    >>> state = population_statistics(model, params, state, x)
    >>> bool(jnp.allclose(state[0]["mean"], (params[0]["kernel"] @ x.T).mean(axis=1)))
    True
    """
    if "batch_norm_decay" not in model.numbers:
        raise ValueError(
            "population_statistics got a model whose apply does not take batch_norm_decay; "
            "expected a model made by jaxnn.mlp"
        )
    return model.apply(params, state, x, is_training=True, weights=weights, batch_norm_decay=0.0)[1]
