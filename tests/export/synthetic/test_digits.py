"""Synthetic digits: repeatable, in MNIST's format, readable."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_adder import EdgeAdder
from export.synthetic.digits import draw_digit, draw_digits

EXAMPLES = Path(__file__).parents[3] / "examples"


def test_a_seed_gives_the_same_digits_and_another_gives_others() -> None:
    first, again, other = (draw_digits(50, seed=seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert (first != other).any(axis=(1, 2, 3)).all()


def test_they_are_in_mnist_format() -> None:
    images, digits = draw_digits(100, seed=3)
    assert images.dtype == np.uint8
    assert images.shape == (100, 1, 28, 28)
    assert digits.tolist() == list(range(10)) * 10
    steps = np.arange(28)
    for image in images[:, 0].astype(float):
        assert image.max() == 255
        assert np.count_nonzero(image.any(0)) <= 20 >= np.count_nonzero(image.any(1))
        centre = image.sum(1) @ steps / image.sum(), image.sum(0) @ steps / image.sum()
        assert centre == pytest.approx((14, 14), abs=0.6)


def test_the_bundled_model_reads_them(adder: EdgeAdder) -> None:
    images, digits = draw_digits(500, seed=4)
    answers = adder.run(images, np.zeros(500, np.int64)).digit.argmax(1)
    assert (answers == digits).mean() >= 0.98


def test_they_scale_to_any_side() -> None:
    large = draw_digit(8, np.random.default_rng(0), side=280)
    assert large.shape == (280, 280)
    assert large.max() == 255


def test_the_samples_are_what_their_script_draws(tmp_path: Path) -> None:
    copy = tmp_path / "draw.py"
    copy.write_text((EXAMPLES / "draw.py").read_text())
    runpy.run_path(str(copy), run_name="__main__")
    drawn = sorted(p.name for p in tmp_path.iterdir() if p.suffix != ".py")
    assert drawn == sorted(p.name for p in EXAMPLES.iterdir() if p.suffix in (".png", ".jpg"))
    for name in drawn:
        ours, theirs = (
            np.asarray(Image.open(folder / name).convert("RGBA")).astype(int)
            for folder in (tmp_path, EXAMPLES)
        )
        assert np.abs(ours - theirs).max() <= (8 if name.endswith(".jpg") else 0)
