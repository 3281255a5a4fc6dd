"""The function and its upstream services on one machine."""
