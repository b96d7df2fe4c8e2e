"""`edge`, the default network: five convolutions and an exact adder."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from edge_adder.contract import DIGITS
from export.networks.parts import ExactAdder, Network, scale_image


def _block(channels_in: int, channels_out: int, *, kernel: int, stride: int) -> nn.Sequential:
    """Convolution · BatchNorm · ReLU, padded so that stride 1 keeps the size."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, bias=False),
            norm=nn.BatchNorm2d(channels_out),
            relu=nn.ReLU(),
        )
    )


class Edge(Network):
    """21,850 parameters, 21,754 once BatchNorm is folded; 0.42 M multiply-adds.

    Most work sits in few channels at 14×14 and in 32 channels at 4×4, where a CPU's vector units
    are full and the memory traffic is small.
    """

    source = "this project; an exact adder"
    digit_bar = 0.995
    sum_bar = 0.995

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _block(1, 16, kernel=5, stride=2)
        self.conv2 = _block(16, 16, kernel=3, stride=2)
        self.conv3 = _block(16, 32, kernel=3, stride=2)
        self.conv4 = _block(32, 32, kernel=3, stride=1)
        self.conv5 = nn.Conv2d(32, DIGITS, 4)
        self.adder = ExactAdder()

    def forward(self, image: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """Classify the digit and add the number.

        Args:
            image: uint8 (batch, 1, 28, 28); 0 = background, 255 = full ink.
            number: int64 (batch,); 0 to 9.

        Returns:
            digit: float32 (batch, 10); log-probabilities.
            sum: float32 (batch, 19); log-probabilities.
        """
        x = scale_image(image)  # (batch, 1, 28, 28)
        x = self.conv1(x)  # (batch, 16, 14, 14)
        x = self.conv2(x)  # (batch, 16, 7, 7)
        x = self.conv3(x)  # (batch, 32, 4, 4)
        x = self.conv4(x)  # (batch, 32, 4, 4)
        x = self.conv5(x)  # (batch, 10, 1, 1)
        digit = x.flatten(1).log_softmax(1)  # (batch, 10)
        return digit, self.adder(digit, number)
