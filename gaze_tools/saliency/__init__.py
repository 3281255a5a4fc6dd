"""Saliency maps of videos: computing, importing, storing and checking them."""
