"""A viewing as the session API keeps it: its records, its calibration, its gaze and its score."""
