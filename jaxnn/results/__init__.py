"""What a search has found: its record, statistics, pictures and reports.

Nothing in here trains or writes a network to disk.
"""
