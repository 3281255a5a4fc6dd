"""Accuracy of the gaze model: metrics, comparisons, figures."""
