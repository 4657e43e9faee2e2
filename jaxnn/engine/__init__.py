"""Many lanes on devices, in processes and on disk.

How settings are chosen is for `searching`.
"""
