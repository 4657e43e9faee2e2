"""The machine under the package: arguments, arrays, terminal, signals, memory, processes.

Nothing in here knows what a network is.
"""
