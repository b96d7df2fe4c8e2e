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
    if not isinstance(images, np.ndarray) or not isinstance(numbers, np.ndarray):
        name, got = ("numbers", numbers) if isinstance(images, np.ndarray) else ("images", images)
        raise InputError(f"{name} must be a numpy array, got {type(got).__name__}")
    if images.dtype != _IMAGE_DTYPE or images.shape[1:] != _IMAGE_SHAPE:
        raise _wrong_array("images", images, _IMAGE_DTYPE, _IMAGE_SHAPE)
    if numbers.dtype != _NUMBER_DTYPE or numbers.ndim != 1:
        raise _wrong_array("numbers", numbers, _NUMBER_DTYPE, ())
    count = len(numbers)
    if len(images) != count:
        raise InputError(f"expected as many numbers as images, got {count} for {len(images)}")
    if batch is not None and count not in (0, batch):
        raise InputError(f"this model takes batches of {batch}, got {count}")
    if count:
        lowest = numbers.item() if count == 1 else numbers.min()  # a third of the time
        highest = lowest if count == 1 else numbers.max()
        if lowest < 0 or highest >= DIGITS:
            wrong = lowest if lowest < 0 else highest
            raise InputError(f"number must be an integer from 0 to {DIGITS - 1}, got {wrong}")
    return count


SUM_TOLERANCE = 1e-3
"""Largest accepted distance of the sum of an output's probabilities from 1. A log-softmax in
float32 is within 1e-6; one in float16, within 1e-3."""


def check_outputs(name: str, outputs: Outputs, count: int) -> None:
    """Refuse a model whose outputs for blank and for noisy images break the contract.

    Args:
        name: Stands for the model in messages.
        outputs: What it answered.
        count: Number of images.

    Raises:
        ModelError: An output has another shape than the contract's, is not finite, or has no
            log-probabilities, whose exp sums to 1 within `SUM_TOLERANCE`.
    """
    for spec, found in zip((DIGIT, SUM), outputs, strict=True):
        finite = np.isfinite(found)
        if found.shape != (count, *spec.shape[1:]) or not finite.all():
            raise ModelError(
                f"{name} is damaged: {spec.name} must be "
                f"{(count, *spec.shape[1:])} finite numbers, got {found.shape} with "
                f"{np.count_nonzero(finite)} finite"
            )
        wrong = describe_distribution(found)
        if wrong:
            raise ModelError(f"{name} breaks the contract: {spec.name} {wrong}")


def describe_distribution(output: NDArray[np.float32]) -> str:
    """Say what is wrong with an output that has no log-probabilities; nothing where it has.

    Args:
        output: float32 (batch, classes).
    """
    if not np.isfinite(output).all():
        return "has values that are NaN or infinite"
    totals = np.exp(np.minimum(output, 80.0), dtype=np.float64).sum(1)  # exp(80) is finite
    if output.max() <= SUM_TOLERANCE and np.abs(totals - 1).max() <= SUM_TOLERANCE:
        return ""
    sums = output.sum(1, dtype=np.float64)
    if output.min() >= 0 and np.abs(sums - 1).max() <= SUM_TOLERANCE:
        return "has probabilities, expected their logarithms: use log_softmax(dim=1), not softmax"
    worst = float(totals[np.abs(totals - 1).argmax()])
    return (
        f"has no log-probabilities: exp of them sums to {worst:.3g}, expected 1 within "
        f"{SUM_TOLERANCE:g}: append log_softmax(dim=1)"
    )


def _wrong_array(
    name: str, array: NDArray[Any], dtype: np.dtype[Any], shape: tuple[object, ...]
) -> InputError:
    wanted = ", ".join(map(str, (BATCH, *shape)))
    return InputError(f"{name} must be {dtype} ({wanted}), got {array.dtype} {array.shape}")
