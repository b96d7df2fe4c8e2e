"""Augmented training images: anew in every epoch, or from a number of cached passes."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict
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

CACHE_FORMAT = 1
"""Raise it whenever `export.augment`, `export.synthetic.handwriting` or the normalization that it
uses gives other images: passes that were cached before are then no longer read."""

_CHUNK = 500
"""Images that are augmented at once where a whole pass is made."""


class AugmentationCache:
    """Augmented images of a training set.

    A cached pass is the whole training set, augmented once. It is made when it is first needed and
    kept as a file, 0.8 kB for each image, for all runs with the same images and augmentation.

    Args:
        train_set: The images as they are.
        augmentation: Largest changes; None leaves the images as they are.
        handwriting: Share of the images that get the handwriting augmentation instead.
        passes: Number of cached passes, which are repeated in turn; 0 augments anew in every epoch.
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
        self._handwriting = handwriting
        self._passes = passes
        self._folder = folder / self._key() if passes else folder
        self._loaded: tuple[int, Tensor] | None = None

    def batch(self, epoch: int, chosen: Tensor, generator: torch.Generator) -> Tensor:
        """Return augmented images.

        Args:
            epoch: Counted from 0.
            chosen: int64 (batch,); indices of the images, on their device.
            generator: Source of the random amounts where nothing is cached, on the CPU.

        Returns:
            uint8 (batch, 1, 28, 28).

        Raises:
            FileAccessError: A pass cannot be written.
        """
        if not self._passes:
            return self._augment(self._train_set.images[chosen], generator)
        index = epoch % self._passes
        if self._loaded is None or self._loaded[0] != index:
            self._loaded = index, self._load_or_make(index)
        return self._loaded[1][chosen]

    def _key(self) -> str:
        """Return the name of the folder for these images and this augmentation."""
        origin = {
            "format": CACHE_FORMAT,
            "train_set": self._train_set.to(torch.device("cpu")).sha256,
            "augmentation": None if self._augmentation is None else asdict(self._augmentation),
            "handwriting": self._handwriting,
        }
        return hashlib.sha256(json.dumps(origin).encode()).hexdigest()[:16]

    def _load_or_make(self, index: int) -> Tensor:
        """Return a pass from its file, which is made where it is missing or damaged."""
        path, images = self._folder / f"{index}.safetensors", self._train_set.images
        with contextlib.suppress(OSError, SafetensorError, KeyError):
            return safetensors.torch.load_file(path, device=str(images.device))["images"]
        generator = torch.Generator().manual_seed(index)
        chunks = torch.split(images, _CHUNK)
        augmented = torch.cat([self._augment(chunk, generator) for chunk in chunks])
        make_folder(path.parent)
        write_atomically(path, safetensors.torch.save({"images": augmented.cpu()}))
        return augmented

    def _augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        augmented = images
        if self._augmentation is not None:
            augmented = augment(images, self._augmentation, generator)
        if self._handwriting:
            chosen = torch.rand(len(images), generator=generator) < self._handwriting
            chosen = chosen.to(images.device)
            augmented = augmented.clone()
            augmented[chosen] = augment_handwriting(
                images[chosen], HandwritingAugmentation(), generator
            )
        return augmented
