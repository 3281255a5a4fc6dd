"""Models that make saliency maps from the frames of a video."""
