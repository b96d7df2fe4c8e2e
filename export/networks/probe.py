"""Whether a PyTorch network keeps the contract: it is run, and its outputs are looked at.

What is wrong is said in one line, with what to change. Where `forward` raises, other inputs that
newcomers' networks expect are tried, so that the message names the cause.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from edge_adder.checks import describe_distribution
from edge_adder.contract import DIGIT, FULL_INK, IMAGE_SIDE, SUM
from edge_adder.errors import CheckpointError, one_line

from . import own
from .parts import one_hot, scale_image

_SAME = 1e-3
"""Largest difference, in nats, of an answer that should not have changed; rounding gives 1e-5."""

_Inputs = tuple[Tensor, ...]


@torch.no_grad()
def check(network: nn.Module, name: str) -> None:
    """Run a network on a blank and three noisy images, and refuse what breaks the contract.

    The network is left in the mode that it was in; the state of random generators, too.

    Args:
        network: Made, with any weights; on the CPU.
        name: Stands for the network in messages.

    Raises:
        CheckpointError: It breaks the contract; the message says what to change.
    """
    was_training = network.training
    network.eval()
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the user's own code
            _check(network, name)
    finally:
        network.train(was_training)


def _check(network: nn.Module, name: str) -> None:
    _check_arguments(network, name)
    inputs = _sample()
    answers = _checked(_run(network, name, inputs), name, len(inputs[1]))
    again = _checked(_run(network, name, inputs), name, len(inputs[1]))
    if _differ(answers, again):
        raise CheckpointError(
            f"{name}: the same image is answered differently each time: let dropout and noise "
            "depend on self.training, as nn.Dropout does"
        )
    for index in range(len(inputs[1])):
        single = tuple(part[index : index + 1] for part in inputs)
        alone = _checked(_run(network, name, single, " for a single image"), name, 1)
        if _differ(alone, [answer[index : index + 1] for answer in answers]):
            raise CheckpointError(
                f"{name}: the answer for an image depends on the others in its batch: use "
                "log_softmax(dim=1), not dim=0, no statistics of the batch, and torch.where for an "
                "if on values"
            )
    for spec, answer in zip((DIGIT, SUM), answers, strict=True):
        wrong = describe_distribution(answer.numpy())
        if wrong:
            raise CheckpointError(f"{name}: {spec.name} {wrong}")


def _sample() -> _Inputs:
    generator = torch.Generator().manual_seed(0)
    shape = (4, 1, IMAGE_SIDE, IMAGE_SIDE)
    image = torch.randint(FULL_INK + 1, shape, generator=generator, dtype=torch.uint8)
    image[0] = 0
    return image, torch.tensor([0, 3, 5, 9])


def _check_arguments(network: nn.Module, name: str) -> None:
    """Refuse a forward that cannot be called with two arguments, or has their names swapped."""
    try:
        signature = inspect.signature(network.forward)
        signature.bind(None, None)
    except TypeError as error:
        raise CheckpointError(
            f"{name}: forward takes {signature}, expected two arguments by position: image, number"
        ) from error
    names = [*signature.parameters][:2]
    if names == ["number", "image"]:
        raise CheckpointError(f"{name}: forward takes (number, image), expected image first")


def _run(network: nn.Module, name: str, inputs: _Inputs, when: str = "") -> Any:
    try:
        return network(*inputs)
    except Exception as error:
        where = own.line_in(error, own.source_file(type(network)))
        advice = "" if when else _advice(network, inputs)
        reason = advice or f"{where + ': ' if where else ''}{one_line(error)}"
        raise CheckpointError(f"{name}: forward fails{when}: {reason}") from error


def _advice(network: nn.Module, inputs: _Inputs) -> str:
    """Return what to change in a network that takes other inputs; "" where none of these helps."""
    image, number = inputs
    float_image = "image arrives as uint8, 0 to 255: begin with image = scale_image(image)"
    encoded = "number arrives as int64 (batch,): begin with number = one_hot(number)"
    column = "number arrives as int64 (batch,): begin with number = number[:, None].float()"
    parts = " (from edge_adder.export.networks.parts)"
    attempts: list[tuple[str, Callable[[], _Inputs]]] = [
        (float_image + parts, lambda: (scale_image(image), number)),
        (encoded + parts, lambda: (image, one_hot(number))),
        (column, lambda: (image, number[:, None].float())),
        ("it takes number first: expected image, then number", lambda: (number, image)),
        (f"{float_image}; {encoded}{parts}", lambda: (scale_image(image), one_hot(number))),
        (f"{float_image}{parts}; {column}", lambda: (scale_image(image), number[:, None].float())),
        (
            "it takes number first, and float images: expected image, then number; begin with "
            f"image = scale_image(image){parts}",
            lambda: (number, scale_image(image)),
        ),
    ]
    for advice, change in attempts:
        try:
            _checked(network(*change()), "", len(number))
        except Exception:  # noqa: BLE001, S112  the next attempt
            continue
        return advice
    return ""


def _checked(answers: Any, name: str, count: int) -> list[Tensor]:
    """Return digit and sum, of the contract's shapes and dtypes."""
    if isinstance(answers, dict):
        raise CheckpointError(
            f"{name}: forward returns a dict, expected a tuple: return digit, sum"
        )
    if isinstance(answers, Tensor) or not isinstance(answers, (tuple, list)):
        raise CheckpointError(
            f"{name}: forward returns one {type(answers).__name__}, expected two tensors: "
            "return digit, sum"
        )
    if len(answers) != 2 or not all(isinstance(answer, Tensor) for answer in answers):
        raise CheckpointError(
            f"{name}: forward returns {len(answers)} outputs, expected two tensors: "
            "return digit, sum"
        )
    expected = [(count, *spec.shape[1:]) for spec in (DIGIT, SUM)]
    found = [tuple(answer.shape) for answer in answers]
    if found == expected[::-1] and found != expected:
        raise CheckpointError(f"{name}: forward returns sum, then digit: return digit, sum")
    for spec, answer, shape in zip((DIGIT, SUM), answers, expected, strict=True):
        if answer.shape != shape:
            raise CheckpointError(
                f"{name}: {spec.name} has shape {tuple(answer.shape)} for {count} "
                f"image{'s' if count > 1 else ''}, expected {tuple(shape)}"
            )
        if answer.dtype != torch.float32:
            dtype = str(answer.dtype).removeprefix("torch.")
            raise CheckpointError(
                f"{name}: {spec.name} is {dtype}, expected float32: append .float()"
            )
    return list(answers)


def _differ(some: list[Tensor], others: list[Tensor]) -> bool:
    """Whether answers differ by more than rounding; NaN equals NaN."""
    return not all(
        torch.allclose(one, other, rtol=_SAME, atol=_SAME, equal_nan=True)
        for one, other in zip(some, others, strict=True)
    )
