"""Optuna as the sampler of a search (extra "optuna"), in one process or in many.

No other folder but `searching` imports from here.
"""
