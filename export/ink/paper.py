"""What is written on, and what lies around it: paper, boards, screens, tables, a finger."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .writing import write_words

Generator = np.random.Generator
Pixels = NDArray[np.float32]
"""float32 (height, width, 3), 0 to 255."""

Colour = NDArray[np.float32]


def any_colour(generator: Generator, low: float, high: float) -> Colour:
    """Draw a colour whose mean brightness is about between two values."""
    base = generator.uniform(low, high)
    tint = generator.normal(0, 1, 3) * generator.choice([2.0, 12.0, 45.0], p=[0.5, 0.3, 0.2])
    colour: Colour = np.clip(base + tint - tint.mean(), 0, 255).astype(np.float32)
    return colour


def vivid_colour(generator: Generator) -> Colour:
    """Draw a colour as notes and cards have it, bright and often far from grey."""
    channels = [
        generator.uniform(190, 255),
        generator.uniform(110, 255),
        generator.uniform(30, 220),
    ]
    return generator.permutation(channels).astype(np.float32)


def clouds(generator: Generator, shape: tuple[int, int], cells: int) -> NDArray[np.float32]:
    """Draw a smooth random field of standard deviation 1, with about `cells` hills a side."""
    small = generator.normal(0, 1, (cells + 1, cells + 1)).astype(np.float32)
    size = (shape[1], shape[0])
    return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC), np.float32)


def draw_paper(generator: Generator, shape: tuple[int, int]) -> Pixels:
    """Draw something to write on: paper, coloured paper, a board or a screen."""
    kind = generator.random()
    if kind < 0.16:  # a drawing program
        level = 255.0 if generator.random() < 0.6 else 0.0
        colour = np.full(3, level, np.float32)
    elif kind < 0.68:
        colour = any_colour(generator, 170, 250)
    elif kind < 0.84:
        colour = any_colour(generator, 60, 220)
    else:
        colour = any_colour(generator, 5, 80)
    paper = np.broadcast_to(colour, (*shape, 3)).copy()
    if kind >= 0.16:
        _add_texture(paper, generator)
        if generator.random() < 0.35:
            _rule(paper, generator)
        if generator.random() < 0.06:
            _print_around(paper, generator)
    return paper


def _add_texture(paper: Pixels, generator: Generator) -> None:
    """Add grain, folds and stains."""
    shape = paper.shape[:2]
    if generator.random() < 0.25:
        folds = clouds(generator, shape, int(generator.integers(4, 24)))
        paper += (folds * generator.uniform(1, 9))[:, :, None]
    if generator.random() < 0.1:  # a fold with an edge
        y, x = np.indices(shape, np.float32) / max(shape)
        angle = generator.uniform(0, np.pi)
        side = np.cos(angle) * (x - generator.random()) + np.sin(angle) * (y - generator.random())
        paper += (np.tanh(side * generator.uniform(4, 80)) * generator.uniform(2, 12))[:, :, None]


def _rule(paper: Pixels, generator: Generator) -> None:
    """Print lines, squares or dots in a colour near the paper's or far from it."""
    height, width = paper.shape[:2]
    step = float(np.exp(generator.uniform(np.log(7), np.log(60))))
    thick = max(1, round(step * generator.uniform(0.02, 0.1)))
    plan = Image.new("L", (width, height))
    brush = ImageDraw.Draw(plan)
    slope = generator.normal(0, 0.02) * width
    kind = generator.random()
    for y in np.arange(generator.uniform(-step, step), height + step, step):
        if kind < 0.85:
            brush.line((0, y, width, y + slope), 255, thick)
        else:
            for x in np.arange(generator.uniform(0, step), width, step):
                brush.ellipse((x - thick, y - thick, x + thick, y + thick), 255)
    if 0.45 < kind < 0.85:
        for x in np.arange(generator.uniform(-step, step), width + step, step):
            brush.line((x, 0, x - slope, height), 255, thick)
    elif kind < 0.2:
        x = generator.uniform(0.03, 0.3) * width
        brush.line((x, 0, x - slope, height), 255, thick)
    share = np.asarray(plan, np.float32)[:, :, None] / 255 * generator.uniform(0.1, 0.8)
    paper += share * (any_colour(generator, 40, 220) - paper)


