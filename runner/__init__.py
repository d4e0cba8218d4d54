"""Pipe runs declarative pipelines in containers."""

__version__ = "0.4.0"
