"""The function and its neighbours on one machine."""
