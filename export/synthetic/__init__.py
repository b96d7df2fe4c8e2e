"""Synthetic training images: digits, handwriting, non-digits."""
