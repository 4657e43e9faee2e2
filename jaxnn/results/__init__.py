"""Results of a search: its record, and statistics.

Nothing in here trains, saves or shows a network.

Files, in reading order: `trials` (one setting's results), `axes` (of its space, with the results),
`records` (`Record`, the table of all), `predictions` (its networks, and predictions of all),
`averaging` (of predictions of several networks), `choosing` (a greedy ensemble of them),
`uncertainty` (standard errors and tests).
"""
