"""The handwriting augmentation: in MNIST's format, of the same digits, as strong as it is set."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from edge_adder.preprocessing.normalize import stroke_width
from export.synthetic.digits import draw_digits
from export.synthetic.handwriting import HandwritingAugmentation, augment_handwriting

STILL = HandwritingAugmentation(
    rotation_degrees=0,
    shear=0,
    stretch=0,
    bend=0,
    stroke_delta=(0, 0),
    pixelated=0,
    faded=0,
    cropped=0,
)


def change(
    images: torch.Tensor, augmentation: HandwritingAugmentation = STILL, seed: int = 1
) -> torch.Tensor:
    return augment_handwriting(images, augmentation, torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.from_numpy(draw_digits(60, seed=4)[0])


@pytest.fixture(scope="module")
def still(images: torch.Tensor) -> torch.Tensor:
    """The images without any change but the preparation."""
    return change(images)


@pytest.fixture(scope="module")
def changed(images: torch.Tensor) -> torch.Tensor:
    """The images as training has them."""
    return change(images, HandwritingAugmentation())


def alike(first: torch.Tensor, second: torch.Tensor) -> np.ndarray:
    """Correlation of each pair of images."""
    pairs = zip(first.flatten(1).numpy(), second.flatten(1).numpy(), strict=True)
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in pairs])


def test_they_are_in_mnist_format(images: torch.Tensor, changed: torch.Tensor) -> None:
    assert changed.shape == images.shape
    assert changed.dtype == torch.uint8
    ink = changed[:, 0].double()
    assert (ink.amax((1, 2)) == 255).all()
    rows, columns = (ink > 0).any(2), (ink > 0).any(1)
    sides = torch.stack([rows.sum(1), columns.sum(1)]).amax(0)
    assert sides.min() >= 18
    assert sides.max() <= 20
    for sums in (ink.sum(1), ink.sum(2)):
        centre = sums @ torch.arange(28.0).double() / sums.sum(1)
        assert (centre - 14).abs().max() < 0.6


def test_without_any_change_they_are_as_before(images: torch.Tensor, still: torch.Tensor) -> None:
    assert np.median(alike(still, images)) > 0.9


@pytest.mark.parametrize(
    "setting",
    [
        {"rotation_degrees": 30},
        {"shear": 0.5},
        {"stretch": 0.8},
        {"bend": 2.0},
        {"stroke_delta": (2, 2)},
        {"pixelated": 1, "pixels": (10, 12)},
        {"faded": 1},
        {"cropped": 1, "crop": 0.3},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_every_setting_counts(
    images: torch.Tensor, still: torch.Tensor, setting: dict[str, object]
) -> None:
    found = change(images, dataclasses.replace(STILL, **setting))
    assert np.median(alike(found, still)) < 0.998
    assert np.median(alike(found, images)) > 0.4  # the same digits


def test_strokes_become_thicker_and_thinner(images: torch.Tensor) -> None:
    widths = []
    for delta in (-0.5, 0, 0.8):
        found = change(images, dataclasses.replace(STILL, stroke_delta=(delta, delta)))
        widths.append(np.mean([stroke_width(image[0] >= 128) for image in found.numpy()]))
    assert widths[0] < widths[1] < widths[2]


def test_a_seed_gives_the_same_and_the_callers_images_stay(
    images: torch.Tensor, changed: torch.Tensor
) -> None:
    before = images.clone()
    assert torch.equal(change(images, HandwritingAugmentation()), changed)
    assert not torch.equal(change(images, HandwritingAugmentation(), seed=2), changed)
    assert torch.equal(images, before)


def test_without_ink_there_is_none_afterwards() -> None:
    blank = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
    assert not change(blank, HandwritingAugmentation()).any()


def test_no_images_stay_none() -> None:
    """The last chunk of a cached pass may have none to redraw."""
    none = torch.zeros(0, 1, 28, 28, dtype=torch.uint8)
    augmented = augment_handwriting(none, HandwritingAugmentation(), torch.Generator())
    assert augmented.shape == none.shape
