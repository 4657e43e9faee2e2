"""Convolutions as matrix products, which are fast for the lanes of a program."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax

from jaxnn.functional.types import Array, ArrayLike


def convolution(
    lhs: ArrayLike,
    rhs: ArrayLike,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: lax.ConvDimensionNumbers | None = None,
    feature_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: None = None,
) -> Array:
    """Computes `lax.conv_general_dilated` as one matrix product, for Flax's convolutional layers.

    Y[b, i, o] = sum over k, c of X[b, i * stride + k * dilation, c] W[k, c, o]. The K inputs of a
    channel under the kernel are gathered for each output position (im2col) and multiplied with the
    kernels in one product. Pass it to a layer of linen or nnx: `nn.Conv(32, (3, 3),
    conv_general_dilated=jaxnn.convolution)`.

    In a sweep each lane has its own kernels, which XLA turns into a grouped convolution. On a CPU,
    XLA's convolutions are slow inside a loop such as training. A matrix product is fast in both
    cases (`benchmarks/convolutions.py`: 8 to 20 times). It needs memory for K copies of the inputs
    of a mini-batch, for each lane.

    Args:
      lhs: X, inputs (B, ..., C), channels last, with at least one axis in between.
      rhs: W, kernels (..., C / groups, O).
      window_strides, padding, rhs_dilation: as for `lax.conv_general_dilated`.
      lhs_dilation: None or ones; transposed convolutions are not supported.
      dimension_numbers: None, or those of channels last.
      feature_group_count: groups of channels, each with its part of the kernels.
      precision, preferred_element_type: of the product, as for `jnp.einsum`.
      out_sharding: None.

    Returns:
      Y (B, ..., O).

    Raises:
      ValueError: an argument that is not supported.

    Source: Chellapilla, Puri and Simard, High Performance Convolutional Neural Networks for
    Document Processing, 2006.

    >>> x, kernel = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 5))
    >>> y = convolution(x, kernel, (1, 1), "SAME")
    >>> y.shape, y[0, 0, 0, 0].item(), y[0, 1, 1, 0].item()
    ((1, 4, 4, 5), 8.0, 18.0)
    """
    x, kernel = jnp.asarray(lhs), jnp.asarray(rhs)
    axes = range(1, x.ndim - 1)
    last = (0, x.ndim - 1, *axes), (x.ndim - 1, x.ndim - 2, *(axis - 1 for axis in axes))
    if dimension_numbers is not None and tuple(dimension_numbers) != (*last, last[0]):
        raise ValueError(
            f"convolution got {dimension_numbers}; expected inputs, kernels and outputs with "
            "channels last"
        )
    if lhs_dilation is not None and any(step != 1 for step in lhs_dilation):
        raise ValueError(
            f"convolution got lhs_dilation={tuple(lhs_dilation)}; expected none: leave a "
            "transposed convolution to lax.conv_general_dilated"
        )
    if out_sharding is not None:
        raise ValueError(f"convolution got out_sharding={out_sharding}; expected None")
    *sizes, num_channels, num_filters = kernel.shape
    dilation = tuple(rhs_dilation or (1,) * len(sizes))
    reach = [(size - 1) * step + 1 for size, step in zip(sizes, dilation, strict=True)]
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:-1], reach, window_strides, padding)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))

    def under(position: Sequence[int]) -> Array:
        """Returns the inputs (B, ..., C) under one position of the kernel."""
        starts = [index * step for index, step in zip(position, dilation, strict=True)]
        sizes = zip(starts, x.shape[1:-1], reach, strict=True)
        ends = [start + size - some + 1 for start, size, some in sizes]
        return x[:, *map(slice, starts, ends, window_strides)]

    positions = itertools.product(*map(range, sizes))
    patches = jnp.concatenate([under(position) for position in positions], axis=-1)
    groups = feature_group_count
    patches = patches.reshape(*patches.shape[:-1], -1, groups, num_channels)
    kernel = kernel.reshape(-1, num_channels, groups, num_filters // groups)
    y = jnp.einsum(
        "...kgc,kcgo->...go",
        patches,
        kernel,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )
    return y.reshape(*y.shape[:-2], num_filters)
