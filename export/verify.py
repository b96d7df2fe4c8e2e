"""The gate: PyTorch against the very bytes that ship, run by the runtime that will run them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_adder import EdgeAdder, Outputs, parity
from edge_adder.checks import describe_distribution
from edge_adder.contract import DIGIT, DIGITS, SUM
from edge_adder.errors import ParityError

from .networks.parts import ExactAdder

BATCHES = (1, 2, 257)
"""Batch sizes that are compared: one image, the least batch, and one that no loop unrolls."""

_REFERENCE_BATCH = 1000


@dataclass(frozen=True, slots=True)
class ParityRow:
    """Difference of one output from PyTorch's, on one set of images at one batch size.

    Attributes:
        images: What the images are, such as ``1,000 synthetic digits``.
        pairs: Number of pairs of image and number.
        batch: Pairs in each run.
        output: ``digit`` or ``sum``.
        largest_difference: Largest absolute difference of log-probabilities, in nats, as
            `edge_adder.parity.OutputParity` has it.
        changed_answers: Number of pairs whose most probable answer differs.
        contradictions: Number of pairs where sum is not digit + number, in the shipped file.
    """

    images: str
    pairs: int
    batch: int
    output: str
    largest_difference: float
    changed_answers: int
    contradictions: int


def all_pairs(images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pair every image with every number: uint8 (10 · count, 1, 28, 28), int64 (10 · count,)."""
    numbers = np.tile(np.arange(DIGITS, dtype=np.int64), len(images))
    return np.repeat(images, DIGITS, axis=0), numbers


@torch.inference_mode()
def reference(network: nn.Module, images: NDArray[np.uint8], numbers: NDArray[np.int64]) -> Outputs:
    """Return PyTorch's answers: the arrays that `EdgeAdder.run` would give."""
    network.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a network of the user's own
        parts = [
            network(torch.from_numpy(images[chunk]), torch.from_numpy(numbers[chunk]))
            for chunk in _chunks(len(images), _REFERENCE_BATCH)
        ]
    digit, total = (torch.cat(output).numpy() for output in zip(*parts, strict=True))
    return Outputs(digit, total)


