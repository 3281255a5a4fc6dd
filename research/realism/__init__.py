"""How far rendered people are from real ones, and where landmarks err on them."""
