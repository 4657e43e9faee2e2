"""One compiled program: its networks, its update, and the step that trains it.

How a setting becomes a program, and what calls it, belongs to `jaxnn.training` and `jaxnn.engine`.

Files, in reading order: `updates` (several optimizers as one), `networks` (what lanes may differ
in), `packing` (small arrays as one), `programs` (what lanes share), `mixtures` (padded MLPs),
`compiling` (in less time), `measures` (metrics of a set), `steps` (the compiled part), `lanes`
(many networks at once).
"""
