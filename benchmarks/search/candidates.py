"""Candidate networks, each written as one line such as ``16k5s2 16k3s2 32k3s2 32k3 flat``.

A word is a convolution with BatchNorm and ReLU: output channels, ``k`` kernel, ``s`` stride (1 by
default), then ``v`` for no padding, ``d`` for depthwise and pointwise, or ``r`` for a residual one,
which keeps the shape: as many channels as before, an odd kernel, stride 1. The last word is the
head: ``flat`` joins all positions by one convolution of their size, ``mean`` averages them first.
An exact adder follows.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor, nn

from edge_adder.contract import DIGITS, IMAGE_SIDE
from edge_adder.errors import one_line
from export.networks.parts import ExactAdder, Network, scale_image

_WORD = re.compile(
    r"(?P<channels>[1-9]\d{0,2})k(?P<kernel>[1-9])(?:s(?P<stride>[1-9]))?(?P<kind>[vdr]?)"
)


CANDIDATES = (
    "16k5s2 16k3s2 32k3s2 32k3 flat",
    "16k5s2 16k3s2 32k3s2 32k3 mean",
    "16k5s2 16k3s2 32k3s2 32k3r flat",
    "16k5s2 32k3s2 32k3s2 flat",
    "16k5s2v 32k3s2 32k3v 32k3v flat",
    "16k5s2v 16k3s2 32k3v 32k3v flat",
    "16k5s2v 16k3s2 32k3v 48k3v flat",
    "16k5s2v 24k3s2 32k3v 32k3v flat",
    "16k3s2 16k3s2 32k3s2 32k3 flat",
    "16k3s2 16k3s2 16k3 32k3s2 32k3v flat",
    "16k5s2 16k3s2 32k3v 32k3v flat",
    "16k5s2 16k3s2 32k3v 32k3s2 flat",
    "16k5s2 16k3s2 32k3s2 32k3v flat",
    "16k5s2 16k3s2 32k3s2 48k3v flat",
    "16k5s2 32k3s2 32k3s2v flat",
    "16k5s2 32k3s2 32k3s2v 32k3v flat",
    "16k5s2 16k3s2 32k3s2v 32k3 flat",
    "16k5s2 16k3s2 16k3 32k3s2 32k3v flat",
    "16k5s2 16k3s2 16k3r 32k3s2 32k3v flat",
    "16k5s2 32k3s2d 64k3s2d 64k3d mean",
    "16k5s2 32k3s2d 64k3s2d 64k3d 96k3d mean",
    "16k7s4 32k3 32k3s2 flat",
    "16k7s4 16k3 32k3s2 32k3v flat",
    "32k7s4 32k3s2 32k3v flat",
    "8k5s2 16k3s2 32k3s2 32k3 flat",
    "16k5s2 16k3s2 48k3s2 32k3v flat",
    "32k5s2 16k3s2 32k3s2 32k3 flat",
    "16k5s2 16k3s2 16k3s2 32k3 32k3v flat",
    "16k5s2v 16k3s2 16k3 32k3v 32k3v flat",
    "16k5s2v 16k3 32k3s2v 32k3v flat",
    "16k4s2v 16k3s2v 32k3v 32k3v flat",
    "16k5s2v 16k3 16k3s2 32k3v 32k3v flat",
    "16k5s2v 16k3v 16k3s2 32k3v 32k3v flat",
    "16k5s2v 16k3s2 16k3 32k3v 40k3v flat",
    "16k5s2v 16k3s2 16k3r 32k3v 40k3v flat",
    "16k5s2v 16k3s2 40k3v 40k3v flat",
    "16k5s2v 16k3s2 32k3 32k3v flat",
    "16k3s2v 16k3s2 32k3v 40k3v flat",
    "16k5s2v 16k5s2 32k3v 32k3v flat",
    "16k5s2v 16k3s2 32k3v 48k2v flat",
    "16k5s2v 16k3s2 32k3v 64k2v flat",
    "16k5s2v 32k2s2v 32k3v 32k3v flat",
    "24k5s2v 16k3s2 32k3v 48k3v flat",
    "16k7s2v 16k3s2 32k3v 48k3v flat",
    "16k5s2v 16k3s2 48k3v 96k3v flat",
    "16k5s2v 16k3s2 64k3v 64k3v flat",
    "16k5s2v 24k3s2 48k3v 64k3v flat",
    "16k5s2v 32k3s2 32k3v 64k3v flat",
    "16k5s2v 32k3s2 32k3v 96k3v flat",
    "16k5s2v 32k3s2 48k3v 64k3v flat",
    "16k5s2v 32k3s2 48k3v 80k3v flat",
    "16k5s2v 32k3s2 64k3v 48k3v flat",
    "16k7s2v 32k3s2 48k3v 64k3v flat",
    "24k5s2v 32k3s2 48k3v 64k3v flat",
    "32k5s2v 32k3s2 32k3v 64k3v flat",
    "32k7s4 48k3s2 64k3v flat",
)
"""Layouts to time: early stride, 3×3 to 7×7 stems, 16 and 32 channels (full vectors) and others,
depthwise blocks, residual ones, averaged heads, wide then narrow."""


class Residual(nn.Module):
    """Adds the input before the last ReLU."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Return the same shape as the input."""
        added: Tensor = x + self.inner(x)
        return added.relu()


