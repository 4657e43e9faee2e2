"""What a study shows: text, pictures and a page.

Nothing in here trains a network, and what it computes is in `jaxnn.results`.

Files, in reading order: `summaries` (text), `plots` (matplotlib), `pareto` (value and size),
`lineages` (of a population), `reports` (one HTML page).
"""
