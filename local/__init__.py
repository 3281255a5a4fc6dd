"""One-machine stand-ins for the neighbours, and the demo; never in the image."""
