"""The command `gaze report`, and the plots of a session."""
