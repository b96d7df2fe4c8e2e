"""Augmented images: new in every epoch, in part from cached passes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from export import augmentation_cache
from export.augment import Augmentation, augment
from export.augmentation_cache import JITTER, AugmentationCache
from export.data import LabelledImages, load_mnist

EVERY = torch.arange(60)


@pytest.fixture(scope="module")
def train_set(tiny_mnist: Path) -> LabelledImages:
    return load_mnist(tiny_mnist, train=True).at(EVERY)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_without_cached_passes_images_are_new_in_every_epoch(
    train_set: LabelledImages, tmp_path: Path
) -> None:
    cache = AugmentationCache(train_set, augmentation=Augmentation(), folder=tmp_path)
    chosen = torch.tensor([5, 3])
    generator = seeded()
    torch.rand(2, generator=generator)  # which of them get the handwriting augmentation: none
    expected = augment(train_set.images[chosen], Augmentation(), generator)
    assert torch.equal(cache.batch(0, chosen, seeded()), expected)
    assert not list(tmp_path.iterdir())


def test_images_as_they_are(train_set: LabelledImages, tmp_path: Path) -> None:
    cache = AugmentationCache(train_set, augmentation=None, folder=tmp_path)
    assert torch.equal(cache.batch(0, EVERY, seeded()), train_set.images)


def test_the_handwriting_augmentation_takes_its_share(
    train_set: LabelledImages, tmp_path: Path
) -> None:
    cache = AugmentationCache(train_set, augmentation=None, folder=tmp_path, handwriting=0.5)
    changed = (cache.batch(0, EVERY, seeded()) != train_set.images).flatten(1).any(1)
    assert 15 < changed.sum() < 45


def test_cached_passes_are_repeated_in_turn(
    train_set: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"augmentation": None, "handwriting": 0.5, "passes": 2}
    cache = AugmentationCache(train_set, folder=tmp_path, **settings)
    epochs = [cache.batch(epoch, EVERY, seeded()) for epoch in range(4)]
    assert torch.equal(epochs[0], epochs[2])
    assert torch.equal(epochs[1], epochs[3])
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(cache.batch(3, torch.tensor([7]), seeded()), epochs[1][[7]])
    changed = (epochs[0] != train_set.images).flatten(1).any(1)
    assert 15 < changed.sum() < 45
    assert len(list(tmp_path.glob("*/*.safetensors"))) == 2

    monkeypatch.setattr(AugmentationCache, "_handwrite", None)  # the files are enough
    again = AugmentationCache(train_set, folder=tmp_path, **settings)
    assert torch.equal(again.batch(1, EVERY, seeded()), epochs[1])


def test_images_from_a_cached_pass_are_a_little_different_in_every_epoch(
    train_set: LabelledImages, tmp_path: Path
) -> None:
    settings = {"folder": tmp_path, "handwriting": 1.0, "passes": 1}
    kept = AugmentationCache(train_set, augmentation=None, **settings).batch(0, EVERY, seeded())
    cache = AugmentationCache(train_set, augmentation=Augmentation(), **settings)
    first, second = (
        cache.batch(epoch, EVERY, torch.Generator().manual_seed(epoch)) for epoch in (0, 1)
    )
    assert torch.equal(first, augment(kept, JITTER, torch.Generator().manual_seed(0)))
    assert not torch.equal(first, second)
    assert (first.float() - kept.float()).abs().mean() < 20  # of 255


def test_a_damaged_file_is_made_again(train_set: LabelledImages, tmp_path: Path) -> None:
    def make() -> torch.Tensor:
        cache = AugmentationCache(
            train_set, augmentation=Augmentation(), folder=tmp_path, handwriting=0.9, passes=1
        )
        return cache.batch(0, EVERY, seeded())

    first = make()
    (path,) = tmp_path.glob("*/*.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    assert torch.equal(make(), first)
    assert path.stat().st_size > 40 * 784


def test_other_images_share_or_format_have_other_files(
    train_set: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(images: LabelledImages = train_set, **change: object) -> int:
        """Make a pass; the number of folders afterwards."""
        settings = {"augmentation": None, "folder": tmp_path, "handwriting": 0.5, "passes": 1}
        AugmentationCache(images, **settings | change).batch(0, EVERY, seeded())
        return len(list(tmp_path.iterdir()))

    assert make() == make() == make(augmentation=Augmentation()) == 1
    assert make(handwriting=0.1) == 2
    assert make(LabelledImages(train_set.images.flip(0), train_set.labels)) == 3
    monkeypatch.setattr(augmentation_cache, "CACHE_FORMAT", augmentation_cache.CACHE_FORMAT + 1)
    assert make() == 4
    assert make(handwriting=0.0) == 4  # nothing to keep
