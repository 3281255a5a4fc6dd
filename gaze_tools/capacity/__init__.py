"""Capacity plan: what an audience needs, and how the autoscaler reacts to it."""
