"""Gaze estimation, pure: numpy in, dataclasses out; no I/O, no clock, no environment, no framework."""
