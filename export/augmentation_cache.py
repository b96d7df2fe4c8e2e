"""What a network learns from: images made different each time, and what its teachers say of them.

Distillation is Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", 2015; erasing
is Zhong et al., "Random erasing data augmentation", 2017.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

import edge_adder.preprocessing.normalize
import export.synthetic.handwriting
from edge_adder.contract import IMAGE_SIDE
from edge_adder.files import make_folder, write_atomically
from export.checkpoint import Checkpoint
from export.data import Augmentation, LabelledImages, augment
from export.synthetic.handwriting import Redrawing, redraw

_ERASED_SIDE = (4, 14)
"""Shortest and longest side of an erased rectangle, in pixels."""

_CHUNK = 500
"""Images for each step where a whole variation is made at once."""


@dataclass(frozen=True, slots=True)
class AugmentedBatch:
    """Images to learn from.

    Attributes:
        images: uint8 (count, 1, 28, 28).
        advice: float (count, 10); the mean of the teachers' log-probabilities of each digit; None
            without a teacher.
    """

    images: Tensor
    advice: Tensor | None


class AugmentationCache:
    """Images with advice, new in each epoch, or taken in turn from a number of variations.

    A variation is all images, changed once. It is made when it is first needed and kept as a file,
    0.8 kB for each image, for all runs that learn from the same images and changes; the advice is a
    file beside it for each choice of teachers.

    Args:
        fit: The images as they are.
        augmentation: How much they are changed; None not at all.
        erase: Share of the images that lose a rectangle.
        redrawn: Share of the images that are redrawn and not augmented.
        teachers: Checkpoints of networks that are asked.
        variations: After so many epochs the same changed images come again; 0 for new ones in every
            epoch.
        folder: Where the variations are kept, in a folder of their own.

    Raises:
        CheckpointError: The weights of a teacher are not those of its network.
    """

    def __init__(
        self,
        fit: LabelledImages,
        *,
        augmentation: Augmentation | None,
        folder: Path,
        erase: float = 0.0,
        redrawn: float = 0.0,
        teachers: Sequence[Checkpoint] = (),
        variations: int = 0,
    ) -> None:
        self._fit = fit
        self._augmentation = augmentation
        self._erase = erase
        self._redrawn = redrawn
        self._teachers = [
            teacher.build().to(fit.labels.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            for teacher in teachers
        ]
        self._variations = variations
        origin = [
            fit.to(torch.device("cpu")).sha256 if variations else None,
            None if augmentation is None else asdict(augmentation),
            erase,
            redrawn,
            [inspect.getsource(part) for part in _WHAT_CHANGES_IMAGES],
        ]
        self._folder = folder / _digest(origin)
        self._advisers = _digest([teacher.sha256 for teacher in teachers])
        self._now: tuple[int, AugmentedBatch] | None = None

    def batch(self, epoch: int, chosen: Tensor, generator: torch.Generator) -> AugmentedBatch:
        """The lesson on the images at `chosen`.

        Args:
            epoch: From 0.
            chosen: int64 (batch,), on the device of the images.
            generator: Source of the changes where there are no variations, on the CPU.

        Raises:
            FileAccessError: A variation cannot be written.
        """
        if not self._variations:
            images = self._change(self._fit.images[chosen], generator)
            return AugmentedBatch(images, self._ask(images) if self._teachers else None)
        variation = epoch % self._variations
        if self._now is None or self._now[0] != variation:
            self._now = variation, self._variation(variation)
        whole = self._now[1]
        return AugmentedBatch(
            whole.images[chosen], None if whole.advice is None else whole.advice[chosen]
        )

    def _variation(self, index: int) -> AugmentedBatch:
        device = self._fit.labels.device

        def changed() -> Tensor:
            generator = torch.Generator().manual_seed(index)
            parts = torch.split(self._fit.images, _CHUNK)
            return torch.cat([self._change(part, generator) for part in parts])

        images = _kept(self._folder / f"{index}.safetensors", "images", device, changed)
        if not self._teachers:
            return AugmentedBatch(images, None)

        def asked() -> Tensor:
            return torch.cat([self._ask(part) for part in torch.split(images, _CHUNK)]).half()

        path = self._folder / f"{index}-{self._advisers}.safetensors"
        return AugmentedBatch(images, _kept(path, "advice", device, asked))

    def _change(self, images: Tensor, generator: torch.Generator) -> Tensor:
        whole = images
        if self._augmentation is not None:
            images = augment(images, self._augmentation, generator)
        if self._redrawn:
            chosen = torch.rand(len(images), generator=generator) < self._redrawn
            chosen = chosen.to(images.device)
            images = images.clone()
            images[chosen] = redraw(whole[chosen], Redrawing(), generator)
        if self._erase:
            images = erase(images, self._erase, generator)
        return images

    @torch.no_grad()
    def _ask(self, images: Tensor) -> Tensor:
        number = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        with torch.autocast(images.device.type, torch.bfloat16):
            answers = [teacher(images, number)[0].float() for teacher in self._teachers]
        return torch.stack(answers).mean(0)


def _kept(path: Path, name: str, device: torch.device, make: Callable[[], Tensor]) -> Tensor:
    """A tensor from its file, which is made where there is none or a damaged one."""
    with contextlib.suppress(OSError, SafetensorError, KeyError):
        return safetensors.torch.load_file(path, device=str(device))[name]
    made = make()
    make_folder(path.parent)
    write_atomically(path, safetensors.torch.save({name: made.cpu()}))
    return made


def _digest(origin: object) -> str:
    return hashlib.sha256(json.dumps(origin).encode()).hexdigest()[:16]


def erase(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Blacken a random rectangle in a share of the images.

    Args:
        images: uint8 (batch, 1, 28, 28).
        share: Of the images, 0 to 1.
        generator: Source of the choice, on the CPU.

    Returns:
        uint8 (batch, 1, 28, 28); new images.
    """
    count = len(images)
    sides = torch.randint(_ERASED_SIDE[0], _ERASED_SIDE[1] + 1, (2, count), generator=generator)
    corners = (torch.rand(2, count, generator=generator) * (IMAGE_SIDE + 1 - sides)).long()
    hit = torch.rand(count, generator=generator) < share
    pixels = torch.arange(IMAGE_SIDE)
    inside = (pixels >= corners[:, :, None]) & (pixels < (corners + sides)[:, :, None])
    mask = inside[0, :, :, None] & inside[1, :, None, :] & hit[:, None, None]
    return images.masked_fill(mask[:, None].to(images.device), 0)


_WHAT_CHANGES_IMAGES = (
    augment,
    erase,
    export.synthetic.handwriting,
    edge_adder.preprocessing.normalize,
)
"""Their source is part of a variation's origin, so that no file outlives the code that made it."""
