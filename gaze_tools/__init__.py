"""Tools for one machine, never in the image: the command `gaze`, the local stack, saliency maps, reports, benchmarks."""
