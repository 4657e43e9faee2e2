"""One network, watched and corrected by hand: a `Run` is `fit` in stretches, with a journal.

Training itself belongs to `jaxnn.training`, and many networks at a time to `jaxnn.engine`.

Files, in reading order: `runs` (`Run`), `journals` (what was done and can be undone), `sessions`
(the directory of a run), `run_files` (a run as a file), `run_results` (a run as a study).
"""
