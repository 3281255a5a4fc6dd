"""Sessions beyond their lifetime: list, export, import and remove them."""
