"""Comparison of rendered with real people, and the errors of landmarks on rendered people."""
