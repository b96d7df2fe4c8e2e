"""The plain renderer: trajectories as pictures to validate on. Nothing in it varies.

It was fixed before any network was trained on trajectories. A change of it would change what all
earlier validation figures mean.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from .trajectories import Lines

_PAGE, _DIGIT, _PEN = 160, 112, 9
"""Side of the page, longer side of the digit's centre line, and thickness of the pen, in pixels."""

_OVERSAMPLING = 4


def draw_plain(lines: Lines) -> Image.Image:
    """Draw a trajectory with a round black pen of one thickness in the middle of a white page.

    Args:
        lines: The strokes, in any unit; y grows downwards.

    Returns:
        A greyscale picture of 160×160 pixels.
    """
    points = np.concatenate(lines)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = _DIGIT / max(float((high - low).max()), 1.0)
    page = Image.new("L", (_PAGE * _OVERSAMPLING, _PAGE * _OVERSAMPLING), 255)
    brush = ImageDraw.Draw(page)
    radius = _PEN * _OVERSAMPLING / 2
    for line in lines:
        placed = ((line - (low + high) / 2) * scale + _PAGE / 2) * _OVERSAMPLING
        path = [(float(x), float(y)) for x, y in placed]
        brush.line(path, fill=0, width=_PEN * _OVERSAMPLING)
        for x, y in path:
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
    return page.resize((_PAGE, _PAGE), Image.Resampling.BOX)
