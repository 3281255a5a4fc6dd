"""Benchmarks of a frame and of scoring."""
