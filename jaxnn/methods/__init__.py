"""Search methods: which settings are drawn, how long they train, and which are kept.

A method is a row of a table. How lanes are trained belongs to `jaxnn.engine`, and `search`, which
opens a study for a method, to `jaxnn.searching`.

Files, in reading order: `table` (the methods), `rungs` (halving and Hyperband), `population`,
`arena` (what a method can do), `budgets` (its numbers), `drawing` (settings within a limit, and
known ones), `starting` (what is drawn before training), `timing` (budgets in seconds), `zooming`
(`zoom`).
"""
