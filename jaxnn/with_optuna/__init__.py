"""Optuna as the sampler of a search (extra "optuna"), in one process or in many.

Training does not belong here, and only `jaxnn.searching` imports from this folder.

Files, in reading order: `brain` (the search), `parameters` (domains as Optuna's distributions),
`workers` (one process: asks and tells), `ledgers` (what became of each setting), `leases` (which
workers are alive), `storages` and `urls` (opening a storage, hiding passwords), `exporting`
(`to_optuna`).
"""
