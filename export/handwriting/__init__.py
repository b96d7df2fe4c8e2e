"""Free handwriting from the world: where it comes from, how it is read and drawn."""
