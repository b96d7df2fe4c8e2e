"""`scalar-concat`: the number enters as one raw scalar beside the image features."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_adder.contract import DIGITS, SUMS

from .parts import Network, scale_image


class ScalarConcat(Network):
    """34,878 parameters, 0.23 M multiply-adds.

    Published with 20 outputs for the sum, of which only 0 to 18 can occur. The layer stays as
    published; its 20th column is dropped before the log-softmax.
    """

    source = "published; the number as a raw scalar"
    digit_bar = 0.99
    recipe = {"epochs": 40, "learning_rate": 0.003}

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 12, 5)
        self.fc1 = nn.Linear(12 * 4 * 4, 120)
        self.fc2 = nn.Linear(120 + 1, 60)
        self.out = nn.Linear(60, 20)
        self.out2 = nn.Linear(120, DIGITS)

    def forward(self, image: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """Classify the digit; add the number with two more layers.

        Args:
            image: uint8 (batch, 1, 28, 28); 0 = background, 255 = full ink.
            number: int64 (batch,); 0 to 9.

        Returns:
            digit: float32 (batch, 10); log-probabilities.
            sum: float32 (batch, 19); log-probabilities.
        """
        x = scale_image(image)  # (batch, 1, 28, 28)
        x = F.max_pool2d(self.conv1(x).relu(), 2)  # (batch, 6, 12, 12)
        x = F.max_pool2d(self.conv2(x).relu(), 2)  # (batch, 12, 4, 4)
        x = self.fc1(x.flatten(1)).relu()  # (batch, 120)
        digit = self.out2(x)  # (batch, 10)
        joined = torch.cat([x, number.to(x.dtype)[:, None]], dim=1)  # (batch, 121)
        total = self.out(self.fc2(joined).relu())[:, :SUMS]  # (batch, 19)
        return digit.log_softmax(1), total.log_softmax(1)
