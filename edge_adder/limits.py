"""Limits of the library that `--help` states too. Standard library only, so that it is fast."""

MIN_CONFIDENCE = 0.75
"""An answer below this probability is uncertain. `python -m benchmarks.robustness.uncertain FOLDER`
measures what the limit does to pictures without a digit, and to the digits in a folder."""

DEFAULT_MAX_PIXELS = 50_000_000
"""Maximum size of an image that is decoded unless another limit is given, in pixels: 150 MB as RGB,
and a 48-megapixel photograph fits."""

LARGEST_MAX_PIXELS = 89_478_485
"""Largest limit that may be given: Pillow takes more for an attack (`Image.MAX_IMAGE_PIXELS`)."""

BYTES_PER_PIXEL = 10
"""Maximum memory that decoding takes, for each declared pixel: the decoder's copy and ours."""

WEBP_BYTES_PER_PIXEL = 17
"""The same of a WebP, whose decoder keeps three frames; fewer pixels are decoded therefore."""
