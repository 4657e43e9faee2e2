"""Many lanes on devices, in processes and on disk.

A `Job` has the settings of a search, and what serves its lanes: a `Feed` (data), a `Monitor`
(display, `on_epoch`, notes), a `Saver` (states, commits) and a `Team` (processes). `devices` trains
them, chunk after chunk. How settings are chosen is for `searching`.
"""
