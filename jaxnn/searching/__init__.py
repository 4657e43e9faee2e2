"""`sweep`, `search` and the study that they return.

How lanes are trained belongs to `jaxnn.engine`, how a search chooses to `jaxnn.methods`, statistics
and plots of a study to `jaxnn.results`.

Files, in reading order: `sweeps` (`sweep`), `searches` (`search`), `studies` (`Study`),
`finalists` (its best networks), `loading` (`load`), `resuming` (`resume`).
"""
