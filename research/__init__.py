"""How the models are made and measured; never in the image."""
