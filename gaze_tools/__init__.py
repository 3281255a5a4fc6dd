"""Tools for one machine: the local stack, the demo, the command `gaze` and benchmarks; never in the image."""
