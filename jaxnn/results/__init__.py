"""Results of a search: its record, statistics, plots and reports.

Nothing in here trains or saves a network.

Files, in reading order: `trials` (one setting's results), `records` (`Record`, the table of all),
`uncertainty` (standard errors and tests), `summaries` (text), `plots` (matplotlib), `reports` (one
HTML page).
"""
