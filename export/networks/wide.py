"""`wide`: up to 1,024 channels of 3×3 convolutions, then a small adder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_adder.contract import DIGITS, SUMS

from .parts import Network, one_hot, scale_image


class Wide(Network):
    """6,386,933 parameters, 159 M multiply-adds.

    The source also states 6,384,925 parameters: the same network with `fc2` 128→19 and no `fc3`.
    It is built as listed.

    A checkpoint is not committed, for its 26 MB.
    """

    source = "published; up to 1,024 channels"
    digit_bar = 0.99
    recipe = {"epochs": 5, "learning_rate": 0.001, "precision": "bfloat16"}

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.conv3 = nn.Conv2d(64, 128, 3, padding=1)
        self.conv4 = nn.Conv2d(128, 256, 3, padding=1)
        self.conv5 = nn.Conv2d(256, 512, 3)
        self.conv6 = nn.Conv2d(512, 1024, 3)
        self.conv7 = nn.Conv2d(1024, DIGITS, 3)
        self.fc1 = nn.Linear(2 * DIGITS, 128)
        self.fc2 = nn.Linear(128, 30)
        self.fc3 = nn.Linear(30, SUMS)

    def forward(self, image: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """Classify the digit; add the number with three more layers.

        Args:
            image: uint8 (batch, 1, 28, 28); 0 = background, 255 = full ink.
            number: int64 (batch,); 0 to 9.

        Returns:
            digit: float32 (batch, 10); log-probabilities.
            sum: float32 (batch, 19); log-probabilities.
        """
        x = scale_image(image)  # (batch, 1, 28, 28)
        x = self.conv2(self.conv1(x).relu()).relu()  # (batch, 64, 28, 28)
        x = F.max_pool2d(x, 2)  # (batch, 64, 14, 14)
        x = self.conv4(self.conv3(x).relu()).relu()  # (batch, 256, 14, 14)
        x = F.max_pool2d(x, 2)  # (batch, 256, 7, 7)
        x = self.conv6(self.conv5(x).relu()).relu()  # (batch, 1024, 3, 3)
        digit = self.conv7(x).flatten(1)  # (batch, 10)
        joined = torch.cat([digit, one_hot(number)], dim=1)  # (batch, 20)
        total = self.fc2(self.fc1(joined).relu()).relu()  # (batch, 30)
        total = self.fc3(total)  # (batch, 19)
        return digit.log_softmax(1), total.log_softmax(1)
