"""Python and the machine: checks of arguments, arrays, text, signals and processes.

Nothing in here knows what a network is, and nothing is written to disk.

Files, in reading order: `terminal` (text for people), `checks` (arguments, memory, forks), `arrays`
(copies and random keys), `signals` (Ctrl-C), `display` (progress), `processes` (JAX's distributed
runtime).
"""
