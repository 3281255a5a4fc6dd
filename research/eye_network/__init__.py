"""The eye network: a small convolutional network from images of both eyes to gaze directions with their spreads."""
