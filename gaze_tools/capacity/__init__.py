"""Capacity plan: what a number of viewers needs, and how the autoscaler reacts."""
