"""Files and directories: written whole or not at all, locked, checked before they are read.

Nothing in here knows what a network is; what a file of ours holds is described in `formats`.
"""
