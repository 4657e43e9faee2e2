"""Python and the machine: checks, arrays, random numbers, text, signals and processes.

Nothing in here knows what a network is, and nothing is written to disk.

Files, in reading order: `terminal` (text for people), `checks` (arguments, memory, forks), `arrays`
(copies), `draws` (random keys and numbers), `signals` (Ctrl-C), `display` (progress), `processes`
(JAX's distributed runtime).
"""
