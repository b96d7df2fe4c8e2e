"""MNIST as uint8 tensors: loading, splits, the numbers to add, augmentation."""

from __future__ import annotations

import contextlib
import hashlib
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.datasets import MNIST

from edge_adder.contract import DIGITS, IMAGE_SIDE
from edge_adder.errors import FileAccessError, InputError
from edge_adder.evaluation.datasets import MNIST_FILES, cache_dir, find_data_dir, has_mnist

Split = Literal["fixed", "random-80-20"]
SPLITS: tuple[Split, ...] = ("fixed", "random-80-20")


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Images with their digits.

    Attributes:
        images: uint8 (count, 1, 28, 28); 0 = background, 255 = full ink.
        labels: int64 (count,); 0 to 9.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, indices: Tensor) -> LabelledImages:
        """The images and labels at `indices`, int64 (chosen,)."""
        return LabelledImages(self.images[indices], self.labels[indices])

    @property
    def sha256(self) -> str:
        """SHA-256 of images and labels, in hexadecimal."""
        digest = hashlib.sha256(self.images.numpy().tobytes())
        digest.update(self.labels.numpy().tobytes())
        return digest.hexdigest()

    def to(self, device: torch.device) -> LabelledImages:
        """The same on a device."""
        return LabelledImages(self.images.to(device), self.labels.to(device))


def load_mnist(data_dir: Path | None = None, *, train: bool) -> LabelledImages:
    """Read MNIST's 60,000 training or 10,000 test images.

    Args:
        data_dir: Folder that holds ``MNIST/raw``. Without it `EDGE_ADDER_DATA` names the folder;
            without either MNIST is downloaded into the user's cache, once.
        train: The training images, or else the test images.

    Raises:
        InputError: The named folder does not hold the four files, or they are damaged.
        FileAccessError: The download failed.
    """
    named = find_data_dir(data_dir)
    folder = named if named is not None else cache_dir()
    raw = folder / "MNIST" / "raw"
    wanted = f"{', '.join(MNIST_FILES)} (uncompressed) in {raw}"
    if named is not None and not has_mnist(named):
        raise InputError(f"no MNIST in {named}: expected {wanted}")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # torchvision prints its progress
            mnist = MNIST(str(folder), train=train, download=named is None)
        images, labels = mnist.data.unsqueeze(1), mnist.targets.long()
    except (OSError, RuntimeError) as error:
        if not has_mnist(folder):
            raise FileAccessError(
                f"MNIST could not be downloaded ({_first_line(error).rstrip(':')}): put {wanted}"
            ) from error
        raise _damaged(raw, _first_line(error)) from error
    except (ValueError, AssertionError, IndexError, KeyError, TypeError) as error:
        raise _damaged(raw, _first_line(error)) from error
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < DIGITS:
        raise _damaged(raw, f"labels from {labels.min()} to {labels.max()}")
    if images.shape[1:] != (1, 28, 28) or len(images) != len(labels) or len(labels) == 0:
        raise _damaged(
            raw,
            "expected as many labels as 28x28 images, "
            f"got {tuple(images.shape)} and {tuple(labels.shape)}",
        )
    return LabelledImages(images, labels)


def split_indices(count: int, split: Split, seed: int) -> tuple[Tensor, Tensor]:
    """Divide the training images into those to fit and those to validate on.

    Args:
        count: Number of training images; 60,000 for MNIST.
        split: ``fixed`` validates on the last twelfth (images 55,000 to 59,999 of MNIST);
            ``random-80-20`` on a random fifth.
        seed: Of the random split.

    Returns:
        Two int64 tensors of indices, (fitted,) and (validated,).
    """
    if split == "fixed":
        order, held_out = torch.arange(count), count // 12
    else:
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        held_out = count // 5
    return order[: count - held_out], order[count - held_out :]


def draw_numbers(count: int, generator: torch.Generator) -> Tensor:
    """Numbers to add, uniform over 0 to 9: int64 (count,)."""
    return torch.randint(DIGITS, (count,), generator=generator)


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Largest random change of an image; each change is drawn uniformly from -x to x.

    Attributes:
        shift: Of the image's side.
        rotation_degrees: Either way.
        scale: Of the size, horizontally and vertically alike.
        stretch: Of the size, horizontally and vertically in opposite directions.
        shear: Horizontal movement for each pixel of height.
        bend: Standard deviation, in pixels, of a smooth random displacement: a field of
            `_BEND_POINTS` × `_BEND_POINTS` independent arrows, interpolated.
    """

    shift: float = 0.08
    rotation_degrees: float = 12.0
    scale: float = 0.12
    stretch: float = 0.08
    shear: float = 0.2
    bend: float = 0.7


_BEND_POINTS = 5


def augment(images: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Move, turn, scale, shear and bend every image by its own random amount.

    Args:
        images: uint8 (batch, 1, 28, 28).
        augmentation: How much.
        generator: Source of the random amounts, on the CPU.

    Returns:
        uint8 (batch, 1, 28, 28); new images, bilinear, background where the image ends.
    """
    count = len(images)
    amounts = torch.rand(6, count, generator=generator) * 2 - 1
    angle = amounts[0] * math.radians(augmentation.rotation_degrees)
    size = 1 + amounts[1] * augmentation.scale
    stretch = 1 + amounts[2] * augmentation.stretch
    shear = amounts[3] * augmentation.shear
    shift_x, shift_y = amounts[4:] * (2 * augmentation.shift)  # grid_sample's image spans -1 to 1
    cos, sin = angle.cos(), angle.sin()
    across, down = size * stretch, size / stretch
    # Output pixel → input pixel: rotation · shear, scaled along each axis.
    matrix = torch.stack(
        [
            torch.stack([cos * across, (cos * shear - sin) * down, shift_x], dim=1),
            torch.stack([sin * across, (sin * shear + cos) * down, shift_y], dim=1),
        ],
        dim=1,
    ).to(images.device)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    if augmentation.bend:
        arrows = torch.randn(count, 2, _BEND_POINTS, _BEND_POINTS, generator=generator)
        arrows = arrows.to(images.device) * (2 * augmentation.bend / IMAGE_SIDE)
        bends = F.interpolate(arrows, grid.shape[1:3], mode="bicubic", align_corners=True)
        grid = grid + bends.permute(0, 2, 3, 1)
    moved = F.grid_sample(images.float(), grid, mode="bilinear", align_corners=False)
    return moved.round_().to(torch.uint8)


def _damaged(raw: Path, reason: str) -> InputError:
    return InputError(f"MNIST in {raw} is damaged: {reason}; replace its files, or delete them all")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
