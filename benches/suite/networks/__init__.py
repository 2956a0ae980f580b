"""Networks that the suite makes itself."""
