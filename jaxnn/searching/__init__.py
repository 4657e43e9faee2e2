"""`sweep`, `search` and the study that they return.

How lanes are trained belongs to `jaxnn.engine`; statistics and plots of a study to `jaxnn.results`.

Files, in reading order: `sweeps` (`sweep`), `searches` (`search`), `methods` (the table of search
methods), `arena` (what a method can do), `budgets` (its numbers), `zooming` (`zoom`), `studies`
(`Study`), `loading` (`load`), `resuming` (`resume`).
"""
