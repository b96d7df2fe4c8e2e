"""Digits that this code draws: strokes with a random hand, for samples, tests and parity.

They stand in wherever real handwriting must not be shipped or is not at hand, and beside it in
training, since MNIST's writers have no 1 with a flag and no 7 with a bar.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import DIGITS, IMAGE_SIDE
from export.pen import Strokes, arc, draw_strokes

# Of each digit the ways to write it, each a list of strokes in a box from (0, 0), top left, to
# (1, 1). Europe's 1 has a flag and often a foot, its 7 a bar; a 4 is open or closed, a 9 has a
# straight stem or a tail.
_STYLES: tuple[list[Strokes], ...] = (
    [
        [arc((0.5, 0.5), (0.36, 0.5), -90, 270)],
        [arc((0.5, 0.5), (0.26, 0.5), -70, 300)],
        [arc((0.5, 0.5), (0.44, 0.46), -110, 255)],
    ],
    [
        [[(0.3, 0.22), (0.52, 0.0), (0.52, 1.0)]],
        [[(0.52, 0.0), (0.5, 1.0)]],
        [[(0.05, 0.45), (0.55, 0.0), (0.55, 1.0)]],
        [[(0.0, 0.3), (0.5, 0.0), (0.5, 1.0)]],
        [[(0.1, 0.62), (0.6, 0.0), (0.5, 1.0)]],
        [[(0.22, 0.25), (0.5, 0.0), (0.5, 1.0)], [(0.15, 1.0), (0.85, 1.0)]],
        [[(0.05, 0.4), (0.5, 0.0), (0.5, 1.0)], [(0.05, 1.0), (0.95, 1.0)]],
        [[(0.1, 0.28), *arc((0.2, 0.0), (0.32, 0.3), 70, 0), (0.5, 1.0)]],
    ],
    [
        [[*arc((0.5, 0.28), (0.34, 0.28), 190, 380), (0.14, 1.0), (0.9, 1.0)]],
        [
            [
                *arc((0.46, 0.26), (0.34, 0.26), 200, 400),
                *arc((0.26, 0.88), (0.14, 0.12), 0, -270),
                *arc((0.6, 0.8), (0.34, 0.2), 150, 60),
                (0.98, 0.9),
            ]
        ],
        [[(0.1, 0.05), (0.8, 0.05), (0.1, 0.98), (0.9, 0.98)]],
    ],
    [
        [
            [
                *arc((0.46, 0.25), (0.34, 0.25), 215, 450),
                *arc((0.46, 0.73), (0.38, 0.27), -90, 150),
            ]
        ],
        [[(0.12, 0.0), (0.8, 0.0), (0.42, 0.4), *arc((0.44, 0.7), (0.4, 0.3), -80, 150)]],
        [[*arc((0.4, 0.22), (0.36, 0.22), 200, 440), *arc((0.4, 0.72), (0.5, 0.28), -90, 120)]],
    ],
    [
        [[(0.62, 0.0), (0.1, 0.66), (0.92, 0.66)], [(0.68, 0.38), (0.66, 1.0)]],
        [[(0.7, 1.0), (0.7, 0.0), (0.08, 0.68), (0.95, 0.68)]],
        [[(0.12, 0.0), (0.1, 0.55), (0.9, 0.55)], [(0.8, 0.0), (0.78, 1.0)]],
        [[(0.4, 0.0), (0.05, 0.6), (0.95, 0.6)], [(0.75, 0.3), (0.6, 1.0)]],
        [[(0.3, 0.0), (0.02, 0.72), (0.98, 0.7)], [(0.62, 0.5), (0.5, 1.0)]],
        [[*arc((0.5, 0.0), (0.4, 0.5), 180, 20), (0.82, 0.0), (0.7, 1.0)]],
    ],
    [
        [[(0.84, 0.02), (0.28, 0.02), (0.22, 0.44), *arc((0.46, 0.69), (0.36, 0.31), -115, 150)]],
        [
            [(0.3, 0.02), (0.2, 0.45), *arc((0.44, 0.7), (0.38, 0.3), -110, 150)],
            [(0.28, 0.03), (0.95, 0.0)],
        ],
        [
            [
                (0.9, 0.0),
                *arc((0.5, 0.24), (0.36, 0.24), 270, 110),
                *arc((0.4, 0.72), (0.44, 0.28), -80, 150),
            ]
        ],
    ],
    [
        [[*arc((0.92, 0.62), (0.76, 0.64), 262, 180), *arc((0.5, 0.7), (0.34, 0.3), 180, 540)]],
        [[(0.62, 0.0), (0.2, 0.62), *arc((0.5, 0.72), (0.36, 0.28), 200, 530)]],
        [[*arc((0.62, 0.5), (0.48, 0.5), 290, 180), *arc((0.5, 0.72), (0.36, 0.28), 180, 500)]],
    ],
    [
        [[(0.1, 0.03), (0.88, 0.03), (0.4, 1.0)]],
        [[(0.1, 0.03), (0.88, 0.03), (0.4, 1.0)], [(0.3, 0.52), (0.88, 0.5)]],
        [[(0.05, 0.2), (0.08, 0.03), (0.9, 0.03), (0.4, 1.0)]],
        [[(0.05, 0.18), (0.08, 0.03), (0.9, 0.03), (0.45, 1.0)], [(0.25, 0.5), (0.9, 0.46)]],
        [[(0.08, 0.06), (0.85, 0.0), *arc((1.1, 1.0), (0.6, 0.95), 240, 180)]],
    ],
    [
        [[*arc((0.5, 0.26), (0.29, 0.26), 90, 450), *arc((0.5, 0.76), (0.36, 0.24), -90, 270)]],
        [
            [
                (0.8, 0.1),
                *arc((0.46, 0.24), (0.34, 0.24), 310, 110),
                *arc((0.5, 0.74), (0.34, 0.26), -80, 230),
                (0.85, 0.1),
            ]
        ],
    ],
    [
        [[*arc((0.48, 0.3), (0.34, 0.3), 0, 360), (0.8, 0.36), (0.66, 1.0)]],
        [[*arc((0.46, 0.28), (0.34, 0.28), -20, 340), (0.8, 0.2), (0.8, 1.0)]],
        [[*arc((0.46, 0.27), (0.36, 0.27), -20, 340), *arc((0.4, 0.62), (0.42, 0.38), -25, 140)]],
        [[*arc((0.5, 0.26), (0.34, 0.26), 0, 360), *arc((0.34, 0.5), (0.5, 0.5), 0, 100)]],
    ],
)


def draw_digit(
    digit: int,
    generator: np.random.Generator,
    *,
    side: int = IMAGE_SIDE,
    messiness: float = 1.0,
) -> NDArray[np.uint8]:
    """Draw one digit in one of its styles; see `export.pen.draw_strokes`.

    Args:
        digit: 0 to 9.
        generator: The style and the hand.
        side: Height and width, in pixels.
        messiness: How far the hand strays from the model; 0 is print.

    Returns:
        uint8 (side, side); 0 = background, 255 = full ink.
    """
    styles = _STYLES[digit]
    style = styles[int(generator.integers(len(styles))) if messiness else 0]
    return draw_strokes(style, generator, side=side, messiness=messiness)


def draw_digits(
    count: int, *, seed: int = 0, messiness: float = 1.0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw many digits, 0 to 9 in turn.

    Returns:
        images: uint8 (count, 1, 28, 28); 0 = background, 255 = full ink.
        digits: int64 (count,).
    """
    generator = np.random.default_rng(seed)
    digits = np.arange(count) % DIGITS
    images = [draw_digit(int(digit), generator, messiness=messiness) for digit in digits]
    return np.stack(images)[:, None], digits.astype(np.int64)
