"""Training of the gaze model and of the eyes' outline."""
