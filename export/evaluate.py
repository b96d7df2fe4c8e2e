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

    def to_dict(self) -> dict[str, Any]:
        """The figures in JSON's types."""
        return asdict(self)


@torch.inference_mode()
def evaluate(network: nn.Module, data: LabelledImages) -> tuple[Accuracy, Tensor]:
    """Ask a network for every image with all ten numbers.

    The network is put into inference mode and left there.

    Args:
        network: Keeps the contract; on the same device as `data`.
        data: The images and their digits.

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
        for value in range(DIGITS):
            digit, total = network(images, torch.full_like(labels, value))
            answers = labels * DIGITS + digit.argmax(1)
            confusion += answers.bincount(minlength=DIGITS**2).view(DIGITS, DIGITS)
            right_sums += (total.argmax(1) == labels + value).sum()
    pairs = len(data) * DIGITS
    right_digits = confusion.diagonal().sum()
    return Accuracy(float(right_digits) / pairs, float(right_sums) / pairs, pairs), confusion.cpu()
