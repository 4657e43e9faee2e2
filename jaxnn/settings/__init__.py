"""Hyperparameters: their names, defaults and ranges, and how settings are drawn."""