def _print_around(paper: Pixels, generator: Generator) -> None:
    """Print letters in a strip at the top, the bottom or a side."""
    height, width = paper.shape[:2]
    share = generator.uniform(0.1, 0.25)
    size = generator.uniform(6, 18)
    if generator.random() < 0.7:
        rows = max(1, round(share * height))
        words = write_words(generator, width, rows, size)
        place = slice(0, rows) if generator.random() < 0.5 else slice(height - rows, height)
        strip = paper[place]
    else:
        columns = max(1, round(share * width))
        words = write_words(generator, columns, height, size)
        strip = paper[:, :columns]
    strip += words[:, :, None] * generator.uniform(0.4, 1) * (any_colour(generator, 10, 90) - strip)


def draw_table(generator: Generator, paper: Pixels) -> tuple[Pixels, tuple[int, int, int, int]]:
    """Lay a paper on a table, on which it covers most of the picture.

    Returns:
        The picture, and a box that is paper alone: top, left, bottom, right.
    """
    height, width = paper.shape[:2]
    table = np.broadcast_to(any_colour(generator, 10, 190), paper.shape).copy()
    if generator.random() < 0.6:  # wood
        grain = clouds(generator, (height, width), int(generator.integers(3, 40)))
        across = clouds(generator, (1, width), int(generator.integers(8, 60)))
        table += (8 * grain + generator.uniform(0, 22) * across)[:, :, None]
    if generator.random() < 0.5:  # a note
        inset = generator.uniform(0.08, 0.36, 4) * (height, width, height, width)
        is_vivid = generator.random() < 0.6
        colour = vivid_colour(generator) if is_vivid else any_colour(generator, 90, 245)
        paper = np.broadcast_to(colour, paper.shape)
    else:
        inset = generator.uniform(0.0, 0.28, 4) * (height, width, height, width)
        inset[generator.random(4) < 0.3] = -0.2 * max(height, width)  # beyond the rim
    top, left, bottom, right = inset[0], inset[1], height - inset[2], width - inset[3]
    wobble = generator.normal(0, 0.03, (4, 2)) * (width, height)
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)]) + wobble
    plan = Image.new("L", (width, height))
    ImageDraw.Draw(plan).polygon([(float(x), float(y)) for x, y in corners], fill=255)
    page = np.asarray(plan, np.float32) / np.float32(255)
    box = (
        int(max(0, corners[0][1], corners[1][1])) + 3,
        int(max(0, corners[0][0], corners[3][0])) + 3,
        int(min(height, corners[2][1], corners[3][1])) - 3,
        int(min(width, corners[1][0], corners[2][0])) - 3,
    )
    return table + page[:, :, None] * (paper - table), box


