"""Redrawn handwriting is in MNIST's form, of the same digits, and strays as far as it is told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge_adder.preprocessing.normalize import stroke_width
from export.synthetic.digits import draw_digits
from export.synthetic.handwriting import Redrawing, redraw

STILL = Redrawing(
    rotation_degrees=0,
    shear=0,
    stretch=0,
    bend=0,
    pen=(0, 0),
    pixelated=0,
    faded=0,
    cut=0,
)


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.from_numpy(draw_digits(60, seed=4)[0])


def alike(first: torch.Tensor, second: torch.Tensor) -> np.ndarray:
    """Correlation of each pair of images."""
    pairs = zip(first.flatten(1).numpy(), second.flatten(1).numpy(), strict=True)
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in pairs])


def test_they_are_in_mnists_form(images: torch.Tensor) -> None:
    found = redraw(images, Redrawing(), seeded())
    assert found.shape == images.shape
    assert found.dtype == torch.uint8
    ink = found[:, 0].double()
    assert (ink.amax((1, 2)) == 255).all()
    rows, columns = (ink > 0).any(2), (ink > 0).any(1)
    sides = torch.stack([rows.sum(1), columns.sum(1)]).amax(0)
    assert sides.min() >= 18
    assert sides.max() <= 20
    for sums in (ink.sum(1), ink.sum(2)):
        centre = sums @ torch.arange(28.0).double() / sums.sum(1)
        assert (centre - 14).abs().max() < 0.6


def test_without_any_change_they_are_as_before(images: torch.Tensor) -> None:
    assert np.median(alike(redraw(images, STILL, seeded()), images)) > 0.9


@pytest.mark.parametrize(
    "change",
    [
        {"rotation_degrees": 30},
        {"shear": 0.5},
        {"stretch": 0.8},
        {"bend": 2.0},
        {"pen": (2, 2)},
        {"pixelated": 1, "pixels": (10, 12)},
        {"faded": 1},
        {"cut": 1, "rim": 0.3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_change_changes(images: torch.Tensor, change: dict) -> None:
    settings = {name: getattr(STILL, name) for name in STILL.__dataclass_fields__}
    found = redraw(images, Redrawing(**settings | change), seeded())
    still = redraw(images, STILL, seeded())
    assert np.median(alike(found, still)) < 0.998
    assert np.median(alike(found, images)) > 0.4  # the same digits


def test_the_pen_makes_strokes_wider_and_thinner(images: torch.Tensor) -> None:
    settings = {name: getattr(STILL, name) for name in STILL.__dataclass_fields__}
    widths = []
    for pen in (-0.5, 0, 0.8):
        found = redraw(images, Redrawing(**settings | {"pen": (pen, pen)}), seeded())
        widths.append(np.mean([stroke_width(image[0] >= 128) for image in found.numpy()]))
    assert widths[0] < widths[1] < widths[2]


def test_the_same_seed_gives_the_same(images: torch.Tensor) -> None:
    first = redraw(images, Redrawing(), seeded())
    assert torch.equal(redraw(images, Redrawing(), seeded()), first)
    assert not torch.equal(redraw(images, Redrawing(), seeded(2)), first)


def test_without_ink_there_is_none_afterwards() -> None:
    assert not redraw(torch.zeros(3, 1, 28, 28, dtype=torch.uint8), Redrawing(), seeded()).any()


def test_the_callers_images_stay(images: torch.Tensor) -> None:
    before = images.clone()
    redraw(images, Redrawing(), seeded())
    assert torch.equal(images, before)
