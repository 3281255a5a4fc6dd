"""The gaze model: its file and card, and how both are made."""
