"""Checks whether a session API and a result aggregator work with the function."""