def compare(
    network: nn.Module, adder: EdgeAdder, images: NDArray[np.uint8], description: str
) -> list[ParityRow]:
    """Run every image with all ten numbers through both, at every batch size.

    Args:
        network: The reference.
        adder: The shipped file, loaded.
        images: uint8 (count, 1, 28, 28).
        description: What the images are, for the table.

    Raises:
        ParityError: An output of the file is not finite.
    """
    sizes: Sequence[int] = BATCHES if adder.batch is None else (adder.batch,)
    pairs, numbers = all_pairs(images)
    if adder.batch is not None:  # whole batches only
        count = -(-len(pairs) // adder.batch) * adder.batch
        pairs, numbers = np.resize(pairs, (count, *pairs.shape[1:])), np.resize(numbers, count)
    expected = reference(network, pairs, numbers)
    rows = []
    for size in sizes:
        runs = [adder.run(pairs[c], numbers[c]) for c in _chunks(len(pairs), size)]
        found = Outputs(*(np.concatenate(output) for output in zip(*runs, strict=True)))
        contradictions = int((found.sum.argmax(1) != found.digit.argmax(1) + numbers).sum())
        result = parity.compare(found, expected)
        for name, output in ((DIGIT.name, result.digit), (SUM.name, result.sum)):
            difference, changed = output.largest_difference, output.changed_answers
            if difference is None:
                raise ParityError(f"{name} is not finite for {description} at batch {size}")
            rows.append(
                ParityRow(description, len(pairs), size, name, difference, changed, contradictions)
            )
    return rows


def check_batches(adder: EdgeAdder, images: NDArray[np.uint8], description: str) -> None:
    """Run every image with one number at every batch size, and compare the answers.

    Args:
        adder: The file, loaded.
        images: uint8 (count, 1, 28, 28).
        description: What the images are, for messages.

    Raises:
        ParityError: The answers depend on the size of the batch, or are not log-probabilities.
    """
    if adder.batch is not None:  # one size alone
        return
    numbers = np.arange(len(images), dtype=np.int64) % DIGITS
    found = []
    for size in BATCHES:
        runs = [adder.run(images[c], numbers[c]) for c in _chunks(len(images), size)]
        found.append(Outputs(*(np.concatenate(output) for output in zip(*runs, strict=True))))
    for name, output in zip((DIGIT.name, SUM.name), found[0], strict=True):
        wrong = describe_distribution(output)
        if wrong:
            raise ParityError(f"{name} of {description} {wrong}")
    for size, outputs in zip(BATCHES[1:], found[1:], strict=True):
        if not parity.compare(outputs, found[0]).passed:
            raise ParityError(
                f"the answers for {description} in batches of {size} differ from those of single "
                "images: use log_softmax(dim=1), and no statistics of the batch"
            )


def check_answers(rows: Sequence[ParityRow], network: nn.Module, max_changed: float) -> None:
    """Let a file of another precision pass by its answers, or say by how much it fails.

    Args:
        rows: What `compare` returned.
        network: The float32 network.
        max_changed: Largest accepted share of the pairs whose answer changed.

    Raises:
        ParityError: More answers changed, or a network with an exact adder contradicts itself.
    """
    exact = any(isinstance(module, ExactAdder) for module in network.modules())
    for row in rows:
        if row.changed_answers > max_changed * row.pairs:
            share = row.changed_answers / row.pairs
            raise ParityError(
                f"precision lost: {row.changed_answers} of {row.pairs} answers changed "
                f"({100 * share:.3g} %) for {row.output} of {row.images} at batch {row.batch}, "
                f"at most {100 * max_changed:g} % may: see --max-changed"
            )
        if exact and row.contradictions:
            raise ParityError(
                f"precision lost: sum is not digit + number in {row.contradictions} of "
                f"{row.pairs} pairs for {row.images} at batch {row.batch}"
            )


def digit_accuracy(
    network: nn.Module, adder: EdgeAdder, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the share of digits that PyTorch and the file read correctly.

    Args:
        network: The float32 network.
        adder: The file, loaded.
        images: uint8 (count, 1, 28, 28).
        labels: int64 (count,); 0 to 9.
    """
    numbers = np.zeros(len(images), np.int64)
    expected = reference(network, images, numbers).digit.argmax(1)
    size = adder.batch or BATCHES[-1]
    found = []
    for chunk in _chunks(len(images), size):
        part = np.resize(images[chunk], (size, *images.shape[1:]))  # a fixed batch is filled up
        count = len(labels[chunk])
        found.append(adder.run(part, np.zeros(size, np.int64)).digit[:count].argmax(1))
    return float((expected == labels).mean()), float((np.concatenate(found) == labels).mean())


def check(rows: Sequence[ParityRow], network: nn.Module) -> None:
    """Let a file pass, or say by how much it fails.

    Raises:
        ParityError: A difference is above `edge_adder.parity.PARITY_BOUND`, an answer changed, or a
            network with an exact adder contradicts itself.
    """
    exact = any(isinstance(module, ExactAdder) for module in network.modules())
    for row in rows:
        where = f"{row.output} of {row.images} at batch {row.batch}"
        if not row.largest_difference <= parity.PARITY_BOUND:
            raise ParityError(
                f"parity failed: {where} differs from PyTorch by {row.largest_difference:.2g}, "
                f"bound {parity.PARITY_BOUND:g}"
            )
        if row.changed_answers:
            raise ParityError(
                f"parity failed: {row.changed_answers} of {row.pairs} answers changed for {where}"
            )
        if exact and row.contradictions:
            raise ParityError(
                f"parity failed: sum is not digit + number in {row.contradictions} of {row.pairs} "
                f"pairs for {row.images} at batch {row.batch}"
            )


def _chunks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))
