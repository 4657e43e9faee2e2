"""Pure functions: layers, normalization, losses, models, optimizers.

Read types, layers, normalization, losses, models and optimizers in this order to know
what a network is. Training loops, settings and files do not belong here.
"""
