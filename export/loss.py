"""What a network learns towards: the expected probabilities and the distance from them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edge_adder.contract import DIGITS, SUMS

from .synthetic.negatives import NON_DIGIT


def mean_loss(answers: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> Tensor:
    """Return the mean cross-entropy of both outputs, in nats.

    Args:
        answers: Log-probabilities of digit and sum, float32 (batch, 10) and (batch, 19).
        expected: Probabilities of both, as `targets` returns them.
    """
    digit, total = (
        -(target * answer).sum(1).mean() for target, answer in zip(expected, answers, strict=True)
    )
    return (digit + total) / 2


def targets(labels: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probabilities that both outputs should have.

    Args:
        labels: int64 (batch,); 0 to 9, or `NON_DIGIT`, whose digits are equally probable.
        numbers: int64 (batch,); 0 to 9.

    Returns:
        digit: float32 (batch, 10).
        sum: float32 (batch, 19); the digit's, shifted by the number.
    """
    digits = F.one_hot(labels.clamp(min=0), DIGITS).float()
    digits[labels == NON_DIGIT] = 1 / DIGITS
    places = numbers[:, None] + torch.arange(DIGITS, device=numbers.device)
    return digits, digits.new_zeros(len(labels), SUMS).scatter_(1, places, digits)
