"""Examples: data sets, their splits and mini-batches, and what is done to inputs before a network.

Nothing in here trains.
"""
