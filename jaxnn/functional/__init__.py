"""Pure functions: layers, normalization, losses, models, optimizers, objectives, metrics.

Training loops, settings and files do not belong here.

Files, in reading order: `types` (the contract of a model), `layers`, `normalization`, `losses`,
`models` (`mlp`) and `optimizers`. After these you know what a network is. The rest are `metrics`
and `objectives` (what networks are trained for), and `course` (the course's W1, b1, ...).
"""
