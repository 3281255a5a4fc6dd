"""HTTP: what comes in, what goes out, and nothing of what is in between."""
