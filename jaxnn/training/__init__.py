"""One compiled program: the networks of it, their training step, and one network trained alone.

How many lanes there are, and on which devices, is for `planning` and `engine`.
"""
