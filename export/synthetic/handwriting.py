"""The handwriting augmentation: images as real-world pictures give them after preparation.

A training image is enlarged, bent and stretched, its strokes become thicker or thinner; some are
reduced to few pixels, fade, or are cropped at a side. Then it goes through
`edge_adder.preprocessing.normalize`, the code that prepares a picture on the device. So the network
learns from what it will see there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from edge_adder.contract import FULL_INK, IMAGE_SIDE
from edge_adder.preprocessing.morphology import bounding_box
from edge_adder.preprocessing.normalize import normalize

from ..augment import BEND_POINTS

Ink = NDArray[np.uint8]

_SIDE = 3 * IMAGE_SIDE
"""Height and width of the enlarged image, in pixels."""

_SHRINK = 1.35
"""Factor by which the digit is smaller on the enlarged image, so that it fits after stretching."""

_FAINT = 48
"""Amount of ink from which a pixel belongs to the digit."""

_HALF_INK = 100
"""Amount of ink from which a pixel is black in an image without shades."""


@dataclass(frozen=True, slots=True)
class HandwritingAugmentation:
    """How strongly images are changed; amounts are uniform, in both directions where there are two.

    Attributes:
        rotation_degrees: Rotation either way, in degrees.
        shear: Horizontal displacement for each pixel of height.
        stretch: Logarithm of the width over the height.
        bend: Standard deviation of a smooth displacement, in pixels of 28×28.
        stroke_delta: Smallest and greatest change of the outline, in pixels of 28×28; negative is
            thinner.
        pixelated: Share of the images that are reduced to few pixels, as drawing programs do.
        pixels: Smallest and greatest size of those, the longer side in pixels.
        faded: Share of the images whose ink fades towards one side.
        cropped: Share of the images that lose up to `crop` of their bounding box on one side.
        crop: Greatest part of the box that is lost.
    """

    rotation_degrees: float = 14.0
    shear: float = 0.25
    stretch: float = 0.5
    bend: float = 0.8
    stroke_delta: tuple[float, float] = (-0.5, 1.25)
    pixelated: float = 0.35
    pixels: tuple[int, int] = (12, 32)
    faded: float = 0.15
    cropped: float = 0.1
    crop: float = 0.1


class _Draws(NamedTuple):
    """Random amounts for one image, float32 from 0 to 1."""

    pixelate: np.float32
    pixels: np.float32
    pixel_style: np.float32
    fade: np.float32
    fade_depth: np.float32
    fade_direction: np.float32
    crop: np.float32
    crop_depth: np.float32


def augment_handwriting(
    images: Tensor, augmentation: HandwritingAugmentation, generator: torch.Generator
) -> Tensor:
    """Redraw every image with another hand, and prepare it as the device does.

    Args:
        images: uint8 (batch, 1, 28, 28).
        augmentation: How much.
        generator: Source of the random amounts, on the CPU.

    Returns:
        uint8 (batch, 1, 28, 28); new images, in MNIST's format.
    """
    if not len(images):
        return images
    large = _distort(images, augmentation, generator)
    ink = _change_strokes(large, augmentation, generator)
    amounts = torch.rand(len(images), len(_Draws._fields), generator=generator).numpy()
    prepared = [
        _prepare(image[0], augmentation, _Draws(*row))
        for image, row in zip(ink.numpy(), amounts, strict=True)
    ]
    return torch.from_numpy(np.stack(prepared)[:, None]).to(images.device)


def _distort(
    images: Tensor, augmentation: HandwritingAugmentation, generator: torch.Generator
) -> Tensor:
    """Rotate, shear, stretch and bend: float32 (batch, 1, 84, 84), ink about 0 to 1."""
    count = len(images)
    amounts = torch.rand(4, count, generator=generator) * 2 - 1
    angle = amounts[0] * math.radians(augmentation.rotation_degrees)
    shear, stretch = amounts[1] * augmentation.shear, amounts[2] * augmentation.stretch
    width, height = _SHRINK * (-stretch / 2).exp(), _SHRINK * (stretch / 2).exp()
    matrix = torch.stack(
        [
            torch.stack([angle.cos() * width, (shear - angle.sin()) * height, 0 * angle], dim=1),
            torch.stack([angle.sin() * width, angle.cos() * height, 0 * angle], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(matrix, [count, 1, _SIDE, _SIDE], align_corners=False)
    vectors = torch.randn(count, 2, BEND_POINTS, BEND_POINTS, generator=generator)
    vectors = vectors * (2 * augmentation.bend / IMAGE_SIDE)
    bends = F.interpolate(vectors, (_SIDE, _SIDE), mode="bilinear", align_corners=True)
    return F.grid_sample(
        images.cpu().float() / FULL_INK,
        grid + bends.permute(0, 2, 3, 1),
        mode="bicubic",
        align_corners=False,
    )


def _change_strokes(
    large: Tensor, augmentation: HandwritingAugmentation, generator: torch.Generator
) -> Tensor:
    """Sharpen the outline and move it outwards or inwards: uint8 (batch, 1, 84, 84)."""
    count = len(large)
    level = 0.35 + 0.25 * torch.rand(count, 1, 1, 1, generator=generator)
    ink = ((large - level) * 4 + 0.5).clamp(0, 1)
    thinnest, thickest = augmentation.stroke_delta
    deltas = thinnest + (thickest - thinnest) * torch.rand(count, generator=generator)
    steps = (deltas * (_SIDE / IMAGE_SIDE / _SHRINK)).round().long()
    for step in set(steps.tolist()) - {0}:
        chosen, window = steps == step, 2 * abs(step) + 1
        moved = ink[chosen] if step > 0 else -ink[chosen]
        moved = F.max_pool2d(moved, window, 1, abs(step)).abs()
        lost = moved.amax((1, 2, 3), keepdim=True) < 0.5  # the stroke was too thin for this
        ink[chosen] = torch.where(lost, ink[chosen], moved)
    return (ink * FULL_INK).round().to(torch.uint8)


def _prepare(ink: Ink, augmentation: HandwritingAugmentation, draws: _Draws) -> Ink:
    """Pixelate, fade and crop one image as drawn, then normalize: uint8 (84, 84) → (28, 28)."""
    if not ink.any():
        return np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    if draws.pixelate < augmentation.pixelated:
        ink = _pixelate(ink, augmentation.pixels, draws)
    if draws.fade < augmentation.faded:
        ink = _fade(ink, draws)
    rows, columns = box = bounding_box(ink >= min(_FAINT, int(ink.max())))
    if draws.crop < augmentation.cropped:
        side = int(draws.crop / augmentation.cropped * 4)
        rows, columns = _crop(rows, columns, side, augmentation.crop * float(draws.crop_depth))
    if not ink[rows, columns].any():
        rows, columns = box
    return normalize(np.ascontiguousarray(ink[rows, columns]))[0]


def _pixelate(ink: Ink, pixels: tuple[int, int], draws: _Draws) -> Ink:
    """Reduce the digit to few pixels; the ink as it is where a thin stroke falls between them."""
    fewest, most = pixels
    longer = round(fewest + (most - fewest) * float(draws.pixels))
    digit = Image.fromarray(np.ascontiguousarray(ink[bounding_box(ink >= _FAINT)]))
    scale = longer / max(digit.size)
    size = (max(1, round(digit.width * scale)), max(1, round(digit.height * scale)))
    # by nearest pixel as a program draws, or by area as a picture is shrunk
    nearest = draws.pixel_style < 0.5
    method = Image.Resampling.NEAREST if nearest else Image.Resampling.BOX
    few = np.asarray(digit.resize(size, method))
    if draws.pixel_style < 0.75:  # without shades
        few = np.where(few >= _HALF_INK, np.uint8(FULL_INK), np.uint8(0))
    return few if few.any() else ink


def _fade(ink: Ink, draws: _Draws) -> Ink:
    """Let the ink fade to the right or downwards."""
    rightwards = draws.fade_direction < 0.5
    end = 0.3 + 0.5 * float(draws.fade_depth)
    strength = np.linspace(1, end, ink.shape[1 if rightwards else 0])
    strength = strength[None, :] if rightwards else strength[:, None]
    return np.rint(ink * strength).astype(np.uint8)


def _crop(rows: slice, columns: slice, side: int, share: float) -> tuple[slice, slice]:
    """Take a share of a box away at its top (side 0), bottom, left or right (side 3)."""
    cut = rows if side < 2 else columns
    lost = int((cut.stop - cut.start) * share)
    first = side in (0, 2)
    cut = slice(cut.start + lost, cut.stop) if first else slice(cut.start, cut.stop - lost)
    return (cut, columns) if side < 2 else (rows, cut)
