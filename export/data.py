"""MNIST as uint8 tensors: loading, splits, the numbers to add, synthetic images beside it."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torchvision.datasets import MNIST

from edge_adder.contract import DIGITS, IMAGE_SIDE
from edge_adder.errors import FileAccessError, InputError, one_line
from edge_adder.evaluation.datasets import (
    MNIST_FILES,
    cache_dir,
    find_data_dir,
    find_plain_or_gzipped,
    has_mnist,
    read_idx_pair,
)

from .synthetic.digits import draw_digits
from .synthetic.negatives import NON_DIGIT, draw_negatives
from .synthetic.ones_and_sevens import draw_ones_and_sevens

Split = Literal["fixed", "random-80-20"]


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Images with their digits.

    Attributes:
        images: uint8 (count, 1, 28, 28); 0 = background, 255 = full ink.
        labels: int64 (count,); 0 to 9, or `export.synthetic.negatives.NON_DIGIT`.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, indices: Tensor) -> LabelledImages:
        """Return the images and labels at `indices`, int64 (chosen,)."""
        return LabelledImages(self.images[indices], self.labels[indices])

    @property
    def sha256(self) -> str:
        """SHA-256 of images and labels, in hexadecimal."""
        digest = hashlib.sha256(self.images.numpy().tobytes())
        digest.update(self.labels.numpy().tobytes())
        return digest.hexdigest()

    def to(self, device: torch.device) -> LabelledImages:
        """Return the images and labels on a device."""
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
    expected = f"{', '.join(MNIST_FILES)}, or each with .gz, in {raw}"
    if not has_mnist(folder):
        if named is not None:
            raise InputError(f"no MNIST in {named}: expected {expected}")
        _download(folder, expected)
    names = MNIST_FILES[:2] if train else MNIST_FILES[2:]
    images, labels = (find_plain_or_gzipped(raw, name) or raw / name for name in names)
    try:
        pixels, digits = read_idx_pair(images, labels)
    except InputError as error:
        if named is not None:
            raise
        raise InputError(f"{error}; delete {raw} to download MNIST again") from error
    if pixels.shape[1:] != (IMAGE_SIDE, IMAGE_SIDE):
        side = "x".join(map(str, pixels.shape[1:]))
        raise InputError(f"{images} has images of {side}, expected {IMAGE_SIDE}x{IMAGE_SIDE}")
    return LabelledImages(torch.tensor(pixels).unsqueeze(1), torch.from_numpy(digits))


def _download(folder: Path, expected: str) -> None:
    """Download MNIST into a folder; `expected` says which files would do instead."""
    try:
        with contextlib.redirect_stdout(sys.stderr):  # torchvision prints its progress
            MNIST(str(folder), download=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise FileAccessError(
            f"MNIST could not be downloaded ({one_line(error)}): put {expected}"
        ) from error


def split_indices(count: int, split: Split, seed: int) -> tuple[Tensor, Tensor]:
    """Divide the training images into those to learn from and those to validate on.

    Args:
        count: Number of training images; 60,000 for MNIST.
        split: ``fixed`` validates on the last twelfth (images 55,000 to 59,999 of MNIST);
            ``random-80-20`` on a random fifth.
        seed: Seed of the random split.

    Returns:
        Indices of the training set and of the validation images, two int64 vectors.
    """
    if split == "fixed":
        order, held_out = torch.arange(count), count // 12
    else:
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
        held_out = count // 5
    return order[: count - held_out], order[count - held_out :]


def join(parts: Sequence[LabelledImages]) -> LabelledImages:
    """Return the images of all parts, one part after another."""
    return LabelledImages(
        torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts])
    )


def with_synthetic(
    mnist: LabelledImages, *, digits: int, ones_and_sevens: int, negatives: int
) -> LabelledImages:
    """Return MNIST's images, then synthetic digits, then images of non-digits.

    Args:
        mnist: Labelled images on the CPU.
        digits: Number of synthetic digits.
        ones_and_sevens: Number of synthetic 1s with flags and 7s.
        negatives: Number of non-digits; their label is `NON_DIGIT`.
    """
    drawn = [draw_digits(digits), draw_ones_and_sevens(ones_and_sevens)]
    parts = [LabelledImages(torch.from_numpy(i), torch.from_numpy(d)) for i, d in drawn]
    others = torch.from_numpy(draw_negatives(negatives))
    return join([mnist, *parts, LabelledImages(others, torch.full((negatives,), NON_DIGIT))])


def draw_numbers(count: int, generator: torch.Generator) -> Tensor:
    """Draw numbers to add, uniform over 0 to 9: int64 (count,)."""
    return torch.randint(DIGITS, (count,), generator=generator)
