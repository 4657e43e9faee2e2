"""Compiling ahead: a program compiles while what it needs is made."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax


@contextlib.contextmanager
def compiling(function: Any, *arguments: Any) -> Iterator[None]:
    """Compiles a jitted function beside the code of a `with` block.

    A call of the function after the block finds the compiled program. XLA releases Python's lock,
    so first weights, a program of their own, compile and run meanwhile.

    Args:
      function: a function of `jax.jit`.
      arguments: those of the later call; arrays may be `jax.ShapeDtypeStruct`, see `abstract`.

    >>> double = jax.jit(lambda x: 2 * x)
    >>> with compiling(double, jax.ShapeDtypeStruct((2,), jax.numpy.float32)):
    ...     x = jax.numpy.ones(2)
    >>> double(x)
    Array([2., 2.], dtype=float32)
    """
    lowered = function.lower(*arguments)
    with ThreadPoolExecutor(1) as thread:
        compiled = thread.submit(lowered.compile)
        yield
        compiled.result()


def abstract(function: Any, *arguments: Any, device: jax.Device | None = None) -> Any:
    """Returns the shapes and types of the results of a jitted function, traced at most once.

    Args:
      device: the device to which the results are committed; None for the default.
    """
    results = function.eval_shape(*arguments)
    if device is None:
        return results
    there = jax.sharding.SingleDeviceSharding(device)
    return jax.tree.map(lambda leaf: leaf.update(sharding=there), results)
