"""The gate: PyTorch against the very bytes that ship, run by the runtime that will run them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edge_adder import EdgeAdder, Outputs
from edge_adder.contract import DIGITS
from edge_adder.errors import ParityError
from export.networks.parts import ExactAdder

BOUND = 1e-4
"""Largest absolute difference of a log-probability that is accepted. float32 rounding through a
dozen operators gives about 1e-5; a wrong fold or a lost pad gives far more than 1e-2."""

COMPARED_ABOVE = -20.0
"""Log-probabilities below this (2e-9) may differ by more: no answer depends on them."""

BATCHES = (1, 2, 257)
"""Batch sizes that are compared: one image, the least batch, and one that no loop unrolls."""

_REFERENCE_BATCH = 1000


@dataclass(frozen=True, slots=True)
class ParityRow:
    """What one output did on one set of images at one batch size.

    Attributes:
        images: What the images are, such as ``1,000 drawn digits``.
        pairs: How many pairs of image and number were compared.
        batch: Pairs in each run.
        output: ``digit`` or ``sum``.
        largest_difference: Of the log-probabilities above `COMPARED_ABOVE`, absolute, in nats.
        changed_answers: Pairs whose most probable answer is another.
        contradictions: Pairs where sum is not digit + number, in the shipped file.
    """

    images: str
    pairs: int
    batch: int
    output: str
    largest_difference: float
    changed_answers: int
    contradictions: int


def all_pairs(images: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Every image with every number: uint8 (10 · count, 1, 28, 28) and int64 (10 · count,)."""
    numbers = np.tile(np.arange(DIGITS, dtype=np.int64), len(images))
    return np.repeat(images, DIGITS, axis=0), numbers


@torch.inference_mode()
def reference(network: nn.Module, images: NDArray[np.uint8], numbers: NDArray[np.int64]) -> Outputs:
    """PyTorch's answers: the arrays that `EdgeAdder.run` would give."""
    network.eval()
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
        got = Outputs(*(np.concatenate(output) for output in zip(*runs, strict=True)))
        contradictions = int((got.sum.argmax(1) != got.digit.argmax(1) + numbers).sum())
        for name in Outputs._fields:
            wanted, found = getattr(expected, name), getattr(got, name)
            if not np.isfinite(found).all():
                raise ParityError(f"{name} is not finite for {description} at batch {size}")
            compared = np.maximum(wanted, found) > COMPARED_ABOVE
            difference = np.abs(wanted - found, where=compared, out=np.zeros_like(wanted))
            changed = int((wanted.argmax(1) != found.argmax(1)).sum())
            rows.append(
                ParityRow(
                    description,
                    len(pairs),
                    size,
                    name,
                    float(difference.max()),
                    changed,
                    contradictions,
                )
            )
    return rows


def check(rows: Sequence[ParityRow], network: nn.Module) -> None:
    """Let a file pass, or say by how much it fails.

    Raises:
        ParityError: A difference is above `BOUND`, an answer changed, or a network with an exact
            adder contradicts itself.
    """
    exact = any(isinstance(module, ExactAdder) for module in network.modules())
    for row in rows:
        where = f"{row.output} of {row.images} at batch {row.batch}"
        if not row.largest_difference <= BOUND:
            raise ParityError(
                f"parity failed: {where} differs from PyTorch by {row.largest_difference:.2g}, "
                f"bound {BOUND:g}"
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
