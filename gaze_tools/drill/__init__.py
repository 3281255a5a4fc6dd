"""A fire drill on one machine: break one thing after another, and see what an operator sees."""
