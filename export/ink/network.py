"""`InkFinder`: a small U-Net that finds the pixels of digits and of other writing.

Ronneberger, Fischer, Brox, "U-Net: convolutional networks for biomedical image segmentation", 2015;
here the way up adds where theirs concatenates, and the finest level is half the picture's size.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from ..networks.parts import scale_image


class _Block(nn.Sequential):
    """Convolution · BatchNorm · ReLU, as large as before or half as large."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        padding = kernel // 2 * dilation
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, stride, padding, dilation, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
        )


class InkFinder(nn.Module):
    """Picture → log-odds of writing, and of a mark rather than a digit, for each pixel."""

    def __init__(self, widths: tuple[int, int, int, int] = (12, 24, 32, 48)) -> None:
        super().__init__()
        two, four, eight, sixteen = widths
        self.down2 = _Block(3, two, kernel=5, stride=2)
        self.down4 = nn.Sequential(_Block(two, four, stride=2), _Block(four, four))
        self.down8 = nn.Sequential(_Block(four, eight, stride=2), _Block(eight, eight))
        self.down16 = nn.Sequential(
            _Block(eight, sixteen, stride=2),
            _Block(sixteen, sixteen, dilation=2),
            _Block(sixteen, sixteen, dilation=4),
            _Block(sixteen, sixteen),
        )
        self.narrow8, self.up8 = nn.Conv2d(sixteen, eight, 1), _Block(eight, eight)
        self.narrow4, self.up4 = nn.Conv2d(eight, four, 1), _Block(four, four)
        self.narrow2, self.up2 = nn.Conv2d(four, two, 1), _Block(two, two)
        self.answer = nn.Conv2d(two, 8, 1)

    def forward(self, picture: Tensor) -> Tensor:
        """Find the writing.

        Args:
            picture: uint8 (batch, 3, height, width); red, green, blue. Both sides are multiples
                of 16.

        Returns:
            float32 (batch, 2, height, width); log-odds that a pixel is written on, and
            that what is written there is a mark rather than a digit.
        """
        half = self.down2(scale_image(picture))
        quarter = self.down4(half)
        eighth = self.down8(quarter)
        up = self.up8(_enlarge(self.narrow8(self.down16(eighth))) + eighth)
        up = self.up4(_enlarge(self.narrow4(up)) + quarter)
        up = self.up2(_enlarge(self.narrow2(up)) + half)
        return F.pixel_shuffle(self.answer(up), 2)


def _enlarge(features: Tensor) -> Tensor:
    return F.interpolate(features, scale_factor=2.0, mode="nearest")
