"""Measurement of the gaze model on recordings of real people."""
