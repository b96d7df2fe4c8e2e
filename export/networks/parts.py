"""Parts of the networks: their base class, input scaling, one-hot, the exact adder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_adder.contract import DIGITS, FULL_INK, IMPOSSIBLE_LOG_PROBABILITY, SUMS


class Network(nn.Module):
    """A network that keeps the contract. It is made without arguments.

    `forward` takes image, uint8 (batch, 1, 28, 28), and number, int64 (batch,), and returns digit,
    float32 (batch, 10), and sum, float32 (batch, 19), both log-probabilities.
    """

    source: ClassVar[str]
    """Who made it, and its idea, in one line."""

    digit_bar: ClassVar[float]
    """Lowest test accuracy of the digit, a fraction, that a full training should reach."""

    sum_bar: ClassVar[float] = 0.0
    """Lowest test accuracy of the sum, a fraction; 0 where a learned adder has no bar."""

    recipe: ClassVar[Mapping[str, Any]] = {}
    """Fields of `export.config.TrainConfig` whose defaults do not suit this network."""

    published_recipe: ClassVar[Mapping[str, Any] | None] = None
    """Fields of the recipe that its source publishes; None where it publishes none."""

    published_result: ClassVar[tuple[float, float] | None] = None
    """The best test accuracy of digit and sum that its source publishes, as fractions."""


def scale_image(image: Tensor) -> Tensor:
    """Bring ink to 0-1.

    A plain factor without a shift, so that the export can fold it into the first convolution even
    where that convolution pads with zeros.

    Args:
        image: uint8 (batch, 1, 28, 28); 0 = background, 255 = full ink.

    Returns:
        float32 (batch, 1, 28, 28); 0 = background, 1 = full ink.
    """
    return image.float() * (1.0 / FULL_INK)


def one_hot(number: Tensor) -> Tensor:
    """Encode the number.

    Args:
        number: int64 (batch,); 0 to 9.

    Returns:
        float32 (batch, 10); 1 at the number, 0 elsewhere.
    """
    table = torch.eye(DIGITS, device=number.device)
    return F.embedding(number, table)  # one Gather in ONNX, where F.one_hot is four operators


class ExactAdder(nn.Module):
    """Adds without learning: the sum's log-probabilities are the digit's, shifted by the number.

    P(sum = s | image, number) = P(digit = s - number | image), or 0 without such a digit.
    The most probable sum is therefore always the most probable digit plus the number.
    """

    def __init__(self) -> None:
        super().__init__()
        digit = torch.arange(SUMS) - torch.arange(DIGITS)[:, None]  # (number, sum) → digit
        possible = (digit >= 0) & (digit < DIGITS)
        self.source: Tensor
        self.register_buffer("source", torch.where(possible, digit, DIGITS), persistent=False)

    def forward(self, digit: Tensor, number: Tensor) -> Tensor:
        """Shift each row of `digit` to the right by its number.

        Args:
            digit: float32 (batch, 10); log-probabilities.
            number: int64 (batch,); 0 to 9.

        Returns:
            float32 (batch, 19); log-probabilities, `IMPOSSIBLE_LOG_PROBABILITY` where the sum
            cannot occur.
        """
        padded = F.pad(digit, (0, 1), value=IMPOSSIBLE_LOG_PROBABILITY)
        return padded.gather(1, F.embedding(number, self.source))  # a plain Gather in ONNX
