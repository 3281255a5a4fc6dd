"""Tools for one machine, never in the image: the command `gaze`, local stack, saliency maps, reports, benchmarks."""
