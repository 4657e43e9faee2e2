"""One network: a setting made a recipe, trained from epoch to epoch, and what a prediction needs.

How many lanes train together, and on which devices, belongs to `jaxnn.planning` and `jaxnn.engine`.

Files, in reading order: `requirements` (of data and training), `recipes` (checked settings),
`hooks` (`on_epoch`), `setups` and `stretches` (compiled calls for one network), `fitting` (`fit`),
`fitted` (`Fitted`), `ensembles` (`Ensemble`), `sizes` (of networks).
"""
