"""Measurement of the gaze model on recordings of people."""
