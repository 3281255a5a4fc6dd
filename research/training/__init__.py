"""Training of the gaze model and of the eye region's weights."""
