"""Networks as users write them: what is right, and each usual mistake."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Right(nn.Module):
    """A network that keeps the contract, of PyTorch alone."""

    def __init__(self) -> None:
        super().__init__()
        self.digit = nn.Linear(784, 10)
        self.sum = nn.Linear(20, 19)

    def answers(self, image: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """Neither answer is a log-probability yet."""
        digit = self.digit(image.float().div(255).flatten(1))
        return digit, self.sum(torch.cat([digit, F.one_hot(number, 10).float()], 1))

    def forward(self, image: Tensor, number: Tensor) -> object:
        digit, total = self.answers(image, number)
        return digit.log_softmax(1), total.log_softmax(1)


class OtherNames(Right):
    def forward(self, x: Tensor, n: Tensor) -> object:
        return super().forward(x, n)


class Lazy(Right):
    def __init__(self) -> None:
        super().__init__()
        self.digit = nn.LazyLinear(10)


class NoDimension(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        digit, total = self.answers(image, number)
        return nn.LogSoftmax()(digit), nn.LogSoftmax()(total)


class GridSample(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        count = image.shape[0]
        matrix = torch.eye(2, 3)[None].expand(count, 2, 3)
        grid = F.affine_grid(matrix, [count, 1, 28, 28], align_corners=False)
        moved = F.grid_sample(image.float(), grid, align_corners=False)
        return super().forward(moved, number)


class Logits(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        return self.answers(image, number)


class Probabilities(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        digit, total = self.answers(image, number)
        return digit.softmax(1), total.softmax(1)


class OverTheBatch(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        digit, total = self.answers(image, number)
        return digit.log_softmax(0), total.log_softmax(0)


class SumFirst(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        return super().forward(image, number)[::-1]


class Dictionary(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        digit, total = super().forward(image, number)
        return {"digit": digit, "sum": total}


class OneOutput(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        return super().forward(image, number)[0]


class ThreeOutputs(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        digit, total = super().forward(image, number)
        return digit, total, digit


class NineDigits(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        digit, total = super().forward(image, number)
        return digit[:, :9], total


class Double(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        digit, total = super().forward(image, number)
        return digit.double(), total.double()


class FloatImage(Right):
    def answers(self, image: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        digit = self.digit(image.flatten(1))
        return digit, self.sum(torch.cat([digit, F.one_hot(number, 10).float()], 1))


class EncodedNumber(Right):
    def answers(self, image: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        digit = self.digit(image.float().flatten(1))
        return digit, self.sum(torch.cat([digit, number], 1))


class FloatImageAndEncodedNumber(Right):
    def answers(self, image: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        digit = self.digit(image.flatten(1))
        return digit, self.sum(torch.cat([digit, number], 1))


class Swapped(Right):
    def forward(self, number: Tensor, image: Tensor) -> object:
        return super().forward(image, number)


class SwappedUnderOtherNames(Right):
    def forward(self, n: Tensor, x: Tensor) -> object:
        return super().forward(x, n)


class ImageAlone(Right):
    def forward(self, image: Tensor) -> object:
        return super().forward(image, torch.zeros(len(image), dtype=torch.int64))


class Dropped(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        digit, total = super().forward(image, number)
        return F.dropout(digit, 0.5).log_softmax(1), total


class BatchStatistics(Right):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(10, track_running_stats=False)

    def forward(self, image: Tensor, number: Tensor) -> object:
        digit, total = super().forward(image, number)
        return self.norm(digit).log_softmax(1), total


class Branch(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        digit, total = super().forward(image, number)
        if torch.isnan(digit).any():
            digit = digit * 2
        return digit, total


class FixedBatch(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        count = int(image.shape[0])
        digit, total = super().forward(image, number)
        return digit.view(count, 10), total


class Numpy(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        digit, total = super().forward(image, number)
        return torch.from_numpy(digit.detach().numpy() * 1), total


class NumberUnused(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        digit, _ = super().forward(image, number)
        return digit, F.pad(digit, (0, 9), value=-50.0).log_softmax(1)


class NeedsArguments(Right):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width


class CannotBeMade(Right):
    def __init__(self) -> None:
        raise ValueError("no\nway")


class Misspelt(Right):
    def forward(self, image: Tensor, number: Tensor) -> object:
        return self.missing(image, number)


def not_a_class() -> None:
    """A network it is not."""
