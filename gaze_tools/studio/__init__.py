"""The studio: a gateway and a page on one machine, from a webcam to a score in a browser."""
