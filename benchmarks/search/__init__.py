"""The search for the default network."""
