"""Handwriting as strangers' pictures bring it, after the device's own preparation.

A training image is enlarged, bent and stretched, written with another pen, sometimes on few
pixels, faded, or cut at the rim, and then goes through `edge_adder.preprocessing.normalize`, the same code that
prepares a picture on the device. So the network learns from what it will be shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from edge_adder.contract import FULL_INK, IMAGE_SIDE
from edge_adder.preprocessing.normalize import bounding_box, normalize

_SIDE = 84
"""Of the enlarged image, in pixels: three for each of MNIST's."""

_BEND_POINTS = 5

_FAINT = 48
"""Amount of ink from which a pixel belongs to the digit."""


@dataclass(frozen=True, slots=True)
class Redrawing:
    """How far redrawn images stray; each is drawn uniformly, in both directions where it has two.

    Attributes:
        rotation_degrees: Either way.
        shear: Horizontal movement for each pixel of height.
        stretch: Logarithm of the width over the height.
        bend: Standard deviation of a smooth displacement, in pixels of 28×28.
        pen: Least and greatest change of the outline, in pixels of 28×28; negative is thinner.
        pixelated: Share of the images that are brought to few pixels, as drawing programs do.
        pixels: Least and greatest height and width of those.
        faded: Share whose ink fades towards one side.
        cut: Share that lose up to `rim` of their box on one side.
        rim: Of the box.
    """

    rotation_degrees: float = 14.0
    shear: float = 0.25
    stretch: float = 0.5
    bend: float = 0.8
    pen: tuple[float, float] = (-0.5, 1.25)
    pixelated: float = 0.35
    pixels: tuple[int, int] = (12, 32)
    faded: float = 0.15
    cut: float = 0.1
    rim: float = 0.1


def redraw(images: Tensor, redrawing: Redrawing, generator: torch.Generator) -> Tensor:
    """Write every image anew and prepare it as the device does.

    Args:
        images: uint8 (batch, 1, 28, 28).
        redrawing: How much.
        generator: Source of the random amounts, on the CPU.

    Returns:
        uint8 (batch, 1, 28, 28); new images.
    """
    written = _write(images, redrawing, generator).numpy()
    amounts = torch.rand(len(images), 8, generator=generator).numpy()
    prepared = [
        _prepare(ink[0], redrawing, some) for ink, some in zip(written, amounts, strict=True)
    ]
    return torch.from_numpy(np.stack(prepared)[:, None]).to(images.device)


def _write(images: Tensor, redrawing: Redrawing, generator: torch.Generator) -> Tensor:
    """Bent, stretched, with another pen: uint8 (batch, 1, 84, 84)."""
    count = len(images)
    amounts = torch.rand(4, count, generator=generator) * 2 - 1
    angle = amounts[0] * math.radians(redrawing.rotation_degrees)
    shear, stretch = amounts[1] * redrawing.shear, amounts[2] * redrawing.stretch
    across, down = 1.35 * (-stretch / 2).exp(), 1.35 * (stretch / 2).exp()  # smaller: all fits in
    matrix = torch.stack(
        [
            torch.stack([angle.cos() * across, (shear - angle.sin()) * down, 0 * angle], dim=1),
            torch.stack([angle.sin() * across, angle.cos() * down, 0 * angle], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(matrix, [count, 1, _SIDE, _SIDE], align_corners=False)
    arrows = torch.randn(count, 2, _BEND_POINTS, _BEND_POINTS, generator=generator)
    arrows = arrows * (2 * redrawing.bend / 28)
    bends = F.interpolate(arrows, (_SIDE, _SIDE), mode="bilinear", align_corners=True)
    large = F.grid_sample(
        images.cpu().float() / FULL_INK,
        grid + bends.permute(0, 2, 3, 1),
        mode="bicubic",
        align_corners=False,
    )
    level = 0.35 + 0.25 * torch.rand(count, 1, 1, 1, generator=generator)
    ink = ((large - level) * 4 + 0.5).clamp(0, 1)
    least, most = redrawing.pen
    pens = least + (most - least) * torch.rand(count, generator=generator)
    steps = (pens * (_SIDE / 28 / 1.35)).round().long()
    for step in set(steps.tolist()):
        if step:
            chosen, window = steps == step, 2 * abs(step) + 1
            some = ink[chosen] if step > 0 else -ink[chosen]
            some = F.max_pool2d(some, window, 1, abs(step)).abs()
            lost = some.amax((1, 2, 3), keepdim=True) < 0.5  # too thin for this pen
            ink[chosen] = torch.where(lost, ink[chosen], some)
    return (ink * FULL_INK).round().to(torch.uint8)


def _prepare(
    ink: NDArray[np.uint8], redrawing: Redrawing, some: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """One image, uint8 (84, 84) → (28, 28). `some` are eight random amounts from 0 to 1."""
    if not ink.any():
        return np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    if some[0] < redrawing.pixelated:
        least, most = redrawing.pixels
        rows, columns = bounding_box(ink >= _FAINT)
        side = round(least + (most - least) * float(some[1]))
        box = Image.fromarray(np.ascontiguousarray(ink[rows, columns]))
        scale = side / max(box.size)
        size = (max(1, round(box.width * scale)), max(1, round(box.height * scale)))
        # by nearest pixel as a program draws, or by area as a picture is shrunk
        kind = Image.Resampling.NEAREST if some[2] < 0.5 else Image.Resampling.BOX
        few = np.asarray(box.resize(size, kind))
        if some[2] < 0.75:  # without shades
            few = np.where(few >= 100, np.uint8(FULL_INK), np.uint8(0))
        if few.any():  # else a thin stroke fell between the pixels
            ink = few
    if some[3] < redrawing.faded:
        along = np.linspace(1, 0.3 + 0.5 * float(some[4]), ink.shape[1 if some[5] < 0.5 else 0])
        fade = along[None, :] if some[5] < 0.5 else along[:, None]
        ink = np.rint(ink * fade).astype(np.uint8)
    mask = ink >= min(_FAINT, int(ink.max()))
    rows, columns = bounding_box(mask)
    if some[6] < redrawing.cut:
        share = redrawing.rim * float(some[7])
        side = int(some[6] / redrawing.cut * 4)
        high, wide = rows.stop - rows.start, columns.stop - columns.start
        if side < 2:
            lost = int(high * share)
            rows = slice(rows.start + lost * (side == 0), rows.stop - lost * (side == 1))
        else:
            lost = int(wide * share)
            columns = slice(columns.start + lost * (side == 2), columns.stop - lost * (side == 3))
    if not ink[rows, columns].any():
        rows, columns = bounding_box(mask)
    return normalize(np.ascontiguousarray(ink[rows, columns]))[0]
