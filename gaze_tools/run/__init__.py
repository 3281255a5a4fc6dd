"""One viewer of one film on this machine, from the video files to the report."""
