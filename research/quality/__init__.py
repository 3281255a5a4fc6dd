"""Which frames get no gaze because they show none: the evidence of an iris, and how it was chosen."""
