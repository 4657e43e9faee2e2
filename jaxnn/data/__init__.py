"""Data sets, their splits and mini-batches, and the treatment of inputs before the first layer.

Nothing in here trains.

Files, in reading order: `datasets` (`Dataset`), `reading` (checks of arrays), `loading` (HDF5),
`signs` (drawn pictures), `splits` (hold-out and folds), `batches` (order of examples), `inputs`
(statistics and row space), `confusion` (the confusion matrix).
"""
