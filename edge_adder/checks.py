"""Checks of what goes into a model and what comes out of it."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import BATCH, DIGIT, DIGITS, IMAGE, NUMBER, SUM
from edge_adder.errors import InputError, ModelError
from edge_adder.prediction import Outputs

_IMAGE_DTYPE, _IMAGE_SHAPE = np.dtype(IMAGE.dtype), IMAGE.shape[1:]
_NUMBER_DTYPE = np.dtype(NUMBER.dtype)


def check_number(number: object) -> int:
    """Return the number to add as an int.

    Raises:
        InputError: It is not an integer from 0 to 9.
    """
    if not isinstance(number, (bool, np.bool_)):
        try:
            value = operator.index(number)  # type: ignore[arg-type]
        except TypeError:
            value = -1
        if 0 <= value < DIGITS:
            return value
    raise InputError(f"number must be an integer from 0 to {DIGITS - 1}, got {number!r}")


def check_arrays(images: object, numbers: object, batch: int | None) -> int:
    """Return how many pairs two arrays hold that keep the contract.

    Args:
        images: uint8 (batch, 1, 28, 28).
        numbers: int64 (batch,); 0 to 9.
        batch: The size that the model's batch is fixed at; None for any.

    Raises:
        InputError: A dtype, a shape or a number breaks the contract.
    """
    image_array = _check_array("images", images, _IMAGE_DTYPE, _IMAGE_SHAPE)
    number_array = _check_array("numbers", numbers, _NUMBER_DTYPE, ())
    count = len(number_array)
    if len(image_array) != count:
        raise InputError(f"expected as many numbers as images, got {count} for {len(image_array)}")
    if batch is not None and count not in (0, batch):
        raise InputError(f"this model takes batches of {batch}, got {count}")
    if count:
        lowest = number_array.item() if count == 1 else number_array.min()  # a third of the time
        highest = lowest if count == 1 else number_array.max()
        if lowest < 0 or highest >= DIGITS:
            wrong = lowest if lowest < 0 else highest
            raise InputError(f"number must be an integer from 0 to {DIGITS - 1}, got {wrong}")
    return count


def check_outputs(name: str, outputs: Outputs, count: int) -> None:
    """Refuse a model whose outputs for blank images break the contract.

    Args:
        name: Stands for the model in messages.
        outputs: What it answered.
        count: Number of images.

    Raises:
        ModelError: An output has another shape than the contract's, or is not finite.
    """
    for spec, found in zip((DIGIT, SUM), outputs, strict=True):
        finite = np.isfinite(found)
        if found.shape != (count, *spec.shape[1:]) or not finite.all():
            raise ModelError(
                f"{name} is damaged: {spec.name} of a blank image must be "
                f"{(count, *spec.shape[1:])} finite numbers, got {found.shape} with "
                f"{np.count_nonzero(finite)} finite"
            )


def _check_array(
    name: str, array: object, dtype: np.dtype[Any], shape: tuple[object, ...]
) -> NDArray[Any]:
    """Return an array of a dtype and of a shape after the batch axis."""
    if not isinstance(array, np.ndarray):
        raise InputError(f"{name} must be a numpy array, got {type(array).__name__}")
    if array.dtype != dtype or array.ndim == 0 or array.shape[1:] != shape:
        wanted = ", ".join(map(str, (BATCH, *shape)))
        raise InputError(f"{name} must be {dtype} ({wanted}), got {array.dtype} {array.shape}")
    return array