class Layout(Network):
    """A network that its line describes; a subclass has the line."""

    source = "a layout of the search"
    digit_bar = 0.99
    line: str

    def __init__(self) -> None:
        super().__init__()
        *words, head = self.line.split() or [""]
        if head not in ("flat", "mean"):
            raise ValueError("the last word must be flat or mean")
        channels = 1
        blocks: list[nn.Module] = []
        for word in words:
            found = _WORD.fullmatch(word)
            if found is None:
                raise ValueError(f"cannot read {word!r}")
            block, channels = _block(channels, **found.groupdict())
            blocks.append(block)
        self.blocks = nn.Sequential(*blocks)
        with torch.no_grad():
            side = self.blocks.eval()(torch.zeros(1, 1, IMAGE_SIDE, IMAGE_SIDE)).shape[-1]
        self.train()
        self.mean = nn.AdaptiveAvgPool2d(1) if head == "mean" else nn.Identity()
        self.head = nn.Conv2d(channels, DIGITS, 1 if head == "mean" else side)
        self.adder = ExactAdder()

    def forward(self, image: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """Classify the digit and add the number; see `Network`."""
        x = self.head(self.mean(self.blocks(scale_image(image))))
        digit = x.flatten(1).log_softmax(1)
        return digit, self.adder(digit, number)


def layout(line: str) -> type[Layout]:
    """Return the class of networks that a line describes.

    Raises:
        ValueError: The line is not in the form above, or PyTorch cannot build it.
    """
    made = type("Layout", (Layout,), {"line": line})
    try:
        made()
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"not a layout: {line!r}: {one_line(error)}") from error
    return made


def _block(
    before: int, *, channels: str, kernel: str, stride: str | None, kind: str
) -> tuple[nn.Module, int]:
    """Return the module of a word and its output channels.

    Raises:
        ValueError: A residual word changes the shape.
    """
    after, size, step = int(channels), int(kernel), int(stride or 1)
    if kind == "r" and not (before == after and size % 2 and step == 1):
        raise ValueError("a residual word changes the shape")
    padding = 0 if kind == "v" else size // 2
    if kind == "d":
        layers: list[nn.Module] = [
            nn.Conv2d(before, before, size, step, padding, groups=before, bias=False),
            nn.BatchNorm2d(before),
            nn.ReLU(),
            nn.Conv2d(before, after, 1, bias=False),
        ]
    else:
        layers = [nn.Conv2d(before, after, size, step, padding, bias=False)]
    layers.append(nn.BatchNorm2d(after))
    if kind == "r":
        return Residual(nn.Sequential(*layers)), after
    return nn.Sequential(*layers, nn.ReLU()), after
