"""Batch norm, its state threaded through explicitly."""

import jax
import jax.numpy as jnp

from jaxnn.functional.types import Array, Model, Params, State


def init_batch_norm(num_units: int) -> tuple[Params, State]:
    """Scale 1 and offset 0; running mean 0 and running variance 1, each (H,)."""
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
    the state comes back as it went in. Numerical choices:

    - statistics over the examples (axis 1), one mean and variance a unit;
    - the biased variance (divided by the count), in the output and in the running average;
    - epsilon inside the root; a constant unit becomes its offset, a batch of one as well;
    - the first example that counts is subtracted before the mean is taken, which changes nothing in
      exact arithmetic and keeps all digits where the mean is large (1e4) against the deviation;
    - the variance is the mean of squared differences, never E[z^2] - E[z]^2;
    - running averages start at 0 and 1 and are not corrected for it (0.9^34 = 3 % is left after
      one epoch of SIGNS, nothing after ten);
    - a mini-batch whose weights are all 0 leaves the running averages as they are.

    Args:
      params: `scale` (H,), the course's gamma, and `offset` (H,), its beta.
      state: running `mean` (H,) and `variance` (H,).
      z: (H, B), before the activation, as in the course.
      is_training: static.
      decay: of the running averages, in [0, 1].
      epsilon: added to the variance, > 0.
      weights: (B,); an example of weight 0 counts nowhere.

    Returns:
      z_tilde (H, B) and the new state.

    Source: Ioffe and Szegedy 2015.

    >>> params, state = init_batch_norm(1)
    >>> out, state = batch_norm(params, state, jnp.array([[1.0, 3.0]]), is_training=True)
    >>> out.round(3), state["mean"], state["variance"]
    (Array([[-1.,  1.]], dtype=float32), Array([0.2], dtype=float32), Array([1.], dtype=float32))
    """
    if is_training:
        # any real example serves; one of weight 0 must not count, however large it is
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
    """Mean over the examples, (H, B) -> (H, 1); 0 if no example has weight."""
    if weights is None:
        return jnp.mean(values, axis=1, keepdims=True)
    total = jnp.sum(weights)
    total = jnp.where(total > 0, total, 1)
    counted = jnp.where(weights[None] > 0, values * weights[None], 0)
    return jnp.sum(counted, axis=1, keepdims=True) / total


def population_statistics(
    model: Model, params: Params, state: State, x: Array, weights: Array | None = None
) -> State:
    """Mean and variance of every batch-norm layer over the whole training set.

    The course's other way at test time: instead of the running averages, one pass over all
    examples with the final parameters, each layer fed with what the layers below normalised.

    Args:
      model: an `mlp`.
      params, state: its trained parameters and state.
      x: all training inputs (N, ...), as the network sees them: normalised where it does so, by
        `fitted.inputs.normalise(x)`.
      weights: (N,) or None.

    Returns:
      a state to use in place of the old one; `params` stay as they are.

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
            "population_statistics expected a model made by jaxnn.mlp; "
            "this one's apply does not take batch_norm_decay"
        )
    return model.apply(params, state, x, is_training=True, weights=weights, batch_norm_decay=0.0)[1]
