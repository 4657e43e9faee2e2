"""Plans: which settings share a compiled program, and the expected cost on a kind of device.

A plan is a pure function of settings, shapes and a table of rates. Nothing in here trains or
compiles.

Files, in reading order: `plans` (`Plan`), `costs` (the cost model), `joining` (`plan`).
"""
