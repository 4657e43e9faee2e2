"""The version, which a build reads from this file."""

__version__ = "0.3.0.dev2"
