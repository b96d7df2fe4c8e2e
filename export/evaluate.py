"""Accuracy of a network over images and numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edge_adder.contract import DIGITS
from edge_adder.evaluation.report import percent

from .data import LabelledImages

EVALUATION_BATCH = 1000
"""Images for each forward pass where no gradient is needed."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Share of correct answers.

    Attributes:
        digit: Accuracy of the digit, a fraction.
        sum: Accuracy of the sum, a fraction.
        pairs: Number of pairs of image and number.
    """

    digit: float
    sum: float
    pairs: int

    def __str__(self) -> str:
        digit, total = percent(self.digit), percent(self.sum)
        return f"digit {digit}, sum {total} of {self.pairs:,} pairs"

    def to_dict(self) -> dict[str, Any]:
        """Return the figures in JSON's types."""
        return asdict(self)


@torch.inference_mode()
def evaluate(
    network: nn.Module, data: LabelledImages, *, every_number: bool = True
) -> tuple[Accuracy, Tensor]:
    """Measure a network on every image with all ten numbers, or with one each.

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
    correct_sums = torch.zeros((), dtype=torch.int64, device=device)
    for start in range(0, len(data), EVALUATION_BATCH):
        images = data.images[start : start + EVALUATION_BATCH]
        labels = data.labels[start : start + EVALUATION_BATCH]
        first = torch.arange(start, start + len(labels), device=device)
        for step in range(DIGITS if every_number else 1):
            number = (first + step) % DIGITS
            digit, total = network(images, number)
            answers = labels * DIGITS + digit.argmax(1)
            confusion += answers.bincount(minlength=DIGITS**2).view(DIGITS, DIGITS)
            correct_sums += (total.argmax(1) == labels + number).sum()
    pairs = len(data) * (DIGITS if every_number else 1)
    correct_digits = confusion.diagonal().sum()
    return Accuracy(
        float(correct_digits) / pairs, float(correct_sums) / pairs, pairs
    ), confusion.cpu()
