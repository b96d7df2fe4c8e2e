"""Arrays, tensors and lists are taken, or refused with the conversion to make."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_adder import InputError, prepare_image


def as_colour(array: np.ndarray, channels: int) -> np.ndarray:
    """Grey in channels, (height, width, channels), without transparency."""
    colour = np.repeat(array[:, :, None], channels, axis=2)
    if channels in (2, 4):
        colour[:, :, -1] = 255
    return colour


class Tensor:
    """What a framework's tensor is to numpy."""

    def __init__(self, values: np.ndarray, error: Exception | None = None) -> None:
        self.values = values
        self.error = error

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        if self.error is not None:
            raise self.error
        return self.values


@pytest.mark.parametrize(
    "convert",
    [
        *(lambda a, dtype=dtype: a.astype(dtype) for dtype in ("int16", "int32", "int64", ">u4")),
        *(lambda a, n=channels: as_colour(a, n) for channels in (1, 2, 3, 4)),
        *(lambda a, n=channels: np.moveaxis(as_colour(a, n), 2, 0) for channels in (1, 3, 4)),
        lambda a: a[None, None],
        lambda a: np.moveaxis(as_colour(a, 3), 2, 0)[None],
        lambda a: as_colour(a, 3)[None],
        lambda a: a.tolist(),
        lambda a: tuple(map(tuple, a.tolist())),
        list,
        Tensor,
        lambda a: Tensor(a[None].astype(np.int64)),
        lambda a: a.view(np.matrix),
    ],
)
def test_the_same_image_in_another_array(
    drawing: Image.Image, prepared: np.ndarray, convert: Callable[[np.ndarray], Any]
) -> None:
    assert np.array_equal(prepare_image(convert(np.asarray(drawing))), prepared)


@pytest.mark.parametrize("highest", [255, 1023, 4095, 65535])
def test_16_bits_are_read_alike_as_array_and_file(
    drawing: Image.Image, prepared: np.ndarray, encode: Callable[..., bytes], highest: int
) -> None:
    wide = (np.asarray(drawing) / 255 * highest).astype(np.uint16)
    image = Image.fromarray(wide)
    for source in (wide, wide.astype(">u2"), image, encode(image, "PNG")):
        assert np.abs(prepare_image(source).astype(int) - prepared).max() <= 2


CONVERSION = r'convert values from 0 to 1 by \(x \* 255\).round\(\).astype\("uint8"\)'
DETACH = r"call \.detach\(\)\.cpu\(\)\.numpy\(\)"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((28, 28)), f"must be uint8, uint16 or bool, got float64: {CONVERSION}"),
        ([[0.0, 1.0]], CONVERSION),
        (Tensor(np.zeros((1, 28, 28), np.float32)), CONVERSION),
        (np.array([[0, 256]]), "array of int64 must have values from 0 to 255, got 0 to 256"),
        (np.array([[-1, 9]], np.int8), "array of int8 must have values from 0 to 255, got -1 to 9"),
        (np.zeros((9, 9), complex), "must be uint8, uint16 or bool, got complex128$"),
        ([["a.png", "b.png"]], "must be uint8, uint16 or bool, got <U5"),
        ([[1, 2], [3]], "image list must have rows of the same length: "),
        (Tensor(np.zeros(9), TypeError("can't convert cuda:0 device type\ntensor")), DETACH),
        (Tensor(np.zeros(9), RuntimeError("Can't call numpy()")), DETACH),
        *(
            (np.zeros(shape, np.uint8), f"must have shape .*, got {re.escape(str(shape))}")
            for shape in ((), (784,), (0, 28), (28, 28, 5), (2, 28, 28), (2, 28, 28, 1))
        ),
        (7, "image must be a path, bytes, .* got int"),
        (None, "got NoneType"),
    ],
)
def test_refused(source: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        prepare_image(source)
    assert "\n" not in str(caught.value)


def test_tensors_of_pytorch(seven: np.ndarray) -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    assert np.array_equal(prepare_image(torch.tensor(seven)[None]), seven)
    with pytest.raises(InputError, match=f"image Tensor must be on the CPU .*: {DETACH}"):
        prepare_image(torch.zeros(28, 28, requires_grad=True))
