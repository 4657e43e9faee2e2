"""One network, watched and corrected by hand: a `Run` is `fit` in stretches, with a journal.

What `fit` does without a journal or a directory lies in `training`, and many networks at a time in
`engine`.
"""
