"""Runs one job: conditions, steps of every kind, outputs; and always cleans up."""
