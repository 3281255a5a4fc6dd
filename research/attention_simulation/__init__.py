"""Simulation of viewers whose behaviour is known: how far the attention score holds."""
