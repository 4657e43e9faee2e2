"""One compiled program: its networks, its update, its objective, and the step that trains it.

Read objectives, updates, mixtures, programs, steps and lanes in this order. What settings and data
become a program, and what calls it, is for `training` and `engine`.
"""
