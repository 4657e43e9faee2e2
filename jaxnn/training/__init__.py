"""One network: a setting made a recipe, trained for a stretch, and what a prediction needs.

How many lanes there are, and on which devices, is for `planning` and `engine`.
"""
