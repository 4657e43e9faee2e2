"""Random keys of the one generator whose numbers a lane has for itself: JAX's threefry.

Under `vmap` the generators "rbg" and "unsafe_rbg" draw from the first key alone, and what they draw
for a row depends on the number of rows. A lane would then not be the network trained alone.
"""

from typing import Any

import jax
import numpy as np

IMPLEMENTATION = "threefry2x32"


def new_key(seed: Any) -> jax.Array:
    """A key from a seed below 2^32, whatever `jax_default_prng_impl` says.

    >>> bool(new_key(7) == jax.random.key(7))
    True
    """
    if isinstance(seed, jax.core.Tracer):
        return jax.random.key(seed, impl=IMPLEMENTATION)
    # the same, without a compilation
    return from_words(jax.device_put(np.array([0, seed], np.uint32)))


def as_threefry(key: jax.Array) -> jax.Array:
    """The key itself if it is one of threefry, otherwise one made of its first two words.

    A key of "rbg" holds those of threefry with the same seed twice, so it gives the same numbers.

    >>> draw = lambda key: jax.random.bits(as_threefry(key)).item()
    >>> draw(jax.random.key(7, impl="rbg")) == draw(jax.random.key(7, impl="threefry2x32"))
    True
    """
    is_typed = jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
    if is_typed and jax.random.key_impl(key) == IMPLEMENTATION:
        return key
    words = jax.random.key_data(key) if is_typed else key
    return from_words(words[..., :2])


def from_words(words: Any) -> jax.Array:
    """The key that `jax.random.key_data` wrote as numbers."""
    return jax.random.wrap_key_data(words, impl=IMPLEMENTATION)
