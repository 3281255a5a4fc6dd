"""The tables of rendered people that the model is trained and measured on."""
