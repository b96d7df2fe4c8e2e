"""`teacher`: a residual network that is trained to teach `edge`; it is never shipped."""

from __future__ import annotations

from torch import Tensor, nn

from edge_adder.contract import DIGITS
from export.networks.parts import ExactAdder, Network, scale_image


def _block(before: int, after: int, *, stride: int = 1, padding: int = 1) -> nn.Sequential:
    """3×3 convolution · BatchNorm · ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, padding, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


class _Residual(nn.Module):
    """Two 3×3 convolutions beside a straight line (He et al., "Deep residual learning", 2015)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _block(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape in, the same out."""
        added: Tensor = x + self.norm(self.second(self.first(x)))
        return added.relu()


class Teacher(Network):
    """432,074 parameters; 25.37 M multiply-adds."""

    source = "this project; teaches edge"
    digit_bar = 0.997
    sum_bar = 0.997
    recipe = {
        "epochs": 32,
        "learning_rate": 0.003,
        "precision": "bfloat16",
        "averaging": 0.998,
        "redrawn": 0.4,
        "drawn": 3000,
        "variations": 16,
    }

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _block(1, 32),  # (batch, 32, 28, 28)
            _block(32, 48, stride=2),  # (batch, 48, 14, 14)
            _Residual(48),
            _block(48, 96, stride=2),  # (batch, 96, 7, 7)
            _Residual(96),
            _block(96, 192, padding=0),  # (batch, 192, 5, 5)
        )
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(192, DIGITS)
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
        x = self.features(scale_image(image)).mean((2, 3))  # (batch, 192)
        digit = self.head(self.dropout(x)).float().log_softmax(1)
        return digit, self.adder(digit, number)
