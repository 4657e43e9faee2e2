"""Results of a search: its record, statistics, plots and reports.

Nothing in here trains or saves a network.

Files, in reading order: `trials` (one setting's results), `records` (`Record`, the table of all),
`uncertainty` (standard errors and tests), `predictions` (of all networks at once), `summaries`
(text), `plots` (matplotlib), `pareto` (value and size), `reports` (one HTML page).
"""
