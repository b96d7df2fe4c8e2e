"""Augmented training images, with the slow part of the augmentation from cached passes."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from edge_adder.files import make_folder, write_atomically

from .augment import Augmentation, augment
from .data import LabelledImages
from .synthetic.handwriting import HandwritingAugmentation, augment_handwriting

CACHE_DIR = "augmentation_cache"
"""Folder of the cached passes, beside the folders of the runs."""

CACHE_FORMAT = 2
"""Raise it whenever `export.synthetic.handwriting` or the normalization that it uses gives other
images: passes that were cached before are then no longer read."""

JITTER = Augmentation(
    shift=0.03, rotation_degrees=4.0, scale=0.04, stretch=0.03, shear=0.06, bend=0.0
)
"""Largest changes of an image from a cached pass, made anew in every epoch: without them a network
learns the repeated images by heart."""

_CHUNK = 500
"""Images that are augmented at once where a whole pass is made."""


class AugmentationCache:
    """Augmented images of a training set.

    The handwriting augmentation takes most of the time. A cached pass is that augmentation of a
    share of the training set; it is made when it is first needed and kept as a file, 0.8 kB for
    each image in it, for all runs with the same images. Everything else is made anew each time.

    Args:
        train_set: The images as they are.
        augmentation: Largest changes; None leaves the images as they are.
        handwriting: Share of the images that get the handwriting augmentation instead.
        passes: Number of cached passes, which are repeated in turn; 0 caches nothing.
        folder: Where the passes are kept, in a folder of their own.
    """

    def __init__(
        self,
        train_set: LabelledImages,
        *,
        augmentation: Augmentation | None,
        folder: Path,
        handwriting: float = 0.0,
        passes: int = 0,
    ) -> None:
        self._train_set = train_set
        self._augmentation = augmentation
        self._jitter = None if augmentation is None else JITTER
        self._handwriting = handwriting
        self._passes = passes if handwriting else 0
        self._folder = folder / self._key() if self._passes else folder
        self._loaded: tuple[int, Tensor, Tensor] | None = None

    def batch(self, epoch: int, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """Return augmented images.

        Args:
            epoch: Counted from 0.
            chosen: int64 (batch,); indices of the images, on their device.
            generator: Source of the random amounts, on the CPU.

        Returns:
            uint8 (batch, 1, 28, 28).

        Raises:
            FileAccessError: A pass cannot be written.
        """
        images = self._train_set.images[chosen]
        if self._passes:
            places, cached = self._pass(epoch % self._passes)
            found = places[chosen]
            drawn = found >= 0
            handwritten = _vary(cached[found[drawn]], self._jitter, generator)
        else:
            drawn = torch.rand(len(images), generator=generator) < self._handwriting
            drawn = drawn.to(images.device)
            handwritten = self._handwrite(images[drawn], generator)
        augmented = images.clone()
        augmented[drawn] = handwritten
        augmented[~drawn] = _vary(images[~drawn], self._augmentation, generator)
        return augmented

    def _key(self) -> str:
        """Return the name of the folder for these images and this share."""
        origin = {
            "format": CACHE_FORMAT,
            "train_set": self._train_set.to(torch.device("cpu")).sha256,
            "handwriting": self._handwriting,
        }
        return hashlib.sha256(json.dumps(origin).encode()).hexdigest()[:16]

    def _pass(self, index: int) -> tuple[Tensor, Tensor]:
        """Return a pass.

        Returns:
            places: int64 (images,); where each image is in the pass, -1 where it is not.
            images: uint8 (images in the pass, 1, 28, 28).
        """
        if self._loaded is None or self._loaded[0] != index:
            drawn, images = self._load_or_make(index)
            places = torch.full((len(self._train_set),), -1, device=images.device)
            places[drawn] = torch.arange(len(drawn), device=images.device)
            self._loaded = index, places, images
        return self._loaded[1:]

    def _load_or_make(self, index: int) -> tuple[Tensor, Tensor]:
        """Return a pass from its file, which is made where it is missing or damaged.

        Returns:
            drawn: int64 (images in the pass,); indices in the training set.
            images: uint8 (images in the pass, 1, 28, 28).
        """
        path, images = self._folder / f"{index}.safetensors", self._train_set.images
        with contextlib.suppress(OSError, SafetensorError, KeyError):
            saved = safetensors.torch.load_file(path, device=str(images.device))
            return saved["drawn"], saved["images"]
        generator = torch.Generator().manual_seed(index)
        chosen = torch.rand(len(images), generator=generator) < self._handwriting
        drawn = chosen.nonzero()[:, 0].to(images.device)
        chunks = torch.split(images[drawn], _CHUNK)
        handwritten = torch.cat([self._handwrite(chunk, generator) for chunk in chunks])
        content = {"drawn": drawn.cpu(), "images": handwritten.cpu()}
        make_folder(path.parent)
        write_atomically(path, safetensors.torch.save(content))
        return drawn, handwritten

    def _handwrite(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return augment_handwriting(images, HandwritingAugmentation(), generator)


def _vary(images: Tensor, augmentation: Augmentation | None, generator: torch.Generator) -> Tensor:
    """Augment images, of which there may be none."""
    if augmentation is None or not len(images):
        return images
    return augment(images, augmentation, generator)
