"""Augmentation: each image gets its own change, of the size that is named."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from export.augment import Augmentation, augment
from export.synthetic.digits import draw_digits

NONE = Augmentation(*[0.0] * len(dataclasses.fields(Augmentation)))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.from_numpy(draw_digits(50, seed=12)[0])


def test_nothing_to_change_changes_nothing(images: torch.Tensor) -> None:
    assert torch.equal(augment(images, NONE, seeded()), images)


def test_every_image_gets_its_own_change(images: torch.Tensor) -> None:
    same = images[:1].expand(50, 1, 28, 28)
    changed = augment(same, Augmentation(), seeded())
    assert changed.dtype == torch.uint8
    assert changed.shape == same.shape
    assert len({image.numpy().tobytes() for image in changed}) == 50


def test_the_same_generator_gives_the_same_images(images: torch.Tensor) -> None:
    before = images.clone()
    first, again, other = (augment(images, Augmentation(), seeded(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("shift", "low", "high"), [(0.1, 2.0, 2.9), (0.05, 1.0, 1.5), (0, 0, 0.01)]
)
def test_shift_is_a_share_of_the_side(
    images: torch.Tensor, shift: float, low: float, high: float
) -> None:
    change = dataclasses.replace(NONE, shift=shift)
    mass = augment(images[:1].expand(500, 1, 28, 28), change, seeded()).double().sum(dim=(1, 2))
    centres = mass @ torch.arange(28.0).double() / mass.sum(1)
    assert low <= (centres - centres.mean()).abs().max() <= high


def test_ink_stays_ink(images: torch.Tensor) -> None:
    ratio = augment(images, Augmentation(), seeded()).double().mean() / images.double().mean()
    assert 0.85 < ratio < 1.15
