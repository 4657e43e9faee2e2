"""Networks, ensembles, studies and states in files: their layout, and checks of what is read.

How bytes get to the disk belongs to `jaxnn.disk`.

Files, in reading order: `schemas` (allowed values), `tables` (settings), `networks` (a network as a
file), `ensembles` (an ensemble as a file), `layout` (a study as a file), `agreement` (whether the
parts of a study fit), `parts` (the part of one process), `states` (lanes in the middle of
training).
"""
