"""Augmentation of training images: shift, rotation, scale, shear and smooth bends."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_adder.contract import IMAGE_SIDE

BEND_POINTS = 5
"""Height and width of the grid of random displacements that bends an image."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Largest random change of an image; each change is drawn uniformly from -x to x.

    Attributes:
        shift: Share of the image's side.
        rotation_degrees: Rotation either way, in degrees.
        scale: Relative change of size, horizontally and vertically alike.
        stretch: Relative change of size, in opposite directions for width and height.
        shear: Horizontal displacement for each pixel of height.
        bend: Standard deviation, in pixels, of a smooth random displacement: a field of
            `BEND_POINTS` × `BEND_POINTS` independent vectors, interpolated.
    """

    shift: float = 0.08
    rotation_degrees: float = 12.0
    scale: float = 0.12
    stretch: float = 0.08
    shear: float = 0.2
    bend: float = 0.7


def augment(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Shift, rotate, scale, shear and bend every image by its own random amount.

    Args:
        images: uint8 (batch, 1, 28, 28).
        augmentation: Largest changes.
        generator: Source of the random amounts, on the CPU.

    Returns:
        uint8 (batch, 1, 28, 28); new images, bilinear, background where the image ends.
    """
    matrix = _random_matrix(len(images), augmentation, generator).to(images.device)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    if augmentation.bend:
        shape = (len(images), 2, BEND_POINTS, BEND_POINTS)
        vectors = torch.randn(shape, generator=generator).to(images.device)
        vectors = vectors * (2 * augmentation.bend / IMAGE_SIDE)
        bends = F.interpolate(vectors, grid.shape[1:3], mode="bicubic", align_corners=True)
        grid = grid + bends.permute(0, 2, 3, 1)
    sampled = F.grid_sample(images.float(), grid, mode="bilinear", align_corners=False)
    return sampled.round_().to(torch.uint8)


def _random_matrix(count: int, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Draw float32 (count, 2, 3): output pixel → input pixel, in -1 to 1 across the image."""
    amounts = torch.rand(6, count, generator=generator) * 2 - 1
    angle = amounts[0] * math.radians(augmentation.rotation_degrees)
    size = 1 + amounts[1] * augmentation.scale
    stretch = 1 + amounts[2] * augmentation.stretch
    shear = amounts[3] * augmentation.shear
    shift_x, shift_y = amounts[4:] * (2 * augmentation.shift)  # grid_sample's image spans -1 to 1
    cos, sin = angle.cos(), angle.sin()
    width, height = size * stretch, size / stretch
    return torch.stack(  # rotation · shear, scaled along each axis
        [
            torch.stack([cos * width, (cos * shear - sin) * height, shift_x], dim=1),
            torch.stack([sin * width, (sin * shear + cos) * height, shift_y], dim=1),
        ],
        dim=1,
    )
