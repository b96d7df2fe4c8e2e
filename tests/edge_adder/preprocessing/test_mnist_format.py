"""Images in MNIST's format are recognized in every kind of file, and stay as they are."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_adder import prepare_image
from edge_adder.preprocessing.mnist_format import are_mnist_format, is_mnist_format
from edge_adder.preprocessing.prepare import UNCHANGED, prepare


def test_an_array_is_returned_itself(seven: np.ndarray) -> None:
    image, preparation = prepare(seven)
    assert image is seven
    assert preparation is UNCHANGED


@pytest.mark.parametrize(
    ("file_format", "modes"),
    [
        ("PNG", "L LA P RGB RGBA"),
        ("TIFF", "L LA P RGB RGBA CMYK"),
        ("BMP", "L P RGB RGBA"),
        ("WEBP", "L RGB RGBA"),
        ("GIF", "L P RGB"),
    ],
)
def test_a_file_passes_unchanged_in_every_mode_of_its_format(
    seven: np.ndarray, encode: Callable[..., bytes], file_format: str, modes: str
) -> None:
    options = {"lossless": True} if file_format == "WEBP" else {}
    for mode in modes.split():
        data = encode(Image.fromarray(seven).convert(mode), file_format, **options)
        assert np.array_equal(prepare_image(data), seven), mode


def test_other_depths_pass_unchanged(seven: np.ndarray, encode: Callable[..., bytes]) -> None:
    wide, narrow = seven.astype(np.uint16) * 257, seven > 127
    for array, expected in ((wide, seven), (narrow, narrow * 255)):
        image = Image.fromarray(array)
        for source in (array, encode(image, "PNG"), encode(image, "TIFF")):
            assert np.array_equal(prepare_image(source), expected)


def test_a_similar_image_is_converted(seven: np.ndarray) -> None:
    for similar in (
        100 + seven // 2,
        np.roll(seven, 3, axis=1),
        np.roll(seven, -3, axis=0),
        seven // 2,
        np.asarray(Image.fromarray(seven[3:25, 3:25]).resize((28, 28))),
        255 - seven,
    ):
        image, preparation = prepare(similar)
        assert not preparation.unchanged
        assert is_mnist_format(image)
        assert np.corrcoef(image.ravel(), seven.ravel())[0, 1] > 0.8


def test_a_coloured_image_is_converted(seven: np.ndarray) -> None:
    red = np.dstack([seven, seven // 8, seven // 8])
    assert prepare_image(red).max() == 255
    assert not np.array_equal(prepare_image(red), np.asarray(Image.fromarray(red).convert("L")))


def test_one_and_many_agree(seven: np.ndarray) -> None:
    images = [seven, seven // 2, 255 - seven, np.zeros_like(seven), np.full_like(seven, 255)]
    for shift in range(-3, 4):
        images += [np.roll(seven, shift, axis=0), np.roll(seven, shift, axis=1)]
    images += [seven * (np.arange(28) >= 4 + cut)[:, None] for cut in range(1, 9)]
    images += list(np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8))
    images = [image.astype(np.uint8) for image in images]
    found = are_mnist_format(np.stack(images))
    assert found.tolist() == [is_mnist_format(image) for image in images]
    assert 3 <= found.sum() < len(images) / 2


@pytest.mark.mnist
@pytest.mark.parametrize("name", ["train", "t10k"])
def test_all_of_mnist_is_recognized(name: str) -> None:
    folder = Path(os.environ["EDGE_ADDER_DATA"], "MNIST", "raw")
    data = (folder / f"{name}-images-idx3-ubyte").read_bytes()
    assert are_mnist_format(np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28)).all()
