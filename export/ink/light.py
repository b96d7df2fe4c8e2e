"""How a scene is lit and photographed: shade, lamps, blur, noise, JPEG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .paper import Pixels, clouds

Generator = np.random.Generator
Light = NDArray[np.float32]


def draw_light(generator: Generator, written: NDArray[np.bool_]) -> Light:
    """Draw the brightness of the light: float32 (height, width), about 1 where it is full.

    Args:
        generator: Source of all that varies.
        written: bool (height, width); where the writing is, through or past which some shadows end.
    """
    shape = (written.shape[0], written.shape[1])
    y, x = np.indices(shape, np.float32) / max(shape)
    light = np.ones(shape, np.float32)
    if generator.random() < 0.5:  # shade that grows to one side
        angle, depth = generator.uniform(0, 2 * np.pi), generator.uniform(0, 0.8)
        along = np.cos(angle) * x + np.sin(angle) * y
        along = (along - along.min()) / max(1e-6, float(np.ptp(along)))
        light *= 1 - depth * along ** generator.uniform(0.5, 2.5)
    if generator.random() < 0.25:  # dark corners
        centre = generator.normal(0.5, 0.12, 2)
        away = np.hypot(
            x - centre[0] * shape[1] / max(shape), y - centre[1] * shape[0] / max(shape)
        )
        light *= 1 - generator.uniform(0.2, 0.85) * np.clip(away / 0.7, 0, 1) ** generator.uniform(
            1, 3
        )
    if generator.random() < 0.2:  # a lamp's patch
        centre, size = generator.random(2), generator.uniform(0.12, 0.5)
        patch = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * size**2))
        base = generator.uniform(0.25, 0.9)
        light *= base + (1 + generator.uniform(0, 0.4) - base) * patch
    for _ in range(int(generator.choice([0, 1, 2, 3], p=[0.6, 0.25, 0.1, 0.05]))):
        light *= _shadow(generator, shape)
    if generator.random() < 0.3:
        light *= _sharp_shadow(generator, written)
    if generator.random() < 0.06:  # through a blind
        angle, steps = generator.uniform(0, np.pi), generator.uniform(3, 12)
        stripes = np.sin(2 * np.pi * steps * (np.cos(angle) * x + np.sin(angle) * y))
        light *= 1 - generator.uniform(0.1, 0.3) * (1 + np.tanh(generator.uniform(1, 9) * stripes))
    if generator.random() < 0.15:
        light *= np.clip(1 + generator.uniform(0.03, 0.15) * clouds(generator, shape, 4), 0.3, 1.5)
    bright: Light = np.maximum(light, np.float32(0.08)).astype(np.float32)
    return bright


def _shadow(generator: Generator, shape: tuple[int, int]) -> Light:
    """Draw the shadow of something, with a hard or a soft edge."""
    height, width = shape
    plan = Image.new("L", (width, height))
    brush = ImageDraw.Draw(plan)
    centre = generator.uniform(-0.2, 1.2, 2) * (width, height)
    if generator.random() < 0.4:
        radii = generator.uniform(0.15, 0.7, 2) * (width, height)
        brush.ellipse((*map(float, centre - radii), *map(float, centre + radii)), fill=255)
    else:
        count = int(generator.integers(3, 7))
        turn = np.sort(generator.uniform(0, 2 * np.pi, count))
        reach = generator.uniform(0.2, 1.0, count) * max(shape)
        points = centre + np.stack([np.cos(turn), np.sin(turn)], 1) * reach[:, None]
        brush.polygon([(float(px), float(py)) for px, py in points], fill=255)
    blur = float(np.exp(generator.uniform(np.log(0.2), np.log(30))))
    soft = plan.filter(ImageFilter.GaussianBlur(blur))
    depth = np.float32(generator.uniform(0.15, 0.7))
    return 1 - np.asarray(soft, np.float32) / np.float32(255) * depth


def _sharp_shadow(generator: Generator, written: NDArray[np.bool_]) -> Light:
    """Draw a shadow whose edge, hard or a few pixels wide, runs through the writing or past it."""
    height, width = written.shape
    rows, columns = np.nonzero(written)
    if len(rows) and generator.random() < 0.8:
        pixel = int(generator.integers(len(rows)))
        aim = np.array([columns[pixel], rows[pixel]]) + generator.normal(0, 8, 2)
    else:
        aim = generator.random(2) * (width, height)
    kind, angle = generator.random(), generator.uniform(0, 2 * np.pi)
    if kind < 0.85:
        inside = _straight_shadow(generator, written.shape, aim, angle)
        shade = np.clip(0.5 + inside / np.exp(generator.uniform(np.log(0.3), np.log(7))), 0, 1)
    else:
        shade = _hand_shadow(generator, (height, width), aim, angle)
    lit: Light = (1 - generator.uniform(0.12, 0.8) * shade).astype(np.float32)
    return lit


def _straight_shadow(
    generator: Generator, shape: tuple[int, ...], aim: NDArray[np.float64], angle: float
) -> Light:
    """Return how far inside a shadow with straight edges each pixel is, negative outside.

    The shadow is that of a wall, of a corner, of a bar, or of the bars of a window.
    """
    y, x = np.indices(shape, np.float32)
    inside = np.cos(angle) * (x - aim[0]) + np.sin(angle) * (y - aim[1])
    kind = generator.random()
    if kind < 0.2:
        turn = angle + generator.choice([-1, 1]) * generator.uniform(0.6, 2.2)
        corner = aim + generator.uniform(0, 60) * np.array([-np.sin(angle), np.cos(angle)])
        other = np.cos(turn) * (x - corner[0]) + np.sin(turn) * (y - corner[1])
        inside = np.minimum(inside, other)
    elif kind < 0.4:
        inside = np.minimum(inside, generator.uniform(4, 110) - inside)
    elif kind < 0.5:
        period = generator.uniform(20, 130)
        bar = generator.uniform(0.15, 0.7) * period
        along = np.mod(inside, period)
        inside = np.where(along < bar, np.minimum(along, bar - along), bar - along)
        inside = np.where(along > (period + bar) / 2, along - period, inside)
    found: Light = inside.astype(np.float32)
    return found


def _hand_shadow(
    generator: Generator, shape: tuple[int, int], aim: NDArray[np.float64], angle: float
) -> Light:
    """Return how deep in the shadow of a hand or a pen each pixel is, 0 to 1."""
    plan = Image.new("L", (shape[1], shape[0]))
    brush = ImageDraw.Draw(plan)
    thick = generator.uniform(5, 40)
    across = np.array([-np.sin(angle), np.cos(angle)])
    for finger in range(int(generator.integers(1, 5))):
        tip = aim + across * finger * thick * generator.uniform(1, 1.5)
        tip = tip + np.array([np.cos(angle), np.sin(angle)]) * generator.normal(0, 0.6 * thick)
        away = angle + generator.normal(0, 0.1)
        wrist = tip + 2 * max(shape) * np.array([np.cos(away), np.sin(away)])
        brush.line((*map(float, tip), *map(float, wrist)), 255, round(thick))
        brush.ellipse((*map(float, tip - thick / 2), *map(float, tip + thick / 2)), 255)
    blur = float(np.exp(generator.uniform(np.log(0.3), np.log(6))))
    soft = plan.filter(ImageFilter.GaussianBlur(blur))
    return np.asarray(soft, np.float32) / np.float32(255)


def photograph(picture: Pixels, generator: Generator, size: float) -> NDArray[np.uint8]:
    """Blur a scene, add noise and compress it, as cameras and their files do.

    Args:
        picture: float32 (height, width, 3), 0 to 255.
        generator: Source of all that varies.
        size: Length of what is written, in pixels; the blur keeps it legible.
    """
    if generator.random() < 0.6:
        noise = generator.normal(0, generator.uniform(0, 7), picture.shape)
        picture = picture + noise.astype(np.float32)
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    blur = generator.random()
    if blur < 0.55:
        image = image.filter(ImageFilter.GaussianBlur(generator.uniform(0.2, 1.2)))
    elif blur < 0.75:
        image = image.filter(ImageFilter.GaussianBlur(generator.uniform(0, 0.055) * size))
    elif blur < 0.82:
        image = _move(image, generator, max(2, round(generator.uniform(0.03, 0.12) * size)))
    if generator.random() < 0.45:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(generator.integers(12, 92)))
        image = Image.open(file).convert("RGB")
    if generator.random() < 0.25:
        image = image.convert("L").convert("RGB")
    return np.asarray(image)


def _move(image: Image.Image, generator: Generator, steps: int) -> Image.Image:
    """Average an image with itself along a line of some pixels: a hand that moved."""
    pixels = np.asarray(image, np.float32)
    angle = generator.uniform(0, np.pi)
    total = np.zeros_like(pixels)
    for step in range(steps):
        offset = step - steps / 2
        shift = (round(np.sin(angle) * offset), round(np.cos(angle) * offset))
        total += np.roll(pixels, shift, axis=(0, 1))
    return Image.fromarray(np.clip(total / steps, 0, 255).astype(np.uint8))
