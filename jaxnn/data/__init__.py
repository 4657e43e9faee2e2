"""Data sets, their splits and mini-batches, and the treatment of inputs and targets.

Nothing in here trains.

Files, in reading order: `datasets` (`Dataset`), `reading` (checks of arrays), `loading` (HDF5),
`signs` (drawn pictures), `splits` (hold-out and folds), `batches` (order of examples), `targets`
(statistics of real targets), `inputs` (statistics and row space), `confusion` (the confusion
matrix).
"""
