"""Tables of rendered people, on which the model is trained and measured."""
