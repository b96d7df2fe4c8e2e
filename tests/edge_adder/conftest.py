"""What several tests of the runtime share."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edge_adder import prepare_image


@pytest.fixture
def drawing() -> Image.Image:
    """A thick black L on white, off centre, 200 pixels wide and 300 high."""
    pixels = np.full((300, 200), 255, np.uint8)
    pixels[40:240, 30:60] = 0
    pixels[210:240, 30:130] = 0
    return Image.fromarray(pixels)


@pytest.fixture
def prepared(drawing: Image.Image) -> np.ndarray:
    """What the drawing becomes."""
    return prepare_image(drawing)
