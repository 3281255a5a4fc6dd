"""Simulation of viewers with known behaviour, to validate the attention score."""
