"""What networks, studies and runs are in files: names, versions, and checks of what is read.

How bytes get to the disk is for `disk`.
"""
