"""The training of many lanes: on devices, in several processes, saved to disk.

How settings are chosen belongs to `jaxnn.searching`.

Files, in reading order: `options` (arguments of a call), `jobs` (`Job`, the lanes of a search),
`feeds` (their data), `monitors` (display, `on_epoch`, notes), `team` (processes), `savers` (states
and commits), `chunks` (lanes that train together), `devices` (threads that train chunks),
`identities` (whether two calls are the same search).
"""