def lay_card(
    generator: Generator, paper: Pixels, box: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    """Lay a card of another colour over a side of the paper.

    Args:
        generator: Source of all that varies.
        paper: The picture, which is changed.
        box: What of it can be written on: top, left, bottom, right.

    Returns:
        What of that the card leaves.
    """
    height, width = paper.shape[:2]
    y, x = np.indices((height, width), np.float32)
    sides = list(box)
    side = int(generator.integers(4))
    share = generator.uniform(0.08, 0.45) * (box[2] - box[0] if side % 2 == 0 else box[3] - box[1])
    rim = box[side] + share if side < 2 else box[side] - share
    along, across = (x - width / 2, y) if side % 2 == 0 else (y - height / 2, x)
    slope = generator.normal(0, 0.06)
    inside = (rim + slope * along - across) * (1 if side < 2 else -1)
    is_vivid = generator.random() < 0.5
    colour = vivid_colour(generator) if is_vivid else any_colour(generator, 20, 250)
    if generator.random() < 0.4:  # the shadow beside its rim
        wide = generator.uniform(1, 8)
        paper *= 1 - generator.uniform(0.1, 0.5) * np.clip(1 + inside / wide, 0, 1)[:, :, None]
    paper += np.clip(0.5 + inside, 0, 1)[:, :, None] * (colour - paper)
    slant = round(abs(slope) * max(height, width) / 2) + 3
    sides[side] = round(rim) + slant if side < 2 else round(rim) - slant
    return (sides[0], sides[1], sides[2], sides[3])


def add_finger(picture: Pixels, generator: Generator) -> None:
    """Put a finger or another thing over a rim of the picture."""
    height, width = picture.shape[:2]
    plan = Image.new("L", (width, height))
    along = generator.uniform(0, 1)
    long, wide = (
        generator.uniform(0.08, 0.3) * max(height, width),
        generator.uniform(0.05, 0.12) * width,
    )
    x, y = (
        ((along * width, 0 if generator.random() < 0.5 else height))
        if generator.random() < 0.5
        else (0 if generator.random() < 0.5 else width, along * height)
    )
    ImageDraw.Draw(plan).ellipse((x - wide, y - long, x + wide, y + long), fill=255)
    share = np.asarray(plan, np.float32)[:, :, None] / 255
    skin = np.array([200, 150, 120], np.float32) * generator.uniform(0.4, 1.2)
    picture += share * (skin - picture)


def draw_no_writing(generator: Generator, shape: tuple[int, int]) -> Pixels:
    """Draw a picture of anything but writing: textures, shapes, faces as cartoons have them."""
    picture = np.broadcast_to(any_colour(generator, 20, 240), (*shape, 3)).copy()
    for cells in (2, 5, 12, 30):
        tint = any_colour(generator, -40, 40) if generator.random() < 0.6 else np.float32(1)
        field = clouds(generator, shape, cells)[:, :, None]
        picture += field * tint * generator.uniform(0, 1.5)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    brush = ImageDraw.Draw(image)
    for _ in range(int(generator.integers(0, 14))):
        colour = tuple(int(each) for each in np.clip(any_colour(generator, 10, 245), 0, 255))
        x, y = generator.uniform(-0.2, 1.2, 2) * (shape[1], shape[0])
        wide, high = np.exp(generator.uniform(np.log(4), np.log(90), 2))
        if generator.random() < 0.5:
            brush.ellipse((x - wide, y - high, x + wide, y + high), fill=colour)
        else:
            points = generator.normal(0, 1, (int(generator.integers(3, 7)), 2)) * (wide, high)
            brush.polygon([(float(x + px), float(y + py)) for px, py in points], fill=colour)
    if generator.random() < 0.3:
        _face(brush, generator, shape)
    return np.asarray(image, np.float32).copy()


def _face(brush: ImageDraw.ImageDraw, generator: Generator, shape: tuple[int, int]) -> None:
    """Draw a face, filled or in outline."""
    x, y = generator.uniform(0.35, 0.65, 2) * (shape[1], shape[0])
    wide = generator.uniform(0.12, 0.4) * min(shape)
    high = wide * generator.uniform(1, 1.5)
    skin = tuple(
        int(v) for v in np.clip(np.array([215, 165, 135]) * generator.uniform(0.3, 1.2), 0, 255)
    )
    dark = tuple(int(v) for v in generator.uniform(0, 90, 3))
    thick = max(1, round(wide * generator.uniform(0.03, 0.12)))
    fill = skin if generator.random() < 0.6 else None
    if generator.random() < 0.6:
        hair = (x - 1.15 * wide, y - 1.2 * high, x + 1.15 * wide, y + 0.4 * high)
        brush.ellipse(hair, fill=dark)
    brush.ellipse((x - wide, y - high, x + wide, y + high), fill=fill, outline=dark, width=thick)
    eye = wide * generator.uniform(0.05, 0.2)
    for side in (-0.4, 0.4):
        centre = (x + side * wide, y - 0.25 * high)
        brush.ellipse(
            (centre[0] - eye, centre[1] - eye, centre[0] + eye, centre[1] + eye), fill=dark
        )
    brush.line((x, y - 0.1 * high, x - 0.1 * wide, y + 0.2 * high), dark, thick)
    start, end = (10, 170) if generator.random() < 0.7 else (190, 350)
    brush.arc(
        (x - 0.5 * wide, y + 0.1 * high, x + 0.5 * wide, y + 0.6 * high), start, end, dark, thick
    )
