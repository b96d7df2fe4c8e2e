"""Accuracy of a network over images and numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edge_adder.contract import DIGITS
from export.data import LabelledImages

EVALUATION_BATCH = 1000
"""Images for each forward pass where no gradient is needed."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Fractions of pairs of image and number that were answered rightly.

    Attributes:
        digit: Of the digit.
        sum: Of the sum.
        pairs: How many pairs were asked.
    """

    digit: float
    sum: float
    pairs: int

    def __str__(self) -> str:
        return f"digit {self.digit:.2%}, sum {self.sum:.2%} of {self.pairs:,} pairs"

    def to_dict(self) -> dict[str, Any]:
        """The figures in JSON's types."""
        return asdict(self)


@torch.inference_mode()
def evaluate(
    network: nn.Module, data: LabelledImages, *, every_number: bool = True
) -> tuple[Accuracy, Tensor]:
    """Ask a network for every image with all ten numbers, or with one each.

    The network is put into inference mode and left there.

    Args:
        network: Keeps the contract; on the same device as `data`.
        data: The images and their digits.
        every_number: All ten for every image; else, ten times as fast, the number i modulo 10
            for image i.

    Returns:
        The accuracy, and the confusion matrix of the digit: int64 (10, 10), true digit ×
        answered digit, over all pairs.
    """
    network.eval()
    device = data.labels.device
    confusion = torch.zeros(DIGITS, DIGITS, dtype=torch.int64, device=device)
    right_sums = torch.zeros((), dtype=torch.int64, device=device)
    for start in range(0, len(data), EVALUATION_BATCH):
        images = data.images[start : start + EVALUATION_BATCH]
        labels = data.labels[start : start + EVALUATION_BATCH]
        first = torch.arange(start, start + len(labels), device=device)
        for step in range(DIGITS if every_number else 1):
            number = (first + step) % DIGITS
            digit, total = network(images, number)
            answers = labels * DIGITS + digit.argmax(1)
            confusion += answers.bincount(minlength=DIGITS**2).view(DIGITS, DIGITS)
            right_sums += (total.argmax(1) == labels + number).sum()
    pairs = len(data) * (DIGITS if every_number else 1)
    right_digits = confusion.diagonal().sum()
    return Accuracy(float(right_digits) / pairs, float(right_sums) / pairs, pairs), confusion.cpu()
