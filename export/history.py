"""What a training run records of each epoch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What one epoch left in the history.

    Attributes:
        epoch: Counted from 1.
        loss: Mean training loss, in nats.
        learning_rate: At its end.
        digit: Validation accuracy of the digit, a fraction, of the averaged weights, with one
            number for each image.
        sum: Validation accuracy of the sum, likewise.
        seconds: Time it took, validation included.
    """

    epoch: int
    loss: float
    learning_rate: float
    digit: float
    sum: float
    seconds: float
