"""Flax's modules as models.

Networks of our own do not belong here. Files, in reading order: `models` (`from_flax`) and
`convolutions` (a convolution as a matrix product, for Flax's layers).
"""
