"""Random keys, and random numbers by place.

Keys always use JAX's Threefry. Under `vmap`, the generators "rbg" and "unsafe_rbg" draw from the
first key alone, and the numbers of a row depend on how many rows there are. A lane would then
differ from the same network trained alone.

`jax.random` draws an array as a whole, so its numbers depend on the length of its rows. Here each
place of a matrix is a counter of the same generator, so what is drawn for a row and a column
depends on nothing else. A padded layer therefore has the weights and dropout masks of the layer
alone. Written out as plain operations, the generator also compiles three to five times faster on a
CPU than JAX's own, which is a loop there.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

IMPLEMENTATION = "threefry2x32"


def new_key(seed: Any) -> jax.Array:
    """Returns a threefry key for a seed below 2^32, whatever `jax_default_prng_impl` is.

    >>> bool(new_key(7) == jax.random.key(7))
    True
    """
    if isinstance(seed, jax.core.Tracer):
        seed = seed.astype(np.uint32)
        return from_words(jnp.stack([jnp.zeros_like(seed), seed]))
    # without compiling anything
    return from_words(jax.device_put(np.array([0, seed], np.uint32)))


def as_threefry(key: jax.Array) -> jax.Array:
    """Returns a threefry key unchanged, and makes one of the first two words of any other key.

    A key of "rbg" holds the words of the threefry key of the same seed twice, so the result is that
    threefry key.

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
    """Returns the key whose `jax.random.key_data` is `words`."""
    return jax.random.wrap_key_data(words, impl=IMPLEMENTATION)


_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)


def threefry(key: jax.Array, first: Any, second: Any) -> tuple[jax.Array, jax.Array]:
    """Encrypts pairs of 32-bit words with a key: Threefry-2x32 with 20 rounds.

    Args:
      key: a key of JAX's default generator.
      first, second: uint32, of shapes that broadcast.

    Returns:
      two words for each pair; every bit is as good as random.

    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".

    >>> words = threefry(jax.random.key(0), np.uint32(0), np.uint32(7))
    >>> bool((jnp.stack(words) == jax.random.key_data(fold_in(jax.random.key(0), 7))).all())
    True
    """
    shape = jnp.broadcast_shapes(jnp.shape(first), jnp.shape(second))
    words = (lax.broadcast(word, shape) for word in jax.random.key_data(as_threefry(key)))
    return _rounds(*words, *(jnp.broadcast_to(word, shape) for word in (first, second)))


@jax.jit
def _rounds(
    k0: jax.Array, k1: jax.Array, first: jax.Array, second: jax.Array
) -> tuple[jax.Array, jax.Array]:
    # operations of lax are traced in half of the time of jnp's
    keys = (k0, k1, k0 ^ k1 ^ _PARITY)
    first, second = lax.add(first, k0), lax.add(second, k1)
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            first = lax.add(first, second)
            left = lax.shift_left(second, np.uint32(rotation))
            right = lax.shift_right_logical(second, np.uint32(32 - rotation))
            second = lax.bitwise_xor(first, lax.bitwise_or(left, right))
        first = lax.add(first, keys[(group + 1) % 3])
        second = lax.add(lax.add(second, keys[(group + 2) % 3]), np.uint32(group + 1))
    return first, second


def fold_in(key: jax.Array, numbers: int | np.ndarray | jax.Array) -> jax.Array:
    """Returns a new key for each of some numbers, the same as `jax.random.fold_in` does.

    >>> bool(fold_in(jax.random.key(3), 5) == jax.random.fold_in(jax.random.key(3), 5))
    True
    """
    words = threefry(key, np.uint32(0), jnp.asarray(numbers).astype(jnp.uint32))
    return from_words(jnp.stack(words, axis=-1))


def uniform(key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype | None = None) -> jax.Array:
    """Draws numbers between 0 and 1, both excluded; each depends on the key, row and column alone.

    `shape` is (rows, columns). The numbers are the centres of 2^23 intervals in float32 and of 2^52
    in float64.

    >>> wide, narrow = (uniform(jax.random.key(0), (2, columns)) for columns in (9, 4))
    >>> bool((wide[:, :4] == narrow).all())
    True
    """
    dtype = jnp.dtype(dtype or jnp.result_type(float))
    rows, columns = (lax.broadcasted_iota(jnp.uint32, shape, axis) for axis in (0, 1))
    first, second = threefry(key, rows, columns)
    bits = lambda word, num_bits: (word >> np.uint32(32 - num_bits)).astype(jnp.int32).astype(dtype)
    if jnp.finfo(dtype).nmant >= 52:
        return (bits(first, 26) * 2.0**26 + bits(second, 26) + 0.5) * 2.0**-52
    num_bits = min(23, jnp.finfo(dtype).nmant)
    return (bits(first, num_bits) + 0.5) * 2.0**-num_bits
