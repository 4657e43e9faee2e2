"""Which settings share a program, and what that costs on a kind of device.

A plan is a pure function of settings, shapes and a table of rates. Nothing in here trains.
"""
