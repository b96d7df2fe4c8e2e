"""`early-fusion`: one vector of image and number features feeds both outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edge_adder.contract import DIGITS, SUMS

from .parts import Network, one_hot, scale_image


class EarlyFusion(Network):
    """58,589 parameters, 0.71 M multiply-adds.

    Published are two convolutions, four linear layers and what they join, not their sizes: these
    are ours, and so are the pooling and the ReLUs. The source applies softmax before a
    cross-entropy; log-softmax is the same model with a stable loss.

    Its numbers come from a table 0-9 repeated to the length of the data, its split is a random
    80/20: `--recipe published` does both. Epochs and batch size are not published.
    """

    source = "published; one vector for both outputs"
    digit_bar = 0.988
    recipe = {"epochs": 30, "learning_rate": 0.003}
    published_recipe = {
        "epochs": 10,
        "batch_size": 32,
        "learning_rate": 0.001,
        "weight_decay": 0.0,
        "schedule": "constant",
        "ema_decay": 0.0,
        "augment": False,
        "numbers": "cyclic",
        "split": "random-80-20",
    }

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3)
        self.conv2 = nn.Conv2d(16, 32, 3)
        self.linear1 = nn.Linear(32 * 5 * 5, 64)
        self.linear2 = nn.Linear(DIGITS, 16)
        self.linear3 = nn.Linear(64 + 16, DIGITS)
        self.linear4 = nn.Linear(64 + 16, SUMS)

    def forward(self, image: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """Join the features of image and number; read digit and sum off the same vector.

        Args:
            image: uint8 (batch, 1, 28, 28); 0 = background, 255 = full ink.
            number: int64 (batch,); 0 to 9.

        Returns:
            digit: float32 (batch, 10); log-probabilities.
            sum: float32 (batch, 19); log-probabilities.
        """
        x = scale_image(image)  # (batch, 1, 28, 28)
        x = F.max_pool2d(self.conv1(x).relu(), 2)  # (batch, 16, 13, 13)
        x = F.max_pool2d(self.conv2(x).relu(), 2)  # (batch, 32, 5, 5)
        x = self.linear1(x.flatten(1)).relu()  # (batch, 64)
        y = self.linear2(one_hot(number)).relu()  # (batch, 16)
        joined = torch.cat([x, y], dim=1)  # (batch, 80)
        digit, total = self.linear3(joined), self.linear4(joined)  # (batch, 10), (batch, 19)
        return digit.log_softmax(1), total.log_softmax(1)
