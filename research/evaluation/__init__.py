"""Evaluation of the gaze model: metrics, comparisons, tables and figures."""
